"""Slips of the pen in pods: fields that Kubernetes does not have, and that are nearly called like one that it has.

The API server drops such a field or refuses the pod. A plan reads pods as they stand, and one that lost its selector to
a slip would go anywhere. Only near misses are told: a later Kubernetes may have fields that are not known here.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Final

Fields = Mapping[str, "Fields | None"]
"""What an object may hold, and what the objects in it may; None: not looked into."""

_ALIKE: Final = 0.8


def _plain(names: str) -> dict[str, Fields | None]:
    return dict.fromkeys(names.split())


_SELECTOR: Final = _plain("matchExpressions matchLabels")
_TERMS: Final = _plain("requiredDuringSchedulingIgnoredDuringExecution preferredDuringSchedulingIgnoredDuringExecution")
_RESOURCES: Final = _plain("claims limits requests")
_CONTAINER: Final = _plain(
    "args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resizePolicy "
    "restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath "
    "terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
) | {"resources": _RESOURCES}
_SPREAD: Final = _plain(
    "matchLabelKeys maxSkew minDomains nodeAffinityPolicy nodeTaintsPolicy topologyKey whenUnsatisfiable"
) | {"labelSelector": _SELECTOR}
POD_SPEC: Final[Fields] = _plain(
    "activeDeadlineSeconds automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks ephemeralContainers "
    "hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride imagePullSecrets nodeName "
    "nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims restartPolicy "
    "runtimeClassName schedulerName schedulingGates securityContext serviceAccount serviceAccountName "
    "setHostnameAsFQDN shareProcessNamespace subdomain terminationGracePeriodSeconds volumes workloadRef"
) | {
    "affinity": {"nodeAffinity": _TERMS, "podAffinity": _TERMS, "podAntiAffinity": _TERMS},
    "containers": _CONTAINER,
    "initContainers": _CONTAINER,
    "resources": _RESOURCES,
    "tolerations": _plain("effect key operator tolerationSeconds value"),
    "topologySpreadConstraints": _SPREAD,
}
"""``PodSpec`` of Kubernetes 1.35, as far as decisions read it."""
_OBJECT: Final = _plain("apiVersion kind metadata status")
_TEMPLATE: Final[Fields] = {"metadata": None, "spec": POD_SPEC}
_KINDS: Final[Mapping[str, Fields]] = {
    "Pod": _OBJECT | {"spec": POD_SPEC},
    "Deployment": _OBJECT
    | {
        "spec": _plain("minReadySeconds paused progressDeadlineSeconds replicas revisionHistoryLimit selector strategy")
        | {"template": _TEMPLATE}
    },
    "DaemonSet": _OBJECT
    | {"spec": _plain("minReadySeconds revisionHistoryLimit selector updateStrategy") | {"template": _TEMPLATE}},
}
"""Of the kinds whose pods a plan reads."""


def slips(kind: str, obj: object) -> Iterator[tuple[str, str]]:
    """Path of a field that is not there, and the field that may be meant."""
    if kind in _KINDS:
        yield from _slips(obj, _KINDS[kind], "")


def _slips(obj: object, fields: Fields, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(obj, list):
        for item in obj:
            yield from _slips(item, fields, f"{path}[]")
    elif isinstance(obj, Mapping):
        inside = f"{path}." if path else ""
        for name, value in obj.items():
            if name in fields:
                inner = fields[name]
                if inner is not None and value:
                    yield from _slips(value, inner, inside + name)
            elif isinstance(name, str) and (meant := _meant(name, fields)) is not None:
                yield inside + name, inside + meant


def _meant(name: str, fields: Fields) -> str | None:
    lower = {known.lower(): known for known in fields}
    found = difflib.get_close_matches(name.lower(), sorted(lower), n=1, cutoff=_ALIKE)
    return lower[found[0]] if found else None
