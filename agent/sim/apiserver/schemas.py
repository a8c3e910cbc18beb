"""Structural schemas of custom resources: defaults, what is unknown, what does not fit.

Source: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions. Rules in CEL
(``x-kubernetes-validations``) are not evaluated.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = Mapping[str, Any]
Fault = tuple[str, str]

_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def with_defaults(value: Any, schema: Schema) -> Any:  # noqa: ANN401 - any JSON value
    """The value with what the schema fills in; a null where a default stands is the default."""
    if isinstance(value, dict):
        filled = dict(value)
        for name, inner in (schema.get("properties") or {}).items():
            if filled.get(name) is None and "default" in inner:
                filled[name] = copy.deepcopy(inner["default"])
            if name in filled:
                filled[name] = with_defaults(filled[name], inner)
        rest = schema.get("additionalProperties")
        if isinstance(rest, dict):
            filled = {k: with_defaults(v, rest) for k, v in filled.items()}
        return filled
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [with_defaults(item, schema["items"]) for item in value]
    return value


def pruned(value: Any, schema: Schema, path: str = "") -> tuple[Any, list[str]]:  # noqa: ANN401 - any JSON value
    """The value without the fields that the schema does not know, and their paths."""
    unknown: list[str] = []
    if isinstance(value, dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        known, rest = schema.get("properties") or {}, schema.get("additionalProperties")
        kept = {}
        for name, inner in value.items():
            at = f"{path}.{name}" if path else name
            if name in known or rest:
                kept[name], more = pruned(inner, known.get(name) or (rest if isinstance(rest, dict) else {}), at)
                unknown += more
            else:
                unknown.append(at)
        return kept, unknown
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        found = [pruned(item, schema["items"], f"{path}[{i}]") for i, item in enumerate(value)]
        return [item for item, _ in found], [text for _, texts in found for text in texts]
    return value, unknown


def faults(value: Any, schema: Schema, path: str = "") -> Iterator[Fault]:  # noqa: ANN401 - any JSON value
    """Everything that does not fit, as (path, sentence)."""
    if value is None and schema.get("nullable"):
        return
    wrong = _type_fault(value, schema)
    if wrong:
        yield path, f"Invalid value: {_kind(value)!s}: {wrong}"
        return
    if "enum" in schema and value not in schema["enum"]:
        listed = ", ".join(f'"{v}"' for v in schema["enum"])
        yield path, f'Unsupported value: "{value}": supported values: {listed}'
    if isinstance(value, str):
        yield from _text_faults(value, schema, path)
    elif isinstance(value, dict):
        yield from _object_faults(value, schema, path)
    elif isinstance(value, list):
        yield from _array_faults(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number_faults(value, schema, path)


def _kind(value: Any) -> str:  # noqa: ANN401 - any JSON value
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return f'"{names.get(type(value), "null")}"'


def _type_fault(value: Any, schema: Schema) -> str:  # noqa: ANN401 - any JSON value
    wanted = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        good = isinstance(value, int | str) and not isinstance(value, bool)
        return "" if good else "must be an integer or a string"
    if wanted is None:
        return ""
    fits = isinstance(value, _TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
    return "" if fits else f"must be of type {wanted}: {_kind(value)}"


def _text_faults(value: str, schema: Schema, path: str) -> Iterator[Fault]:
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, value):
        yield path, f"Invalid value: \"{value}\": {path} in body should match '{pattern}'"
    if len(value) > schema.get("maxLength", len(value)):
        yield path, f"Too long: may not be more than {schema['maxLength']} bytes"
    if len(value) < schema.get("minLength", 0):
        yield path, f'Invalid value: "{value}": {path} in body should be at least {schema["minLength"]} chars long'


def _number_faults(value: float, schema: Schema, path: str) -> Iterator[Fault]:
    if value < schema.get("minimum", value):
        yield path, f"Invalid value: {value}: {path} in body should be greater than or equal to {schema['minimum']}"
    if value > schema.get("maximum", value):
        yield path, f"Invalid value: {value}: {path} in body should be less than or equal to {schema['maximum']}"


def _array_faults(value: list[Any], schema: Schema, path: str) -> Iterator[Fault]:
    if len(value) > schema.get("maxItems", len(value)):
        yield path, f"Too many: {len(value)}: must have at most {schema['maxItems']} items"
    if len(value) < schema.get("minItems", 0):
        yield path, f"Invalid value: {len(value)}: {path} in body should have at least {schema['minItems']} items"
    keys = schema.get("x-kubernetes-list-map-keys")
    seen: list[Any] = []
    for index, item in enumerate(value):
        yield from faults(item, schema.get("items") or {}, f"{path}[{index}]")
        if keys and isinstance(item, dict):
            ident = [item.get(key) for key in keys]
            if ident in seen:
                yield f"{path}[{index}]", f"Duplicate value: {ident}"
            seen.append(ident)


def _object_faults(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Fault]:
    for name in schema.get("required") or ():
        if name not in value:
            yield (f"{path}.{name}" if path else name), "Required value"
    if len(value) > schema.get("maxProperties", len(value)):
        yield path, f"Too many: {len(value)}: must have at most {schema['maxProperties']} items"
    known, rest = schema.get("properties") or {}, schema.get("additionalProperties")
    for name, inner in value.items():
        within = known.get(name) or (rest if isinstance(rest, dict) else None)
        if within is not None:
            yield from faults(inner, within, f"{path}.{name}" if path else name)
