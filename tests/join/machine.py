"""A pretended instance without rights: the rendered script runs with its folders moved and its commands replaced.

The script's absolute folders /etc, /run, /var, /opt and /usr/local are rewritten to a temporary one, and PATH holds
nothing but stand-ins that record how they were called and links to harmless real commands. The real execution, as root
in namespaces and with a real kubeadm, is in tests/cluster.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REAL = tuple(
    "bash sed grep awk mkdir chmod cat cp tail find shred sleep install rm sync env date "  # noqa: SIM905 - legible
    "mktemp rmdir sha256sum openssl tar gzip ln mv readlink cmp touch dirname".split()
)
BASE = ("hostnamectl", "swapoff", "modprobe", "sysctl", "systemctl", "apt-get", "apt-mark", "poweroff", "curl")
PACKAGES = ("containerd", "kubelet", "kubeadm")
STAND_IN = """\
#!/bin/bash
name=${0##*/}
echo "$name $*" >>"$RECORD/calls"
[ ! -e "$RECORD/behaviour/$name" ] || . "$RECORD/behaviour/$name"
"""
BEHAVIOUR = {
    "curl": "echo 'PUBLIC KEY'",
    "apt-get": '[ "$1" != install ] || cp "$RECORD"/packages/* "$BIN"',
    "containerd": '[ "$1" != --version ] || echo "containerd github.com/containerd/containerd 1.7.28 abc.def"',
    "kubeadm": """\
case "$1" in
version) echo v1.36.3 ;;
config) echo registry.k8s.io/pause:3.10.1 ;;
join)
  tries=$(grep -c '^kubeadm join' "$RECORD/calls")
  [ "$2" != --config ] || cp "$3" "$RECORD/join-$tries.json"
  [ ! -e "$RECORD/behaviour/join" ] || . "$RECORD/behaviour/join"
  mkdir -p "$ROOT/etc/kubernetes" "$ROOT/var/lib/kubelet"
  echo conf >"$ROOT/etc/kubernetes/kubelet.conf"
  echo 'cgroupDriver: systemd' >"$ROOT/var/lib/kubelet/config.yaml" ;;
esac
""",
}


@dataclass(frozen=True)
class Boot:
    """How a boot ended."""

    status: int
    console: str
    calls: list[str]

    @property
    def phases(self) -> list[str]:
        return re.findall(r"^joinery: phase=(\S+)", self.console, re.MULTILINE)

    def called(self, text: str) -> bool:
        return any(text in call for call in self.calls)


class Machine:
    """One instance: `boot` runs a script on it as cloud-init would."""

    def __init__(self, folder: Path, *, metadata: str, ssm: str, baked: bool = False) -> None:
        self.root = folder / "root"
        self.record = folder / "record"
        self.bin = folder / "bin"
        self._endpoints = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata, "AWS_ENDPOINT_URL_SSM": ssm}
        for path in (self.bin, self.record / "behaviour", self.record / "packages", self.root / "etc/apt"):
            path.mkdir(parents=True)
        for name in REAL:
            (self.bin / name).symlink_to(str(shutil.which(name)))
        (self.bin / "python3").symlink_to(sys.executable)
        for name in BASE:
            self.stand_in(self.bin / name)
        for name in PACKAGES:
            self.stand_in(self.record / "packages" / name)
            if baked:
                self.stand_in(self.bin / name)
        for name, text in BEHAVIOUR.items():
            self.behave(name, text)
        (self.root / "etc/fstab").write_text("LABEL=root / ext4\n/swap.img none swap sw 0 0\n")

    def behave(self, name: str, text: str) -> None:
        """What a stand-in does besides recording: a piece of bash with its arguments."""
        (self.record / "behaviour" / name).write_text(text)

    def moved(self, script: str) -> str:
        """The script with its folders under this machine's root."""
        return re.sub(r"(?<![\w./:~])/(etc|run|var|opt|usr/local)/", rf"{self.root}/\1/", script)

    def boot(self, script: str, *arguments: str) -> Boot:
        path = self.record / "script"
        path.write_text(self.moved(script))
        ran = subprocess.run(
            [str(self.bin / "bash"), str(path), *arguments],
            env={"PATH": str(self.bin), "BIN": str(self.bin), "RECORD": str(self.record), "ROOT": str(self.root)}
            | self._endpoints,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        calls = self.record / "calls"
        return Boot(ran.returncode, ran.stdout + ran.stderr, calls.read_text().splitlines() if calls.exists() else [])

    def text(self, path: str) -> str:
        return (self.root / path).read_text()

    def files_with(self, secret: str) -> list[str]:
        """Everything on the machine in which a secret can be read."""
        paths = [p for p in self.root.rglob("*") if p.is_file()]
        return [str(p) for p in paths if secret in p.read_text(errors="replace")]

    @staticmethod
    def stand_in(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.write_text(STAND_IN)
        path.chmod(0o755)
