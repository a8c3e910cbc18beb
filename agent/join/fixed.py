"""The scripts of fixed machines, made from the same templates as those of bought ones: `make generate` writes them.

Terraform cannot render Jinja, so its modules carry the rendered scripts. Each has one place for a JSON document with
what Terraform knows; nothing else of a script depends on the cluster.
"""

import sys
from pathlib import Path
from typing import Final

from agent.join.userdata import RenderOptions, render_fixed

MODULES: Final = Path(__file__).resolve().parents[2] / "terraform" / "modules"
CONTROL_PLANE: Final = RenderOptions(token_wait_seconds=1800, join_wait_seconds=2400)
"""A further control-plane machine waits for the first one, which installs itself meanwhile."""
BASE_WORKER: Final = RenderOptions(token_wait_seconds=3600, join_wait_seconds=3600)
"""Terraform starts base workers together with the control plane, and nothing replaces one that gave up."""


def control_plane(options: RenderOptions = CONTROL_PLANE) -> str:
    """The script of every control-plane machine: it makes the cluster or joins it."""
    return render_fixed("control-plane.sh.j2", options, ("kubelet", "kubeadm", "kubectl"))


def base_worker(options: RenderOptions = BASE_WORKER) -> str:
    """The script of a base worker."""
    return render_fixed("base-worker.sh.j2", options)


def main(arguments: list[str]) -> int:
    """``--write`` the scripts into the modules, or ``--check`` that they are those of the templates."""
    stale = 0
    for module, text in (("control-plane", control_plane()), ("base-workers", base_worker())):
        path = MODULES / module / "userdata.sh"
        if arguments == ["--write"]:
            path.write_text(text, "utf-8")
        elif not path.exists() or path.read_text("utf-8") != text:
            sys.stderr.write(f"{path.relative_to(MODULES.parents[1])} is not what its template gives: make generate\n")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
