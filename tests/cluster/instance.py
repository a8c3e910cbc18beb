"""Boots a pretended EC2 instance: runs the user data that EC2 stored, so that a real kubelet joins a real cluster.

The script runs as root in namespaces of its own, where the system's folders are overlays that are thrown away and the
commands that would change a machine are stand-ins. What it runs of Kubernetes is real: kubeadm, kubelet, kubectl.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import build, hardware, image
from tests.cluster.controlplane import free_port
from tests.cluster.imds import MetadataServer, role_credentials
from tests.cluster.processes import ClusterError, wait_until

ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}

# Checks that look at the machine below. All others are left on: they say whether a script prepared its instance.
UNAVOIDABLE_PREFLIGHT = (
    "SystemVerification",
    "Swap",
    "Port-10250",
    *(f"FileExisting-{tool}" for tool in ("conntrack", "crictl", "ebtables", "ethtool", "iptables", "socat", "tc")),
)

OS_RELEASE = """\
PRETTY_NAME="Ubuntu 24.04.3 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
VERSION="24.04.3 LTS (Noble Numbat)"
VERSION_CODENAME=noble
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=noble
"""


@dataclass(frozen=True)
class InstanceFacts:
    """What EC2 knows of an instance and its metadata service tells it."""

    instance_id: str
    instance_type: str = "t3.medium"
    vcpus: int = 2
    memory_bytes: int = 4 * 2**30
    region: str = "ap-northeast-2"
    zone: str = "ap-northeast-2a"
    private_ip: str = "10.0.1.23"
    architecture: str = "x86_64"
    image_id: str = "ami-00000000000000000"
    account_id: str = "123456789012"
    role: str = "node"
    credentials: tuple[str, str, str] = ("ASIATESTTESTTESTTEST", "secret", "session")

    def documents(self, user_data: bytes) -> dict[str, str | bytes]:
        """The metadata service's tree."""
        identity = {
            "accountId": self.account_id,
            "architecture": self.architecture,
            "availabilityZone": self.zone,
            "imageId": self.image_id,
            "instanceId": self.instance_id,
            "instanceType": self.instance_type,
            "privateIp": self.private_ip,
            "region": self.region,
            "version": "2017-09-30",
        }
        name = f"{self.hostname}.{self.region}.compute.internal"
        return {
            "meta-data/ami-id": self.image_id,
            "meta-data/hostname": name,
            "meta-data/instance-id": self.instance_id,
            "meta-data/instance-life-cycle": "on-demand",
            "meta-data/instance-type": self.instance_type,
            "meta-data/local-hostname": name,
            "meta-data/local-ipv4": self.private_ip,
            "meta-data/placement/availability-zone": self.zone,
            "meta-data/placement/region": self.region,
            f"meta-data/iam/security-credentials/{self.role}": role_credentials(*self.credentials),
            "dynamic/instance-identity/document": json.dumps(identity),
            "user-data": user_data,
        }

    @property
    def hostname(self) -> str:
        """The host name that an instance has before anybody sets one."""
        return "ip-" + self.private_ip.replace(".", "-")


