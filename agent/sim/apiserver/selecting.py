"""Label and field selectors as query strings have them (kubernetes.io/docs/concepts/overview/working-with-objects)."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from agent.sim.apiserver.refusals import bad_request
from agent.sim.apiserver.resources import Object, Resource

Matcher = Callable[[Object], bool]

_SET: Final = re.compile(r"([^\s!=,()]+)\s+(in|notin)\s*\(([^)]*)\)")
_EQUAL: Final = re.compile(r"([^\s!=,()]+)\s*(==|!=|=)\s*([^\s!=,()]*)")
_EXISTS: Final = re.compile(r"(!?)\s*([^\s!=,()]+)")
_PARTS: Final = re.compile(r",(?![^(]*\))")


def matcher(resource: Resource, labels: str, fields: str) -> Matcher:
    """Whether an object is selected by both; an empty selector selects everything."""
    terms = [*_label_terms(labels), *_field_terms(resource, fields)]
    return lambda obj: all(term(obj) for term in terms)


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a ``metav1.LabelSelector`` selects these labels; None selects nothing, an empty one everything."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(term, labels) for term in selector.get("matchExpressions") or ())


def _expression(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(term["key"]), term.get("values") or ()
    answers = {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }
    return answers.get(term["operator"], False)


def exact_name(fields: str) -> str:
    """The name that a field selector limits a request to; empty when it does not."""
    found = re.search(r"(?:^|,)metadata\.name==?([^,=!]+)", fields)
    return found[1] if found else ""


def _label_terms(text: str) -> list[Matcher]:
    return [_label_term(part.strip()) for part in _PARTS.split(text) if part.strip()]


def _label_term(text: str) -> Matcher:
    if found := _SET.fullmatch(text):
        key, values = found[1], {v.strip() for v in found[3].split(",")}
        wanted = found[2] == "in"
        return lambda obj: (_labels(obj).get(key) in values) is wanted
    if found := _EQUAL.fullmatch(text):
        key, value = found[1], found[3]
        equal = found[2] != "!="
        return lambda obj: (_labels(obj).get(key) == value) is equal
    if found := _EXISTS.fullmatch(text):
        key, there = found[2], not found[1]
        return lambda obj: (key in _labels(obj)) is there
    raise bad_request(f"unable to parse requirement: {text!r} is no label selector")


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _field_terms(resource: Resource, text: str) -> list[Matcher]:
    return [_field_term(resource, part.strip()) for part in text.split(",") if part.strip()]


def _field_term(resource: Resource, text: str) -> Matcher:
    found = _EQUAL.fullmatch(text)
    if found is None:
        raise bad_request(f"invalid selector: {text!r}; can't understand it")
    key, value, equal = found[1], found[3], found[2] != "!="
    if key not in {"metadata.name", "metadata.namespace", *resource.fields}:
        raise bad_request(
            f'Unable to find "{resource.api_version}, Resource={resource.plural}" that match label selector "", '
            f'field selector "{text}": field label not supported: {key}'
        )
    path = tuple(key.split("."))
    if key == "source":
        path = ("source", "component")
    return lambda obj: (_text(obj, path) == value) is equal


def _text(obj: Object, path: tuple[str, ...]) -> str:
    value: Any = obj
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    # Only one boolean can be selected by, and one that is not set is false.
    return "false" if value is None and path[-1] == "unschedulable" else str(value if value is not None else "")
