"""What every object shares on the wire: metadata, conditions, taints, quantities, selectors."""

from datetime import datetime
from functools import lru_cache
from typing import Final, get_args

import msgspec

from agent.core.quantity import QuantityError, format_resources, parse_resources
from agent.kube.times import rfc3339
from agent.model.constraints import Operator, Requirement
from agent.model.kubernetes import Condition, Meta, Status, Taint
from agent.model.resources import ZERO, Resources


class WireFault(ValueError):  # noqa: N818 - it is the object that has the fault
    """An object that cannot be understood; the text says which and why."""


Texts = dict[str, str | None]
"""Labels and the like. The API server stores no null, but a null means unset everywhere."""


def texts(given: Texts | None) -> dict[str, str]:
    """The entries that have a value."""
    return {k: v for k, v in given.items() if v is not None} if given else {}


class Owner(msgspec.Struct, gc=False, rename="camel"):
    """An owner reference."""

    kind: str | None = None
    uid: str | None = None
    controller: bool | None = None


class WireMeta(msgspec.Struct, gc=False, rename="camel"):
    """``metadata``."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: Texts | None = None
    annotations: Texts | None = None
    finalizers: tuple[str, ...] | None = None
    owner_references: tuple[Owner, ...] | None = None

    def model(self, keep: frozenset[str] | None = None) -> Meta:
        """As the engine has it; with ``keep`` only annotations of those names, since others may be large."""
        annotations = texts(self.annotations)
        if keep is not None and annotations:
            annotations = {k: v for k, v in annotations.items() if k in keep}
        return Meta(
            name=self.name or "",
            namespace=self.namespace or "",
            uid=self.uid or "",
            resource_version=self.resource_version or "",
            generation=self.generation or 0,
            created_at=self.creation_timestamp,
            deleted_at=self.deletion_timestamp,
            labels=texts(self.labels),
            annotations=annotations,
            finalizers=self.finalizers or (),
        )

    @property
    def controller(self) -> Owner | None:
        """The owner that manages the object."""
        return next((o for o in self.owner_references or () if o.controller), None)


class WireCondition(msgspec.Struct, gc=False, rename="camel"):
    """One of ``status.conditions``."""

    type: str | None = None
    status: str | None = None
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None

    def model(self) -> Condition:
        """As the engine has it."""
        known: Status = "True" if self.status == "True" else "False" if self.status == "False" else "Unknown"
        return Condition(self.type or "", known, self.reason or "", self.message or "", self.last_transition_time)


class WireTaint(msgspec.Struct, gc=False):
    """One of ``spec.taints``."""

    key: str | None = None
    effect: str | None = None
    value: str | None = None

    def model(self) -> Taint:
        """As the engine has it."""
        return Taint(self.key or "", self.effect or "", self.value or "")


_OPERATORS: Final[dict[str, Operator]] = {o: o for o in get_args(Operator)}


class WireRequirement(msgspec.Struct, gc=False, rename="camel"):
    """A requirement of a node selector, a label selector or a NodeClaim."""

    key: str | None = None
    operator: str | None = None
    values: tuple[str, ...] | None = None
    min_values: int | None = None

    def model(self) -> Requirement:
        """As the engine has it. Raises ``WireFault`` for an operator that the engine does not know."""
        operator = _OPERATORS.get(self.operator or "")
        if operator is None:
            raise WireFault(f"the requirement on {self.key} has the unknown operator {self.operator}")
        return Requirement(self.key or "", operator, self.values or (), self.min_values)


class LabelSelector(msgspec.Struct, gc=False, rename="camel"):
    """``metav1.LabelSelector``."""

    match_labels: Texts | None = None
    match_expressions: tuple[WireRequirement, ...] | None = None

    def model(self) -> tuple[Requirement, ...]:
        """As requirements that hold together; empty selects everything."""
        equal = tuple(Requirement(k, "In", (v,)) for k, v in sorted(texts(self.match_labels).items()))
        return equal + tuple(r.model() for r in self.match_expressions or ())


Quantities = dict[str, str | int | float | None]
"""A ResourceList as it may come; text is what the API server prints."""


def resources(amounts: Quantities | None) -> Resources:
    """A ResourceList in integers. Raises ``WireFault`` naming the quantity that is none."""
    if not amounts:
        return ZERO
    try:
        return _parsed(tuple(amounts.items()))
    except QuantityError as error:
        raise WireFault(str(error)) from error


@lru_cache(maxsize=4096)
def _parsed(amounts: tuple[tuple[str, str | int | float | None], ...]) -> Resources:
    """Pods that a workload made ask the same: they share one value."""
    parsed = parse_resources({name: amount for name, amount in amounts if amount is not None})
    for name, amount in parsed.items():
        if amount < 0:
            written = next(value for key, value in amounts if key == name)
            raise QuantityError(f'{name}: "{written}" is less than nothing')
    return parsed


def quantities(amounts: Resources) -> dict[str, str]:
    """A ResourceList as text, for the API server."""
    return format_resources(amounts)


def taints(listed: tuple[Taint, ...]) -> list[dict[str, str]]:
    """``spec.taints`` for the API server."""
    return [{"key": t.key, "effect": t.effect} | ({"value": t.value} if t.value else {}) for t in listed]


def conditions(listed: tuple[Condition, ...]) -> list[dict[str, object]]:
    """``status.conditions`` for the API server."""
    written: list[dict[str, object]] = []
    for c in listed:
        entry: dict[str, object] = {
            "type": c.type,
            "status": c.status,
            "reason": c.reason or c.type,
            "message": c.message,
            "lastTransitionTime": rfc3339(c.last_transition) if c.last_transition else "1970-01-01T00:00:00Z",
        }
        if c.observed_generation:
            entry["observedGeneration"] = c.observed_generation
        written.append(entry)
    return written


def with_condition(held: tuple[Condition, ...], new: Condition, now: datetime) -> tuple[Condition, ...]:
    """The list with one condition set; its transition time moves only when its status does."""
    old = next((c for c in held if c.type == new.type), None)
    since = old.last_transition if old is not None and old.status == new.status else now
    dated = msgspec.structs.replace(new, last_transition=since or now)
    return (*(c for c in held if c.type != new.type), dated)


def requirements(listed: tuple[Requirement, ...]) -> list[dict[str, object]]:
    """``spec.requirements`` for the API server."""
    written: list[dict[str, object]] = []
    for r in listed:
        entry: dict[str, object] = {"key": r.key, "operator": r.operator}
        if r.values:
            entry["values"] = list(r.values)
        if r.min_values is not None:
            entry["minValues"] = r.min_values
        written.append(entry)
    return written
