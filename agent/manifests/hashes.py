"""Structural hashes of a pool's template and of a class, by which drift is found.

As in Karpenter, lists count as sets and zero values as absent, so that order and explicit defaults do not make a
fleet drift. The version says how the hash is made: hashes of different versions cannot be compared.
"""

import hashlib
from typing import Final

import msgspec

from agent.manifests.durations import parse_duration_or_never
from agent.manifests.nodeclass import EC2NodeClassSpec
from agent.manifests.nodepool import NodePoolSpec

HASH_VERSION: Final = "joinery-v1"
_CLASS_EXCLUDED: Final = frozenset(
    {
        "amiFamily",
        "amiSelectorTerms",
        "amiRefresh",
        "subnetSelectorTerms",
        "securityGroupSelectorTerms",
        "capacityReservationSelectorTerms",
        "ipPrefixCount",
    }
)
"""What is compared with the instance itself instead, or may change without a new machine."""


def pool_hash(spec: NodePoolSpec) -> str:
    """Of ``spec.template`` without its requirements, which are compared with the node's labels instead."""
    template = spec.template.model_dump(mode="json", by_alias=True)
    inner = template["spec"]
    inner.pop("requirements", None)
    for field in ("expireAfter", "terminationGracePeriod"):
        inner[field] = parse_duration_or_never(inner[field])
    return _hash(template)


def class_hash(spec: EC2NodeClassSpec, userdata_mode: str = "") -> str:
    """Of the class, with its effective family, without what selects images, subnets and groups.

    ``userdata_mode`` is the annotation joinery.sh/userdata, which decides what becomes of the user's script.
    """
    fields = spec.model_dump(mode="json", by_alias=True)
    kept: dict[str, object] = {k: v for k, v in fields.items() if k not in _CLASS_EXCLUDED}
    # As text, because in the kubelet's configuration false, 0 and the order of a list mean something.
    kubelet = msgspec.json.encode(spec.kubelet, order="deterministic").decode() if spec.kubelet else ""
    return _hash(kept | {"family": spec.family, "kubelet": kubelet, "userDataMode": userdata_mode})


def _hash(value: object) -> str:
    text = msgspec.json.encode(_canonical(value), order="deterministic")
    return str(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))


def _canonical(value: object) -> object:
    if isinstance(value, dict):
        kept = {k: _canonical(v) for k, v in value.items()}
        return {k: v for k, v in kept.items() if v not in (None, "", 0, False, [], {})}
    if isinstance(value, list | tuple):
        items = {msgspec.json.encode(_canonical(v), order="deterministic").decode() for v in value}
        return sorted(items)
    return value
