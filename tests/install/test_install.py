"""install.sh, run with its folders moved and the machine's commands replaced, as on each distribution."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from agent.join.fixed import control_plane
from tests.join.machine import Boot, Machine

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = (ROOT / "install.sh").read_text()
UNITS = ("joinery.service", "joinery-token-rotate.service", "joinery-token-rotate.timer")
PYTHON = """\
#!/bin/bash
name=${0##*/}
echo "$name $*" >>"$RECORD/calls"
case "$*" in
"-c import sys"*) exit OLD ;;
"-c import ensurepip"*) exit INCOMPLETE ;;
"-c import platform"*) echo VERSION ;;
"-m venv "*)
  mkdir -p "$3/bin"
  cp "$0" "$3/bin/python"
  cp "$BIN/systemctl" "$3/bin/joinery" ;;
"-m pip install"*) [ ! -e "$RECORD/behaviour/pip" ] || . "$RECORD/behaviour/pip" ;;
esac
"""
APT = """\
[ "$1" != install ] || for package; do
  case "$package" in
  python3*-venv) mv "$RECORD/offered" "$BIN/python${package//[!0-9.]/}" ;;
  esac
done
"""
DNF = 'mv "$RECORD/offered" "$BIN/$3"'
# By what people call it: ID and VERSION_ID of os-release, the package manager, the packages, and whose they are.
DISTRIBUTIONS = {
    "Ubuntu 22.04": (
        "ubuntu",
        "22.04",
        "apt-get",
        "python3.11 python3.11-venv",
        "Ubuntu's archive, component universe",
    ),
    "Ubuntu 24.04": ("ubuntu", "24.04", "apt-get", "python3 python3-venv", "the distribution's archive"),
    "Debian 12": ("debian", "12", "apt-get", "python3 python3-venv", "the distribution's archive"),
    "Amazon Linux 2023": ("amzn", "2023", "dnf", "python3.11", "Amazon Linux 2023's repository"),
    "RHEL 9": ("rhel", "9.6", "dnf", "python3.11", "the distribution's AppStream repository"),
}


class Host:
    """A control-plane node without Joinery."""

    def __init__(self, folder: Path, distribution: str = "Debian 12") -> None:
        self.machine = Machine(folder, metadata="", ssm="")
        self.root, self.record, self.bin = self.machine.root, self.machine.record, self.machine.bin
        identity, version, manager, _, _ = DISTRIBUTIONS[distribution]
        (self.root / "etc/os-release").write_text(f'NAME=x\nID="{identity}"\nVERSION_ID="{version}"\n')
        (self.root / "etc/kubernetes").mkdir()
        (self.root / "etc/kubernetes/admin.conf").write_text("")
        (self.root / "usr/local/bin").mkdir(parents=True)
        shutil.copytree(ROOT / "systemd", self.record / "systemd")
        shutil.copy(ROOT / "requirements-runtime.lock", self.record)
        for name in ("systemd-sysusers", "systemd-tmpfiles", "id", "dnf"):
            Machine.stand_in(self.bin / name)
        (self.bin / ("dnf" if manager == "apt-get" else "apt-get")).unlink()
        self.machine.behave("id", "echo 0")
        self.machine.behave("apt-get", APT)
        self.machine.behave("dnf", DNF)
        (self.bin / "python3").unlink()
        self.wheel = self.wheel_of("0.1.0")

    def wheel_of(self, version: str) -> Path:
        path = self.record / f"joinery_agent-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("agent/__init__.py", version)
        return path

    def python(self, name: str = "bin/python3", version: str = "3.11.2", *, whole: bool = True) -> None:
        """A Python of the image, or one that a package would bring: `record/offered`."""
        new = tuple(map(int, version.split("."))) >= (3, 11)
        text = PYTHON.replace("OLD", str(int(not new))).replace("INCOMPLETE", str(int(not whole)))
        path = self.record.parent / name
        path.write_text(text.replace("VERSION", version))
        path.chmod(0o755)

    def install(self, *arguments: str) -> Boot:
        given = arguments or ("--wheel", str(self.wheel), "--cluster", "team", "--region", "ap-northeast-2")
        return self.machine.boot(SCRIPT, *given)

    def files(self) -> dict[str, str]:
        found = sorted(p for p in self.root.rglob("*") if p.is_file() or p.is_symlink())
        return {str(p.relative_to(self.root)): str(p.stat().st_mtime_ns) for p in found}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.python()
    return made


def test_a_control_plane_node_gets_joinery_and_runs_it(host: Host) -> None:
    done = host.install()

    assert done.status == 0, done.console
    assert (host.root / "etc/joinery/agent.yaml").read_text() == "clusterName: team\nregion: ap-northeast-2\n"
    for name in UNITS:
        assert (host.root / "etc/systemd/system" / name).read_text() == (ROOT / "systemd" / name).read_text()
    link = (host.root / "opt/joinery/venv").readlink()
    assert link.parent == host.root / "opt/joinery/releases"
    assert link.name.startswith("0.1.0-")
    assert (host.root / "usr/local/bin/joinery").readlink() == host.root / "opt/joinery/venv/bin/joinery"
    order = [call for call in done.calls if call.startswith(("systemd-", "systemctl", "joinery"))]
    assert [call.split()[0] for call in order[:2]] == ["systemd-sysusers", "systemd-tmpfiles"]
    assert order[2:] == [
        "systemctl daemon-reload",
        "joinery install",
        "systemctl enable joinery.service joinery-token-rotate.timer",
        "systemctl start joinery-token-rotate.timer",
        "systemctl restart joinery.service",
    ]


def test_the_tested_versions_are_installed_by_their_hashes_and_nothing_beside_them(host: Host) -> None:
    done = host.install()

    pip = [call for call in done.calls if "-m pip install" in call]
    lock, wheel = host.record / "requirements-runtime.lock", host.wheel
    assert [call.split("check ")[1] for call in pip] == [f"--require-hashes -r {lock}", f"--no-deps {wheel}"]


def test_a_second_run_changes_nothing_and_restarts_nothing(host: Host) -> None:
    host.install()
    before = host.files()
    (host.record / "calls").unlink()

    done = host.install()

    assert done.status == 0, done.console
    assert host.files() == before
    assert not done.called("-m pip")
    assert not done.called("restart")
    assert "is there and stays" in done.console


def test_settings_that_are_there_stay(host: Host) -> None:
    (host.root / "etc/joinery").mkdir()
    settings = host.root / "etc/joinery/agent.yaml"
    settings.write_text("clusterName: mine\nregion: us-east-1\n")

    assert host.install().status == 0
    assert settings.read_text() == "clusterName: mine\nregion: us-east-1\n"


def test_another_version_is_a_release_of_its_own_and_the_former_stays(host: Host) -> None:
    host.install()
    former = (host.root / "opt/joinery/venv").readlink()
    (host.record / "calls").unlink()

    done = host.install("--wheel", str(host.wheel_of("0.2.0")))

    assert done.status == 0, done.console
    assert (host.root / "opt/joinery/venv").readlink().name.startswith("0.2.0-")
    assert (former / ".whole").exists()
    assert f"before: {former}" in done.console
    assert done.called("systemctl restart joinery.service")


def test_a_release_that_was_cut_off_is_made_anew_and_never_linked(host: Host) -> None:
    host.machine.behave("pip", "echo 'no space left on the device' >&2; exit 1")
    broken = host.install()
    (host.record / "behaviour/pip").unlink()

    assert broken.status != 0
    assert not (host.root / "opt/joinery/venv").is_symlink()
    assert host.install().status == 0


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_without_a_python_the_distributions_own_is_installed_and_named(tmp_path: Path, distribution: str) -> None:
    host = Host(tmp_path, distribution)
    _, _, manager, packages, whose = DISTRIBUTIONS[distribution]
    host.python("record/offered")

    done = host.install()

    assert done.status == 0, done.console
    assert f"{packages} come from {whose}" in done.console
    assert done.called(f"{manager} install -y ")
    assert done.called(packages)


def test_an_old_python_or_one_without_venv_is_not_taken(tmp_path: Path) -> None:
    host = Host(tmp_path, "Ubuntu 22.04")
    host.python("bin/python3", "3.10.12")
    host.python("bin/python3.12", "3.12.3", whole=False)
    host.python("record/offered")

    done = host.install()

    assert done.status == 0, done.console
    assert done.called("python3.11 -m venv")
    assert not done.called("python3.12 -m venv")


def test_a_python_in_somebodys_home_is_not_taken_because_the_daemon_could_not_start_it() -> None:
    check = re.search(r"-c '(import ensurepip, [^']*)'", SCRIPT)
    assert check is not None
    for prefix, status in (("/root/.pyenv/versions/3.12.1", 1), ("/home/x/py", 1), ("/usr", 0)):
        program = f"import sys; sys.base_prefix = {prefix!r}; {check[1]}"
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == status


def test_a_distribution_that_is_not_known_is_named_with_what_to_do(tmp_path: Path) -> None:
    host = Host(tmp_path)
    (host.root / "etc/os-release").write_text("ID=void\n")

    done = host.install()

    assert done.status == 1
    assert "for void- no package is known here; install one and name it: --python PROGRAM" in done.console


def test_a_dry_run_says_everything_and_does_nothing(host: Host) -> None:
    before = host.files()

    done = host.install("--wheel", str(host.wheel), "--cluster", "team", "--region", "ap-northeast-2", "--dry-run")

    assert done.status == 0, done.console
    assert host.files() == before
    assert not [call for call in done.calls if not call.startswith(("python3 -c", "id"))]
    for sentence in ("-m venv", "daemon-reload", "joinery install", "restart joinery.service"):
        assert re.search(f"would run: .*{sentence}", done.console)


def test_a_machine_that_is_no_control_plane_is_left_without_a_start(host: Host) -> None:
    (host.root / "etc/kubernetes/admin.conf").unlink()

    done = host.install()

    assert done.status == 0, done.console
    assert "the cluster's part and the start are left to one that has" in done.console
    assert not done.called("systemctl start")
    assert not done.called("joinery install")


def test_the_services_may_be_left_as_they_are(host: Host) -> None:
    done = host.install("--wheel", str(host.wheel), "--cluster", "team", "--region", "ap-northeast-2", "--no-start")

    assert (done.status, [c for c in done.calls if c.startswith("systemctl")]) == (0, ["systemctl daemon-reload"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "name the wheel"),
        (("--wheel",), "--wheel needs a value"),
        (("--wheel", "/nowhere.whl"), "there is no file /nowhere.whl"),
        (("--wheel", "WHEEL"), "give --cluster NAME and --region REGION"),
        (("--wheel", "WHEEL", "--cluster", "a: b", "--region", "us-east-1"), "a cluster's name is of letters"),
        (("--wheel", "WHEEL", "--cluster", "team", "--region", "Seoul"), "this is no AWS region"),
        (("--wheel", "LOCK"), "is not named as a wheel of Joinery is"),
        (("--frobnicate",), "Usage: install.sh"),
        (("--wheel", "WHEEL", "--cluster", "t", "--region", "us-east-1", "--python", "perl"), "perl is no Python"),
    ],
)
def test_a_wrong_command_line_is_answered_with_a_sentence(
    host: Host, arguments: tuple[str, ...], sentence: str
) -> None:
    places = {"WHEEL": str(host.wheel), "LOCK": str(host.record / "requirements-runtime.lock")}

    done = host.machine.boot(SCRIPT, *(places.get(a, a) for a in arguments))

    assert done.status in {1, 64}
    assert sentence in done.console
    assert host.files().keys() == {"etc/fstab", "etc/os-release", "etc/kubernetes/admin.conf"}


def test_somebody_who_is_not_root_is_told_so(host: Host) -> None:
    host.machine.behave("id", "echo 1000")

    assert "this needs root" in host.install().console


def test_a_folder_where_the_link_belongs_is_not_thrown_away(host: Host) -> None:
    (host.root / "opt/joinery/venv/bin").mkdir(parents=True)

    done = host.install()

    assert done.status == 1
    assert "/opt/joinery/venv is no link; move it away first" in done.console
    assert (host.root / "opt/joinery/venv/bin").is_dir()


def test_the_wheel_carries_what_the_script_looks_for_beside_itself() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]

    for name in ("install.sh", "systemd", "requirements-runtime.lock"):
        assert (ROOT / name).exists()
        assert carried[name] == f"agent/host/{name}"
    assert "/opt/joinery/unpacked/agent/host/install.sh --wheel" in control_plane()
