"""Events tell, once and without getting in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from agent.core.decide import decide
from agent.kube import events, paths
from agent.kube.api import KubeApi
from agent.kube.events import EventRecorder
from agent.model.reasons import Reason
from agent.report.journal import Journal
from tests.build import pod, snapshot
from tests.kube.apihttp import Json
from tests.kube.apiserver import ApiServer

EVENTS = paths.core_events("default")
Wait = Callable[[Callable[[], bool]], None]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 25, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(api: KubeApi, clock: Clock) -> Iterator[EventRecorder]:
    made = EventRecorder(api, clock, "host")
    made.start()
    yield made
    made.stop()
    made._thread.join(10)


def written(server: ApiServer) -> list[Json]:
    return [c.body for c in server.calls if c.method == "POST" and isinstance(c.body, dict)]


def test_an_event_names_its_object_and_reason(recorder: EventRecorder, server: ApiServer, eventually: Wait) -> None:
    recorder.publish("NodeClaim", "a", Reason("Provisioned", "for 3 pods"), uid="u1", warning=False)
    eventually(lambda: len(written(server)) == 1)
    assert written(server)[0] == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "a.", "namespace": "default"},
        "involvedObject": {"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "name": "a", "uid": "u1"},
        "reason": "Provisioned",
        "message": "for 3 pods",
        "type": "Normal",
        "source": {"component": "joinery", "host": "host"},
        "firstTimestamp": "2026-11-25T00:00:00Z",
        "lastTimestamp": "2026-11-25T00:00:00Z",
        "count": 1,
    }


def test_an_event_on_a_pod_is_in_the_namespace_of_the_pod(
    recorder: EventRecorder, server: ApiServer, eventually: Wait
) -> None:
    recorder.publish("Pod", "web", Reason("FailedScheduling", "no pool"), namespace="shop", uid="u1")
    eventually(lambda: len(written(server)) == 1)
    assert server.calls[-1].path == "/api/v1/namespaces/shop/events"
    assert written(server)[0]["involvedObject"]["namespace"] == "shop"


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [(Reason("Provisioned", "the same"), 120), (Reason("DisruptionBlocked", "the same"), 900)],
)
def test_the_same_is_told_again_only_after_a_while(
    api: KubeApi, server: ApiServer, clock: Clock, reason: Reason, seconds: int
) -> None:
    recorder = EventRecorder(api, clock)
    recorder.publish("Node", "a", reason)
    clock.pass_by(seconds - 1)
    recorder.publish("Node", "a", reason)
    recorder.publish("Node", "b", reason)
    clock.pass_by(1)
    recorder.publish("Node", "a", reason)
    recorder.stop()
    recorder._run()
    assert [e["involvedObject"]["name"] for e in written(server)] == ["a", "b", "a"]


def test_a_storm_is_cut_off_and_counted(
    recorder: EventRecorder, server: ApiServer, clock: Clock, eventually: Wait
) -> None:
    for n in range(events.BURST + 10):
        recorder.publish("Node", f"n{n}", Reason("Registered", "joined"))
    assert recorder.lost == 10
    clock.pass_by(1)
    for n in range(10):
        recorder.publish("Node", f"m{n}", Reason("Registered", "joined"))
    assert recorder.lost == 15
    eventually(lambda: len(written(server)) == events.BURST + 5)


def test_what_was_cut_off_is_not_taken_for_told(recorder: EventRecorder, clock: Clock) -> None:
    for n in range(events.BURST + 1):
        recorder.publish("Node", f"n{n}", Reason("Registered", "joined"))
    clock.pass_by(1)
    recorder.publish("Node", f"n{events.BURST}", Reason("Registered", "joined"))
    assert recorder.lost == 1


def test_a_server_that_refuses_is_counted_and_never_raised(
    recorder: EventRecorder, server: ApiServer, eventually: Wait
) -> None:
    server.fail("POST", "/events", 403)
    server.hang_up("POST", "/events")
    for name in ("a", "b", "c"):
        recorder.publish("Node", name, Reason("Registered", "joined"))
    eventually(lambda: server.stored(f"{EVENTS}/{_name(server)}") is not None)
    assert recorder.lost == 2
    assert recorder.failed is None


def _name(server: ApiServer) -> str:
    """Of the only event that was stored; the server makes names of the prefix and its version."""
    return f"c.{server.version - 1}"


def test_each_impossible_pod_gets_one_event_however_many_there_are_and_however_often_it_is_refused(
    recorder: EventRecorder, server: ApiServer, clock: Clock, eventually: Wait
) -> None:
    """Too many at once are told over the next cycles, none twice: the reason is what a person acts on."""
    count = events.BURST + 15
    pods = tuple(pod(f"w{n}", claims=("data",)) for n in range(count))
    decided = snapshot(pods=pods)
    plan = decide(decided)
    journal = Journal(recorder)
    for _ in range(6):
        journal.publish(decided, plan, ())
        clock.pass_by(1)
    eventually(lambda: len(written(server)) == count)
    told = [e["involvedObject"]["name"] for e in written(server)]
    assert sorted(told) == sorted(p.meta.name for p in pods)
    assert {e["message"] for e in written(server)} == {
        "its PersistentVolumeClaim default/data does not exist; create it, or mend the pod's volumes"
    }
    assert {(e["reason"], e["involvedObject"]["uid"]) for e in written(server)} >= {("FailedScheduling", "uid-w0")}


def test_a_reason_that_changes_is_told_again(recorder: EventRecorder, server: ApiServer, eventually: Wait) -> None:
    journal = Journal(recorder)
    missing = snapshot(pods=(pod(claims=("data",)),))
    journal.publish(missing, decide(missing), ())
    large = snapshot(pods=(pod(cpu="99"),))
    journal.publish(large, decide(large), ())
    eventually(lambda: len(written(server)) == 2)
    assert "does not exist" in written(server)[0]["message"]
    assert "0 with cpu ≥ 99" in written(server)[1]["message"]
