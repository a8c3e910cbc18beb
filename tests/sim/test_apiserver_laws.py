"""Laws of the embedded Kubernetes API: a list and the changes since are the present; what patches do."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.kube import paths
from agent.sim.apiserver import ADMIN, Api, Request, Response, WatchStream
from agent.sim.apiserver.patching import json_patch, merge, strategic

Json = dict[str, Any]
NAMES = ("a", "b", "c")
COLLECTION = paths.config_maps("default")
Step = tuple[str, str, str]
steps = st.lists(
    st.tuples(st.sampled_from(("create", "label", "delete")), st.sampled_from(NAMES), st.sampled_from(("yes", "no"))),
    max_size=30,
)
keys = st.sampled_from(("x", "y", "z"))
values = st.recursive(st.integers(0, 3) | st.text("ab", max_size=2), lambda v: st.dictionaries(keys, v, max_size=3))
documents = st.dictionaries(keys, values, max_size=3)
with_nulls = st.recursive(
    st.none() | st.integers(0, 3), lambda v: st.dictionaries(keys, v, max_size=3), max_leaves=8
).filter(lambda v: isinstance(v, dict))


def ask(api: Api, method: str, path: str, body: object = None, **query: str) -> Json:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    raw = b"" if body is None else json.dumps(body).encode()
    found = api.handle(Request(method, path, query, raw, kind, user=ADMIN))
    assert isinstance(found, Response)
    answer: Json = json.loads(found.body)
    return answer


def take(api: Api, step: Step) -> None:
    what, name, label = step
    meta = {"name": name, "labels": {"in": label}}
    if what == "create":
        ask(api, "POST", COLLECTION, {"metadata": meta})
    elif what == "label":
        ask(api, "PATCH", f"{COLLECTION}/{name}", {"metadata": meta})
    else:
        ask(api, "DELETE", f"{COLLECTION}/{name}")


def present(api: Api, **query: str) -> dict[str, Json]:
    return {o["metadata"]["name"]: o for o in ask(api, "GET", COLLECTION, **query)["items"]}


def follow(held: dict[str, Json], lines: list[bytes]) -> dict[str, Json]:
    """What a client that keeps to the protocol knows; an event out of turn is an error."""
    for line in lines:
        event = json.loads(line)
        name = event["object"]["metadata"]["name"]
        assert (event["type"] == "ADDED") is (name not in held)
        if event["type"] == "DELETED":
            del held[name]
        else:
            held[name] = event["object"]
    return held


@given(before=steps, after=steps, selector=st.sampled_from(("", "in=yes", "in!=yes", "other")))
@settings(max_examples=60, deadline=None)
def test_a_list_and_the_changes_since_are_the_present(before: list[Step], after: list[Step], selector: str) -> None:
    api = Api(seed=1)
    for step in before:
        take(api, step)
    query = {"labelSelector": selector}
    listed = ask(api, "GET", COLLECTION, **query)
    held = {o["metadata"]["name"]: o for o in listed["items"]}
    opened = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"], **query}
    stream = api.handle(Request("GET", COLLECTION, opened, user=ADMIN))
    assert isinstance(stream, WatchStream)
    lines: list[bytes] = []
    for index, step in enumerate(after):
        take(api, step)
        if index % 3 == 0:
            lines += stream.poll()
    assert follow(held, lines + stream.poll()) == present(api, **query)


@given(before=steps, after=steps, limit=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_all_pages_are_the_list_of_the_first_ones_version(before: list[Step], after: list[Step], limit: int) -> None:
    api = Api(seed=1)
    for step in before:
        take(api, step)
    whole = present(api)
    page = ask(api, "GET", COLLECTION, limit=str(limit))
    for step in after:
        take(api, step)
    items = page["items"]
    while token := page["metadata"].get("continue"):
        page = ask(api, "GET", COLLECTION, limit=str(limit), **{"continue": token})
        items += page["items"]
    assert {o["metadata"]["name"]: o for o in items} == whole


@given(target=documents, patch=with_nulls)
def test_a_merge_patch_twice_is_the_same_as_once(target: Json, patch: Json) -> None:
    once = merge(target, patch)
    assert merge(once, patch) == once
    assert strategic(strategic(target, patch), patch) == strategic(target, patch)


@given(target=documents, patch=documents)
def test_without_lists_both_merges_agree(target: Json, patch: Json) -> None:
    assert merge(target, patch) == strategic(target, patch)


@given(target=documents, name=keys, value=values)
def test_a_json_patch_leaves_its_target_alone(target: Json, name: str, value: Any) -> None:
    kept = json.dumps(target)
    added = json_patch(target, [{"op": "add", "path": f"/{name}", "value": value}])
    assert added == target | {name: value}
    rest = json_patch(added, [{"op": "test", "path": f"/{name}", "value": value}, {"op": "remove", "path": f"/{name}"}])
    assert rest == {k: v for k, v in target.items() if k != name}
    assert json.dumps(target) == kept
