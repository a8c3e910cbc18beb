"""What the server itself writes into objects of each kind: defaults, and what a creator may not set.

Only the defaults that kubectl, the agent or the sandbox's controllers look at; the API reference has the rest.
"""

import base64
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from agent.kube.times import micro_time, rfc3339
from agent.kube.timestamps import parse_time
from agent.sim.apiserver.authentication import secret_data
from agent.sim.apiserver.certificates import parse_request
from agent.sim.apiserver.messages import User
from agent.sim.apiserver.refusals import bad_request, invalid
from agent.sim.apiserver.resources import Object, Resource

Prepare = Callable[[Resource, Object], None]

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME: Final = 253
_CRITICAL: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


class _Owner(msgspec.Struct):
    uid: str
    kind: str
    name: str
    api_version: str = msgspec.field(name="apiVersion", default="")


class _Meta(msgspec.Struct):
    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str | None] | None = None
    annotations: dict[str, str | None] | None = None
    finalizers: list[str] | None = None
    owner_references: list[_Owner] | None = msgspec.field(name="ownerReferences", default=None)


class _Shape(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


def check_shape(resource: Resource, obj: Object) -> None:
    """Raises a refusal (400) when a part that all kinds have is of another type."""
    try:
        msgspec.convert(obj, _Shape)
    except msgspec.ValidationError as error:
        told = f"{resource.kind} in version {resource.version!r} cannot be handled as a {resource.kind}: {error}"
        raise bad_request(told) from error


def check_name(resource: Resource, name: str) -> None:
    """Raises a refusal (422) for a name that is no DNS subdomain; roles may be called almost anything."""
    if resource.group == "rbac.authorization.k8s.io":
        return
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        fault = f'Invalid value: "{name}": must be a lowercase RFC 1123 subdomain'
        raise invalid(resource, name, [("metadata.name", fault)])


def defaults(resource: Resource, obj: Object) -> None:
    """Fill in what the writer left out, at every write."""
    fill = _DEFAULTS.get(resource.kind)
    if fill is not None and not resource.custom:
        fill(resource, obj)


def created(resource: Resource, obj: Object, user: User) -> None:
    """What only a creation does: the first status, and who asks for a certificate."""
    if resource.status and resource.kind != "Node":
        obj.pop("status", None)
    first = _FIRST_STATUS.get(resource.kind)
    if first is not None and not resource.custom:
        obj["status"] = dict(first)
    if resource.kind == "CertificateSigningRequest":
        asked_by(resource, obj, user)


def asked_by(resource: Resource, obj: Object, user: User) -> None:
    """A CertificateSigningRequest carries who made it, in the server's words."""
    spec = obj.setdefault("spec", {})
    try:
        parse_request(spec.get("request", ""))
    except (ValueError, TypeError) as error:
        fault = ("spec.request", f"Invalid value: PEM block type must be CERTIFICATE REQUEST ({error})")
        raise invalid(resource, obj["metadata"]["name"], [fault]) from error
    needed = [(f"spec.{field}", "Required value") for field in ("signerName", "usages") if not spec.get(field)]
    if needed:
        raise invalid(resource, obj["metadata"]["name"], needed)
    spec["username"], spec["groups"] = user.name, list(user.groups)
    if user.uid:
        spec["uid"] = user.uid
    if user.extra:
        spec["extra"] = user.extra


_IMMUTABLE: Final = {
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "Secret": ("type",),
    "Deployment": ("spec", "selector"),
    "ReplicaSet": ("spec", "selector"),
    "StatefulSet": ("spec", "selector"),
    "DaemonSet": ("spec", "selector"),
    "Pod": ("spec", "nodeName"),
    "Node": ("spec", "providerID"),
}
"""What cannot be changed once it is set."""


def immutable(resource: Resource, old: Object, obj: Object) -> None:
    """Raises a refusal (422) for a change of what stays. A request for a certificate just keeps its spec."""
    if resource.kind == "CertificateSigningRequest":
        obj["spec"] = old["spec"]
    path = _IMMUTABLE.get(resource.kind)
    if path is None or resource.custom:
        return
    before, after = _at(old, path), _at(obj, path)
    if before is not None and before != after:
        raise invalid(
            resource, obj["metadata"]["name"], [(".".join(path), f'Invalid value: "{after}": field is immutable')]
        )


def _at(obj: Object, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - any JSON value
    value: Any = obj
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


_FIRST_STATUS: Final[dict[str, Object]] = {
    "Pod": {"phase": "Pending"},
    "Namespace": {"phase": "Active"},
    "PersistentVolume": {"phase": "Pending"},
    "PersistentVolumeClaim": {"phase": "Pending"},
    "Deployment": {},
    "ReplicaSet": {"replicas": 0},
    "StatefulSet": {"replicas": 0},
    "DaemonSet": dict.fromkeys(
        ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0
    ),
    "Job": {},
    "CertificateSigningRequest": {},
    "PodDisruptionBudget": dict.fromkeys(("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"), 0),
}


def _pod(_: Resource, obj: Object) -> None:
    pod_spec(obj.setdefault("spec", {}))
    spec = obj["spec"]
    spec.setdefault("serviceAccountName", "default")
    priority = _CRITICAL.get(spec.get("priorityClassName", ""))
    if priority is not None:
        spec.setdefault("priority", priority)
    if "priority" not in spec:
        spec["priority"] = 0
    held = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        # The admission plugin DefaultTolerationSeconds.
        if not any(t.get("key") in {key, None, ""} and t.get("effect") in {"NoExecute", None, ""} for t in held):
            held.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})


