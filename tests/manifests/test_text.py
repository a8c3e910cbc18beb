import itertools
import json
from collections.abc import Callable

import pytest
import yaml

from agent.manifests import load_documents
from tests.manifests.cases import Json


def only(text: str) -> Json:
    (document,) = load_documents(text, "f").documents
    return document.obj


def faults(text: str) -> list[str]:
    return [str(f) for f in load_documents(text, "f").faults]


def test_what_is_no_yaml_is_said_with_its_line() -> None:
    assert faults("a: 1\nb: [\n") == ["f: YAML: line 3, column 1: did not find expected node content"]


def test_documents_before_the_fault_are_read_all_the_same() -> None:
    found = load_documents("kind: A\n---\nb: [\n", "f")
    assert [d.kind for d in found.documents] == ["A"]
    assert len(found.faults) == 1


def test_a_key_that_stands_twice_is_a_fault() -> None:
    assert faults("a: 1\nb:\n  c: 1\n  c: 2\n") == ['f: YAML: line 4, column 3: the key "c" stands twice']


def test_scalars_are_what_kubectl_makes_of_them() -> None:
    obj = only("a: 12:30\nb: 2026-01-02\nc: 2026-01-02T03:04:05Z\nd: 010\ne: yes\nf: 1.5\ng: 1:2.5")
    assert obj == {
        "a": "12:30",
        "b": "2026-01-02",
        "c": "2026-01-02T03:04:05Z",
        "d": 8,
        "e": True,
        "f": 1.5,
        "g": "1:2.5",
    }


def test_merge_keys_are_followed() -> None:
    assert only("a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\n")["b"] == {"x": 1, "y": 2}


def test_aliases_and_what_is_not_plain_are_read_as_yaml_says() -> None:
    text = (
        'a: &a {x: [1, "1", 1.0, yes, ~]}\nb: *a\nc: [*a, {<<: *a, y: 2}]\nd: !!str 5\ne: !!set {k}\n"f": {"<<": 1}\n'
    )
    first = {"x": [1, "1", 1.0, True, None]}
    assert only(text) == {
        "a": first,
        "b": first,
        "c": [first, {**first, "y": 2}],
        "d": "5",
        "e": {"k"},
        "f": {"<<": 1},
    }
    assert faults("? [1]\n: 2\n") == ["f: YAML: line 1, column 3: found unhashable key"]
    assert faults("a: {x: 1, <<: {y: 2}, x: 3}\n") == ['f: YAML: line 1, column 23: the key "x" stands twice']


def tenfold(times: int) -> str:
    """A few lines that stand for ten to the power of ``times`` values."""
    names = [f"k{i}" for i in range(times)]
    lines = [f"{name}: &{name} [{','.join(['*' + below] * 10)}]" for below, name in itertools.pairwise(names)]
    return "\n".join([f"k0: &k0 [{','.join('1' * 10)}]", *lines])


@pytest.mark.parametrize("text", ["a: &a [*a]", tenfold(8)], ids=["refers to itself", "tenfold"])
def test_a_file_that_stands_for_too_much_is_refused(text: str) -> None:
    assert faults(text) == ["f: YAML: stands for more than 5,000,000 values, or refers to itself"]


def test_a_number_that_no_machine_holds_is_a_fault() -> None:
    assert len(faults("a: " + "9" * 5000)) == 1


def test_a_file_nested_beyond_reason_is_a_fault() -> None:
    assert len(faults("[" * 20_000)) == 1
    assert len(faults('{"a":' * 20_000)) == 1


def test_a_document_that_is_no_object_is_a_fault() -> None:
    assert faults("- 1\n- 2\n") == ["f: document/0: must be an object with apiVersion and kind"]


def test_nothing_and_null_documents_are_nothing() -> None:
    assert load_documents("---\n---\n# only a comment\n", "f") == load_documents("", "f")


def objects(text: str) -> list[tuple[str, str, str]]:
    found = load_documents(text, "f")
    assert found.faults == ()
    return [(d.kind, d.api_version, d.name) for d in found.documents]


def obj(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}


def test_json_objects_one_after_the_other_are_documents() -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [obj("b"), obj("c")]}
    for indent in (None, 4):
        text = "\n".join(json.dumps(one, indent=indent) for one in (obj("a"), listed, obj("d")))
        assert objects(text) == [("Pod", "v1", name) for name in "abcd"]
    assert faults(json.dumps(obj("a")) + "\n{") != []
    assert faults(json.dumps(obj("a")) + " x") != []


@pytest.mark.parametrize("written", [json.dumps, yaml.safe_dump])
def test_items_of_a_typed_list_need_not_say_what_they_are(written: Callable[[Json], str]) -> None:
    pods: Json = {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}, obj("b")]}
    assert objects(written(pods)) == [("Pod", "v1", "a"), ("Pod", "v1", "b")]
    pools: Json = {"apiVersion": "karpenter.sh/v1", "kind": "NodePoolList", "items": [{"metadata": {"name": "a"}}]}
    (pool,) = load_documents(written(pools), "f").documents
    assert pool.obj == {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "a"}}


@pytest.mark.parametrize("written", [json.dumps, yaml.safe_dump])
def test_a_list_in_a_list_is_opened_too(written: Callable[[Json], str]) -> None:
    inner = {"apiVersion": "v1", "kind": "List", "items": [obj("a"), obj("b")]}
    assert objects(written({"apiVersion": "v1", "kind": "List", "items": [inner, obj("c")]})) == [
        ("Pod", "v1", name) for name in "abc"
    ]


def test_a_kind_that_only_ends_like_a_list_is_an_object() -> None:
    assert objects("apiVersion: x/v1\nkind: AllowList\nmetadata: {name: a}") == [("AllowList", "x/v1", "a")]
