"""The batch window: a burst is one decision, a trickle is not starved."""

from datetime import UTC, datetime, timedelta

from agent.daemon.batch import BatchWindow

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def window() -> BatchWindow:
    return BatchWindow(idle=timedelta(seconds=1), longest=timedelta(seconds=10))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_it_closes_after_the_idle_time_without_a_new_pod() -> None:
    batch = window()
    assert not batch.offer(["a"], at(0))
    assert not batch.offer(["a", "b"], at(0.9))
    assert not batch.offer(["a", "b"], at(1.8))
    assert batch.offer(["a", "b"], at(1.9))


def test_it_closes_after_the_longest_time_however_many_still_come() -> None:
    batch = window()
    closed = [batch.offer([str(n) for n in range(i + 1)], at(i * 0.5)) for i in range(21)]
    assert closed == [False] * 20 + [True]


def test_pods_that_were_decided_on_open_no_window_again() -> None:
    batch = window()
    batch.offer(["a"], at(0))
    assert batch.offer(["a"], at(1))
    batch.decided()
    assert batch.offer(["a"], at(1.1))
    assert not batch.offer(["a", "b"], at(1.2))


def test_without_pods_nothing_waits() -> None:
    batch = window()
    assert batch.offer([], at(0))
    assert batch.closes_at() is None
