"""A class's disks: which of them kubelet's root directory lies on, and how many there are."""

from agent.core.quantity import QuantityError, parse_amount
from agent.manifests.nodeclass import EC2NodeClassSpec

ROOT_DEVICES = frozenset({"/dev/sda1", "/dev/xvda"})


def volumes(spec: EC2NodeClassSpec) -> int:
    """How many EBS volumes an instance of the class has from the start; at least the image's own."""
    return max(1, sum(m.ebs is not None for m in spec.block_device_mappings))


def root_volume_bytes(spec: EC2NodeClassSpec) -> int:
    """Size of the disk that is marked, else of the family's root device, else of the last; 0: the image decides."""
    mappings = [m for m in spec.block_device_mappings if m.ebs is not None and m.ebs.volume_size]
    marked = next((m for m in mappings if m.root_volume), None)
    root = next((m for m in mappings if m.device_name in ROOT_DEVICES), None)
    chosen = marked or root or (mappings[-1] if mappings else None)
    if chosen is None or chosen.ebs is None or chosen.ebs.volume_size is None:
        return 0
    try:
        return parse_amount(chosen.ebs.volume_size)
    except QuantityError:
        return 0
