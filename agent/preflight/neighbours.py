"""Others that buy or remove nodes: two autoscalers undo each other's work."""

from collections.abc import Iterator
from typing import Final

from agent.kube import paths
from agent.kube.install import karpenter_running
from agent.preflight.finding import Finding
from agent.preflight.site import Site

_AUTOSCALER: Final = (
    "app=cluster-autoscaler",
    "k8s-app=cluster-autoscaler",
    "app.kubernetes.io/name=aws-cluster-autoscaler",
)


def others(site: Site) -> Iterator[Finding]:
    """Karpenter by its Lease, Cluster Autoscaler by the labels of its manifests and chart."""
    karpenter = karpenter_running(site.api, site.clock())
    if karpenter is not None:
        message = f"Karpenter is running here ({karpenter}); the daemon refuses to start beside it"
        yield Finding("neighbours", "fail", message, "scale its Deployment to 0")
    if any(site.listed(paths.pods(), selector) for selector in _AUTOSCALER):
        message = "Cluster Autoscaler runs here; it may remove nodes of its groups only, but buys for the same pods"
        yield Finding("neighbours", "warn", message, "keep its groups' pods apart by taints, or scale it to 0")
    elif karpenter is None:
        yield Finding("neighbours", "ok", "neither Karpenter nor Cluster Autoscaler runs here")
