"""A model of the API server: objects with versions, what is watched, evictions within budgets, tokens that expire.

Only what the agent asks for is there, and it answers as kube-apiserver does. Nothing here waits.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from tests.kube.apihttp import merged
from tests.kube.apiserver import Where, locate, status
from tests.virtual.fibers import Fibers

Json = dict[str, Any]
Answer = tuple[int, bytes]
EPOCH = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
PODS, NODES = "api/v1/pods", "api/v1/nodes"
CLAIMS, POOLS = "apis/karpenter.sh/v1/nodeclaims", "apis/karpenter.sh/v1/nodepools"
CLASSES = "apis/karpenter.k8s.aws/v1/ec2nodeclasses"
OVERLAYS = "apis/karpenter.sh/v1alpha1/nodeoverlays"
CSRS = "apis/certificates.k8s.io/v1/certificatesigningrequests"
PDBS = "apis/policy/v1/poddisruptionbudgets"
LEASES, SECRETS = "apis/coordination.k8s.io/v1/leases", "api/v1/secrets"
ATTACHMENTS = "apis/storage.k8s.io/v1/volumeattachments"
HISTORY = 5_000
"""Changes of one kind that can still be watched; older ones are compacted away."""
GONE = "DELETED"
_where: dict[str, Where] = {}


class Change(NamedTuple):
    version: int
    at: float
    kind: str
    body: Json
    line: bytes


class Refused(Exception):  # noqa: N818 - an answer of the API server
    """An answer that is not a success."""

    def __init__(self, code: int, reason: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer: Answer = (code, msgspec.json.encode(status(code, reason, message, **more)))


class Cluster:
    """The truth. ``watchers`` are called after each change with the collection, the kind of change and the object."""

    def __init__(self, fibers: Fibers) -> None:
        self._fibers = fibers
        self.version = 100
        self.compacted: defaultdict[str, int] = defaultdict(int)
        self.objects: defaultdict[str, dict[str, Json]] = defaultdict(dict)
        self.changes: defaultdict[str, list[Change]] = defaultdict(list)
        self.watchers: list[Callable[[str, str, Json], None]] = []
        self.events: list[Json] = []
        self._uids = 0

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._fibers.now)

    # What others do.

    def put(self, path: str, body: Json) -> Json:
        """Create or replace an object, its spec counted as changed."""
        where = parsed(path)
        key = _key(where)
        old = self.objects[where.collection].get(key)
        if old is None:
            return self._create(where, body)
        meta = old["metadata"] | body.get("metadata", {}) | {"generation": old["metadata"].get("generation", 1) + 1}
        return self._store(where.collection, key, {**old, **body, "metadata": meta}, "MODIFIED")

    def change(self, path: str, patch: Json) -> Json | None:
        """Merge into an object, status included; None when it is gone."""
        where = parsed(path)
        old = self.objects[where.collection].get(_key(where))
        if old is None:
            return None
        changed = merged(old, patch)
        assert isinstance(changed, dict)
        return self._kept(where.collection, _key(where), changed)

    def remove(self, path: str) -> None:
        """Let an object vanish, whatever its finalizers say."""
        where = parsed(path)
        if _key(where) in self.objects[where.collection]:
            self._vanish(where.collection, _key(where))

    def get(self, path: str) -> Json | None:
        where = parsed(path)
        return self.objects[where.collection].get(_key(where))

    def items(self, collection: str) -> list[Json]:
        return list(self.objects[collection].values())

    def compact(self) -> None:
        """Forget the history of every kind: watches must list anew."""
        for collection, listed in self.changes.items():
            if listed:
                self.compacted[collection] = listed[-1].version
                listed.clear()

    def user(self, token: str) -> str | None:
        """Id of a bootstrap token that authenticates now, by the text ``id.secret``."""
        token_id, _, secret = token.partition(".")
        held = self.objects[SECRETS].get(f"kube-system/bootstrap-token-{token_id}")
        if held is None or not secret:
            return None
        data = {k: base64.b64decode(v).decode() for k, v in held["data"].items()}
        alive = datetime.fromisoformat(data.get("expiration", "1970-01-01T00:00:00+00:00")) > self.now()
        right = data.get("token-secret") == secret and data.get("usage-bootstrap-authentication") == "true"
        return token_id if alive and right else None

    # What the agent asks.

    def answer(self, method: str, url: str, body: bytes | None, bearer: str = "") -> Answer:
        """One request. Watches are opened elsewhere."""
        path, _, query = url.partition("?")
        wanted: Json = msgspec.json.decode(body) if body else {}
        try:
            return self._answer(method, path, _params(query), wanted, bearer)
        except Refused as refused:
            return refused.answer

    def _answer(self, method: str, path: str, params: dict[str, str], wanted: Any, bearer: str) -> Answer:
        if path.endswith("/selfsubjectreviews"):
            return self._review(bearer)
        where = parsed(path)
        if method == "GET":
            return self._read(where, params)
        if method == "POST":
            return self._post(where, wanted)
        if method == "DELETE":
            return self._delete(where, wanted)
        return self._write(where, method, wanted)

    def _review(self, bearer: str) -> Answer:
        token_id = self.user(bearer)
        if token_id is None:
            raise Refused(401, "Unauthorized", "Unauthorized")
        groups = ["system:bootstrappers", "system:bootstrappers:joinery"]
        user = {"username": f"system:bootstrap:{token_id}", "groups": groups}
        return 201, msgspec.json.encode({"status": {"userInfo": user}})

    def _read(self, where: Where, params: dict[str, str]) -> Answer:
        if where.name:
            if where.name == "cluster-info":
                ids = [k.rpartition("-")[2] for k in self.objects[SECRETS]]
                return 200, msgspec.json.encode({"data": {f"jws-kubeconfig-{i}": "signed" for i in ids}})
            return 200, msgspec.json.encode(self._found(where))
        listed = self.objects[where.collection].items()
        prefix = f"{where.namespace}/" if where.namespace else ""
        found = [body for key, body in sorted(listed) if key.startswith(prefix) and selected(body, params)]
        return 200, msgspec.json.encode({"metadata": {"resourceVersion": str(self.version)}, "items": found})

    def _post(self, where: Where, wanted: Json) -> Answer:
        if where.subresource == "eviction":
            return self._evict(where)
        if where.collection == "api/v1/events":
            self.events.append(wanted)
            return 201, b"{}"
        meta = wanted["metadata"]
        named = where._replace(name=meta["name"], namespace=where.namespace or meta.get("namespace", ""))
        if _key(named) in self.objects[where.collection]:
            raise Refused(409, "AlreadyExists", f"{where.collection} {meta['name']} already exists")
        return 201, msgspec.json.encode(self._create(named, wanted))

    def _write(self, where: Where, method: str, wanted: Any) -> Answer:
        old = self._found(where)
        if isinstance(wanted, list):
            return 200, msgspec.json.encode(self._operations(where, old, wanted))
        meta = wanted.get("metadata", {})
        for name in ("resourceVersion", "uid"):
            if meta.get(name, old["metadata"][name]) != old["metadata"][name]:
                raise Refused(409, "Conflict", f"the object has been modified: {name} is another")
        if method == "PUT":
            new = wanted | {"metadata": old["metadata"] | meta}
        elif where.subresource == "status":
            new = merged(old, {"status": wanted.get("status", {})})
        else:
            new = merged(old, {k: v for k, v in wanted.items() if k != "status"})
        assert isinstance(new, dict)
        return 200, msgspec.json.encode(self._kept(where.collection, _key(where), new))

    def _operations(self, where: Where, old: Json, operations: list[Json]) -> Json:
        new = old
        for operation in operations:
            *parents, last = operation["path"].strip("/").split("/")
            at: Any = new
            for part in parents:
                at = at.get(part, {})
            if operation["op"] == "test" and at.get(last) != operation["value"]:
                raise Refused(422, "Invalid", f"the test of {operation['path']} failed")
            if operation["op"] != "test":
                patch: Any = {last: operation["value"]}
                for part in reversed(parents):
                    patch = {part: patch}
                changed = merged(new, patch)
                assert isinstance(changed, dict)
                new = changed
        return self._kept(where.collection, _key(where), new)

    def _delete(self, where: Where, options: Json) -> Answer:
        old = self._found(where)
        for name, value in options.get("preconditions", {}).items():
            if old["metadata"][name] != value:
                raise Refused(409, "Conflict", f"the {name} in the precondition is not that of the object")
        grace = options.get("gracePeriodSeconds")
        if where.collection == PODS and old.get("spec", {}).get("nodeName") and grace != 0:
            self._expel(where, old, grace)
        elif old["metadata"].get("finalizers"):
            if "deletionTimestamp" not in old["metadata"]:
                self._mark(where, old, 0)
        else:
            self._vanish(where.collection, _key(where))
        kept = self.objects[where.collection].get(_key(where))
        return 200, msgspec.json.encode(kept or {"kind": "Status", "metadata": {}, "status": "Success"})

    def _evict(self, where: Where) -> Answer:
        pod = self._found(where)
        if "deletionTimestamp" in pod["metadata"]:
            return 201, b"{}"
        budgets = [b for b in self.items(PDBS) if guards(b, pod)]
        if len(budgets) > 1:
            message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise Refused(500, "InternalError", message)
        for budget in budgets:
            if budget["status"]["disruptionsAllowed"] < 1:
                cause = {"reason": "DisruptionBudget", "message": "The disruption budget needs more healthy pods"}
                message = "Cannot evict pod as it would violate the pod's disruption budget."
                raise Refused(429, "TooManyRequests", message, details={"causes": [cause]})
            left = budget["status"]["disruptionsAllowed"] - 1
            self.change(path_of(PDBS, budget), {"status": {"disruptionsAllowed": left}})
        self._expel(where, pod, None)
        return 201, b"{}"

    def _expel(self, where: Where, pod: Json, grace: int | None) -> None:
        """Begin to end a pod; its kubelet takes it away."""
        seconds = grace if grace is not None else pod["spec"].get("terminationGracePeriodSeconds", 30)
        self._mark(where, pod, seconds)

    def _mark(self, where: Where, old: Json, seconds: int) -> None:
        until = stamp(self.now() + timedelta(seconds=seconds))
        meta = old["metadata"] | {"deletionTimestamp": until, "deletionGracePeriodSeconds": seconds}
        self._store(where.collection, _key(where), old | {"metadata": meta}, "MODIFIED")

    def _found(self, where: Where) -> Json:
        found = self.objects[where.collection].get(_key(where))
        if found is None:
            raise Refused(404, "NotFound", f"{where.collection} {where.name} not found")
        return found

    def _create(self, where: Where, body: Json) -> Json:
        self._uids += 1
        meta = {"uid": f"uid-{self._uids}", "generation": 1, "creationTimestamp": stamp(self.now())} | body["metadata"]
        meta |= {"name": where.name} | ({"namespace": where.namespace} if where.namespace else {})
        return self._store(where.collection, _key(where), body | {"metadata": meta}, "ADDED")

    def _kept(self, collection: str, key: str, body: Json) -> Json:
        """Store a changed object, or let it go when its last finalizer has been taken off."""
        if not body["metadata"].get("finalizers") and "deletionTimestamp" in body["metadata"] and collection != PODS:
            return self._vanish(collection, key)
        return self._store(collection, key, body, "MODIFIED")

    def _vanish(self, collection: str, key: str) -> Json:
        return self._store(collection, key, self.objects[collection].pop(key), GONE)

    def _store(self, collection: str, key: str, body: Json, kind: str) -> Json:
        self.version += 1
        body = body | {"metadata": body["metadata"] | {"resourceVersion": str(self.version)}}
        if kind != GONE:
            self.objects[collection][key] = body
        listed = self.changes[collection]
        line = msgspec.json.encode({"type": kind, "object": body})
        listed.append(Change(self.version, self._fibers.now, kind, body, line))
        if len(listed) > HISTORY:
            self.compacted[collection] = listed[HISTORY // 2].version
            del listed[: HISTORY // 2 + 1]
        for watcher in self.watchers:
            watcher(collection, kind, body)
        return body


def guards(budget: Json, pod: Json) -> bool:
    labels = pod["metadata"].get("labels", {})
    wanted = budget["spec"].get("selector", {}).get("matchLabels", {})
    return all(labels.get(k) == v for k, v in wanted.items())


def selected(body: Json, params: dict[str, str]) -> bool:
    """Whether an object is one of those that a list or watch asked for."""
    for text, at in ((params.get("labelSelector"), "labels"), (params.get("fieldSelector"), "")):
        if text:
            key, _, value = text.partition("=")
            found: Any = body["metadata"].get("labels", {}).get(key) if at else _field(body, key)
            if found != value:
                return False
    return True


def path_of(collection: str, body: Json) -> str:
    meta = body["metadata"]
    group, _, resource = collection.rpartition("/")
    space = f"namespaces/{meta['namespace']}/" if meta.get("namespace") else ""
    return f"/{group}/{space}{resource}/{meta['name']}"


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(path: str) -> Where:
    found = _where.get(path)
    if found is None:
        found = _where[path] = locate(path)
        if len(_where) > HISTORY:
            _where.clear()
    return found


def _key(where: Where) -> str:
    return f"{where.namespace}/{where.name}" if where.namespace else where.name


def _field(body: Json, path: str) -> Any:
    found: Any = body
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _params(query: str) -> dict[str, str]:
    return dict(parse_qsl(query)) if query else {}
