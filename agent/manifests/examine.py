"""Reads an untrusted object into a model: every fault at once, and what is sound of it all the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agent.manifests import faults
from agent.manifests.faults import Place
from agent.manifests.written import Rule, Written

M = TypeVar("M", bound=Written)
_KEY_MARK: Final = "[key]"


@dataclass(frozen=True)
class Examined(Generic[M]):
    """What came of reading one object."""

    value: M | None
    """The object without its faulty parts; None when too little is left."""
    faults: tuple[tuple[Place, str], ...]
    """Where, and what is wrong; in the order of the places."""


def examine(model: type[M], raw: object) -> Examined[M]:
    """Read ``raw`` as ``model``.

    A null counts as not there, everywhere. A faulty part is reported once and left out, and the rest is read
    again, so that rules across fields are asked too, but never about a part that is faulty already.
    """
    whole = _json(raw)
    found: dict[Place, str] = {}
    broken: list[Place] = []
    while True:
        try:
            value = model.model_validate(_without_nulls(whole))
        except ValidationError as failure:
            errors = _errors(failure, whole)
            if not broken:
                for place, error in errors:
                    found.setdefault(place, faults.message(error, place, model))
            broken += [place for place, _ in errors]
            blanked = [_blank(whole, place, error["type"]) for place, error in errors]
            if not all(blanked):
                return _examined(None, found)
        else:
            for place, text in _broken_rules(value, whole, broken):
                found.setdefault(place, text)
            return _examined(value, found)


def read(model: type[M], raw: object) -> Examined[M]:
    """Read a Kubernetes object: as ``examine``, but silent on its status, which no person wrote."""
    examined = examine(model, raw)
    return Examined(examined.value, tuple(fault for fault in examined.faults if fault[0][:1] != ("status",)))


def _examined(value: M | None, found: dict[Place, str]) -> Examined[M]:
    return Examined(value, tuple(sorted(found.items(), key=lambda item: faults.order(item[0]))))


def _json(value: object) -> Any:  # noqa: ANN401  JSON
    """A copy with what YAML can say and JSON cannot said as JSON: keys are texts (Kubernetes reads YAML so too)."""
    if isinstance(value, Mapping):
        return {_key(k): _json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json(v) for v in value]
    return value


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(v) for v in value if v is not None]
    return value


def _located(loc: Place, whole: object) -> Place:
    """The same place with list indices counted as in the file, where nulls still stand."""
    place: list[str | int] = []
    current: Any = whole
    for part in loc:
        if isinstance(part, int) and isinstance(current, list):
            kept = [i for i, item in enumerate(current) if item is not None]
            index = kept[part]
            current = current[index]
            place.append(index)
        else:
            current = current.get(part) if isinstance(current, dict) else None
            place.append(part)
    return tuple(place)


def _errors(failure: ValidationError, whole: object) -> list[tuple[Place, ErrorDetails]]:
    """What pydantic found with its place. A list that is too short only because its items are faulty is none."""
    errors = [
        (_located(tuple(part for part in error["loc"] if part != _KEY_MARK), whole), error)
        for error in failure.errors(include_url=False)
    ]
    return [
        (place, error)
        for place, error in errors
        if error["type"] != "too_short" or not any(p != place and p[: len(place)] == place for p, _ in errors)
    ]


def _blank(whole: object, place: Place, kind: str) -> bool:
    """Put null where something is faulty; where something is missing, in place of what misses it.

    False when nothing is left of the object.
    """
    target = place[:-1] if kind == "missing" else place
    if not target:
        return False
    current: Any = whole
    for part in target[:-1]:
        current = current[part]
        if current is None:
            return True
    current[target[-1]] = None
    return True


def _broken_rules(value: BaseModel, whole: object, broken: list[Place]) -> Iterator[tuple[Place, str]]:
    for place, part in _parts(value, whole, ()):
        for rule in part.RULES:
            if rule.holds is not None and not _touched(rule, place, broken) and not rule.holds(part):
                yield (*place, *(rule.at.split(".") if rule.at else ())), rule.message


def _touched(rule: Rule, place: Place, broken: list[Place]) -> bool:
    """Whether a field that the rule reads, or the object itself, has lost a part."""
    fields = [(*place, field) for field in rule.reads]
    return any(bad[: len(field)] == field for bad in broken for field in fields)


def _parts(value: object, whole: object, place: Place) -> Iterator[tuple[Place, Written]]:
    """Every model in the value with its place in the file, where nulls still stand."""
    if isinstance(value, Written):
        yield place, value
        for name, info in type(value).model_fields.items():
            key = info.alias or name
            below = whole.get(key) if isinstance(whole, dict) else None
            yield from _parts(getattr(value, name), below, (*place, key))
    elif isinstance(value, tuple):
        items = [(i, own) for i, own in enumerate(whole) if own is not None] if isinstance(whole, list) else []
        for item, (at, below) in zip(value, items, strict=False):
            yield from _parts(item, below, (*place, at))
