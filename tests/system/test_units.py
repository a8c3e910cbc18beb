"""The units, judged by systemd's own tools."""

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.settings import TokenSettings

UNITS = Path(__file__).resolve().parents[2] / "systemd"
SERVICES = ("joinery.service", "joinery-token-rotate.service")
INSTALLED = "/opt/joinery/venv/bin/joinery"
EXPOSURE_LIMIT = "15"
"""`systemd-analyze security` counts in tenths: 1.5 of 10, of which the network that the daemon needs is 1.1."""


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which(name)
    if program is None:
        pytest.fail(f"{name} is missing; it comes with the Debian package systemd")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)


def verify(path: Path) -> subprocess.CompletedProcess[str]:
    return tool("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(path))


def security(path: Path) -> subprocess.CompletedProcess[str]:
    limit = f"--threshold={EXPOSURE_LIMIT}"
    return tool("systemd-analyze", "security", "--offline=true", limit, "--no-pager", str(path))


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copies that start a program which exists here: verify asks for it."""
    program = Path(sys.executable).with_name("joinery")
    for path in UNITS.glob("joinery*.*"):
        (tmp_path / path.name).write_text(path.read_text().replace(INSTALLED, str(program)))
    return tmp_path


def section(name: str, after: str) -> list[str]:
    """The lines of a service from one on, without comments."""
    lines = (UNITS / name).read_text().split("[Install]")[0].splitlines()
    return [line for line in lines[lines.index(after) :] if line and not line.startswith("#")]


@pytest.mark.parametrize("name", [*SERVICES, "joinery-token-rotate.timer"])
def test_systemd_understands_every_line(units: Path, name: str) -> None:
    done = verify(units / name)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_misspelt_line_would_be_noticed(units: Path) -> None:
    unit = units / "joinery.service"
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHomes="))

    assert "ProtectHomes" in verify(unit).stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_exposed_to_little_but_the_network(units: Path, name: str) -> None:
    done = security(units / name)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_unit_without_a_sandbox_would_not_pass(tmp_path: Path) -> None:
    bare = tmp_path / "joinery.service"
    bare.write_text("[Service]\nUser=joinery\nExecStart=/bin/true\n")

    assert security(bare).returncode


def test_both_services_have_the_same_sandbox() -> None:
    first, second = (section(name, "NoNewPrivileges=yes") for name in SERVICES)

    assert first == second


@pytest.mark.parametrize("name", SERVICES)
def test_only_the_credentials_command_runs_as_root(name: str) -> None:
    lines = [line for line in (UNITS / name).read_text().splitlines() if line.startswith("Exec")]

    assert [line.split(" ")[0] for line in lines if "=+" in line] == [f"ExecStartPre=+{INSTALLED}"]
    assert all(INSTALLED in line for line in lines)


def test_the_timer_asks_at_least_once_while_a_replaced_token_still_joins() -> None:
    lines = dict(
        line.split("=", 1) for line in (UNITS / "joinery-token-rotate.timer").read_text().splitlines() if "=" in line
    )
    shown = tool("systemd-analyze", "calendar", "--iterations=2", lines["OnCalendar"]).stdout
    first, second = (
        datetime.strptime(found, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        for found in re.findall(r"(?:Next elapse|Iter. #2): \w+ (\S+ \S+)", shown)
    )
    delay = timedelta(minutes=int(lines["RandomizedDelaySec"].removesuffix("min")))

    assert second - first + delay <= timedelta(seconds=TokenSettings().overlap_seconds)


def test_the_daemons_user_and_folders_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    users = tool("systemd-sysusers", f"--root={tmp_path}", str(UNITS / "sysusers.d/joinery.conf"))
    folders = tool("systemd-tmpfiles", f"--root={tmp_path}", "--create", str(UNITS / "tmpfiles.d/joinery.conf"))

    assert (users.returncode, folders.returncode) == (0, 0), users.stderr + folders.stderr
    [entry] = [line for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("joinery:")]
    name, _, uid, _, _, home, shell = entry.split(":")
    assert (name, home, shell) == ("joinery", "/var/lib/joinery", "/usr/sbin/nologin")
    assert 0 < int(uid) < 1000
    state = (tmp_path / "var/lib/joinery").stat()
    assert (oct(state.st_mode)[-4:], state.st_uid) == ("0700", int(uid))
