"""What kubelet finds on a machine of an instance type: its Node as it registers it."""

import functools
from datetime import datetime
from typing import Final

from agent.aws.shipped import shipped_catalog
from agent.kube.times import rfc3339
from agent.kube.wire import quantities, taints
from agent.model import names
from agent.model.ec2 import InstanceTypeFacts
from agent.model.resources import Resources
from agent.sim.embedded import Listed
from agent.sim.machines.script import BootScript

KERNEL_SHARE: Final = 25
"""One part in so many of a machine's memory never reaches the operating system."""
EVICTION_BYTES: Final = 100 * 2**20
"""kubelet's default hard eviction threshold of memory, which it keeps back from allocatable."""
ROOT_BYTES: Final = 40 * 2**30
MAX_PODS: Final = 110


@functools.cache
def _types() -> dict[str, InstanceTypeFacts]:
    return {str(t.name): t for t in shipped_catalog().types}


def capacity_of(instance_type: str) -> Resources:
    """What kubelet counts on such a machine."""
    kind = _types()[instance_type]
    memory = kind.memory_mib * 2**20
    return Resources(
        cpu_milli=kind.vcpus * 1000,
        memory_bytes=(memory - memory // KERNEL_SHARE) // 1024 * 1024,
        pods=MAX_PODS,
        ephemeral_storage_bytes=ROOT_BYTES,
        extended=kind.extended,
    )


def node_manifest(machine: Listed, script: BootScript) -> dict[str, object]:
    """The Node that kubelet creates; its status comes after, by the status subresource."""
    kind = _types()[machine.type]
    labels = {names.ARCH: kind.architectures[0], names.OS: "linux", names.HOSTNAME: script.node_name}
    spec: dict[str, object] = {"taints": taints(script.taints)}
    if script.provider_id:
        spec["providerID"] = script.provider_id
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": script.node_name, "labels": labels | script.labels},
        "spec": spec,
    }


def node_status(machine: Listed, script: BootScript, now: datetime) -> dict[str, object]:
    """The status of a Node that is well."""
    capacity = capacity_of(machine.type)
    allocatable = capacity - Resources(memory_bytes=EVICTION_BYTES)
    well = {
        "Ready": ("True", "KubeletReady", "kubelet is posting ready status"),
        "MemoryPressure": ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        "DiskPressure": ("False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        "PIDPressure": ("False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    }
    stamp = rfc3339(now)
    return {
        "capacity": quantities(capacity),
        "allocatable": quantities(allocatable),
        "conditions": [
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": stamp,
                "lastTransitionTime": stamp,
            }
            for kind, (status, reason, message) in well.items()
        ],
        "addresses": [
            {"type": "InternalIP", "address": machine.private_ip},
            {"type": "Hostname", "address": script.node_name},
        ],
        "nodeInfo": _node_info(machine, script),
    }


def _node_info(machine: Listed, script: BootScript) -> dict[str, str]:
    return {
        "architecture": _types()[machine.type].architectures[0],
        "bootID": machine.id,
        "containerRuntimeVersion": "containerd://sandbox",
        "kernelVersion": "sandbox",
        "kubeProxyVersion": script.facts.kubernetes_version,
        "kubeletVersion": script.facts.kubernetes_version,
        "machineID": machine.id,
        "operatingSystem": "linux",
        "osImage": "Joinery sandbox",
        "systemUUID": machine.id,
    }


def vcpus_and_memory(instance_type: str) -> tuple[int, int]:
    """What a type is sold as: vCPUs, and memory in MiB."""
    kind = _types()[instance_type]
    return kind.vcpus, kind.memory_mib
