"""What a kubeadm cluster gets from elsewhere and Joinery has to live with: pod network and cloud provider."""

from collections.abc import Iterator
from typing import Final

from agent.kube import paths
from agent.preflight.finding import Finding
from agent.preflight.site import Site

PLUGINS: Final = {
    "aws-node": "Amazon VPC CNI",
    "calico-node": "Calico",
    "canal": "Canal",
    "cilium": "Cilium",
    "kube-flannel-ds": "Flannel",
    "kube-router": "kube-router",
    "weave-net": "Weave Net",
    "antrea-agent": "Antrea",
}
"""Names of the DaemonSets that the projects' own manifests make."""
_CLOUD_PROVIDER: Final = "k8s-app in (aws-cloud-controller-manager)"


def plugin(site: Site) -> Iterator[Finding]:
    """A DaemonSet of a pod network: without one no node becomes Ready."""
    running = {d["metadata"]["name"] for d in site.listed(paths.daemonsets())}
    found = sorted(PLUGINS[name] for name in running & PLUGINS.keys())
    if found:
        yield Finding("network", "ok", f"pods get addresses from {', '.join(found)}")
    else:
        message = "no DaemonSet of a pod network that is known here"
        yield Finding("network", "warn", message, "without one no new node becomes Ready; install Flannel, Calico, …")


def cloud_provider(site: Site) -> Iterator[Finding]:
    """The AWS cloud controller manager names nodes by their private DNS name and removes what it cannot find."""
    there = bool(site.listed(paths.pods("kube-system"), _CLOUD_PROVIDER))
    by_dns = site.settings.node_name == "private-dns"
    if there and not by_dns:
        message = "the AWS cloud controller manager runs, and expects nodes to be called by their private DNS name"
        yield Finding("cloud-provider", "warn", message, "set nodeName: private-dns")
    elif by_dns and not there:
        message = "nodeName is private-dns, and no AWS cloud controller manager was found"
        yield Finding("cloud-provider", "warn", message, "nodeName: instance-id, unless something else needs it")
    else:
        yield Finding(
            "cloud-provider", "ok", f"{'there' if there else 'none'}; nodes are called by {site.settings.node_name}"
        )