def pod_spec(spec: Object) -> None:
    """Defaults of a pod, or of the template of one."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("securityContext", {})
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        container.setdefault("resources", {})
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        # A limit without a request is the request, too.
        limits, requests = container["resources"].get("limits"), container["resources"].get("requests")
        if limits:
            container["resources"]["requests"] = dict(limits) | (requests or {})
        for port in container.get("ports") or ():
            port.setdefault("protocol", "TCP")


def _workload(resource: Resource, obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if resource.scale is not None:
        spec.setdefault("replicas", 1)
    if "template" in spec:
        pod_spec(spec["template"].setdefault("spec", {}))
    if not spec.get("selector"):
        raise invalid(resource, obj["metadata"].get("name", ""), [("spec.selector", "Required value")])
    if resource.kind == "Deployment":
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
        spec.setdefault("strategy", rolling)
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)


def _job(_: Resource, obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    for field, value in (("parallelism", 1), ("completions", 1), ("backoffLimit", 6), ("suspend", False)):
        spec.setdefault(field, value)
    pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))


def _node(_: Resource, obj: Object) -> None:
    obj.setdefault("spec", {})
    obj["metadata"].setdefault("labels", {})


def _secret(resource: Resource, obj: Object) -> None:
    obj.setdefault("type", "Opaque")
    text: dict[str, Any] = obj.pop("stringData", None) or {}
    if text:
        obj["data"] = (obj.get("data") or {}) | {k: base64.b64encode(v.encode()).decode() for k, v in text.items()}
    lost = set(obj.get("data") or ()) - set(secret_data(obj))
    if lost and obj["type"] == "bootstrap.kubernetes.io/token":
        faults = [(f"data[{key}]", "Invalid value: illegal base64 data") for key in sorted(lost)]
        raise invalid(resource, obj["metadata"].get("name", ""), faults)


def _lease(resource: Resource, obj: Object) -> None:
    spec = obj.get("spec") or {}
    if (seconds := spec.get("leaseDurationSeconds")) is not None and seconds <= 0:
        fault = ("spec.leaseDurationSeconds", f"Invalid value: {seconds}: must be greater than 0")
        raise invalid(resource, obj["metadata"].get("name", ""), [fault])
    _micro_times(resource, spec, "spec", ("acquireTime", "renewTime"))


def _event(resource: Resource, obj: Object) -> None:
    involved = obj.setdefault("involvedObject", {})
    home, about = obj["metadata"].get("namespace", ""), involved.get("namespace", "")
    if (about or "default") != home:
        fault = ("involvedObject.namespace", f'Invalid value: "{about}": does not match event.namespace')
        raise invalid(resource, obj["metadata"].get("name", ""), [fault])
    _micro_times(resource, obj, "", ("eventTime",))


def _micro_times(resource: Resource, holder: Object, at: str, fields: tuple[str, ...]) -> None:
    """A MicroTime needs its six digits of fraction, or the API server does not read it."""
    for field in fields:
        text = holder.get(field)
        if text is None:
            continue
        moment = parse_time(text) if "." in text else None
        if moment is None:
            path = f"{at}.{field}" if at else field
            fault = (path, f'Invalid value: "{text}": must be a MicroTime such as 2006-01-02T15:04:05.000000Z')
            raise invalid(resource, "", [fault])
        holder[field] = micro_time(moment)


def _plain_times(_: Resource, obj: Object) -> None:
    """Times of a status are kept in whole seconds."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        for field, text in condition.items():
            moment = parse_time(text) if field.endswith("Time") and isinstance(text, str) else None
            if moment is not None:
                condition[field] = rfc3339(moment)


def _crd(resource: Resource, obj: Object) -> None:
    spec, names = obj["spec"], obj["spec"]["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})
    wanted = f"{names['plural']}.{spec['group']}"
    if obj["metadata"].get("name") != wanted:
        fault = ("metadata.name", f'Invalid value: must be spec.names.plural+"."+spec.group, which is {wanted}')
        raise invalid(resource, obj["metadata"].get("name", ""), [fault])


_DEFAULTS: Final[dict[str, Prepare]] = {
    "Pod": _pod,
    "Node": _node,
    "Secret": _secret,
    "Lease": _lease,
    "Event": _event,
    "Deployment": _workload,
    "ReplicaSet": _workload,
    "StatefulSet": _workload,
    "DaemonSet": _workload,
    "Job": _job,
    "CustomResourceDefinition": _crd,
    "CertificateSigningRequest": _plain_times,
}
