"""Creating, changing and deleting objects: what holds for every kind.

Source: kubernetes.io/docs/reference/using-api/api-concepts and the generic registry of kube-apiserver.
"""

import random
import uuid
from datetime import datetime, timedelta
from typing import Any, Final

from agent.kube.times import rfc3339
from agent.kube.timestamps import parse_time
from agent.sim.apiserver import preparing, schemas
from agent.sim.apiserver.messages import Clock, Request, Target, User
from agent.sim.apiserver.reactions import Reactions
from agent.sim.apiserver.refusals import Refusal, already_exists, bad_request, conflict, invalid, not_found
from agent.sim.apiserver.resources import NAMESPACE, Object, Resource
from agent.sim.apiserver.store import Store, Stored, key_of

FOREGROUND: Final = "foregroundDeletion"
_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
"""The letters that Kubernetes makes names of: no vowels, nothing that looks like another."""
_SERVER_SET: Final = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


class Objects:
    """Writes into the store. Call it with the store's lock held."""

    def __init__(self, store: Store, clock: Clock, reactions: Reactions, seed: int | None = None) -> None:
        self._store = store
        self._clock = clock
        self._reactions = reactions
        self._random = random.Random(seed)  # noqa: S311 - names and UIDs are no secrets

    def stored(self, target: Target) -> Stored:
        """The object. Raises a refusal (404)."""
        found = self._store.get(target.resource.store, (target.namespace, target.name))
        if found is None:
            raise not_found(target.resource, target.name)
        return found

    def create(self, target: Target, obj: Object, user: User, request: Request) -> Stored:
        """A new object."""
        resource = target.resource
        self._check_identity(target, obj)
        meta = obj["metadata"]
        if meta.pop("resourceVersion", ""):
            # The API server has no better code for it.
            raise Refusal(500, "", "resourceVersion should not be set on objects to be created")
        for field in (*_SERVER_SET, "managedFields", "selfLink"):
            meta.pop(field, None)
        if not meta.get("name"):
            self._generate_name(resource, meta)
        preparing.check_name(resource, meta["name"])
        if resource.namespaced and self._store.get("namespaces", ("", target.namespace)) is None:
            raise not_found(NAMESPACE, target.namespace)
        self._shape(resource, obj, request)
        preparing.created(resource, obj, user)
        if self._store.get(resource.store, key_of(obj)) is not None:
            raise already_exists(resource, meta["name"])
        meta["uid"] = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        meta["creationTimestamp"] = rfc3339(self._clock())
        if resource.generation:
            meta["generation"] = 1
        return self._keep(resource, obj, user, request)

    def update(self, target: Target, obj: Object, user: User, request: Request) -> Stored:
        """An object in the place of another; with a resourceVersion only of that version."""
        resource, before = target.resource, self.stored(target)
        obj["metadata"].setdefault("name", target.name)
        self._check_identity(target, obj)
        version = obj["metadata"].get("resourceVersion")
        if not version and not resource.unconditional and request.method == "PUT":
            fault = ("metadata.resourceVersion", "Invalid value: 0: must be specified for an update")
            raise invalid(resource, target.name, [fault])
        self.check_preconditions(resource, before, obj["metadata"].get("uid"), version)
        old = before.copy()
        self._carry(target, old, obj)
        preparing.immutable(resource, old, obj)
        self._shape(resource, obj, request)
        if obj == old:
            return before
        if resource.generation and _substance(obj) != _substance(old):
            obj["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        return self._keep(resource, obj, user, request)

    def delete(self, target: Target, options: Object, user: User, request: Request) -> tuple[Stored, bool]:
        """Begin or finish a deletion: the object's last or present state, and whether it is gone."""
        resource, before = target.resource, self.stored(target)
        conditions = options.get("preconditions") or {}
        self.check_preconditions(resource, before, conditions.get("uid"), conditions.get("resourceVersion"))
        if request.dry:
            return before, True
        obj = before.copy()
        meta = obj["metadata"]
        grace = self._grace(resource, obj, options.get("gracePeriodSeconds"))
        policy = _propagation(options)
        if policy == "Orphan":
            self._reactions.orphan(meta["uid"])
        if policy == "Foreground" and self._store.owned_by(meta["uid"]):
            meta["finalizers"] = list(dict.fromkeys([*(meta.get("finalizers") or ()), FOREGROUND]))
        if not grace and not meta.get("finalizers"):
            return self.remove(resource, before, user), True
        if (
            "deletionTimestamp" in meta
            and grace >= meta.get("deletionGracePeriodSeconds", 0)
            and policy != "Foreground"
        ):
            return before, False
        begun = self._begun(meta)
        meta["deletionTimestamp"] = rfc3339(begun + timedelta(seconds=grace))
        meta["deletionGracePeriodSeconds"] = grace
        if resource.generation and "generation" in meta:
            meta["generation"] += 1
        stored = self._store.put(resource.store, obj)
        if FOREGROUND in (meta.get("finalizers") or ()):
            self._reactions.owner_going(self, meta["uid"], user)
            after = self._store.get(resource.store, key_of(obj))
            return after or stored, after is None
        return stored, False

    def remove(self, resource: Resource, stored: Stored, user: User) -> Stored:
        """Take an object out of the store, and let go what hangs on it."""
        last = self._store.remove(resource.store, key_of(stored.object))
        self._reactions.removed(self, resource, last.object, user)
        return last

    def check_preconditions(self, resource: Resource, stored: Stored, uid: str | None, version: str | None) -> None:
        """Raises a refusal (409) unless the object has this UID and version, where they are given."""
        meta = stored.object["metadata"]
        if uid and uid != meta["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta['uid']}"
            raise conflict(resource, meta["name"], why)
        if version and version != meta["resourceVersion"]:
            raise conflict(resource, meta["name"])

    def _check_identity(self, target: Target, obj: Object) -> None:
        resource, meta = target.resource, obj.setdefault("metadata", {})
        expected = {"apiVersion": resource.api_version, "kind": resource.kind}
        for field, wanted in expected.items():
            if obj.get(field, wanted) != wanted:
                raise bad_request(f"the {field} in the data ({obj[field]}) does not match the expected {wanted}")
        obj |= expected
        if resource.namespaced:
            if meta.setdefault("namespace", target.namespace) != target.namespace:
                raise bad_request("the namespace of the provided object does not match the namespace of the request")
        else:
            meta.pop("namespace", None)
        if target.name and meta.get("name", target.name) != target.name:
            raise bad_request(
                f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})"
            )

    def _generate_name(self, resource: Resource, meta: dict[str, Any]) -> None:
        prefix = meta.get("generateName")
        if not prefix:
            raise invalid(resource, "", [("metadata.name", "Required value: name or generateName is required")])
        meta["name"] = prefix + "".join(self._random.choices(_SUFFIX, k=5))

    def _carry(self, target: Target, old: Object, obj: Object) -> None:
        """What a writer of this endpoint may not change stays as it was."""
        meta, kept = obj["metadata"], old["metadata"]
        meta.pop("managedFields", None)
        if target.subresource in {"status", "approval"}:
            _keep_all_but_status(target.resource, old, obj)
            return
        if target.resource.status:
            obj.pop("status", None)
            if "status" in old:
                obj["status"] = old["status"]
        for field in (*_SERVER_SET, "resourceVersion"):
            meta.pop(field, None)
        meta |= {f: kept[f] for f in (*_SERVER_SET, "resourceVersion", "generateName") if f in kept}
        added = set(meta.get("finalizers") or ()) - set(kept.get("finalizers") or ())
        if "deletionTimestamp" in kept and added:
            fault = ("metadata.finalizers", "Forbidden: no new finalizers can be added if the object is being deleted")
            raise invalid(target.resource, target.name, [fault])
        for field in ("finalizers", "ownerReferences", "labels", "annotations"):
            # Unset and empty are the same thing, and the server keeps neither.
            if not meta.get(field, True):
                del meta[field]

    def _shape(self, resource: Resource, obj: Object, request: Request) -> None:
        """Defaults, and for custom resources everything that the schema says."""
        preparing.defaults(resource, obj)
        if resource.schema is None:
            return
        strict = request.query.get("fieldValidation") == "Strict"
        own = {k: v for k, v in obj.items() if k not in {"apiVersion", "kind", "metadata"}}
        own, unknown = schemas.pruned(own, resource.schema)
        if unknown and strict:
            listed = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise bad_request(
                f"{resource.kind} in version {resource.version!r} cannot be handled: strict decoding error: {listed}"
            )
        own = schemas.with_defaults(own, resource.schema)
        obj_fields = {k: obj[k] for k in ("apiVersion", "kind", "metadata")}
        obj.clear()
        obj |= obj_fields | own
        found = list(schemas.faults(own, resource.schema | {"required": _needed(resource.schema)}))
        if found:
            raise invalid(resource, obj["metadata"].get("name", ""), found)

    def _keep(self, resource: Resource, obj: Object, user: User, request: Request) -> Stored:
        if request.dry:
            return Stored(obj, b"")
        meta = obj["metadata"]
        done = "deletionTimestamp" in meta and not meta.get("finalizers") and not meta.get("deletionGracePeriodSeconds")
        stored = self._store.put(resource.store, obj)
        if done:
            return self.remove(resource, stored, user)
        self._reactions.written(self, resource, stored, user)
        return self._store.get(resource.store, key_of(obj)) or stored

    def _grace(self, resource: Resource, obj: Object, asked: int | None) -> int:
        """Seconds that a pod has to end; everything else has none, nor has a pod that no kubelet runs."""
        if resource.kind != "Pod":
            return 0
        spec, phase = obj.get("spec") or {}, (obj.get("status") or {}).get("phase")
        if not spec.get("nodeName") or phase in {"Succeeded", "Failed"}:
            return 0
        seconds = asked if asked is not None else spec.get("terminationGracePeriodSeconds", 30)
        return 1 if seconds < 0 else int(seconds)

    def _begun(self, meta: dict[str, Any]) -> datetime:
        """When the deletion was asked for first."""
        if "deletionTimestamp" not in meta:
            return self._clock()
        end = parse_time(meta["deletionTimestamp"])
        assert end is not None
        return end - timedelta(seconds=meta.get("deletionGracePeriodSeconds", 0))


def _keep_all_but_status(resource: Resource, old: Object, obj: Object) -> None:
    fresh, meta = obj.get("status"), obj["metadata"]
    kept = {k: v for k, v in old.items() if k != "status"}
    if resource.kind in {"Node", "Pod"}:
        # Kubelets write some labels and annotations along with the status.
        kept["metadata"] = old["metadata"] | {k: meta[k] for k in ("labels", "annotations") if k in meta}
    obj.clear()
    obj |= kept | ({"status": fresh} if fresh is not None else {})


def _needed(schema: Object) -> list[str]:
    return [name for name in schema.get("required") or () if name not in {"apiVersion", "kind", "metadata"}]


def _substance(obj: Object) -> Object:
    return {k: v for k, v in obj.items() if k not in {"metadata", "status"}}


def _propagation(options: Object) -> str:
    orphan = options.get("orphanDependents")
    if orphan is not None:
        return "Orphan" if orphan else "Background"
    return str(options.get("propagationPolicy") or "Background")
