"""What `joinery sandbox` and `joinery demo` do: start a sandbox, say how to use it or tell the story on it."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.sim.demo.story import Script, Story
from agent.sim.demo.terminal import Terminal
from agent.sim.embedded import REGION
from agent.sim.examples import example
from agent.sim.sandbox import Sandbox, SandboxFailed

__all__ = ["SandboxFailed", "demonstrate", "serve"]

CHECK_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.1


def serve(folder: Path, *, daemon: bool, fixed: bool, say: Callable[[str], None]) -> None:
    """Run a sandbox until KeyboardInterrupt. Raises ``SandboxFailed`` when a part of it ends by itself."""
    say("starting; it takes some seconds ...")
    with Sandbox(folder, fixed=None if fixed else ()) as sandbox:
        if daemon:
            sandbox.start_daemon()
        while sandbox.fixed_ready() < len(sandbox.fixed):
            sandbox.check()
            time.sleep(LOOK_SECONDS)
        for line in _instructions(sandbox, daemon=daemon):
            say(line)
        while True:
            sandbox.check()
            time.sleep(CHECK_SECONDS)


def demonstrate(folder: Path) -> bool:
    """Tell the story; whether it ended as it should."""
    terminal = Terminal()
    terminal.line(terminal.paint("Joinery on this machine alone: no AWS, no cluster, no root.", "bold"))
    terminal.line()
    terminal.progress("EC2, SSM, SQS, a Kubernetes API, controllers and machines start")
    with Sandbox(folder) as sandbox:
        terminal.say("EC2, SSM and SQS in small, a Kubernetes API, controllers and machines serve on loopback")
        script = Script(example("worker-scalable.yaml"), example("scan-workers.yaml"))
        ended_well = Story(sandbox, script, terminal).tell()
    terminal.say("the sandbox is gone, with all its processes and files")
    return ended_well


def _instructions(sandbox: Sandbox, *, daemon: bool) -> list[str]:
    """What to type in another terminal."""
    environment = {"KUBECONFIG": str(sandbox.kubeconfig), "AWS_DEFAULT_REGION": REGION} | sandbox.ec2.environment
    exports = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    file = sandbox.folder / "environment"
    file.write_text("\n".join([*exports, ""]))
    kubeconfig = shlex.quote(str(sandbox.daemon_kubeconfig))
    own = f"  joinery run --settings {sandbox.settings} --kubeconfig {kubeconfig}"
    log = f"  tail -f {sandbox.folder / 'joinery.log'}"
    return [
        "",
        f"The sandbox is up: cluster team in {REGION}, {len(sandbox.fixed)} fixed nodes. In another terminal:",
        "",
        f"  . {file}",
        *(f"    # {line}" for line in exports[:1]),
        f"    # export AWS_ENDPOINT_URL={sandbox.ec2.endpoint} ...",
        "",
        *(["The daemon runs; its log:", "", log] if daemon else ["No daemon runs. To start one:", "", own]),
        "",
        "To try:",
        "",
        "  kubectl get nodes",
        "  kubectl apply -f examples/worker-scalable.yaml -f examples/scan-workers.yaml",
        "  kubectl get nodeclaims,nodes,pods",
        "  kubectl scale deployment scan-worker --replicas=0",
        f"  curl -s {sandbox.ec2.endpoint}/_instances",
        "",
        "Ctrl-C ends it and removes everything.",
    ]
