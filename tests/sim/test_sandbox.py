"""`joinery sandbox` as a person starts it: what it says is so, and nothing of it is left when it ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import root
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.kinds import items
from agent.sim.embedded import Steering
from tests.cluster.processes import wait_until

SECONDS = 60


class Started:
    """A running `joinery sandbox`, with its instructions."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        # A proxy that does not answer: nothing of the sandbox may ask it.
        proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:1")
        environment = kept | {"TMPDIR": str(folder)} | proxies
        command = [sys.executable, "-m", "agent", "sandbox", *arguments]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if line.startswith("Ctrl-C"):
                return
        raise AssertionError(f"{self.said}\n{self.process.communicate()[1]}")

    @property
    def environment(self) -> dict[str, str]:
        """What the file sets that the instructions name."""
        [file] = re.findall(r"^  \. (\S+)$", self.said, re.MULTILINE)
        shell = subprocess.run(["sh", "-c", f". {file}; env"], capture_output=True, text=True, check=True)
        return dict(line.partition("=")[::2] for line in shell.stdout.splitlines())

    def children(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def daemons(self) -> list[int]:
        """Its children that are `joinery run`; for a moment a new process has no command line."""
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in self.children()}
        return [pid for pid, line in lines.items() if b"run" in line]

    def kill(self) -> None:
        """Whatever a failed test has left."""
        for pid in (*self.children(), self.process.pid) if self.process.poll() is None else ():
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        out, error = self.process.communicate(timeout=SECONDS)
        assert "Traceback" not in out + error, error
        return self.process.returncode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    started: list[Started] = []

    def starting(*arguments: str) -> Started:
        started.append(Started(tmp_path, *arguments))
        return started[-1]

    yield starting
    for one in started:
        one.kill()


def test_it_serves_until_ctrl_c_and_leaves_nothing(start: Callable[..., Started], tmp_path: Path) -> None:
    started = start("--no-fixed-nodes")
    environment = started.environment
    with KubeApi.from_kubeconfig(environment["KUBECONFIG"]) as api:
        crds = {o["metadata"]["name"] for o in items(api, paths.crds())}
        wait_until("the daemon leads", lambda: bool(items(api, paths.leases("joinery-system"))))
        secrets = {"labelSelector": "app.kubernetes.io/managed-by=joinery"}
        wait_until("a token", lambda: bool(items(api, paths.secrets("kube-system"), secrets)))
    ours = {f"{kind}.karpenter.sh" for kind in ("nodepools", "nodeclaims", "nodeoverlays")}
    assert crds == ours | {"ec2nodeclasses.karpenter.k8s.aws"}
    assert Steering(environment["AWS_ENDPOINT_URL"]).instances() == []
    assert environment["AWS_DEFAULT_REGION"] == "ap-northeast-2"
    children = started.children()
    assert len(children) == 2, "EC2 and the daemon"
    assert started.end(signal.SIGINT) == 0
    assert list(tmp_path.iterdir()) == []
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_without_a_daemon_it_says_how_to_start_one(start: Callable[..., Started], tmp_path: Path) -> None:
    started = start("--no-daemon", "--no-fixed-nodes")
    assert len(started.children()) == 1
    [command] = re.findall(r"^  joinery (run .*)$", started.said, re.MULTILINE)
    own = subprocess.run(
        [sys.executable, "-m", "agent", *command.split(), "--once"],
        env=os.environ | started.environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert own.returncode == 0, own.stdout + own.stderr
    assert started.end(signal.SIGTERM) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_dies_ends_it_with_a_sentence(start: Callable[..., Started], tmp_path: Path) -> None:
    started = start("--no-fixed-nodes")
    log = re.findall(r"tail -f (\S+)", started.said)
    assert len(log) == 1
    wait_until("the daemon's process", lambda: bool(started.daemons()))
    [daemon] = started.daemons()
    os.kill(daemon, signal.SIGKILL)
    _, error = started.process.communicate(timeout=SECONDS)
    assert started.process.returncode == 1
    assert error.startswith("Error: joinery run ended with status -9")
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["sandbox", "demo"])
def test_without_the_extra_it_says_what_to_install(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)
    done = CliRunner().invoke(root, [command])
    assert done.exit_code == 1
    assert "needs the extra `sandbox`" in done.output
    assert "joinery-agent[sandbox]" in done.output


def test_nothing_of_the_sandbox_is_loaded_by_other_commands() -> None:
    code = "import sys, agent.cli; print([m for m in sys.modules if m.startswith(('agent.sim', 'moto'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
