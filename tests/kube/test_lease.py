"""One holder at a time, whatever the clocks and the network do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.errors import Denied
from agent.kube.lease import LeaseLock
from agent.kube.times import Clock
from tests.kube.apihttp import Json
from tests.kube.apiserver import ApiServer, status

NAME = paths.leases("kube-system", "joinery")
BEGIN = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


class Time:
    """A clock that stands until it is moved, whose wall can be stepped apart."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.step = timedelta(0)

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds

    def clock(self) -> Clock:
        wall = lambda: BEGIN + timedelta(seconds=self.seconds) + self.step  # noqa: E731 - one expression
        return Clock(lambda: self.seconds, wall, lambda: 0.5)


@pytest.fixture
def time() -> Time:
    return Time()


def contender(api: KubeApi, time: Time, who: str) -> LeaseLock:
    lock = LeaseLock(api, "kube-system", "joinery", who)
    lock.clock = time.clock()
    return lock


def spec(server: ApiServer) -> Json:
    stored = server.stored(NAME)
    assert stored is not None
    held: Json = stored["spec"]
    return held


def test_the_first_comer_gets_the_lock_and_the_second_waits(api: KubeApi, server: ApiServer, time: Time) -> None:
    first, second = contender(api, time, "one"), contender(api, time, "two")
    assert first.try_acquire()
    assert first.held()
    assert not second.try_acquire()
    assert not second.held()
    assert second.holder == "one"
    assert spec(server) == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-25T12:00:00.000000Z",
        "renewTime": "2026-11-25T12:00:00.000000Z",
        "leaseTransitions": 0,
    }


def test_the_fence_falls_before_a_rival_may_take_over(api: KubeApi, time: Time) -> None:
    lock = contender(api, time, "one")
    assert lock.try_acquire()
    time.pass_by(10.0)
    assert lock.held()
    time.pass_by(0.1)
    assert not lock.held()


def test_a_holder_that_fell_silent_is_followed_only_after_its_whole_duration(
    api: KubeApi, server: ApiServer, time: Time
) -> None:
    first, second = contender(api, time, "one"), contender(api, time, "two")
    first.try_acquire()
    assert not second.try_acquire()
    time.pass_by(15.0)
    assert not second.try_acquire()
    time.pass_by(0.1)
    assert second.try_acquire()
    assert spec(server)["leaseTransitions"] == 1
    assert not first.renew()
    assert not first.held()
    assert first.holder == "two"


def test_a_renewed_lock_is_not_taken_over(api: KubeApi, time: Time) -> None:
    first, second = contender(api, time, "one"), contender(api, time, "two")
    first.try_acquire()
    second.try_acquire()
    for _ in range(5):
        time.pass_by(8.0)
        assert first.renew()
        assert not second.try_acquire()
    assert first.held()


@pytest.mark.parametrize("days", [-400, 400])
def test_a_step_of_the_wall_clock_gives_the_lock_to_nobody(api: KubeApi, time: Time, days: int) -> None:
    first, second = contender(api, time, "one"), contender(api, time, "two")
    first.try_acquire()
    time.step = timedelta(days=days)
    assert not second.try_acquire()
    assert first.renew()
    assert first.held()


def test_a_released_lock_is_free_at_once(api: KubeApi, server: ApiServer, time: Time) -> None:
    first, second = contender(api, time, "one"), contender(api, time, "two")
    first.try_acquire()
    first.release()
    assert not first.held()
    assert spec(server)["holderIdentity"] == ""
    assert second.try_acquire()
    assert spec(server)["leaseTransitions"] == 1


def test_a_lock_that_was_lost_is_not_released(api: KubeApi, time: Time) -> None:
    first, second = contender(api, time, "one"), contender(api, time, "two")
    first.try_acquire()
    second.try_acquire()
    time.pass_by(16.0)
    assert second.try_acquire()
    first.release()
    assert second.renew()


