"""Who may do what: RBAC as the stored objects say, and the node authorizer in small.

Sources: kubernetes.io/docs/reference/access-authn-authz/rbac and .../node. Of NodeRestriction there is what keeps a
node from another node's objects.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from agent.sim.apiserver.messages import MASTERS, User
from agent.sim.apiserver.refusals import Refusal
from agent.sim.apiserver.resources import Object
from agent.sim.apiserver.store import Store

NODES: Final = "system:nodes"
_NODE: Final = "system:node:"
_READ: Final = frozenset({"get", "list", "watch"})
_NODE_READS: Final = frozenset(
    {
        "pods",
        "services",
        "nodes",
        "persistentvolumes",
        "persistentvolumeclaims",
        "configmaps",
        "secrets",
        "volumeattachments",
        "csinodes",
    }
)
"""What kubelets read; the real authorizer follows the pods of the node, here all may be read."""


class Attempt(msgspec.Struct, frozen=True):
    """What somebody wants to do; ``path`` for what is no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    """With its subresource: ``pods/eviction``."""
    namespace: str = ""
    name: str = ""
    path: str = ""


class Authorizer:
    """Answers from the store, so that a changed role holds at once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self, user: User, attempt: Attempt) -> None:
        """Raises a refusal (403) in the API server's words unless it is allowed."""
        if self.allows(user, attempt):
            return
        if attempt.path:
            raise Refusal(
                403,
                "Forbidden",
                f'forbidden: User "{user.name}" cannot {attempt.verb} path "{attempt.path}"',
                details={},
            )
        label = attempt.resource.partition("/")[0] + (f".{attempt.group}" if attempt.group else "")
        scope = f'in the namespace "{attempt.namespace}"' if attempt.namespace else "at the cluster scope"
        named = f' "{attempt.name}"' if attempt.name else ""
        text = (  # a sentence, which the linter takes for SQL
            f'{label}{named} is forbidden: User "{user.name}" cannot {attempt.verb} resource "{attempt.resource}" '
            f'in API group "{attempt.group}" {scope}'
        )
        details = {"kind": attempt.resource.partition("/")[0]}
        details |= {"name": attempt.name} if attempt.name else {}
        details |= {"group": attempt.group} if attempt.group else {}
        raise Refusal(403, "Forbidden", text, details=details)

    def allows(self, user: User, attempt: Attempt) -> bool:
        """Whether one of the authorizers allows it."""
        if MASTERS in user.groups or (node_of(user) and _node_allows(node_of(user), attempt)):
            return True
        return any(_rule_allows(rule, attempt) for rule in self._rules(user, attempt.namespace))

    def _rules(self, user: User, namespace: str) -> Iterable[Mapping[str, Any]]:
        bindings = [s.object for s in self._store.all("clusterrolebindings.rbac.authorization.k8s.io")]
        if namespace:
            bindings += [s.object for s in self._store.all("rolebindings.rbac.authorization.k8s.io", namespace)]
        for binding in bindings:
            home = binding["metadata"].get("namespace", "")
            if any(_is(user, subject, home) for subject in binding.get("subjects") or ()):
                yield from self._role(binding["roleRef"], home)

    def _role(self, ref: Mapping[str, str], home: str) -> Iterable[Mapping[str, Any]]:
        collection = "clusterroles" if ref["kind"] == "ClusterRole" else "roles"
        key = ("", ref["name"]) if ref["kind"] == "ClusterRole" else (home, ref["name"])
        found = self._store.get(f"{collection}.rbac.authorization.k8s.io", key)
        return (found.object.get("rules") or ()) if found else ()


def node_of(user: User) -> str:
    """The name of the node that asks; empty when it is none."""
    return user.name.removeprefix(_NODE) if user.name.startswith(_NODE) and NODES in user.groups else ""


def restrict(user: User, kind: str, obj: Object) -> None:
    """NodeRestriction: raises a refusal (403) when a node writes another node's Node, pod or Lease."""
    node = node_of(user)
    if not node:
        return
    name = obj["metadata"].get("name", "")
    if kind == "nodes" and name != node:
        raise _forbidden("nodes", name, f"node {node!r} is not allowed to modify node {name!r}")
    if kind == "pods" and (obj.get("spec") or {}).get("nodeName") != node:
        raise _forbidden("pods", name, f"node {node!r} can only write pods of its own")
    if kind == "leases.coordination.k8s.io" and name != node:
        raise _forbidden("leases.coordination.k8s.io", name, f"node {node!r} is not allowed to access another's lease")


def _forbidden(label: str, name: str, why: str) -> Refusal:
    return Refusal(403, "Forbidden", f'{label} "{name}" is forbidden: {why}', details={"name": name, "kind": label})


def _is(user: User, subject: Mapping[str, str], home: str) -> bool:
    if subject["kind"] == "User":
        return subject["name"] == user.name
    if subject["kind"] == "Group":
        return subject["name"] in user.groups
    return user.name == f"system:serviceaccount:{subject.get('namespace') or home}:{subject['name']}"


def _rule_allows(rule: Mapping[str, Any], attempt: Attempt) -> bool:
    if not _covers(rule.get("verbs"), attempt.verb):
        return False
    if attempt.path:
        return any(
            url in {"*", attempt.path} or (url.endswith("*") and attempt.path.startswith(url[:-1]))
            for url in rule.get("nonResourceURLs") or ()
        )
    if not _covers(rule.get("apiGroups"), attempt.group):
        return False
    names = rule.get("resourceNames") or ()
    if names and attempt.name not in names:
        return False
    resources = rule.get("resources") or ()
    subresource = attempt.resource.partition("/")[2]
    return _covers(resources, attempt.resource) or bool(subresource and f"*/{subresource}" in resources)


def _covers(listed: Iterable[str] | None, wanted: str) -> bool:
    return any(item in {"*", wanted} for item in listed or ())


def _node_allows(node: str, attempt: Attempt) -> bool:
    resource, verb = attempt.resource, attempt.verb
    if attempt.path:
        return False
    if resource in {"nodes", "nodes/status"} and verb in {"create", "update", "patch"}:
        return verb == "create" or attempt.name == node
    if resource in {"pods/status", "pods"} and verb in {"update", "patch", "delete", "create"}:
        return resource == "pods/status" or verb == "delete"
    if resource == "pods/eviction":
        return verb == "create"
    if attempt.group == "coordination.k8s.io":
        return attempt.namespace == "kube-node-lease" and (verb == "create" or attempt.name == node)
    if resource.startswith("certificatesigningrequests"):
        return verb in {"create", *_READ}
    if resource == "events":
        return verb in {"create", "update", "patch"}
    return resource in _NODE_READS and verb in _READ
