"""What controllers see, and what they want written."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from agent.kube.watcher import Kind
from agent.sim.machines.world import kind, machine_kinds

Manifest = dict[str, Any]

DEPLOYMENTS: Final = "deployments"
REPLICA_SETS: Final = "replicasets"
DAEMON_SETS: Final = "daemonsets"
BUDGETS: Final = "poddisruptionbudgets"
LEASES: Final = "leases"
_APPS: Final = "/apis/apps/v1"


class View(msgspec.Struct, frozen=True):
    """Every object of each kind, as it was at ``now``."""

    now: datetime
    objects: dict[str, tuple[Manifest, ...]]

    def items(self, name: str) -> tuple[Manifest, ...]:
        """All of one kind."""
        return self.objects.get(name, ())

    def owned(self, name: str, owner: Manifest) -> Iterator[Manifest]:
        """Those of one kind that an object controls."""
        uid = owner["metadata"]["uid"]
        return (o for o in self.items(name) if (c := controller_of(o)) is not None and c["uid"] == uid)


class Write(msgspec.Struct, frozen=True):
    """One call to the API server. ``kind`` is what the answer is an object of; empty when it is none."""

    verb: Literal["create", "patch", "delete"]
    kind: str
    path: str
    body: Manifest = {}
    uid: str = ""
    grace_seconds: int | None = None


def kinds() -> tuple[Kind, ...]:
    """What controllers watch."""
    return (
        *machine_kinds(),
        kind(DEPLOYMENTS, f"{_APPS}/deployments"),
        kind(REPLICA_SETS, f"{_APPS}/replicasets"),
        kind(DAEMON_SETS, f"{_APPS}/daemonsets"),
        kind(BUDGETS, "/apis/policy/v1/poddisruptionbudgets"),
        kind(LEASES, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"),
    )


def path_of(name: str, found: Manifest) -> str:
    """The path of an object of a namespaced kind of apps or policy."""
    group = "/apis/policy/v1" if name == BUDGETS else _APPS
    metadata = found["metadata"]
    return f"{group}/namespaces/{metadata['namespace']}/{name}/{metadata['name']}"


def collection(name: str, namespace: str) -> str:
    """Where objects of a kind of apps are created."""
    return f"{_APPS}/namespaces/{namespace}/{name}"


def controller_of(found: Manifest) -> Manifest | None:
    """The owner reference of the object's controller."""
    owners = found["metadata"].get("ownerReferences") or ()
    return next((o for o in owners if o.get("controller")), None)


def owner_reference(owner: Manifest, api_version: str, name: str) -> Manifest:
    """A reference that makes ``owner`` the controller of what carries it."""
    metadata = owner["metadata"]
    return {
        "apiVersion": api_version,
        "kind": name,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_deleted(found: Manifest) -> bool:
    """Whether its deletion has begun."""
    return bool(found["metadata"].get("deletionTimestamp"))


def is_true(found: Manifest, condition: str) -> bool:
    """Whether a condition of its status is True."""
    conditions = found.get("status", {}).get("conditions") or ()
    return any(c["type"] == condition and c["status"] == "True" for c in conditions)


def is_active(pod: Manifest) -> bool:
    """A pod that counts: neither ended nor being deleted."""
    return not is_deleted(pod) and pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}


def changed(found: Manifest, status: Manifest) -> bool:
    """Whether a status differs from what is there in any of its fields."""
    held = found.get("status") or {}
    return any(held.get(key) != value for key, value in status.items())
