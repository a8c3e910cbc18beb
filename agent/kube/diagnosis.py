"""All that is wrong with an object that no reader takes, each at its place and in words for people.

Readers stop at the first fault and name it as the decoder has it, which costs nothing where there is none. An object
that has one is read again here, each time without what was wrong, until nothing more is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from agent.core.quantity import QuantityError
from agent.kube.wire import WireFault
from agent.kube.wire.objects import resources
from agent.manifests.faults import Place, order, path_text

_MOST: Final = 50
"""Faults of one object that are told; who has more has another file in hand than they think."""
_AMOUNTS: Final = frozenset({"requests", "limits", "overhead", "capacity", "allocatable", "allocatedResources"})
"""Fields that hold resource lists, in every kind that a plan reads."""
_PLACED: Final = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<place>[^`]*)`)?", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_TYPES: Final = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`")
_TIME: Final = "Invalid RFC3339 encoded datetime"
_KINDS: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping of fields",
}
_HARMLESS: Final[dict[str, object]] = {"str": "", "int": 0, "float": 0, "bool": False, "array": [], "object": {}}
"""What may stand in a list, where nothing can be left out."""


class _Wrong(msgspec.Struct, frozen=True):
    place: Place
    sentence: str
    instead: object = None
    """What a reader takes at this place."""


def diagnosed(encoded: bytes, read: Callable[[bytes], object]) -> tuple[tuple[str, str], ...]:
    """Path and sentence of all faults for which ``read`` raises ``WireFault``; none when it takes the object."""
    obj = msgspec.json.decode(encoded)
    found: dict[Place, str] = {}
    while len(found) < _MOST:
        try:
            read(msgspec.json.encode(obj))
        except WireFault as error:
            fresh = [wrong for wrong in _located(obj, error) if wrong.place not in found]
        else:
            break
        for wrong in fresh:
            found[wrong.place] = wrong.sentence
            _mend(obj, wrong)
        if not fresh:
            break
    # A fault without a place may have come of what was put in the place of another.
    placed = [place for place in found if place] or [()] * bool(found)
    return tuple((path_text(place), found[place]) for place in sorted(placed, key=order))


def _located(obj: object, error: WireFault) -> list[_Wrong]:
    if isinstance(error.__cause__, QuantityError):
        return list(_amounts(obj, ()))
    match = _PLACED.fullmatch(str(error))
    what, path = (match["what"], match["place"] or "") if match is not None else (str(error), "")
    missing, types = _MISSING.fullmatch(what), _TYPES.fullmatch(what)
    got = types[2] if types is not None else ""
    place = _place(obj, path, got)
    if missing is not None:
        return [_Wrong((*place, missing[1]), "is required", {})]
    value = _at(obj, place)
    if types is not None:
        kinds = [kind for kind in types[1].split(" | ") if kind != "null"]
        return [_Wrong(place, _mistyped(kinds, value), _HARMLESS.get(kinds[0]) if "null" not in types[1] else None)]
    if what == _TIME:
        return [_Wrong(place, f'"{value}" is not a time such as 2026-11-20T12:00:00Z')]
    return [_Wrong(place, what[:1].lower() + what[1:])]


def _mistyped(kinds: list[str], value: object) -> str:
    """What must stand there; and how to write what does."""
    if {"int", "str"} <= set(kinds):
        return "must be a quantity such as 500m or 4Gi"
    wanted = " or ".join(_KINDS.get(kind, kind) for kind in kinds)
    if value is None:
        return f"must be {wanted}, not null"
    hint = ""
    if isinstance(value, bool | int | float) and "str" in kinds:
        hint = f' (write "{str(value).lower()}")'
    elif isinstance(value, str) and "int" in kinds and value.lstrip("-").isdigit():
        hint = f" (write {value}, without quotes)"
    elif isinstance(value, str) and "bool" in kinds and value.lower() in {"true", "false"}:
        hint = f" (write {value.lower()}, without quotes)"
    return f"must be {wanted}{hint}"


def _amounts(value: object, place: Place) -> Iterator[_Wrong]:
    """Every amount of a resource list that is none."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _amounts(item, (*place, number))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _AMOUNTS and isinstance(inner, Mapping):
                yield from _wrong_amounts(inner, (*place, key))
            yield from _amounts(inner, (*place, key))


def _wrong_amounts(listed: Mapping[str, Any], place: Place) -> Iterator[_Wrong]:
    for name, amount in listed.items():
        if not isinstance(amount, str | int | float):
            continue
        try:
            resources({name: amount})
        except WireFault as error:
            yield _Wrong((*place, name), str(error).removeprefix(f"{name}: "))


def _place(obj: object, path: str, got: str) -> Place:
    """A path as the decoder writes it; of a mapping it does not say which entry it means."""
    place: Place = ()
    for field, item in _STEP.findall(path):
        if field:
            place = (*place, field)
        elif item.isdigit():
            place = (*place, int(item))
        else:
            entries = _at(obj, place)
            listed = entries.items() if isinstance(entries, Mapping) else ()
            place = (*place, *[key for key, value in listed if _kind(value) == got][:1])
    return place


def _kind(value: object) -> str:
    """What the decoder calls such a value."""
    if value is None:
        return "null"
    return "object" if isinstance(value, dict) else "array" if isinstance(value, list) else type(value).__name__


def _at(obj: object, place: Place) -> object:
    for part in place:
        if isinstance(obj, list) and isinstance(part, int) and part < len(obj):
            obj = obj[part]
        else:
            obj = obj.get(str(part)) if isinstance(obj, dict) else None
    return obj


def _mend(obj: object, wrong: _Wrong) -> None:
    if not wrong.place:
        return
    *above, last = wrong.place
    inside = _at(obj, tuple(above))
    if isinstance(inside, dict):
        inside[last] = wrong.instead
    if isinstance(inside, list) and isinstance(last, int):
        inside[last] = wrong.instead
