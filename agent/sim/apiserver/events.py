"""Events are stored once and shown in two versions: ``v1`` and ``events.k8s.io/v1``."""

from typing import Final

from agent.sim.apiserver.resources import Object, Resource

_NAMES: Final = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
"""The core name of a field, and the one in events.k8s.io."""
_CORE: Final = {new: old for old, new in _NAMES.items()}


def is_other(resource: Resource) -> bool:
    """Whether the resource shows what is stored in another form."""
    return bool(resource.stored_as)


def shown(resource: Resource, obj: Object) -> Object:
    """The stored form as this resource has it."""
    return _renamed(obj, _NAMES) | {"apiVersion": resource.api_version}


def stored(obj: Object) -> Object:
    """The form in which it is stored."""
    return _renamed(obj, _CORE) | {"apiVersion": "v1"}


def _renamed(obj: Object, names: dict[str, str]) -> Object:
    return {names.get(key, key): value for key, value in obj.items()}
