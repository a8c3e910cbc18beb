"""Jobs by the clock: what is asked for is done, whatever is under way."""

import threading
from collections.abc import Iterator

import pytest

from agent.daemon.jobs import Jobs

SECONDS = 10.0
NEVER = 3600.0


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.stop()


def test_a_job_runs_at_once_and_when_it_is_asked_for(jobs: Jobs) -> None:
    runs = threading.Semaphore(0)
    jobs.every(NEVER, "count", runs.release)
    jobs.start()
    assert runs.acquire(timeout=SECONDS)
    jobs.soon("count")
    assert runs.acquire(timeout=SECONDS)


def test_a_job_that_is_asked_for_while_it_runs_runs_once_more(jobs: Jobs) -> None:
    """It may have looked already at what has changed meanwhile, such as who leads."""
    began, go_on = threading.Semaphore(0), threading.Semaphore(0)
    at_once: list[int] = []
    running: list[int] = []

    def job() -> None:
        running.append(1)
        at_once.append(len(running))
        began.release()
        go_on.acquire(timeout=SECONDS)
        running.pop()

    jobs.every(NEVER, "slow", job)
    jobs.start()
    assert began.acquire(timeout=SECONDS)
    jobs.soon("slow")
    assert not began.acquire(timeout=0.2), "not at the same time"
    go_on.release()
    assert began.acquire(timeout=SECONDS)
    go_on.release()
    assert at_once == [1, 1]


def test_a_job_that_fails_runs_again(jobs: Jobs) -> None:
    runs = threading.Semaphore(0)

    def failing() -> None:
        runs.release()
        raise ZeroDivisionError

    jobs.every(NEVER, "failing", failing)
    jobs.start()
    assert runs.acquire(timeout=SECONDS)
    jobs.soon("failing")
    assert runs.acquire(timeout=SECONDS)