class Instance:
    """One instance. `folder` is made by boot() and removed by terminate(); it must not be on an overlay itself."""

    def __init__(
        self,
        facts: InstanceFacts,
        user_data: bytes,
        folder: Path,
        *,
        ssm_endpoint: str = "",
        preinstalled: Sequence[str] = (),
        ignored_preflight: Sequence[str] = UNAVOIDABLE_PREFLIGHT,
    ) -> None:
        """`preinstalled` names packages that the image has baked in, for instance `containerd`, `kubelet`."""
        self.facts = facts
        self.folder = folder.absolute()
        self._user_data = user_data
        self._ssm_endpoint = ssm_endpoint
        self._preinstalled = tuple(preinstalled)
        self._ignored_preflight = tuple(ignored_preflight)
        self._process: subprocess.Popen[bytes] | None = None
        self.metadata: MetadataServer | None = None

    def boot(self) -> None:
        """Starts the instance and returns at once; its user data runs in the background."""
        for name in ("unshare", "curl", "hostname"):
            if shutil.which(name) is None:
                packages = {"unshare": "util-linux", "hostname": "hostname", "curl": "curl"}
                raise ClusterError(f"an instance needs `{name}`: install the Debian package {packages[name]}")
        if any(self.folder.is_relative_to(overlaid) for overlaid in image.OVERLAID):
            raise ClusterError(f"{self.folder} is below {', '.join(image.OVERLAID)}, which an instance overlays")
        build.ensure()
        self.folder.mkdir(parents=True)
        self.metadata = MetadataServer(self.facts.documents(self._user_data))
        self._lay_out(self.metadata.url)
        with (self.folder / "console.log").open("wb") as console:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"),
                    *("--propagation", "private", "bash", str(image.STAND_INS / "init.sh"), str(self.folder)),
                ],
                stdin=subprocess.PIPE,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
                start_new_session=True,
            )

    def _lay_out(self, metadata: str) -> None:
        endpoints = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata, "AWS_ENDPOINT_URL_SSM": self._ssm_endpoint}
        faked = hardware.write(self.folder / "faked", self.facts.vcpus, self.facts.memory_bytes)
        (self.folder / "faked/list").write_text("".join(f"{path}\n" for path in faked))
        image.lay_out(
            self.folder,
            user_data=self._user_data,
            facts={
                "architecture": ARCHITECTURES[self.facts.architecture],
                "vcpus": self.facts.vcpus,
                "kubernetes_version": build.kubernetes_version(),
                "kubeadm": str(build.bin_dir() / "kubeadm"),
                "fakecri": str(build.bin_dir() / "fakecri"),
                "settable": faked,
                "endpoints": endpoints,
                "ignored_preflight": self._ignored_preflight,
                "kubelet_patch": _kubelet_patch(),
            },
            environment={
                "HOSTNAME_AT_BOOT": self.facts.hostname,
                "METADATA": metadata,
                "SSM": self._ssm_endpoint,
                "PREINSTALLED": self._preinstalled,
            },
            files={
                "/etc/hostname": f"{self.facts.hostname}\n",
                "/etc/machine-id": f"{self.facts.instance_id.removeprefix('i-'):0>32}\n",
                "/etc/os-release": OS_RELEASE,
                # Nobody answers there: a name is unknown at once, and no question leaves the machine.
                "/etc/resolv.conf": "nameserver 127.0.0.1\n",
            },
        )

    @property
    def state(self) -> str:
        """`pending`, `running`, `stopped` (it powered itself off) or `terminated`."""
        if self._process is None:
            return "pending"
        if not self.folder.exists():
            return "terminated"
        return "running" if self._process.poll() is None else "stopped"

    @property
    def console(self) -> str:
        """What the instance's console says: the output of its user data."""
        return (self.folder / "console.log").read_text(errors="replace")

    @property
    def calls(self) -> list[str]:
        """The command lines that stand-ins were called with, in order."""
        path = self.folder / "state/calls.log"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def powered_off(self) -> bool:
        """Whether the instance was powered off from inside."""
        return (self.folder / "state/powered-off").exists() and self.state == "stopped"

    def path(self, path: str) -> Path:
        """Where a file that the instance wrote lies outside of it; also after it was powered off."""
        if path.startswith("/tmp/"):
            return self.folder / path.lstrip("/")
        _, top, rest = path.split("/", 2)
        return self.folder / "layers" / top / "upper" / rest

    def log(self, unit: str) -> str:
        """What a service of the instance has printed, for instance `kubelet`."""
        path = self.folder / f"state/{unit}.service.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_exit(self, timeout: float = 120) -> int | None:
        """Waits for the end of the user data; its exit status, or None when it powered the instance off instead."""
        status = self.folder / "state/exit-status"
        process = self._process
        if process is None:
            raise ClusterError(f"{self.facts.instance_id} was not booted")
        deadline = time.monotonic() + timeout
        while not status.exists() and process.poll() is None:
            if time.monotonic() > deadline:
                raise ClusterError(f"user data still runs after {timeout} s:\n{self.console[-3000:]}")
            time.sleep(0.05)
        if status.exists():
            return int(status.read_text())
        if not self.powered_off:
            raise ClusterError(f"{self.facts.instance_id} did not boot:\n{self.console[-3000:]}")
        return None

    def wait_powered_off(self, timeout: float = 30) -> None:
        """Waits until the instance has powered itself off."""
        wait_until(f"poweroff of {self.facts.instance_id}", lambda: self.powered_off, timeout=timeout)

    def terminate(self) -> None:
        """Ends every process of the instance and removes all it wrote. Calling it again changes nothing."""
        if self._process is not None and self._process.stdin is not None:
            # Process 1 ends when its standard input does, and the kernel ends the others and drops the mounts.
            self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self.metadata is not None:
            self.metadata.close()
            self.metadata = None
        if self.folder.exists():
            shutil.rmtree(self.folder)


def _kubelet_patch() -> dict[str, object]:
    """Configuration that several kubelets on one machine need.

    Thresholds that look at the machine's own memory and disk are off; what they would have kept back from a node's
    memory is reserved instead, so that allocatable is what it would be.
    """
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": free_port("127.0.0.1"),
        "healthzPort": free_port("127.0.0.1"),
        "enforceNodeAllocatable": ["none"],
        "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
        "systemReserved": {"memory": "100Mi"},
        "imageGCHighThresholdPercent": 100,
    }
