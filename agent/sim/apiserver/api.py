"""From a request to its answer, without sockets: who asks, whether they may, and what to do."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from agent.kube.times import utc_now
from agent.sim.apiserver import bootstrap, discovery, events, patching, preparing, subresources
from agent.sim.apiserver.authentication import Authenticator
from agent.sim.apiserver.authorization import Attempt, Authorizer, restrict
from agent.sim.apiserver.certificates import Authority
from agent.sim.apiserver.messages import ADMIN, Clock, Request, Response, Target, User, answer, locate
from agent.sim.apiserver.objects import Objects
from agent.sim.apiserver.pods import Pods, success
from agent.sim.apiserver.reactions import Reactions
from agent.sim.apiserver.reading import Reader
from agent.sim.apiserver.refusals import Refusal, bad_request, no_such_path, not_allowed, unsupported
from agent.sim.apiserver.resources import BY_KIND, Object
from agent.sim.apiserver.selecting import exact_name, matcher
from agent.sim.apiserver.store import Store, Stored, key_of
from agent.sim.apiserver.watching import WatchStream

_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_PATCHES: Final[dict[str, Callable[[Any, Any], Any]]] = {
    patching.MERGE: patching.merge,
    patching.JSON_PATCH: patching.json_patch,
    patching.STRATEGIC: patching.strategic,
}
_HEALTH: Final = frozenset({"/healthz", "/livez", "/readyz"})


class Api:
    """One cluster's API. ``handle`` may be called from any thread.

    Args:
        server: The URL under which it is reached, for cluster-info.
        clock: The present, for creation times, expiry and watches.
        seed: Makes UIDs and generated names the same in every run.
        cluster: The cluster's name in kubeadm-config.

    """

    def __init__(
        self,
        server: str = "https://127.0.0.1:6443",
        *,
        clock: Clock = utc_now,
        seed: int | None = None,
        cluster: str = "kubernetes",
    ) -> None:
        self.server = server
        self.store = Store()
        self.authority = Authority()
        self.clock = clock
        self._authenticator = Authenticator(self.store, clock)
        self._authorizer = Authorizer(self.store)
        self._reactions = Reactions(self.store, clock, self.authority)
        self._objects = Objects(self.store, clock, self._reactions, seed)
        self._pods = Pods(self.store, clock, self._objects)
        self._reader = Reader(self.store, clock)
        for obj in bootstrap.objects(server, self.authority.pem, cluster):
            resource = BY_KIND[obj["kind"]]
            target = Target(resource, obj["metadata"].get("namespace", ""))
            self._objects.create(target, obj, ADMIN, Request("POST", ""))

    def handle(self, request: Request) -> Response | WatchStream:
        """The answer, or for a watch the stream of its events; every refusal is an answer, too."""
        try:
            with self.store.changed:
                return self._answer(request, self._authenticator.user(request))
        except Refusal as refusal:
            return Response(refusal.code, refusal.body, retry_after_seconds=refusal.retry_after_seconds)

    def _answer(self, request: Request, user: User) -> Response | WatchStream:
        parts = request.path.strip("/").split("/")
        review = parts[-1] if (parts[1:2], parts[3:]) in _REVIEW_PATHS and request.method == "POST" else ""
        if review:
            _check_json(request)
            self._authorizer.check(user, Attempt("create", parts[1], review))
            return subresources.review(self._authorizer, user, review, request)
        if (parts[0] == "api" and len(parts) > 2) or (parts[0] == "apis" and len(parts) > 3):  # noqa: PLR2004
            return self._resource(request, user, locate(request.path, self._reactions.served))
        self._authorizer.check(user, Attempt("get", path="/" + "/".join(parts)))
        if request.method != "GET":
            raise not_allowed()
        return self._about(parts)

    def _about(self, parts: list[str]) -> Response:
        path = "/" + "/".join(parts)
        if path in _HEALTH:
            return Response(200, b"ok", "text/plain; charset=utf-8")
        resources = list(self._reactions.served.values())
        found: Object | None = None
        if path == "/version":
            found = discovery.version(bootstrap.VERSION)
        elif path == "/api":
            found = discovery.versions(self.server.partition("://")[2])
        elif path == "/apis":
            found = discovery.groups(resources)
        elif path == "/api/v1":
            found = discovery.resource_list(resources, "", "v1")
        elif path == "/openapi/v3":
            found = discovery.openapi_index(resources)
        elif path.startswith("/openapi/v3/"):
            found = discovery.openapi(resources, path.removeprefix("/openapi/v3"))
        elif parts[0] == "apis":
            found = discovery.group(resources, parts[1]) if len(parts) == 2 else None  # noqa: PLR2004
            found = found or (discovery.resource_list(resources, *parts[1:]) if len(parts) > 2 else None)  # noqa: PLR2004
        if found is None:
            raise no_such_path()
        return answer(found)

    def _resource(self, request: Request, user: User, target: Target) -> Response | WatchStream:
        resource, sub = target.resource, target.subresource
        if sub and not _has(target):
            raise no_such_path()
        verb = _verb(request, target)
        name = target.name or exact_name(request.query.get("fieldSelector", ""))
        label = f"{resource.plural}/{sub}" if sub else resource.plural
        self._authorizer.check(user, Attempt(verb, resource.group, label, target.namespace, name))
        if request.method == "GET":
            return self._get(request, target)
        if request.method == "POST":
            return self._post(request, user, target)
        if request.method in {"PUT", "PATCH"} and target.name:
            return self._update(request, user, target)
        if request.method == "DELETE" and not sub:
            return self._delete(request, user, target) if target.name else self._clear(request, user, target)
        raise not_allowed()

    def _get(self, request: Request, target: Target) -> Response | WatchStream:
        if request.watch:
            return self._reader.watch(target, request)
        if not target.name:
            return self._reader.list(target, request)
        stored = self._objects.stored(target)
        if target.subresource == "scale":
            return answer(subresources.scale_of(target.resource, stored.object))
        return self._reader.one(target.resource, stored, request)

    def _post(self, request: Request, user: User, target: Target) -> Response:
        _check_json(request)
        if target.subresource == "eviction":
            return answer(self._pods.evict(target, request, user), 201)
        if target.subresource == "binding":
            return answer(self._pods.bind(target, request), 201)
        if target.subresource == "token":
            return subresources.token(self._authenticator, self._objects.stored(target).object, request)
        if target.name or (target.resource.namespaced and not target.namespace):
            raise not_allowed()
        obj = request.object()
        home = target
        if events.is_other(target.resource):
            obj, home = events.stored(obj), Target(BY_KIND["Event"], target.namespace)
        preparing.check_shape(home.resource, obj)
        restrict(user, home.resource.store, obj | {"metadata": obj.get("metadata") or {}})
        stored = self._objects.create(home, obj, user, request)
        return self._reader.one(target.resource, stored, request, 201)

    def _update(self, request: Request, user: User, target: Target) -> Response:
        _check_change(request, target)
        before = self._objects.stored(target)
        restrict(user, target.resource.store, before.object)
        if target.subresource == "scale":
            scale = self._body(request, subresources.scale_of(target.resource, before.object))
            obj = subresources.scaled(target.resource, before, scale)
            main = Target(target.resource, target.namespace, target.name)
            stored = self._objects.update(main, obj, user, request)
            return answer(subresources.scale_of(target.resource, stored.object))
        shown = events.shown(target.resource, before.object) if events.is_other(target.resource) else before.copy()
        obj = self._body(request, shown)
        preparing.check_shape(target.resource, obj)
        home = target
        if events.is_other(target.resource):
            obj, home = events.stored(obj), Target(BY_KIND["Event"], target.namespace, target.name)
        if target.subresource == "approval":
            subresources.approved(self._authorizer, user, before.object, obj, self.clock)
        return self._reader.one(target.resource, self._objects.update(home, obj, user, request), request)

    def _body(self, request: Request, present: Object) -> Object:
        """What is to be stored: the body of a PUT, or the present object with the patch applied."""
        if request.method == "PUT":
            return request.object()
        apply = _PATCHES[_media(request)]
        patched = apply(present, request.json())
        if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
            raise bad_request("the patched document is no object")
        return patched

    def _delete(self, request: Request, user: User, target: Target) -> Response:
        resource = target.resource
        restrict(user, resource.store, self._objects.stored(target).object)
        last, gone = self._objects.delete(target, _options(request), user, request)
        if gone and resource.kind not in {"Pod", "Namespace", "ServiceAccount", "PersistentVolume"}:
            return answer(success(target, last.object["metadata"]["uid"]))
        return self._reader.one(resource, last, request)

    def _clear(self, request: Request, user: User, target: Target) -> Response:
        """Delete a collection."""
        query, resource = request.query, target.resource
        matches = matcher(resource, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        found: list[Stored] = [s for s in self.store.all(resource.store, target.namespace) if matches(s.object)]
        for stored in found:
            if self.store.get(resource.store, key_of(stored.object)) is not None:
                self._objects.delete(Target(resource, *key_of(stored.object)), _options(request), user, request)
        meta = {"resourceVersion": str(self.store.revision)}
        items = [msgspec.Raw(s.json) for s in found]
        identity = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
        return answer(identity | {"metadata": meta, "items": items})


_REVIEW_PATHS: Final = [([group], [plural]) for group, plural, _ in discovery.REVIEWS]
_OWN: Final = {"Pod": {"eviction", "binding"}, "ServiceAccount": {"token"}, "CertificateSigningRequest": {"approval"}}


def _has(target: Target) -> bool:
    resource, sub = target.resource, target.subresource
    if sub == "status":
        return resource.status
    if sub == "scale":
        return resource.scale is not None
    return not resource.custom and sub in _OWN.get(resource.kind, ())


def _verb(request: Request, target: Target) -> str:
    if request.method == "GET":
        return "watch" if request.watch else "get" if target.name else "list"
    if request.method == "DELETE":
        return "delete" if target.name else "deletecollection"
    if request.method not in _VERBS:
        raise not_allowed()
    return _VERBS[request.method]


def _media(request: Request) -> str:
    return request.content_type.partition(";")[0].strip()


def _check_json(request: Request) -> None:
    kind = _media(request)
    if kind not in {"", "application/json"}:
        advice = ""
        if "protobuf" in kind:
            advice = (
                "; kubectl sends protobuf for some commands: use --dry-run=client -o json, and apply what it prints"
            )
        raise unsupported(
            f"the body of the request was in an unknown format ({kind}); accepted: application/json{advice}"
        )


def _check_change(request: Request, target: Target) -> None:
    """Raises a refusal (415) for a kind of patch that there is not."""
    kind = _media(request)
    if request.method == "PUT":
        _check_json(request)
    elif "apply-patch" in kind:
        raise unsupported("server-side apply is not implemented in the sandbox; leave --server-side out")
    elif kind not in _PATCHES:
        raise unsupported(f"the body of the request was in an unknown format ({kind}); accepted: {', '.join(_PATCHES)}")
    elif kind == patching.STRATEGIC and target.resource.custom:
        told = "the body of the request was in an unknown format: custom resources take no strategic merge patch"
        raise unsupported(f"{told}; accepted: {patching.JSON_PATCH}, {patching.MERGE}")


def _options(request: Request) -> Object:
    """DeleteOptions from the body, or from the query as older clients send them."""
    options = request.object()
    grace = request.query.get("gracePeriodSeconds")
    if grace is not None and grace.lstrip("-").isdigit():
        options.setdefault("gracePeriodSeconds", int(grace))
    if policy := request.query.get("propagationPolicy"):
        options.setdefault("propagationPolicy", policy)
    return options
