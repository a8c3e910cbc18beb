"""Every rendered script passes shellcheck."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.join.fixed import base_worker, control_plane
from agent.join.userdata import Host, RenderOptions, render_host
from tests.join.classes import FACTS, variants

SCRIPTS = {name: text for name, text in variants().items() if name.endswith(".sh")} | {
    "control-plane.sh": control_plane(),
    "base-worker.sh": base_worker(),
    "host.sh": render_host(Host("web-1", {"a": "b"}, ("x=y:NoSchedule",), reset=True), FACTS, RenderOptions()),
}


@pytest.fixture
def shellcheck() -> str:
    """The Debian package's, or the one of the test requirements."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("shellcheck") or shutil.which("shellcheck", path=beside)
    assert found is not None, "shellcheck is missing: apt-get install shellcheck"
    return found


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_shellcheck_has_nothing_to_say(name: str, shellcheck: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(SCRIPTS[name])

    found = subprocess.run([shellcheck, "--severity=style", path], capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout + found.stderr
