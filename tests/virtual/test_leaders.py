"""Two daemons and one Lease: whatever happens to the leader, and whenever, there are never two writers."""

from __future__ import annotations

from functools import cache

import pytest

from tests.virtual import history as h
from tests.virtual.line import Call, Mishap
from tests.virtual.matrix import Blow
from tests.virtual.process import Process
from tests.virtual.scenarios import grown_and_shrunk
from tests.virtual.world import World

LEASE_SECONDS = 15
ONE, TWO = "one#1", "two#1"
EFFECTS = (
    *("create_claim", "ensure_template", "write_intent", "create_fleet", "label_claim", "record_launch", "sync_node"),
    *("taint_disrupted", "lift_unregistered_taint", "set_condition", "delete_claim", "exclude_from_load_balancers"),
    *("terminate_instance", "delete_node", "release_claim", "decide_certificate", "create-secret", "publish-token"),
)


class Pair:
    """Two daemons; something happens to the first at a step."""

    def __init__(self, blow: Blow | None, partitioned: bool) -> None:
        self.world = World(seed=3, leaseDurationSeconds=LEASE_SECONDS)
        self.struck: float | None = None
        self._blow = blow
        self._partitioned = partitioned

    def play(self) -> None:
        with self.world as world:
            world.start(ONE, self._prepare)
            world.run(1.0)
            world.start(TWO)
            grown_and_shrunk(world)
            world.settle()

    def _prepare(self, process: Process) -> None:
        process.line.mishap = self._mishap
        process.line.checkpoint = self._at

    def _mishap(self, call: Call) -> Mishap | None:
        away = self._partitioned and self.struck is not None and call.service == "kube"
        return Mishap("unreachable", seconds=10.0) if away else None

    def _at(self, effect: str, moment: str, number: int) -> bool:
        if self.struck is not None or (effect, number, moment) != self._blow:
            return False
        self.struck = self.world.fibers.now
        return not self._partitioned

    def takeover_seconds(self) -> float:
        """From the blow to the first fenced write of the other."""
        assert self.struck is not None
        writes = (r for r in self.world.record.history if isinstance(r, h.Write) and r.effect and r.process == TWO)
        return next((w.at for w in writes if w.service != "ssm"), float("inf")) - self.struck


@cache
def undisturbed() -> dict[tuple[str, str, str], int]:
    pair = Pair(None, partitioned=False)
    pair.play()
    assert pair.world.violations() == []
    return dict(pair.world.fleet())


@pytest.mark.parametrize("partitioned", [False, True], ids=["killed", "cut off"])
@pytest.mark.parametrize("effect", EFFECTS)
def test_a_leader_that_is_gone_at_any_step_is_followed_and_never_joined(effect: str, partitioned: bool) -> None:
    for moment in ("before", "after"):
        pair = Pair(Blow(effect, 1, moment), partitioned)
        pair.play()
        assert pair.struck is not None
        assert [str(v) for v in pair.world.violations()] == [], f"{effect} {moment}"
        assert dict(pair.world.fleet()) == undisturbed(), f"{effect} {moment}"


def test_a_standby_takes_over_once_the_lease_has_run_out() -> None:
    """No sooner, however long the leader is silent, and within one more attempt."""
    pair = Pair(Blow("create_fleet", 1, "before"), partitioned=False)
    pair.play()
    taken = pair.takeover_seconds()
    print(f"taken over after {taken:.1f} s")
    assert LEASE_SECONDS - 3 <= taken <= LEASE_SECONDS + 5


def test_a_leader_that_was_stopped_for_a_minute_wakes_up_as_a_standby() -> None:
    """One request may have been on its way; nothing that begins after the stop goes out."""
    pair = Pair(None, partitioned=False)
    with pair.world as world:
        world.start(ONE)
        world.run(1.0)
        world.start(TWO)
        world.run(30)
        world.land.deploy("scan", 2)
        world.until(lambda: len(world.claims()) == 1, step=0.01)
        world.fibers.freeze(ONE, 60.0)
        woken = world.fibers.now + 60.0
        world.run(120)
        world.settle()
        late = [r for r in world.record.history if isinstance(r, h.Write) and r.process == ONE and r.at >= woken]
        assert [w for w in late if w.effect and w.holder != ONE and w.at > woken + 0.5] == []
        others = {v.invariant for v in world.violations()} - {"one-writer"}
        assert others == set()
        assert world.pending() == ()
