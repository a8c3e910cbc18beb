"""Labels that the instance decides."""

from typing import Final

from agent.model import names

_INSTANCE_LABELS: Final = (
    *("category", "generation", "family", "size", "capability-flex", "tenancy", "hypervisor"),
    *("cpu", "cpu-manufacturer", "cpu-sustained-clock-speed-mhz", "memory", "local-nvme"),
    *("ebs-bandwidth", "network-bandwidth", "encryption-in-transit-supported"),
    *("gpu-name", "gpu-manufacturer", "gpu-count", "gpu-memory"),
    *("accelerator-name", "accelerator-manufacturer", "accelerator-count"),
)
WELL_KNOWN: Final = frozenset(
    {
        names.NODEPOOL,
        names.ZONE,
        names.REGION,
        names.INSTANCE_TYPE,
        names.ARCH,
        names.OS,
        names.CAPACITY_TYPE,
        "node.kubernetes.io/windows-build",
        "topology.k8s.aws/zone-id",
    }
    | {f"karpenter.k8s.aws/instance-{label}" for label in _INSTANCE_LABELS}
)
"""Labels that the instance decides: a pod may ask for them although no pool mentions them."""
