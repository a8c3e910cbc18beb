"""Scale, approval and token: what is written beside an object's own body."""

from typing import Final

from agent.kube.times import rfc3339
from agent.sim.apiserver.authentication import Authenticator
from agent.sim.apiserver.authorization import Attempt, Authorizer
from agent.sim.apiserver.messages import Clock, Request, Response, User, answer
from agent.sim.apiserver.refusals import invalid
from agent.sim.apiserver.resources import Object, Resource
from agent.sim.apiserver.store import Stored

_TOKEN_REQUEST: Final = Resource(group="authentication.k8s.io", kind="TokenRequest", plural="tokenrequests")
_SHORTEST_SECONDS: Final = 600
_DEFAULT_SECONDS: Final = 3600


def scale_of(resource: Resource, obj: Object) -> Object:
    """The Scale that stands for an object."""
    assert resource.scale is not None
    meta = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    selector = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {k: meta[k] for k in kept if k in meta},
        # As the real server, which leaves a zero out here and not below.
        "spec": {"replicas": replicas} if (replicas := _get(obj, resource.scale.spec)) else {},
        "status": {
            "replicas": _get(obj, resource.scale.status),
            "selector": ",".join(f"{k}={v}" for k, v in sorted(selector.items())),
        },
    }


def scaled(resource: Resource, stored: Stored, scale: Object) -> Object:
    """The object with the replicas of a Scale, guarded by the Scale's resourceVersion."""
    assert resource.scale is not None
    obj = stored.copy()
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        fault = ("spec.replicas", f"Invalid value: {replicas}: must be greater than or equal to 0")
        raise invalid(resource, obj["metadata"]["name"], [fault])
    holder = obj
    for step in resource.scale.spec[:-1]:
        holder = holder.setdefault(step, {})
    holder[resource.scale.spec[-1]] = replicas
    version = (scale.get("metadata") or {}).get("resourceVersion")
    if version:
        obj["metadata"]["resourceVersion"] = version
    return obj


def approved(authorizer: Authorizer, user: User, old: Object, obj: Object, clock: Clock) -> None:
    """Keep of an approval its conditions alone; who gives it needs the verb ``approve`` on the signer."""
    signer = old["spec"]["signerName"]
    wide = f"{signer.rpartition('/')[0]}/*"
    attempts = [Attempt("approve", "certificates.k8s.io", "signers", "", name) for name in (signer, wide)]
    if not authorizer.allows(user, attempts[1]):
        authorizer.check(user, attempts[0])
    now = rfc3339(clock())
    given = (obj.get("status") or {}).get("conditions") or []
    for condition in given:
        condition.setdefault("status", "True")
        for field in ("lastUpdateTime", "lastTransitionTime"):
            if not condition.get(field):
                condition[field] = now
    kinds = {c.get("type") for c in given}
    if {"Approved", "Denied"} <= kinds:
        fault = ("status.conditions", "Invalid value: Approved and Denied conditions are mutually exclusive")
        raise invalid(_csr(old), old["metadata"]["name"], [fault])
    obj["status"] = dict(old.get("status") or {}) | {"conditions": given}


def _csr(old: Object) -> Resource:
    return Resource(group="certificates.k8s.io", kind=old["kind"], plural="certificatesigningrequests")


def token(authenticator: Authenticator, account: Object, request: Request) -> Response:
    """TokenRequest: a token of the ServiceAccount that ends by itself."""
    body = request.object()
    spec = body.get("spec") or {}
    seconds = spec.get("expirationSeconds") or _DEFAULT_SECONDS
    if seconds < _SHORTEST_SECONDS:
        fault = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
        raise invalid(_TOKEN_REQUEST, "", [("spec.expirationSeconds", fault)])
    text, ends = authenticator.issue(account, spec.get("audiences") or [], seconds)
    granted = {"token": text, "expirationTimestamp": rfc3339(ends)}
    identity = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
    meta = {"name": account["metadata"]["name"], "namespace": account["metadata"]["namespace"]}
    return answer(identity | {"metadata": meta, "spec": spec | {"expirationSeconds": seconds}, "status": granted}, 201)


def review(authorizer: Authorizer, user: User, kind: str, request: Request) -> Response:
    """SelfSubjectReview and the access reviews: questions that are answered and not stored."""
    body = request.object()
    if kind == "selfsubjectreviews":
        info: Object = {"username": user.name, "groups": list(user.groups)}
        info |= {"uid": user.uid} if user.uid else {}
        return answer(body | {"metadata": {}, "status": {"userInfo": info}}, 201)
    spec = body.get("spec") or {}
    if kind == "subjectaccessreviews":
        user = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
    allowed = authorizer.allows(user, _attempt(spec))
    return answer(body | {"status": {"allowed": allowed}}, 201)


def _attempt(spec: Object) -> Attempt:
    plain = spec.get("nonResourceAttributes")
    if plain:
        return Attempt(plain.get("verb", ""), path=plain.get("path", ""))
    asked = spec.get("resourceAttributes") or {}
    resource = "/".join(part for part in (asked.get("resource", ""), asked.get("subresource", "")) if part)
    return Attempt(
        asked.get("verb", ""), asked.get("group", ""), resource, asked.get("namespace", ""), asked.get("name", "")
    )


def _get(obj: Object, path: tuple[str, ...]) -> int:
    value: object = obj
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, int) else 0
