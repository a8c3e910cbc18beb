"""Lays out the folder that an instance boots from: the stand-ins, the packages they can install, the user data.

The result is what `stand_ins/init.sh` expects:

    state/    mounted at /run/stand-ins: facts, records, the stand-ins' modules, the packages
    bin/      commands that every image has; they are put over the machine's own
    root/     files of the image and of this instance, copied over /
    faked/    files to be mounted over those of /proc and /sys
    tmp/      the instance's /tmp
    layers/   what the instance writes, for each folder that is an overlay
"""

from __future__ import annotations

import email
import gzip
import json
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.cluster import build

STAND_INS = Path(__file__).resolve().parent / "stand_ins"
OVERLAID = ("/run", "/etc", "/var", "/opt", "/usr", "/root", "/home", "/srv")
BASE_COMMANDS = {
    "packages": ("apt-get", "apt", "apt-mark", "dpkg", "dpkg-query", "dnf", "yum", "rpm"),
    "systemctl": ("systemctl",),
    "kernel": ("sysctl", "modprobe", "lsmod", "swapoff", "swapon", "nproc"),
    "power": ("poweroff", "halt", "reboot", "shutdown", "hostnamectl"),
}
SHELL_COMMANDS = {"curl": "curl.sh", "gpg": "gpg.sh"}
PACKAGE_BINARIES = {"kubelet": "kubelet", "kubectl": "kubectl"}
PACKAGE_COMMANDS = {"kubeadm": "kubeadm", "containerd": "containerd"}
PACKAGE_FILES = {
    "kubelet": {"kubelet.service": "usr/lib/systemd/system/kubelet.service"},
    "kubeadm": {"10-kubeadm.conf": "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"},
    "containerd": {"containerd.service": "usr/lib/systemd/system/containerd.service"},
}
# What a machine that runs tests may have and a plain image does not.
ABSENT_COMMANDS = ("kubeadm", "kubelet", "kubectl", "containerd", "ctr", "crictl", "docker", "aws", "wget")
ABSENT_FILES = (
    "/etc/kubernetes",
    "/var/lib/kubelet",
    "/etc/default/kubelet",
    "/etc/containerd",
    "/run/containerd",
    "/etc/cni",
    "/etc/joinery",
    "/etc/apt/sources.list.d",
    "/etc/apt/keyrings",
)
COMMAND = """\
#!{python} -IB
import runpy
import sys

sys.path.insert(0, "/run/stand-ins/lib")
runpy.run_module("tests.cluster.stand_ins.{module}", run_name="__main__")
"""
RUN_USER_DATA = """\
#!/bin/bash
# As cloud-init runs them: each in turn, whatever became of the one before.
status=0
for part in /var/lib/cloud/instance/scripts/*; do
    [ ! -e "$part" ] || "$part" || status=$?
done
exit "$status"
"""


def lay_out(
    node: Path,
    *,
    user_data: bytes,
    facts: Mapping[str, object],
    environment: Mapping[str, str | Iterable[str]],
    files: Mapping[str, str],
) -> None:
    """Writes everything below `node`. `facts` go to the stand-ins, `environment` to shell scripts."""
    for name in ("bin", "root", "tmp", "layers", "state/packages"):
        (node / name).mkdir(parents=True)
    state = node / "state"
    # Without __pycache__: the stand-ins run under an interpreter of their own.
    shutil.copytree(STAND_INS, state / "lib/tests/cluster/stand_ins", ignore=shutil.ignore_patterns("__pycache__"))
    for module, names in BASE_COMMANDS.items():
        for name in names:
            _command(node / "bin" / name, module)
    for name, source in SHELL_COMMANDS.items():
        shutil.copy(STAND_INS / source, node / "bin" / name)
    _packages(state / "packages")
    for path, text in files.items():
        _put(node / "root" / path.lstrip("/"), text)
    for number, script in enumerate(scripts(user_data), 1):
        part = node / f"root/var/lib/cloud/instance/scripts/part-{number:03d}"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(script)
        part.chmod(0o700)
    (state / "machine.json").write_text(json.dumps({**facts, "pretended_units": _host_units()}, indent=1))
    (state / "machine.env").write_text("".join(_assignment(*item) for item in {**environment, **_lists()}.items()))
    run = state / "run-user-data"
    run.write_text(RUN_USER_DATA)
    run.chmod(0o755)


def scripts(user_data: bytes) -> list[bytes]:
    """The shell scripts in user data, as cloud-init finds them: one script, or the parts of a MIME archive."""
    if user_data[:2] == b"\x1f\x8b":
        user_data = gzip.decompress(user_data)
    if user_data.startswith(b"#!"):
        return [user_data]
    message = email.message_from_bytes(user_data)
    parts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    return [part for part in parts if isinstance(part, bytes) and part.startswith(b"#!")]


def _lists() -> dict[str, Iterable[str]]:
    # Under the instance's own /tmp only these stay visible.
    needed = [build.bin_dir(), Path(sys.prefix), Path(sys.base_prefix)]
    kept = [str(path) for path in needed if path.is_relative_to("/tmp")]
    overlaid = [folder for folder in OVERLAID if Path(folder).is_dir()]
    return {"OVERLAID": overlaid, "ABSENT_COMMANDS": ABSENT_COMMANDS, "ABSENT_FILES": ABSENT_FILES, "KEPT": kept}


def _assignment(name: str, value: str | Iterable[str]) -> str:
    text = shlex.quote(value) if isinstance(value, str) else f"({' '.join(shlex.quote(item) for item in value)})"
    return f"{name}={text}\n"


def _packages(folder: Path) -> None:
    for package, binary in PACKAGE_BINARIES.items():
        link = folder / package / "usr/bin" / binary
        link.parent.mkdir(parents=True)
        link.symlink_to(build.bin_dir() / binary)
    for package, module in PACKAGE_COMMANDS.items():
        _command(folder / package / "usr/bin" / package, module)
    for package, files in PACKAGE_FILES.items():
        for source, target in files.items():
            _put(folder / package / target, (STAND_INS / source).read_text())


def _command(path: Path, module: str) -> None:
    _put(path, COMMAND.format(python=sys.executable, module=module))
    path.chmod(0o755)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _host_units() -> list[str]:
    """Units of the machine below: a script may restart them, and nothing must happen to them."""
    folders = [Path(folder) for folder in ("/etc/systemd/system", "/usr/lib/systemd/system")]
    ours = {Path(target).name for files in PACKAGE_FILES.values() for target in files.values()}
    return sorted({path.name for folder in folders for path in folder.glob("*.service")} - ours)
