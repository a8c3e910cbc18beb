"""What is done by the clock rather than by events, each job on a thread of APScheduler's pool.

A job that fails is logged and runs again at its next time; it never takes the daemon down. APScheduler is given
intervals only: its own reading of cron is off by a weekday.
"""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

log = structlog.get_logger(__name__)

INSTANCES = 3
"""Of one job: one that runs, one that waits for it because it was asked for meanwhile, and one that is just ending."""


class Jobs:
    """Runs functions at intervals, and at once when asked."""

    def __init__(self) -> None:
        # A job that is asked for while one run of it waits for another is not asked for again; that is no warning.
        logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": INSTANCES, "misfire_grace_time": None}
        )

    def every(self, seconds: float, name: str, job: Callable[[], object]) -> None:
        """Run ``job`` now and then each ``seconds``, a tenth earlier or later so that daemons do not march in step."""
        one_at_a_time = threading.Lock()

        def guarded() -> None:
            with one_at_a_time:
                try:
                    job()
                except Exception:
                    log.exception("job.failed", job=name)

        self._scheduler.add_job(
            guarded, "interval", seconds=seconds, id=name, jitter=seconds / 10, next_run_time=datetime.now(UTC)
        )

    def soon(self, name: str) -> None:
        """Run a job now instead of at its next time; while it runs, once more after that."""
        if self._scheduler.running:
            self._scheduler.modify_job(name, next_run_time=datetime.now(UTC))

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """Start no more jobs; those under way end by themselves or with the process."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