@pytest.mark.parametrize("code", [403, 429, 500, 503])
def test_any_failure_counts_as_not_renewed(api: KubeApi, server: ApiServer, time: Time, code: int) -> None:
    lock = contender(api, time, "one")
    lock.try_acquire()
    server.fail("PUT", "/leases/joinery", code)
    assert not lock.renew()
    assert lock.fault is not None
    assert lock.held(), "the fence bridges one failed renewal"
    time.pass_by(10.1)
    assert not lock.held()


def test_a_refusal_is_told_and_not_raised(api: KubeApi, server: ApiServer, time: Time) -> None:
    lock = contender(api, time, "one")
    server.fail("GET", "/leases/joinery", 403, status(403, "Forbidden", "may not get leases"))
    assert not lock.try_acquire()
    assert isinstance(lock.fault, Denied)
    assert str(lock.fault) == "may not get leases"


@pytest.mark.parametrize("after", [True, False])
def test_a_renewal_whose_answer_was_lost_is_made_good(api: KubeApi, server: ApiServer, time: Time, after: bool) -> None:
    lock = contender(api, time, "one")
    lock.try_acquire()
    server.hang_up("PUT", "/leases/joinery", after=after)
    assert not lock.renew()
    time.pass_by(2.0)
    assert lock.renew()
    assert spec(server)["renewTime"] == "2026-11-25T12:00:02.000000Z"


def test_an_acquisition_whose_answer_was_lost_is_found_to_be_ours(api: KubeApi, server: ApiServer, time: Time) -> None:
    lock = contender(api, time, "one")
    server.hang_up("POST", "/leases", after=True)
    assert not lock.try_acquire()
    assert not lock.held()
    assert lock.try_acquire()
    assert spec(server)["leaseTransitions"] == 0


def test_two_that_see_the_lock_free_do_not_both_get_it(api: KubeApi, server: ApiServer, time: Time) -> None:
    first, second = contender(api, time, "one"), contender(api, time, "two")
    server.put(NAME, {"spec": {"holderIdentity": ""}})
    server.fail("PUT", "/leases/joinery", 409, status(409, "Conflict", "the object has been modified"))
    assert not first.try_acquire()
    assert second.try_acquire()
    assert not first.try_acquire()


def test_a_slow_answer_does_not_lengthen_the_lease(api: KubeApi, time: Time) -> None:
    lock = contender(api, time, "one")
    ticking = lock.clock

    def monotonic() -> float:
        # The clock is read before the request and after it; between the two nine seconds pass.
        now = time.seconds
        time.pass_by(9.0)
        return now

    lock.clock = Clock(monotonic, ticking.now, ticking.jitter)
    assert lock.try_acquire()
    lock.clock = ticking
    assert lock._last_renew is not None
    assert lock._last_renew + 9.0 <= time.seconds


def test_what_others_wrote_on_the_lease_survives(api: KubeApi, server: ApiServer, time: Time) -> None:
    lock = contender(api, time, "one")
    lock.try_acquire()
    stored = server.stored(NAME)
    assert stored is not None
    marked = stored | {
        "metadata": stored["metadata"] | {"labels": {"team": "infra"}},
        "spec": stored["spec"] | {"strategy": "x"},
    }
    server.put(NAME, marked)
    assert lock.renew()
    after = server.stored(NAME)
    assert after is not None
    assert after["metadata"]["labels"] == {"team": "infra"}
    assert after["spec"]["strategy"] == "x"


def test_a_lease_that_somebody_deleted_is_made_again(api: KubeApi, server: ApiServer, time: Time) -> None:
    lock = contender(api, time, "one")
    lock.try_acquire()
    server.remove(NAME)
    assert not lock.renew()
    assert lock.try_acquire()


def test_attempts_are_spread_out(api: KubeApi, time: Time) -> None:
    assert contender(api, time, "one").pause_seconds() == pytest.approx(2.2)
