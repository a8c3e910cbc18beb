"""Hollow nodes: real kubelets without containers, many in one process, with whatever size a test wishes for.

They are the cheapest nodes that still bootstrap, register, renew leases, run pods and end them as real ones do.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.cluster import build


@dataclass(frozen=True)
class HollowNodes:
    """What each of the nodes looks like. In `provider_id`, `{name}` stands for the node's name."""

    names: Sequence[str]
    cores: int = 2
    memory_mib: int = 4096
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[str] = ()
    extended_resources: Mapping[str, str] = field(default_factory=dict)
    provider_id: str = ""
    max_pods: int = 110

    def command(self, state: Path, bootstrap_kubeconfig: Path) -> list[str]:
        """The command line of the one process that runs them."""
        return [
            str(build.bin_dir() / "hollow"),
            f"--names={','.join(self.names)}",
            f"--dir={state}",
            f"--bootstrap-kubeconfig={bootstrap_kubeconfig}",
            f"--cores={self.cores}",
            f"--memory-bytes={self.memory_mib * 2**20}",
            f"--node-labels={','.join(f'{key}={value}' for key, value in self.labels.items())}",
            f"--register-with-taints={','.join(self.taints)}",
            f"--extended-resources={','.join(f'{key}={value}' for key, value in self.extended_resources.items())}",
            f"--provider-id={self.provider_id}",
            f"--max-pods={self.max_pods}",
        ]


def bootstrap_kubeconfig(server: str, ca: Path, token: str) -> str:
    """A kubeconfig that holds nothing but a bootstrap token, as kubeadm writes it for a joining kubelet."""
    authority = base64.b64encode(ca.read_bytes()).decode()
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )
