"""Labels that Karpenter knows: one list for what a pool may name, what a pod may ask for, and what the CRDs say."""

from typing import Final

from agent.model import names

WELL_KNOWN: Final = (
    names.NODEPOOL,
    names.ZONE,
    names.REGION,
    names.INSTANCE_TYPE,
    names.ARCH,
    names.OS,
    names.CAPACITY_TYPE,
    "node.kubernetes.io/windows-build",
)
"""Labels that the core knows (karpenter.sh/docs/concepts/scheduling)."""

AWS_LABELS: Final = tuple(
    f"karpenter.k8s.aws/{name}"
    for name in (
        "instance-tenancy",
        "capacity-reservation-type",
        "capacity-reservation-id",
        "capacity-reservation-interruptible",
        "ec2nodeclass",
        "instance-encryption-in-transit-supported",
        "nitro-sandbox",
        "instance-category",
        "instance-hypervisor",
        "instance-family",
        "instance-generation",
        "instance-local-nvme",
        "instance-size",
        "instance-cpu",
        "instance-cpu-manufacturer",
        "instance-cpu-sustained-clock-speed-mhz",
        "instance-memory",
        "instance-ebs-bandwidth",
        "instance-network-bandwidth",
        "instance-gpu-name",
        "instance-gpu-manufacturer",
        "instance-gpu-count",
        "instance-gpu-memory",
        "instance-accelerator-name",
        "instance-accelerator-manufacturer",
        "instance-accelerator-count",
        "instance-capability-flex",
        "placement-group-id",
        "placement-group-partition",
    )
)
"""The only labels of the domain karpenter.k8s.aws that a pool may name."""

DECIDED: Final = frozenset(
    {
        *WELL_KNOWN,
        "topology.k8s.aws/zone-id",
        *(key for key in AWS_LABELS if key.partition("/")[2].startswith(("instance-", "capacity-reservation-"))),
    }
)
"""Labels that the instance decides: a pod may ask for them although no pool mentions them."""
