"""What the daemon may do in the cluster, as data: every rule stands beside the reason for it.

The reasons travel with the roles (annotation ``joinery.sh/why``) and into ``docs/operations.md``, so that whoever
reviews the cluster reads them where the right is. Sources: kubernetes.io/docs/reference/access-authn-authz/rbac (a
``create`` cannot be limited by name, a ``list`` with a ``metadata.name`` field selector can) and
.../certificate-signing-requests (approving takes the approval subresource and the verb ``approve`` on the signer).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from agent.kube.approvals import CONFIG_MAP as APPROVALS
from agent.kube.kinds import Manifest
from agent.model import names

SERVICE_ACCOUNT: Final = "joinery"
KARPENTER_LEASE: Final = "karpenter-leader-election"
KUBELET_SIGNER: Final = "kubernetes.io/kube-apiserver-client-kubelet"
WHY: Final = "joinery.sh/why"
"""Annotation of a role: one line for each rule, with its reason."""

_READ: Final = ("get", "list", "watch")


class Rule(msgspec.Struct, frozen=True):
    """One rule of a role and why the daemon needs it. ``names`` limits it to objects of these names."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    reason: str
    names: tuple[str, ...] = ()

    def manifest(self) -> Manifest:
        """The rule as rbac.authorization.k8s.io/v1 spells it."""
        rule: Manifest = {"apiGroups": [self.group], "resources": list(self.resources), "verbs": list(self.verbs)}
        return rule | ({"resourceNames": list(self.names)} if self.names else {})


class Grant(msgspec.Struct, frozen=True):
    """The rules that hold in one namespace; an empty ``namespace`` is the whole cluster."""

    namespace: str
    rules: tuple[Rule, ...]


def cluster_rules() -> tuple[Rule, ...]:
    """What has to hold in every namespace, or concerns objects that have none."""
    own, aws = names.KARPENTER_GROUP, names.AWS_GROUP
    return (
        Rule("", ("pods",), _READ, "to see which pods wait, and which run where"),
        Rule("", ("nodes",), _READ, "to see what capacity there is"),
        Rule("policy", ("poddisruptionbudgets",), _READ, "to disrupt no node whose pods may not be evicted"),
        Rule("apps", ("daemonsets",), _READ, "to count what a new node carries before any other pod"),
        Rule("storage.k8s.io", ("volumeattachments",), _READ, "to terminate no instance that still holds a volume"),
        Rule(
            "", ("persistentvolumes", "persistentvolumeclaims"), _READ, "to see in which zones a pod's volumes can be"
        ),
        Rule("storage.k8s.io", ("storageclasses",), _READ, "to see where a volume that is not made yet may be made"),
        Rule("storage.k8s.io", ("csinodes",), _READ, "to see how many volumes each node attaches"),
        Rule(
            "", ("namespaces",), _READ, "labels that affinity selects by; kube-system's UID is the cluster's identity"
        ),
        Rule("", ("nodes",), ("patch", "delete"), "taints and labels of its own nodes; removal after termination"),
        Rule("", ("pods/eviction",), ("create",), "draining goes by the Eviction API, which honours budgets"),
        Rule("", ("pods",), ("delete",), "only past a node's terminationGracePeriod or its instance's end"),
        Rule("", ("events",), ("create", "patch"), "every decision about an object is told on the object"),
        Rule(own, ("nodeclaims",), (*_READ, "create", "update", "patch", "delete"), "the ledger of what is bought"),
        Rule(own, ("nodeclaims/status",), ("get", "update", "patch"), "how far each purchase got"),
        Rule(own, ("nodepools",), (*_READ, "patch"), "what may be bought; protected mode is an annotation"),
        Rule(own, ("nodepools/status",), ("get", "update", "patch"), "conditions, node count, resources in use"),
        Rule(own, ("nodeoverlays",), _READ, "prices and capacities that an operator corrects"),
        Rule(
            own, ("nodeoverlays/status",), ("get", "update", "patch"), "conditions: which one corrects nothing, and why"
        ),
        Rule(aws, ("ec2nodeclasses",), (*_READ, "patch"), "how instances are launched; its finalizer"),
        Rule(aws, ("ec2nodeclasses/status",), ("get", "update", "patch"), "conditions and the pinned images"),
        Rule(
            own, ("nodeclaims/finalizers", "nodepools/finalizers"), ("update",), "owner references that block deletion"
        ),
        Rule(
            "coordination.k8s.io", ("leases",), ("list",), "refuses to run beside Karpenter", names=(KARPENTER_LEASE,)
        ),
        Rule("certificates.k8s.io", ("certificatesigningrequests",), _READ, "to see first certificates asked for"),
        Rule(
            "certificates.k8s.io",
            ("certificatesigningrequests/approval",),
            ("update", "patch"),
            "to admit its own instances",
        ),
        Rule(
            "certificates.k8s.io", ("signers",), ("approve",), "only kubelets' client certificates", (KUBELET_SIGNER,)
        ),
        Rule("authentication.k8s.io", ("selfsubjectreviews",), ("create",), "to prove that a token is accepted"),
    )


