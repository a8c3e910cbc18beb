"""What is wrong with a file, or worth knowing about it, one line each."""

import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from pydantic import BaseModel
from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]
"""Where something stands in an object: keys and, for lists, indices from 0."""
_SHORT_ENUM: Final = 5
_SIMILAR: Final = 0.6
_TELLING: Final = 3
"""So many letters may be the beginning of a name rather than a slip."""


class Remark(msgspec.Struct, frozen=True, order=True):
    """One line about one object: ``FILE: KIND/NAME: path: message``, of which only the message is never empty."""

    source: str
    kind: str
    name: str
    path: str
    message: str

    def __str__(self) -> str:
        """The line."""
        where = f"{self.kind}/{self.name}" if self.name else self.kind
        return ": ".join(part for part in (self.source, where, self.path, self.message) if part)

    @property
    def sentence(self) -> str:
        """The line without file and object."""
        return f"{self.path}: {self.message}" if self.path else self.message


class Fault(Remark, frozen=True):
    """Something wrong."""


class Note(Remark, frozen=True):
    """Something accepted that a person should know about."""


def path_text(place: Iterable[str | int]) -> str:
    """A place as people write it: ``spec.template.spec.requirements[0].operator``, ``labels[example.com/team]``."""
    text = ""
    for part in place:
        if isinstance(part, int) or not part.replace("-", "").replace("_", "").isalnum():
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def order(place: Place) -> tuple[tuple[int, int, str], ...]:
    """Sorts places by name, and list items by number."""
    return tuple((0, part, "") if isinstance(part, int) else (1, 0, part) for part in place)


def similar(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, or the only one that begins with it, if there is any."""
    lower = {candidate.lower(): candidate for candidate in sorted(known, reverse=True)}
    found = difflib.get_close_matches(word.lower(), sorted(lower), n=1, cutoff=_SIMILAR)
    begun = [name for name in lower if name.startswith(word.lower())] if len(word) >= _TELLING else []
    if not found and len(begun) == 1:
        found = begun
    return lower[found[0]] if found else None


def message(error: ErrorDetails, place: Place, model: type[BaseModel]) -> str:
    """What pydantic found, in words that say what to do."""
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return f"unknown field{_field_hint(place, model)}"
    if kind == "literal_error":
        return _unknown_value(error, place)
    if kind in _SAYINGS:
        return _SAYINGS[kind].format_map({**error.get("ctx", {})})
    if kind == "string_type":
        return f"must be a string{_quoting(value)}"
    return error["msg"]


_MOVED: Final[dict[Place, str]] = {
    ("spec", "template", "spec", "kubelet"): "spec.kubelet of the EC2NodeClass",
    ("spec", "template", "spec", "nodeClassRef", "apiVersion"): "group, without a version,",
    ("spec", "nodeClassRef", "apiVersion"): "group, without a version,",
}
"""Fields of earlier versions, and what stands for them now, where no field of the same name does."""
_SAYINGS: Final = {
    "rule": "{text}",
    "missing": "is required",
    "model_type": "must be a mapping of fields",
    "model_attributes_type": "must be a mapping of fields",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing_size": "is too large",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entry",
    "invalid_key": "must be a string",
}


def _quoting(value: object) -> str:
    if isinstance(value, bool):
        return f' (write "{str(value).lower()}")'
    return f' (write "{value}")' if isinstance(value, int | float) else ""


def _unknown_value(error: ErrorDetails, place: Place) -> str:
    value = error["input"]
    field = next((str(part) for part in reversed(place) if isinstance(part, str)), "value")
    options = str(error.get("ctx", {}).get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    if isinstance(value, str) and (meant := similar(value, options)) is not None:
        return f"unknown {field} {shown} (did you mean {meant}?)"
    few = f" (one of {', '.join(options)})" if 1 < len(options) <= _SHORT_ENUM else ""
    only = f" (only {options[0]})" if len(options) == 1 else ""
    return f"unknown {field} {shown}{few or only}"


def _field_hint(place: Place, model: type[BaseModel]) -> str:
    """The sibling that was probably meant, else a field of exactly this name elsewhere in the object."""
    *parent, name = place
    meant = similar(str(name), fields_at(model, tuple(parent)))
    if meant is not None:
        return f" (did you mean {path_text((*parent, meant))}?)"
    if place in _MOVED:
        return f" (it is {_MOVED[place]} since karpenter.sh/v1)"
    elsewhere = next((p for p in places(model) if p[-1] == name), None)
    return f" (did you mean {path_text(elsewhere)}?)" if elsewhere else ""


def fields_at(model: type[BaseModel], place: Place) -> tuple[str, ...]:
    """Names of the fields of the object that stands at this place."""
    current: Any = model
    for part in place:
        current = _step(current, part)
    found = _model_in(current)
    return tuple(info.alias or name for name, info in found.model_fields.items()) if found else ()


def _step(annotation: Any, part: str | int) -> Any:  # noqa: ANN401  any type
    model = _model_in(annotation) if isinstance(part, str) else None
    if model is not None:
        return next((i.annotation for n, i in model.model_fields.items() if (i.alias or n) == part), None)
    return next((a for a in typing.get_args(_plain(annotation)) if a is not Ellipsis), None)


def _plain(annotation: Any) -> Any:  # noqa: ANN401  any type
    """The type without ``Annotated`` and ``| None``."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _plain(typing.get_args(annotation)[0])
    if origin in {typing.Union, types.UnionType}:
        return _plain(next(a for a in typing.get_args(annotation) if a is not type(None)))
    return annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  any type
    plain = _plain(annotation)
    return plain if isinstance(plain, type) and issubclass(plain, BaseModel) else None


def places(model: type[BaseModel], above: Place = ()) -> Iterator[Place]:
    """Every field of the object and of the objects in it, breadth first; not those inside lists and maps."""
    inner: list[tuple[type[BaseModel], Place]] = []
    for name, info in model.model_fields.items():
        place = (*above, info.alias or name)
        yield place
        if (found := _model_in(info.annotation)) is not None:
            inner.append((found, place))
    for found, place in inner:
        yield from places(found, place)


def text_of(mapping: Mapping[str, object], key: str) -> str:
    """A text in a mapping that nobody has checked yet; empty when there is none."""
    value = mapping.get(key)
    return value if isinstance(value, str) else ""
