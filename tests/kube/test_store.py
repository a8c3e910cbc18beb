"""The view of one kind: never older than what was seen, and never without what we wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kube.store import BELIEVED_SECONDS, Entry, OlderHistory, Store
from agent.model.kubernetes import Meta, Node


def node(name: str, version: int, uid: str = "", *, unschedulable: bool = False) -> Entry[Node]:
    uid = uid or f"uid-{name}"
    return Entry(uid, version, Node(Meta(name, uid=uid, resource_version=str(version)), unschedulable=unschedulable))


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store(time: Time) -> Store[Node]:
    made: Store[Node] = Store(time)
    made.replace(made.begin(), {"a": node("a", 10), "b": node("b", 20)}, 30)
    return made


def names(store: Store[Node]) -> list[str]:
    return [n.meta.name for n in store.items()]


def test_a_new_store_is_not_synced_and_a_listed_one_is() -> None:
    store: Store[Node] = Store()
    assert not store.synced
    assert store.replace(store.begin(), {}, 1), "also an empty first list is news"
    assert store.synced


def test_the_view_is_one_tuple_until_something_changes(store: Store[Node]) -> None:
    before = store.items()
    assert store.items() is before
    store.bookmark(31)
    assert store.items() is before
    store.put("c", node("c", 32))
    assert names(store) == ["a", "b", "c"]


def test_a_heartbeat_is_no_change_but_its_version_is_kept(store: Store[Node]) -> None:
    assert not store.put("a", node("a", 31))
    found = store.get("a")
    assert found is not None
    assert found.meta.resource_version == "31"
    assert store.put("a", node("a", 32, unschedulable=True))


def test_a_list_of_heartbeats_is_no_change_either(store: Store[Node]) -> None:
    assert not store.replace(store.begin(), {"a": node("a", 31), "b": node("b", 20)}, 40)
    assert store.replace(store.begin(), {"a": node("a", 31)}, 41)


def test_an_event_that_is_older_than_what_was_seen_is_refused(store: Store[Node]) -> None:
    with pytest.raises(OlderHistory, match="resourceVersion 25 although 30 was seen"):
        store.put("a", node("a", 25, unschedulable=True))
    with pytest.raises(OlderHistory):
        store.remove("a", 29)
    with pytest.raises(OlderHistory):
        store.bookmark(29)
    assert names(store) == ["a", "b"]


def test_a_deleted_object_is_not_brought_back_by_an_older_server(store: Store[Node]) -> None:
    store.remove("a", 40)
    with pytest.raises(OlderHistory):
        store.put("a", node("a", 35))
    with pytest.raises(OlderHistory):
        store.replace(store.begin(), {"a": node("a", 35)}, 38)
    assert names(store) == ["b"]


def test_an_own_write_is_seen_at_once_and_until_the_watch_has_it(store: Store[Node]) -> None:
    assert store.overlay("c", node("c", 33))
    store.put("a", node("a", 32))
    assert names(store) == ["a", "b", "c"]
    assert not store.put("c", node("c", 33))
    assert store.put("c", node("c", 34, unschedulable=True))
    assert not store.unseen()


def test_an_older_event_does_not_hide_an_own_write(store: Store[Node]) -> None:
    store.overlay("a", node("a", 33, unschedulable=True))
    assert not store.put("a", node("a", 32))
    found = store.get("a")
    assert found is not None
    assert found.unschedulable


def test_an_own_write_that_the_watch_brought_first_is_no_news(store: Store[Node]) -> None:
    store.put("c", node("c", 33))
    assert not store.overlay("c", node("c", 33))
    assert not store.overlay("a", node("a", 9))


def test_the_older_of_two_own_writes_does_not_win(store: Store[Node]) -> None:
    store.overlay("a", node("a", 35, unschedulable=True))
    assert not store.overlay("a", node("a", 34))
    found = store.get("a")
    assert found is not None
    assert found.unschedulable


def test_somebody_deletes_what_we_wrote(store: Store[Node]) -> None:
    store.overlay("c", node("c", 33))
    store.remove("c", 34)
    assert names(store) == ["a", "b"]


def test_an_own_write_of_a_name_that_was_another_object(store: Store[Node]) -> None:
    store.overlay("a", node("a", 35, uid="new"))
    store.remove("a", 34)
    found = store.get("a")
    assert found is not None
    assert found.meta.uid == "new"


def test_what_we_removed_is_hidden_until_the_watch_says_so(store: Store[Node]) -> None:
    assert store.hide("a", "uid-a")
    assert names(store) == ["b"]
    store.put("a", node("a", 31))
    assert names(store) == ["b"], "a late event from before the removal"
    store.remove("a", 32)
    assert names(store) == ["b"]
    assert store.put("a", node("a", 33, uid="again"))
    assert names(store) == ["a", "b"]


def test_what_we_removed_before_the_watch_showed_it_stays_hidden(store: Store[Node]) -> None:
    store.overlay("c", node("c", 33))
    assert store.hide("c", "uid-c")
    store.put("c", node("c", 33))
    assert names(store) == ["a", "b"]
    store.remove("c", 34)
    assert names(store) == ["a", "b"]


def test_a_removal_of_another_uid_hides_nothing(store: Store[Node]) -> None:
    assert not store.hide("a", "other")
    assert not store.hide("nobody", "uid")
    assert names(store) == ["a", "b"]


def test_an_own_write_that_is_never_shown_is_doubted_and_a_new_list_decides(store: Store[Node], time: Time) -> None:
    store.overlay("c", node("c", 33))
    store.hide("b", "uid-b")
    assert not store.unseen()
    time.seconds += BELIEVED_SECONDS + 0.1
    assert store.unseen()
    store.replace(store.begin(), {"a": node("a", 10), "b": node("b", 20)}, 31)
    assert names(store) == ["a", "b"]
    assert not store.unseen()


def test_an_own_write_made_while_a_slow_list_runs_is_kept(store: Store[Node], time: Time) -> None:
    listing = store.begin()
    time.seconds += 1
    store.overlay("c", node("c", 33))
    time.seconds += 2 * BELIEVED_SECONDS
    store.replace(listing, {"a": node("a", 10), "b": node("b", 20)}, 32)
    assert names(store) == ["a", "b", "c"]


def test_a_doubt_is_settled_only_by_a_list_that_begins_after_it(store: Store[Node]) -> None:
    listing = store.begin()
    store.doubt()
    store.replace(listing, {}, 31)
    assert not store.synced
    store.replace(store.begin(), {}, 32)
    assert store.synced


def test_the_age_is_since_the_server_was_last_heard(store: Store[Node], time: Time) -> None:
    time.seconds += 7
    assert store.age() == 7.0
    store.heard()
    assert store.age() == 0.0


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, str, bool]]:
    """What happens to three names: (name, new uid or "", whether we are the ones who do it)."""
    happenings = st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "remove"]), st.booleans())
    return draw(st.lists(happenings, max_size=30))


@given(histories(), st.data())
def test_own_writes_and_late_events_end_in_the_truth(history: list[tuple[str, str, bool]], data: st.DataObject) -> None:
    """Events come in order and late by any amount; ours are laid over at once. In the end all agree."""
    store: Store[Node] = Store(lambda: 0.0)
    store.replace(store.begin(), {}, 1)
    truth: dict[str, Entry[Node]] = {}
    pending: list[tuple[str, Entry[Node] | None, int]] = []
    for version, (name, what, ours) in enumerate(history, start=2):
        if what == "put":
            old = truth.get(name)
            entry = node(name, version, old.uid if old is not None else f"{name}{version}")
            truth[name] = entry
            pending.append((name, entry, version))
            if ours:
                store.overlay(name, entry)
                seen = store.get(name)
                assert seen is not None
                assert int(seen.meta.resource_version) == version, "we read our own write"
        elif name in truth:
            gone = truth.pop(name)
            pending.append((name, None, version))
            if ours:
                store.hide(name, gone.uid)
        for _ in range(data.draw(st.integers(0, len(pending)))):
            deliver(store, *pending.pop(0))
    for event in pending:
        deliver(store, *event)
    assert {n.meta.name: n.meta.uid for n in store.items()} == {name: e.uid for name, e in truth.items()}
    assert not store._written, "nothing of ours is left over the truth"


def deliver(store: Store[Node], name: str, entry: Entry[Node] | None, version: int) -> None:
    if entry is None:
        store.remove(name, version)
    else:
        store.put(name, entry)
