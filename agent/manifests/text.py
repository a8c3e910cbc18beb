"""YAML and JSON as Kubernetes reads them: dates and times stay text, and no key stands twice."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import yaml

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML built without libyaml: the same, eight times slower
    from yaml import SafeLoader  # type: ignore[assignment]

_MERGE: Final = "tag:yaml.org,2002:merge"
_MAPPING: Final = "tag:yaml.org,2002:map"
_SEQUENCE: Final = "tag:yaml.org,2002:seq"
_INT: Final = "tag:yaml.org,2002:int"
_FLOAT: Final = "tag:yaml.org,2002:float"
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"
_ALIAS: Final = re.compile(r"(?:^|[\s\[{,:-])\*[^\s*]", re.MULTILINE)
_MAX_VALUES: Final = 5_000_000
"""Values of one file once aliases are written out. Files of a hundred lines can stand for more than a machine holds."""


class TextError(ValueError):
    """A text is not YAML or JSON; the sentence says where."""

    def __init__(self, language: str, sentence: str) -> None:
        super().__init__(sentence)
        self.language = language


class _Listed(msgspec.Struct, rename="camel"):
    kind: str = ""
    api_version: str = ""
    items: list[msgspec.Raw] | None = None


_LISTED: Final = msgspec.json.Decoder(_Listed)
_WHOLE: Final = msgspec.json.Decoder(msgspec.Raw)
_TRAILING: Final = re.compile(r"trailing characters \(byte (\d+)\)")


def parsed(text: str) -> Iterator[Any]:
    """The documents of a text. The items of a JSON List are left as they stand in it, so that not all are in memory.

    Raises:
        TextError: it cannot be read. What stands before the fault has been yielded.
    """
    if text.lstrip().startswith("{"):
        try:
            document = _json(text)
        except (msgspec.DecodeError, RecursionError):
            if several := _several(text.encode()):
                yield from map(_json, several)
                return
            # A flow mapping, or several JSON objects with --- between: YAML reads those, and words faults with a line.
        else:
            yield document
            return
    yield from _yaml(text)


def _several(text: bytes) -> list[memoryview]:
    """The JSON objects that stand one after the other, as where outputs of kubectl were joined; else none."""
    found, rest = [], memoryview(text)
    while rest:
        try:
            _WHOLE.decode(rest)
            end = len(rest)
        except msgspec.DecodeError as error:
            trailing = _TRAILING.search(str(error))
            if trailing is None:
                return []
            end = int(trailing[1]) - 1
        except RecursionError:
            return []
        found.append(rest[:end])
        rest = rest[end:]
    return found


def _json(text: str | memoryview) -> object:
    """Raises ``DecodeError`` when the text is no JSON."""
    try:
        listed = _LISTED.decode(text)
    except msgspec.ValidationError:
        return msgspec.json.decode(text)
    if listed.items is None or not listed.kind.endswith("List"):
        return msgspec.json.decode(text)
    return {"kind": listed.kind, "apiVersion": listed.api_version, "items": listed.items}


def value(raw: msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON value
    """An item of a JSON List. Raises ``TextError`` when it holds what no reader takes."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        # A number beyond the range of a double: what it is to YAML, as in any other file.
        return next(_yaml(bytes(raw).decode()))


def _yaml(text: str) -> Iterator[Any]:
    aliases = _ALIAS.search(text) is not None
    try:
        for document in yaml.load_all(text, _Loader):
            if aliases:
                _count(document)
            yield document
    except yaml.YAMLError as error:
        raise TextError("YAML", _sentence(error)) from error
    except RecursionError as error:
        raise TextError("YAML", "is nested too deeply, or refers to itself") from error
    except ValueError as error:
        raise TextError("YAML", str(error)) from error


def _count(document: object) -> None:
    """Raises ``ValueError`` when aliases stand for more values than any file needs."""
    values, waiting = 0, [document]
    while waiting:
        value = waiting.pop()
        values += 1
        if values > _MAX_VALUES:
            raise ValueError(f"stands for more than {_MAX_VALUES:,} values, or refers to itself")
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _sentence(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark is not None else str(problem)


class _Loader(SafeLoader):
    """YAML's view of scalars as Kubernetes has it: no dates, no sexagesimal numbers, no key twice.

    Builds plain mappings, lists and scalars itself: PyYAML's constructor goes through a generator for each, and works
    out every scalar anew, of which files of Kubernetes repeat most. What is not plain is left to it.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._scalars: dict[tuple[str, str], Any] = {}
        self._made: dict[int, Any] = {}

    def construct_document(self, node: yaml.Node) -> Any:  # noqa: ANN401 - any YAML value
        """The value of a document."""
        self._made = {}
        return self._value(node)

    def _value(self, node: yaml.Node) -> Any:  # noqa: ANN401 - any YAML value
        if isinstance(node, yaml.ScalarNode):
            known = (node.tag, node.value)
            if known not in self._scalars:
                self._scalars[known] = self.construct_object(node, deep=True)
            return self._scalars[known]
        # Aliases are the same node again, inside itself too.
        if (made := self._made.get(id(node))) is not None:
            return made
        if node.tag == _SEQUENCE and isinstance(node, yaml.SequenceNode):
            listed: list[Any] = []
            self._made[id(node)] = listed
            listed.extend(map(self._value, node.value))
            return listed
        if node.tag == _MAPPING and isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        return self.construct_object(node, deep=True)

    def _mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        try:
            keys = {key.value for key, _ in node.value}
        except TypeError:  # a key that is itself a list or a mapping
            return self.construct_mapping(node, deep=True)
        if len(keys) < len(node.value) or "<<" in keys:
            self._once(node)
            self.flatten_mapping(node)
        mapping: dict[Any, Any] = {}
        self._made[id(node)] = mapping
        for key, value in node.value:
            mapping[self._value(key)] = self._value(value)
        return mapping

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """PyYAML's, for what is not plain."""
        self._once(node)
        return super().construct_mapping(node, deep=deep)

    def _once(self, node: yaml.MappingNode) -> None:
        """Raises ``ConstructorError`` for a key that stands twice."""
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE or not isinstance(key_node, yaml.ScalarNode):
                continue
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f'the key "{key_node.value}" stands twice', key_node.start_mark
                )
            seen.add(key_node.value)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """YAML 1.1's resolvers but for what YAML 1.2 and Go's library gave up: 12:30 is a text, not 750."""
    return {
        first: [
            (tag, re.compile(rf"(?!.*:)(?:{pattern.pattern})", pattern.flags) if tag in {_INT, _FLOAT} else pattern)
            for tag, pattern in resolvers
            if tag != _TIMESTAMP
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.yaml_implicit_resolvers = _resolvers()
