"""What the log is told: each thing once, and again when it comes back."""

from datetime import UTC, datetime

from structlog.testing import capture_logs

from agent.core.decide import decide
from agent.model.plan import Approvals, Cluster, Snapshot
from agent.report.journal import Journal

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _cycle(journal: Journal, *, paused: bool) -> list[str]:
    snapshot = Snapshot(NOW, Cluster("team", "uid"), approvals=Approvals(paused=paused))
    with capture_logs() as said:
        journal.publish(snapshot, decide(snapshot), ())
    return [entry["why"] for entry in said if entry["event"] == "notice"]


def test_a_pause_is_told_once_and_again_after_it_was_ended() -> None:
    journal = Journal(None)
    assert "joinery resume" in _cycle(journal, paused=True)[0]
    assert _cycle(journal, paused=True) == []
    assert _cycle(journal, paused=False) == []
    assert len(_cycle(journal, paused=True)) == 1
