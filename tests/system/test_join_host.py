"""`joinery join` over a real sshd: a machine of stand-ins becomes a node, and every failure is one sentence.

The machine's folders are a temporary root and its programs stand-ins, as in tests/join; kubeadm's stand-in makes the
machine a node of an embedded API server.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import yaml
from click.testing import CliRunner, Result

from agent.cli import root
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.kinds import items
from agent.sim.apiserver import ApiServer
from tests.join.machine import BEHAVIOUR, PACKAGES, Machine
from tests.system.sshd import Sshd, new_key

SUDO = """\
#!{bash}
# Becomes root of the stand-in's folders: paths below them are moved, in the words and in a script that is run.
[ "$1" != -n ] || shift
moved() {{ sed -E "s#(^|[^[:alnum:]_./:~])/(etc|run|var|opt|usr/local)/#\\\\1$ROOT/\\\\2/#g"; }}
words=()
for word in "$@"; do words+=("$(printf '%s' "$word" | moved)"); done
if [ "${{words[0]}}" = bash ]; then
  moved <"${{words[1]}}" >"$RECORD/script"
  words[1]=$RECORD/script
fi
exec "${{words[@]}}"
"""


class Bench:
    """A cluster, a machine, and a person who joins the one to the other."""

    def __init__(self, folder: Path, server: ApiServer) -> None:
        self.machine = Machine(folder / "machine", metadata="http://127.0.0.1:9", ssm="http://127.0.0.1:9")
        self.bin = self.machine.bin
        for name in ("sh", "head", "printf", "tee", "true"):
            (self.bin / name).symlink_to(str(shutil.which(name)))
        self.program("id", "echo 1000")
        self.program("hostname", "echo Web-1")
        (self.bin / "sudo").write_text(SUDO.format(bash=shutil.which("bash")))
        (self.bin / "sudo").chmod(0o755)
        self.kubeconfig = server.write_kubeconfig(folder / "admin.conf")
        self.settings = folder / "agent.yaml"
        self.settings.write_text(yaml.safe_dump({"clusterName": "team", "region": "ap-northeast-2"}))
        self.api = KubeApi.from_kubeconfig(str(self.kubeconfig))
        about = {"PATH": str(self.bin), "BIN": str(self.bin), "RECORD": str(self.machine.record)}
        self.sshd = Sshd(folder / "sshd", about | {"ROOT": str(self.machine.root)})
        self._stopped = threading.Event()
        self._kubelet = threading.Thread(target=self._join, daemon=True)
        self.status = "True"

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!{shutil.which('bash')}\n{text}\n")
        path.chmod(0o755)

    def words(self, address: str = "", key: Path | None = None) -> list[str]:
        words = ["join", address or self.sshd.address, "--identity-file", str(key or self.sshd.user_key)]
        words += ["--known-hosts", str(self.sshd.known_hosts), "--settings", str(self.settings)]
        return [*words, "--kubeconfig", str(self.kubeconfig)]

    def join(self, *more: str, address: str = "", key: Path | None = None) -> Result:
        return CliRunner().invoke(root, [*self.words(address, key), *more])

    def tokens(self) -> list[str]:
        listed = items(self.api, paths.secrets("kube-system"))
        return [s["metadata"]["name"] for s in listed if s.get("type") == "bootstrap.kubernetes.io/token"]

    def nodes(self) -> list[dict[str, Any]]:
        return items(self.api, paths.nodes())

    def calls(self) -> str:
        path = self.machine.record / "calls"
        return path.read_text() if path.exists() else ""

    def _join(self) -> None:
        """What kubelet does once kubeadm has joined."""
        while not self._stopped.wait(0.05):
            conf = self.machine.root / "etc/kubernetes/kubelet.conf"
            if conf.exists() and not self.nodes():
                conf.write_text(self.kubeconfig.read_text())
                node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "web-1"}}
                self.api.create(paths.nodes(), node)
                conditions = [{"type": "Ready", "status": self.status}]
                self.api.merge_patch(paths.nodes("web-1") + "/status", {"status": {"conditions": conditions}})
                return

    def __enter__(self) -> Self:
        self.sshd.__enter__()
        self._kubelet.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._kubelet.join()
        self.sshd.__exit__()
        self.api.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    folder = tmp_path / "api"
    folder.mkdir()
    with ApiServer(folder) as server, Bench(tmp_path, server) as found:
        yield found


def test_a_machine_becomes_a_node_with_a_token_that_is_gone_afterwards(bench: Bench) -> None:
    before = bench.tokens()
    done = bench.join("--label", "team=blue", "--taint", "domain=web:NoSchedule")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0] == "phase=identity"
    assert "phase=joined" in done.output
    assert done.output.splitlines()[-1] == f"{bench.sshd.address} is node web-1, and Ready"
    assert bench.tokens() == before
    drop_in = bench.machine.text("etc/systemd/system/kubelet.service.d/90-joinery.conf")
    assert "--node-labels=team=blue --register-with-taints=domain=web:NoSchedule" in drop_in
    assert "provider-id" not in drop_in
    assert "hostnamectl" not in bench.calls()
    assert "poweroff" not in bench.calls()


def test_no_token_is_left_on_the_machine_or_was_on_a_command_line(bench: Bench) -> None:
    bench.machine.behave("join", 'cp "$ROOT/run/joinery/pushed" "$RECORD/seen"; stat -c %a "$ROOT/run/joinery/pushed"')
    done = bench.join()
    assert done.exit_code == 0, done.output
    token = (bench.machine.record / "seen").read_text().strip()
    (bench.machine.record / "seen").unlink()
    secret = token.partition(".")[2]
    assert secret not in done.output
    assert secret not in bench.calls()
    assert bench.machine.files_with(secret) == []
    assert secret not in (bench.machine.record / "script").read_text()


def test_a_node_that_is_one_already_is_left_alone(bench: Bench) -> None:
    assert bench.join().exit_code == 0
    calls = bench.calls()
    again = bench.join()
    assert again.exit_code == 0
    assert again.output == f"{bench.sshd.address} is node web-1 already, and Ready; nothing was done\n"
    assert bench.calls() == calls


def test_a_machine_that_was_joined_halfway_is_told_and_reset_when_that_is_wished(bench: Bench) -> None:
    (bench.machine.root / "etc/kubernetes").mkdir(parents=True)
    (bench.machine.root / "etc/kubernetes/kubelet.conf").write_text("of another cluster")
    bench.api.create(paths.nodes(), {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "other"}})
    done = bench.join()
    assert done.exit_code == 1
    assert "was joined before" in done.output
    assert "this cluster has no such node (web-1)" in done.output
    assert "--reset" in done.output
    assert "kubeadm" not in bench.calls()
    assert "kubeadm reset --force" in bench.join("--reset", "--dry-run").output


def test_a_node_of_another_cluster_is_not_taken_for_ours_by_its_name(bench: Bench) -> None:
    assert bench.join().exit_code == 0
    conf = bench.machine.root / "etc/kubernetes/kubelet.conf"
    conf.write_text(re.sub("(authority-data: ).*", r"\1bm9uZQ==", conf.read_text()))
    done = bench.join()
    assert done.exit_code == 1
    assert "this cluster has no such node (web-1)" in done.output


def test_a_name_that_a_ready_node_has_is_refused_before_anything_is_touched(bench: Bench) -> None:
    assert bench.join().exit_code == 0
    (bench.machine.root / "etc/kubernetes/kubelet.conf").unlink()
    calls = bench.calls()
    done = bench.join()
    assert done.exit_code == 1
    assert "the cluster has a Ready node web-1" in done.output
    assert "--node-name" in done.output
    assert bench.calls() == calls


def test_an_earlier_join_is_undone_when_that_is_wished(bench: Bench) -> None:
    (bench.machine.root / "etc/kubernetes").mkdir(parents=True)
    (bench.machine.root / "etc/kubernetes/kubelet.conf").write_text("of another cluster")
    for name in PACKAGES:
        bench.machine.stand_in(bench.bin / name)
    bench.machine.behave(
        "kubeadm", '[ "$1" != reset ] || rm "$ROOT/etc/kubernetes/kubelet.conf"\n' + BEHAVIOUR["kubeadm"]
    )
    done = bench.join("--reset")
    assert done.exit_code == 0, done.output
    assert bench.calls().index("kubeadm reset --force") < bench.calls().index("kubeadm join")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--label", "team"), "KEY=VALUE"),
        (("--label", "team=a b"), "labels.team"),
        (("--label", "node-role.kubernetes.io/worker="), "kubectl label node"),
        (("--label", "karpenter.sh/nodepool=web"), "restricted"),
        (("--taint", "web"), "KEY=VALUE:EFFECT"),
        (("--taint", "web=1:Never"), "taints[0].effect"),
        (("--node-name", 'web"1'), "name: "),
    ],
)
def test_what_kubelet_would_refuse_is_refused_here(bench: Bench, words: tuple[str, str], said: str) -> None:
    done = bench.join(*words)
    assert done.exit_code != 0
    assert said in done.output
    assert bench.sshd.processes == []


def test_an_interrupt_leaves_no_token_in_the_cluster_and_none_on_the_machine(bench: Bench) -> None:
    before = bench.tokens()
    bench.machine.behave("join", "sleep 20; exit 1")
    # What a shell starts in the background ignores interrupts, and whatever that starts does too.
    words = ["env", "--default-signal=INT", sys.executable, "-m", "agent", *bench.words()]
    command = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while "kubeadm join" not in bench.calls():
        assert command.poll() is None
        time.sleep(0.05)
    assert len(bench.tokens()) == len(before) + 1
    command.send_signal(signal.SIGINT)
    output, _ = command.communicate(timeout=60)
    assert command.returncode == 1
    assert output.splitlines()[-1] == "aborted"
    assert bench.tokens() == before
    assert not (bench.machine.root / "run/joinery/pushed").exists()


def test_a_control_plane_machine_is_left_alone(bench: Bench) -> None:
    manifests = bench.machine.root / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text("")
    done = bench.join("--reset")
    assert done.exit_code == 1
    assert "is a control-plane machine; it is left alone" in done.output


def test_a_dry_run_prints_the_script_and_touches_nothing(bench: Bench) -> None:
    done = bench.join("--dry-run", "--node-name", "web-9", address="nowhere.invalid")
    assert done.exit_code == 0
    assert done.stdout.startswith("#!/bin/bash\n")
    assert "node_name=web-9" in done.stdout
    assert bench.sshd.processes == []
    assert bench.calls() == ""


def test_a_script_that_fails_names_its_phase_and_leaves_no_token(bench: Bench) -> None:
    before = bench.tokens()
    (bench.bin / "apt-get").unlink()
    done = bench.join()
    assert done.exit_code == 1
    last = done.output.splitlines()[-1]
    assert "phase=failed at=identity" in last
    assert "this machine has no apt-get" in last
    assert bench.tokens() == before
    assert not (bench.machine.root / "run/joinery/pushed").exists()
    bench.program("journalctl", "")
    words = ["logs", "web-1", "--ssh", bench.sshd.address, "--identity-file", str(bench.sshd.user_key)]
    logs = CliRunner().invoke(root, [*words, "--known-hosts", str(bench.sshd.known_hosts)])
    assert "it failed in phase identity" in logs.output.splitlines()[0]


def test_a_connection_that_breaks_in_the_middle_is_said_and_leaves_no_token(bench: Bench) -> None:
    before = bench.tokens()
    bench.machine.behave("join", "sleep 20")

    def cut() -> None:
        while "kubeadm join" not in bench.calls():
            time.sleep(0.05)
        bench.sshd.cut()

    cutting = threading.Thread(target=cut)
    cutting.start()
    done = bench.join()
    cutting.join()
    assert done.exit_code == 1
    assert "the connection broke" in done.output
    assert "run the command again" in done.output
    assert bench.tokens() == before


def test_a_host_whose_key_is_not_known_is_not_talked_to(bench: Bench) -> None:
    bench.sshd.known_hosts.write_text("")
    done = bench.join()
    assert done.exit_code == 1
    assert "its host key is not in" in done.output
    assert f"ssh-keyscan -p {bench.sshd.port} 127.0.0.1 >>" in done.output


def test_a_host_with_another_key_is_not_talked_to(bench: Bench, tmp_path: Path) -> None:
    bench.sshd.trust(new_key(tmp_path / "old"))
    done = bench.join()
    assert done.exit_code == 1
    assert "somebody else may be answering" in done.output
    assert f"ssh-keygen -R '[127.0.0.1]:{bench.sshd.port}'" in done.output


def test_a_key_that_cannot_be_used_is_told_why(bench: Bench, tmp_path: Path) -> None:
    assert "cannot be read: No such file" in bench.join(key=tmp_path / "none").output
    (tmp_path / "junk").write_text("junk\n")
    assert "holds no private key" in bench.join(key=tmp_path / "junk").output
    locked = new_key(tmp_path / "locked", passphrase="secret")
    assert "has a passphrase; hand it to the agent" in bench.join(key=locked).output


@pytest.mark.parametrize("text", [b"[127.0.0.1]:1 ssh-ed25519 !!!notbase64\n", b"\xff\xfe\0junk\n"])
def test_a_file_of_host_keys_that_cannot_be_read_is_named(bench: Bench, text: bytes) -> None:
    bench.sshd.known_hosts.write_bytes(text)
    done = bench.join()
    assert done.exit_code == 1
    assert f"{bench.sshd.known_hosts} cannot be read as a file of host keys" in done.output


def test_what_answers_and_is_no_ssh_server_is_one_sentence(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        words = bench.words(address=f"127.0.0.1:{server.getsockname()[1]}")
        done = subprocess.run([sys.executable, "-m", "agent", *words], capture_output=True, text=True, check=False)
        answering.join()
    assert done.returncode == 1
    assert "does not answer as an SSH server" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_key_that_is_not_accepted_is_named(bench: Bench, tmp_path: Path) -> None:
    key = new_key(tmp_path / "stranger")
    done = bench.join(key=key)
    assert done.exit_code == 1
    assert f"the key {key} is not accepted" in done.output


def test_a_user_who_may_not_become_root_is_told_what_to_allow(bench: Bench) -> None:
    bench.program("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    done = bench.join()
    assert done.exit_code == 1
    assert "may not use sudo without a password" in done.output
    assert "/etc/sudoers.d" in done.output


def test_an_address_where_nobody_listens_is_one_sentence(bench: Bench) -> None:
    done = bench.join(address="127.0.0.1:1")
    assert done.exit_code == 1
    assert done.output.count("\n") == 1
    assert "127.0.0.1:1 cannot be reached" in done.output


def test_a_machine_behind_another_is_reached_through_it(bench: Bench) -> None:
    done = bench.join("--bastion", bench.sshd.address)
    assert done.exit_code == 0, done.output
    assert len(bench.sshd.processes) == 2


def test_a_cluster_that_says_no_makes_no_token_and_touches_no_machine(bench: Bench) -> None:
    os.truncate(bench.kubeconfig, 0)
    done = bench.join()
    assert done.exit_code == 1
    assert bench.sshd.processes == []


def test_logs_are_fetched_from_the_machine_without_its_tokens(bench: Bench) -> None:
    bench.machine.behave("join", "exit 1")
    log = bench.machine.root / "var/log/joinery"
    log.mkdir(parents=True)
    text = (
        "joinery: phase=join\n--token abcdef.0123456789abcdef\njoinery: phase=failed at=join status=1 reason=no luck\n"
    )
    (log / "bootstrap.log").write_text(text)
    bench.program("journalctl", "echo 'kubelet: it has no configuration'")
    words = ["logs", "web-1", "--ssh", bench.sshd.address, "--identity-file", str(bench.sshd.user_key)]
    done = CliRunner().invoke(root, [*words, "--known-hosts", str(bench.sshd.known_hosts)])
    assert done.exit_code == 0, done.output
    assert "it failed in phase join" in done.output.splitlines()[0]
    assert "no luck" in done.output.splitlines()[0]
    assert "abcdef.0123456789abcdef" not in done.output
    assert "kubelet: it has no configuration" in done.output


def test_the_daemon_loads_nothing_of_ssh() -> None:
    code = "import sys, agent.cli.run, agent.daemon.assembly; print('paramiko' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