def grants(namespace: str = names.NAMESPACE) -> tuple[Grant, ...]:
    """Everything that the daemon may do; ``namespace`` is its own."""
    account = (SERVICE_ACCOUNT,)
    lease = Rule(
        "coordination.k8s.io", ("leases",), (*_READ, "create", "update", "patch", "delete"), "one writer at a time"
    )
    token = Rule("", ("serviceaccounts/token",), ("create",), "it renews its own credential, no other's", account)
    facts = ("kubeadm-config", "kubelet-config")
    settings = Rule("", ("configmaps",), ("get",), "the cluster's name, version and kubelet settings", names=facts)
    secrets = Rule(
        "",
        ("secrets",),
        (*_READ, "create", "update", "patch", "delete"),
        "bootstrap tokens live here under random names, which RBAC cannot name; what it writes is limited to their "
        "type by the admission policy joinery-secrets",
    )
    approvals = Rule("", ("configmaps",), _READ, "what operators allowed by command", names=(APPROVALS,))
    endpoint = Rule("", ("configmaps",), ("get",), "API endpoint and CA for joining nodes", names=("cluster-info",))
    return (
        Grant("", cluster_rules()),
        Grant(namespace, (lease, token, approvals)),
        Grant("kube-system", (settings, secrets)),
        Grant("kube-public", (endpoint,)),
    )


def objects(namespace: str = names.NAMESPACE) -> list[Manifest]:
    """Namespace, ServiceAccount, roles, bindings and the guard of Secrets, in the order of creation."""
    account = {"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": namespace}
    manifests: list[Manifest] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": SERVICE_ACCOUNT, "namespace": namespace},
            "automountServiceAccountToken": False,
        },
    ]
    manifests += _secrets_guard(f"system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}")
    for grant in grants(namespace):
        manifests += _role(grant, account)
    return manifests


def table(rules: Sequence[Grant]) -> str:
    """The rules as a Markdown table, for the documentation."""
    lines = ["| where | what | verbs | why |", "| --- | --- | --- | --- |"]
    for grant in rules:
        where = grant.namespace or "cluster"
        lines += [f"| {where} | {_what(rule)} | {', '.join(rule.verbs)} | {rule.reason} |" for rule in grant.rules]
    return "\n".join(lines) + "\n"


def _what(rule: Rule) -> str:
    resources = ", ".join(_resource(name, rule.group) for name in rule.resources)
    return f"{resources} ({', '.join(rule.names)})" if rule.names else resources


def _resource(name: str, group: str) -> str:
    """As kubectl spells it: ``nodeclaims.karpenter.sh/status``."""
    plural, slash, sub = name.partition("/")
    return f"{plural}.{group}{slash}{sub}" if group else name


def _role(grant: Grant, account: Manifest) -> list[Manifest]:
    kind = "Role" if grant.namespace else "ClusterRole"
    metadata = {"name": SERVICE_ACCOUNT} | ({"namespace": grant.namespace} if grant.namespace else {})
    why = "\n".join(f"{_what(rule)} {','.join(rule.verbs)}: {rule.reason}" for rule in grant.rules)
    api = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{api}/v1",
            "kind": kind,
            "metadata": metadata | {"annotations": {WHY: why}},
            "rules": [rule.manifest() for rule in grant.rules],
        },
        {
            "apiVersion": f"{api}/v1",
            "kind": f"{kind}Binding",
            "metadata": dict(metadata),
            "roleRef": {"apiGroup": api, "kind": kind, "name": SERVICE_ACCOUNT},
            "subjects": [account],
        },
    ]


def _secrets_guard(user: str) -> list[Manifest]:
    """Whoever may create Secrets in kube-system could ask for another ServiceAccount's token; this forbids that."""
    metadata = {"name": "joinery-secrets"}
    api = "admissionregistration.k8s.io/v1"
    secret = "(object == null ? oldObject : object)"  # noqa: S105 (a CEL expression: a deletion has only the old object)
    return [
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata | {"annotations": {WHY: "the daemon writes bootstrap tokens and no other Secret"}},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "resources": ["secrets"],
                            "operations": ["CREATE", "UPDATE", "DELETE"],
                        }
                    ]
                },
                "matchConditions": [{"name": "is-joinery", "expression": f"request.userInfo.username == '{user}'"}],
                "validations": [
                    {
                        "expression": f"{secret}.type == 'bootstrap.kubernetes.io/token'",
                        "message": "Joinery writes Secrets of the type bootstrap.kubernetes.io/token only",
                    }
                ],
            },
        },
        {
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": dict(metadata),
            "spec": {"policyName": metadata["name"], "validationActions": ["Deny"]},
        },
    ]
