"""What a person says of the node that an existing machine is to be."""

from typing import Annotated, Final

from pydantic import AfterValidator

from agent.manifests.scalars import LabelKey, LabelValue, ObjectName, fault
from agent.manifests.scheduling import Taint, restriction
from agent.manifests.written import Written
from agent.model import names

_KUBERNETES: Final = ("kubernetes.io", "k8s.io")
_KUBELETS_OWN: Final = ("kubelet.kubernetes.io", "node.kubernetes.io")
_SINGLE: Final = frozenset({names.ZONE, names.REGION, names.ARCH, names.OS})
_JOINERY: Final = "joinery.sh"


def _within(domain: str, parents: tuple[str, ...]) -> bool:
    return any(domain == parent or domain.endswith(f".{parent}") for parent in parents)


def _fixed_label(key: str) -> str:
    """Kubelet ends at once when it is to set another label of Kubernetes (kubelet's flag ``--node-labels``)."""
    domain = key.partition("/")[0] if "/" in key else ""
    if (why := restriction(key)) is not None:
        raise fault(why)
    if _within(domain, (_JOINERY,)):
        raise fault(f"{key} is restricted: Joinery's labels are for the nodes that it buys")
    if _within(domain, _KUBERNETES) and not _within(domain, _KUBELETS_OWN) and key not in _SINGLE:
        raise fault(f"{key} may not be set by kubelet; set it when the node is there: kubectl label node")
    return key


class FixedNode(Written):
    """Name, labels and taints with which kubelet registers."""

    name: ObjectName | None = None
    """None: the machine's host name."""
    labels: dict[Annotated[LabelKey, AfterValidator(_fixed_label)], LabelValue] = {}
    """Labels of the node."""
    taints: tuple[Taint, ...] = ()
    """Taints of the node."""
