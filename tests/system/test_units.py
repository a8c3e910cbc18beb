"""The unit, judged by systemd's own tools."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "joinery.service"
INSTALLED = "/opt/joinery/venv/bin/joinery"
EXPOSURE_LIMIT = "15"
"""`systemd-analyze security` counts in tenths: 1.5 of 10, of which the network that the daemon needs is 1.1."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.fail("systemd-analyze is missing; it comes with the Debian package systemd")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A copy that starts a program which exists here: verify asks for it."""
    program = Path(sys.executable).with_name("joinery")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(INSTALLED, str(program)))
    return copy


def test_systemd_understands_every_line(unit: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))

    assert (done.returncode, done.stderr) == (0, "")


def test_a_misspelt_line_would_be_noticed(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHomes="))

    assert "ProtectHomes" in analyze("verify", "--man=no", "--recursive-errors=no", str(unit)).stderr


def test_the_daemon_is_exposed_to_little_but_the_network(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", "--no-pager", str(unit))

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_unit_without_a_sandbox_would_not_pass(tmp_path: Path) -> None:
    bare = tmp_path / "joinery.service"
    bare.write_text("[Service]\nUser=joinery\nExecStart=/bin/true\n")

    assert analyze("security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", "--no-pager", str(bare)).returncode


def test_only_the_credentials_command_runs_as_root() -> None:
    lines = [line for line in UNIT.read_text().splitlines() if line.startswith("Exec")]

    assert [line.split(" ")[0] for line in lines if "=+" in line] == [f"ExecStartPre=+{INSTALLED}"]
    assert all(INSTALLED in line for line in lines)
