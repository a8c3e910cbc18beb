"""What controllers of kube-controller-manager do by themselves, done at once within the write that calls for it.

The garbage collector, the namespace controller, the ServiceAccount controller, the bootstrap signer, the approver and
signer of kubelets' certificates, and the part of the API server that serves new CustomResourceDefinitions. What needs
time or judgement (Deployments, scheduling, node health) is not here.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from agent.kube.times import rfc3339
from agent.sim.apiserver.authentication import BOOTSTRAP_TYPE, secret_data, signature
from agent.sim.apiserver.authorization import Attempt, Authorizer
from agent.sim.apiserver.certificates import Authority
from agent.sim.apiserver.messages import ADMIN, Clock, Request, Target, User
from agent.sim.apiserver.resources import BUILT_IN, CONFIG_MAP, CRD, SERVICE_ACCOUNT, Object, Resource, of_crd
from agent.sim.apiserver.store import Store, Stored, key_of

if TYPE_CHECKING:
    from agent.sim.apiserver.objects import Objects

KUBELET_SIGNER: Final = "kubernetes.io/kube-apiserver-client-kubelet"
SIGNERS: Final = (KUBELET_SIGNER, "kubernetes.io/kube-apiserver-client")
_FOREGROUND: Final = "foregroundDeletion"
_SIGNATURE: Final = "jws-kubeconfig-"
_AGAIN: Final = Request("PUT", "")
"""What follows from a write is not itself a dry run, whatever the write was."""


class Reactions:
    """What follows from a write. ``served`` is kept up to date with the CustomResourceDefinitions."""

    def __init__(self, store: Store, clock: Clock, authority: Authority) -> None:
        self.served: dict[tuple[str, str, str], Resource] = {(r.group, r.version, r.plural): r for r in BUILT_IN}
        self._store = store
        self._clock = clock
        self._authority = authority
        self._authorizer = Authorizer(store)

    def written(self, objects: "Objects", resource: Resource, stored: Stored, user: User) -> None:
        """After a creation or change."""
        obj = stored.object
        if resource.kind == "CertificateSigningRequest":
            self._request(objects, resource, stored, user)
        elif resource.kind == "CustomResourceDefinition":
            self._serve(objects, stored)
        elif resource.kind == "Namespace":
            self._account(objects, obj["metadata"]["name"])
        elif resource.kind == "Secret" and obj.get("type") == BOOTSTRAP_TYPE:
            self.sign_cluster_info(objects)

    def removed(self, objects: "Objects", resource: Resource, obj: Object, user: User) -> None:
        """After an object is gone."""
        meta = obj["metadata"]
        if resource.kind == "Secret" and obj.get("type") == BOOTSTRAP_TYPE:
            self.sign_cluster_info(objects)
        if resource.kind == "Namespace":
            self._empty(objects, meta["name"], user)
        if resource.kind == "CustomResourceDefinition":
            self._forget(objects, obj, user)
        self.owner_going(objects, meta["uid"], user)
        for owner in meta.get("ownerReferences") or ():
            self._release(objects, owner, user)

    def owner_going(self, objects: "Objects", uid: str, user: User) -> None:
        """Delete what an object owns."""
        for kind, key in self._store.owned_by(uid):
            resource = self._resource(kind)
            stored = self._store.get(kind, key)
            if stored is None or resource is None or "deletionTimestamp" in stored.object["metadata"]:
                continue
            owners = stored.object["metadata"]["ownerReferences"]
            if len(owners) == 1:
                objects.delete(Target(resource, *key), {}, user, _AGAIN)
            else:
                self._disown(kind, stored, uid)

    def orphan(self, uid: str) -> None:
        """Take an owner out of what it owns."""
        for kind, key in self._store.owned_by(uid):
            stored = self._store.get(kind, key)
            if stored is not None:
                self._disown(kind, stored, uid)

    def sign_cluster_info(self, objects: "Objects") -> None:
        """Keep one signature for each bootstrap token that may sign, as the bootstrap signer does."""
        key = ("kube-public", "cluster-info")
        info = self._store.get(CONFIG_MAP.store, key)
        if info is None:
            return
        obj = info.copy()
        data = {k: v for k, v in obj["data"].items() if not k.startswith(_SIGNATURE)}
        for stored in self._store.all("secrets", "kube-system"):
            token = secret_data(stored.object)
            if stored.object.get("type") == BOOTSTRAP_TYPE and token.get("usage-bootstrap-signing") == "true":
                text = signature(token.get("token-id", ""), token.get("token-secret", ""), data["kubeconfig"])
                data[f"{_SIGNATURE}{token.get('token-id', '')}"] = text
        objects.update(Target(CONFIG_MAP, *key), obj | {"data": data}, ADMIN, _AGAIN)

    def _disown(self, kind: str, stored: Stored, uid: str) -> None:
        obj = stored.copy()
        rest = [o for o in obj["metadata"]["ownerReferences"] if o.get("uid") != uid]
        obj["metadata"]["ownerReferences"] = rest
        if not rest:
            del obj["metadata"]["ownerReferences"]
        self._store.put(kind, obj)

    def _release(self, objects: "Objects", owner: Mapping[str, Any], user: User) -> None:
        """End the deletion of an owner that waited for the last of what it owned."""
        if self._store.owned_by(owner["uid"]):
            return
        for resource in self.served.values():
            if (resource.kind, resource.api_version) != (owner["kind"], owner["apiVersion"]):
                continue
            for stored in self._store.all(resource.store):
                meta = stored.object["metadata"]
                if meta["uid"] == owner["uid"] and _FOREGROUND in (meta.get("finalizers") or ()):
                    obj = stored.copy()
                    obj["metadata"]["finalizers"].remove(_FOREGROUND)
                    objects.update(Target(resource, *key_of(obj)), obj, user, _AGAIN)

    def _resource(self, kind: str) -> Resource | None:
        return next((r for r in self.served.values() if r.store == kind), None)

    def _account(self, objects: "Objects", namespace: str) -> None:
        if self._store.get(SERVICE_ACCOUNT.store, (namespace, "default")) is None:
            obj: Object = {"metadata": {"name": "default", "namespace": namespace}}
            objects.create(Target(SERVICE_ACCOUNT, namespace), obj, ADMIN, _AGAIN)

    def _empty(self, objects: "Objects", namespace: str, user: User) -> None:
        for kind in list(self._store.kinds()):
            resource = self._resource(kind)
            for stored in self._store.all(kind, namespace) if resource is not None and resource.namespaced else ():
                assert resource is not None
                # Deleting one may have taken others along.
                if self._store.get(kind, key_of(stored.object)) is not None:
                    objects.delete(Target(resource, *key_of(stored.object)), {"gracePeriodSeconds": 0}, user, _AGAIN)

    def _serve(self, objects: "Objects", stored: Stored) -> None:
        crd = stored.object
        self._unserve(crd)
        for resource in of_crd(crd):
            self.served[resource.group, resource.version, resource.plural] = resource
        if (crd.get("status") or {}).get("conditions"):
            return
        now = rfc3339(self._clock())
        reasons = {"NamesAccepted": "NoConflicts", "Established": "InitialNamesAccepted"}
        obj = stored.copy()
        obj["status"] = {
            "conditions": [
                {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": now}
                for kind, reason in reasons.items()
            ],
            "acceptedNames": obj["spec"]["names"],
            "storedVersions": [v["name"] for v in obj["spec"]["versions"] if v.get("storage")],
        }
        objects.update(Target(CRD, "", obj["metadata"]["name"], "status"), obj, ADMIN, _AGAIN)

    def _unserve(self, crd: Object) -> None:
        spec = crd["spec"]
        for ident in [i for i in self.served if (i[0], i[2]) == (spec["group"], spec["names"]["plural"])]:
            del self.served[ident]

    def _forget(self, objects: "Objects", crd: Object, user: User) -> None:
        """Deleting a CustomResourceDefinition deletes every object of it, finalizers or not."""
        resources = of_crd(crd)
        for stored in self._store.all(resources[0].store) if resources else ():
            objects.remove(resources[0], stored, user)
        self._unserve(crd)

    def _request(self, objects: "Objects", resource: Resource, stored: Stored, user: User) -> None:
        """Approve what kubeadm's own group may have unseen, and sign what is approved."""
        obj = stored.copy()
        status = obj.setdefault("status", {})
        decided = {c["type"] for c in status.get("conditions") or ()}
        signer = obj["spec"]["signerName"]
        free = Attempt("create", resource.group, f"{resource.plural}/nodeclient")
        if not decided and signer == KUBELET_SIGNER and self._authorizer.allows(user, free):
            now = rfc3339(self._clock())
            status["conditions"] = [
                {
                    "type": "Approved",
                    "status": "True",
                    "reason": "AutoApproved",
                    "message": "Auto approving kubelet client certificate after SubjectAccessReview.",
                    "lastUpdateTime": now,
                    "lastTransitionTime": now,
                }
            ]
            decided = {"Approved"}
        if "Approved" in decided and not decided & {"Denied", "Failed"} and signer in SIGNERS:
            spec = obj["spec"]
            status.setdefault(
                "certificate", self._authority.sign(spec["request"], spec["usages"], spec.get("expirationSeconds"))
            )
        if obj != stored.object:
            objects.update(Target(resource, "", obj["metadata"]["name"], "status"), obj, ADMIN, _AGAIN)
