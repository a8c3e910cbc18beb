"""The story's cluster: a small team's eighteen fixed machines, joined by hand long before Joinery came."""

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.join.facts import BEGIN, END, JoinFacts
from agent.model import names
from agent.sim.embedded import REGION

CLUSTER: Final = "team"
ZONES: Final = (f"{REGION}a", f"{REGION}c")
FIXED_TOKEN: Final = "/sandbox/kubeadm-token"  # noqa: S105 - a parameter's name
"""Where the sandbox keeps kubeadm's own token, for the machines that were joined by hand."""
UNTAINTED: Final = frozenset({"worker-ai", "worker-storage"})


class FixedMachine(msgspec.Struct, frozen=True):
    """One machine that is always there."""

    name: str
    instance_type: str
    zone: str
    role: str = "base"

    @property
    def taint(self) -> str:
        """As kubelet's flag has it; empty for the workers."""
        if self.role == "control-plane":
            return f"{names.CONTROL_PLANE}=:NoSchedule"
        return "" if self.name in UNTAINTED else f"domain={self.name}:NoSchedule"

    @property
    def labels(self) -> dict[str, str]:
        """What the team gave it; a kubelet may not give itself a role."""
        return {names.INSTANCE_TYPE: self.instance_type, names.ZONE: self.zone, names.REGION: REGION}

    @property
    def tags(self) -> dict[str, str]:
        """As Terraform tags base capacity."""
        return {names.TAG_CLUSTER: CLUSTER, names.TAG_ROLE: self.role, names.TAG_NAME: self.name}


_NAMES: Final = {
    "t3.xlarge": ("control-plane",),
    "t3.small": ("auth", "my", "scan", "character", "location"),
    "t3.medium": (
        *("image", "chat"),
        *("worker-ai", "worker-storage"),
        *("postgresql", "redis-1", "redis-2", "redis-3", "rabbitmq"),
        *("monitoring", "logging", "ingress"),
    ),
}


def fixed_machines() -> Iterator[FixedMachine]:
    """All eighteen: control plane, seven API nodes, two workers, data, messages, observation, ingress."""
    for number, (kind, name) in enumerate((k, n) for k, listed in _NAMES.items() for n in listed):
        role = "control-plane" if name == "control-plane" else "base"
        yield FixedMachine(name, kind, ZONES[number % len(ZONES)], role)


def user_data(machine: FixedMachine, facts: JoinFacts) -> str:
    """What such a machine booted from; like all user data here it is read, and run by nobody."""
    args = "--provider-id=aws:///$zone/$instance_id"
    args += " --node-labels=" + ",".join(f"{k}={v}" for k, v in machine.labels.items())
    args += f" --register-with-taints={machine.taint}" if machine.taint else ""
    return "\n".join(
        [
            "#!/bin/bash",
            "# A fixed machine of the team, joined by hand with a token of kubeadm's own.",
            f"cat >/etc/join-facts.json <<'{END}'",
            BEGIN,
            msgspec.structs.replace(facts, token_parameter=FIXED_TOKEN).text(),
            END,
            f"hostnamectl set-hostname {machine.name}",
            f'KUBELET_EXTRA_ARGS="{args}"',
            "phase token",
            "phase join",
            "",
        ]
    )
