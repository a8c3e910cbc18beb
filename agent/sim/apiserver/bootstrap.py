"""What is in a cluster that kubeadm has just made: namespaces, cluster-info, configuration, roles.

Sources: kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details and .../access-authn-authz/rbac. Of the
roles that kube-apiserver makes, those are here that administrators, kubelets and joining machines need.
"""

import base64
from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from agent.model.names import KUBEADM_GROUP
from agent.sim.apiserver.authentication import ANONYMOUS
from agent.sim.apiserver.messages import AUTHENTICATED, MASTERS
from agent.sim.apiserver.resources import Object

NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
VERSION: Final = "v1.36.3"
_RBAC: Final = "rbac.authorization.k8s.io"
_NODES: Final = "system:nodes"
_ALL: Final = ["*"]
_CSR: Final = "certificates.k8s.io"
_DISCOVERY: Final = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz"]


def objects(server: str, ca_pem: str, cluster: str = "kubernetes") -> list[Object]:
    """Everything, in the order of creation. ``server`` is the URL of the API."""
    endpoint = server.partition("://")[2]
    return [
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES),
        _config_map("kube-public", "cluster-info", {"kubeconfig": _kubeconfig(server, ca_pem)}),
        _config_map("kube-public", "kube-root-ca.crt", {"ca.crt": ca_pem}),
        _config_map(
            "kube-system", "kubeadm-config", {"ClusterConfiguration": _cluster_configuration(endpoint, cluster)}
        ),
        _config_map("kube-system", "kubelet-config", {"kubelet": _kubelet_configuration()}),
        *_priorities(),
        *_cluster_roles(),
        *_roles(),
    ]


def _kubeconfig(server: str, ca_pem: str) -> str:
    authority = base64.b64encode(ca_pem.encode()).decode()
    clusters = [{"name": "", "cluster": {"server": server, "certificate-authority-data": authority}}]
    return str(
        yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "clusters": clusters, "users": [], "contexts": []})
    )


def _cluster_configuration(endpoint: str, cluster: str) -> str:
    document = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "clusterName": cluster,
        "controlPlaneEndpoint": endpoint,
        "kubernetesVersion": VERSION,
        "networking": {"dnsDomain": "cluster.local", "serviceSubnet": "10.96.0.0/12"},
    }
    return str(yaml.safe_dump(document))


def _kubelet_configuration() -> str:
    document = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "systemd",
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        "rotateCertificates": True,
        "staticPodPath": "/etc/kubernetes/manifests",
    }
    return str(yaml.safe_dump(document))


def _config_map(namespace: str, name: str, data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def _priorities() -> Iterator[Object]:
    for name, value in (("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)):
        yield {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "globalDefault": False,
            "preemptionPolicy": "PreemptLowerPriority",
        }


def _cluster_roles() -> Iterator[Object]:
    yield from _granted("cluster-admin", [_rule(_ALL, _ALL, _ALL), {"nonResourceURLs": _ALL, "verbs": _ALL}], MASTERS)
    yield _binding("kubeadm:cluster-admins", "cluster-admin", ["kubeadm:cluster-admins"])
    open_urls = [{"nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"], "verbs": ["get"]}]
    yield from _granted("system:public-info-viewer", open_urls, AUTHENTICATED, *ANONYMOUS.groups)
    discovery = [{"nonResourceURLs": [*_DISCOVERY, "/version", "/version/"], "verbs": ["get"]}]
    yield from _granted("system:discovery", discovery, AUTHENTICATED)
    self_reviews = [
        _rule(["authorization.k8s.io"], ["selfsubjectaccessreviews"], ["create"]),
        _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
    ]
    yield from _granted("system:basic-user", self_reviews, AUTHENTICATED)
    requests = ["certificatesigningrequests"]
    yield _role("system:node-bootstrapper", [_rule([_CSR], requests, ["create", "get", "list", "watch"])])
    yield _binding("kubeadm:kubelet-bootstrap", "system:node-bootstrapper", [KUBEADM_GROUP])
    for name, group in (("nodeclient", KUBEADM_GROUP), ("selfnodeclient", _NODES)):
        role = f"system:certificates.k8s.io:certificatesigningrequests:{name}"
        yield _role(role, [_rule([_CSR], [f"certificatesigningrequests/{name}"], ["create"])])
        which = "bootstrap" if name == "nodeclient" else "certificate-rotation"
        yield _binding(f"kubeadm:node-autoapprove-{which}", role, [group])
    yield _role("kubeadm:get-nodes", [_rule([""], ["nodes"], ["get"])])
    yield _binding("kubeadm:get-nodes", "kubeadm:get-nodes", [KUBEADM_GROUP])


def _roles() -> Iterator[Object]:
    info = [_rule([""], ["configmaps"], ["get"], ["cluster-info"])]
    yield _role("kubeadm:bootstrap-signer-clusterinfo", info, "kube-public")
    anonymous = {"kind": "User", "name": ANONYMOUS.name, "apiGroup": _RBAC}
    binding = _binding(
        "kubeadm:bootstrap-signer-clusterinfo", "kubeadm:bootstrap-signer-clusterinfo", (), "kube-public"
    )
    yield binding | {"subjects": [anonymous]}
    for name, config in (
        ("kubeadm:nodes-kubeadm-config", "kubeadm-config"),
        ("kubeadm:kubelet-config", "kubelet-config"),
    ):
        yield _role(name, [_rule([""], ["configmaps"], ["get"], [config])], "kube-system")
        yield _binding(name, name, [_NODES, KUBEADM_GROUP], "kube-system")


def _rule(groups: list[str], resources: list[str], verbs: list[str], names: list[str] | None = None) -> dict[str, Any]:
    rule = {"apiGroups": groups, "resources": resources, "verbs": verbs}
    return rule | ({"resourceNames": names} if names else {})


def _role(name: str, rules: list[dict[str, Any]], namespace: str = "") -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "rules": rules,
    }


def _binding(name: str, role: str, groups: Sequence[str], namespace: str = "") -> Object:
    kind = "Role" if namespace else "ClusterRole"
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
        "subjects": [{"kind": "Group", "name": group, "apiGroup": _RBAC} for group in groups],
    }


def _granted(name: str, rules: list[dict[str, Any]], *groups: str) -> tuple[Object, Object]:
    return _role(name, rules), _binding(name, name, groups)
