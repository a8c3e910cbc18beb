"""Laws of reading: null means unset everywhere, order means nothing, nothing that YAML can say makes it raise."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.manifests import load_documents, parse_node_class, parse_node_pool
from agent.manifests.documents import KINDS
from agent.manifests.examine import read
from agent.manifests.written import Written
from tests.manifests.cases import CASES, CLAIM, CLASS, POOL, Case, Json

Place = tuple[str | int, ...]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.sampled_from([c.obj for c in CASES])


def model_of(obj: dict[str, Any]) -> type[Written]:
    return KINDS[(obj["apiVersion"].partition("/")[0], obj["kind"])]


def places_in(value: object, above: Place = ()) -> Iterator[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield (*above, key)
        yield from places_in(child, (*above, key))


def at(whole: Json, place: Place) -> Json:
    for part in place:
        whole = whole[part]
    return whole


def shuffled(value: Json, rng: random.Random) -> Json:
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {k: shuffled(value[k], rng) for k in keys}
    return [shuffled(v, rng) for v in value] if isinstance(value, list) else value


@given(OBJECTS, st.data())
def test_a_null_is_the_same_as_nothing_wherever_a_field_may_stand(obj: dict[str, Any], data: st.DataObject) -> None:
    with_null, without = copy.deepcopy(obj), copy.deepcopy(obj)
    maps = [p for p in [(), *places_in(obj)] if isinstance(at(obj, p), dict) and at(obj, p)]
    place = data.draw(st.sampled_from(maps))
    key = data.draw(st.sampled_from(sorted(at(obj, place))))
    at(with_null, place)[key] = None
    del at(without, place)[key]
    model = model_of(obj)
    assert read(model, with_null) == read(model, without)


@given(OBJECTS.filter(lambda obj: any(isinstance(at(obj, p), list) for p in places_in(obj))), st.data())
def test_a_null_in_a_list_is_nothing_and_later_items_keep_their_numbers(
    obj: dict[str, Any], data: st.DataObject
) -> None:
    lists = [p for p in places_in(obj) if isinstance(at(obj, p), list)]
    place = data.draw(st.sampled_from(lists))
    with_null = copy.deepcopy(obj)
    at(with_null, place).insert(0, None)
    plain, other = read(model_of(obj), obj), read(model_of(obj), with_null)
    moved = [
        ((*p[: len(place)], p[len(place)] + 1, *p[len(place) + 1 :]), text)  # type: ignore[operator]
        if p[: len(place)] == place and len(p) > len(place) and isinstance(p[len(place)], int)
        else (p, text)
        for p, text in plain.faults
    ]
    assert list(other.faults) == moved
    assert other.value == plain.value


@given(OBJECTS, st.randoms())
def test_the_order_of_keys_changes_neither_faults_nor_their_order(obj: dict[str, Any], rng: random.Random) -> None:
    assert read(model_of(obj), shuffled(obj, rng)) == read(model_of(obj), obj)


@given(st.sampled_from([c for c in CASES if c.obj["kind"] == "NodePool"]), st.data())
def test_faults_of_different_parts_do_not_hide_each_other(case: Case, data: st.DataObject) -> None:
    line = "spec.disruption.consolidateAfter"
    if case.line.startswith(line):
        return
    both = copy.deepcopy(case.obj)
    both["spec"].setdefault("disruption", {})["consolidateAfter"] = data.draw(st.sampled_from(["x", "1d", "-1s"]))
    found = parse_node_pool(both).faults
    assert case.line in found
    assert len(found) == 2


@given(st.sampled_from([POOL, CLASS, CLAIM]), st.data(), JSON)
@settings(max_examples=300)
def test_whatever_stands_somewhere_is_a_fault_or_fine_but_never_raises(
    obj: dict[str, Any], data: st.DataObject, junk: Json
) -> None:
    broken = copy.deepcopy(obj)
    place = data.draw(st.sampled_from(list(places_in(obj))))
    at(broken, place[:-1])[place[-1]] = junk
    parse_node_pool(broken)
    parse_node_class(broken)
    read(model_of(obj), broken)


@given(JSON)
def test_a_status_that_nobody_expects_is_no_fault_and_never_raises(status: Json) -> None:
    assert parse_node_pool({**POOL, "status": status}).faults == ()
    assert parse_node_class({**CLASS, "status": status}).faults == ()


@given(st.text(max_size=60))
def test_any_text_is_documents_or_faults(text: str) -> None:
    found = load_documents(text, "f")
    assert all(str(f).startswith("f: ") for f in found.faults)


@given(st.lists(st.sampled_from([POOL, CLASS, CLAIM]), max_size=4))
def test_a_list_is_the_same_as_documents_and_json_the_same_as_yaml(objects: list[dict[str, Any]]) -> None:
    many = load_documents("\n---\n".join(json.dumps(o, indent=1) for o in objects), "f")
    whole = load_documents(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}), "f")
    assert (many.documents, many.faults) == (whole.documents, whole.faults)
    assert [msgspec.to_builtins(d.obj) for d in many.documents] == objects
