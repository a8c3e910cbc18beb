"""Two daemons as processes and one Lease: the leader is killed, stopped or cut off, and the other goes on alone."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.sim.daemon import DaemonProcess
from tests.crash.partition import Wire
from tests.crash.scenarios import MEDIUM, deploy, pool, run, scale
from tests.crash.stage import KILLED, SETTINGS, SharedEc2, Stage
from tests.virtual.history import Write

Record = Callable[[str, object], None]
LEASE_SECONDS = float(SETTINGS["leaseDurationSeconds"])
STEPS = ("create_claim", "create_fleet", "record_launch", "sync_node", "delete_claim", "terminate_instance")
LATEST = 3 * LEASE_SECONDS


@pytest.fixture
def stage(ec2: SharedEc2, tmp_path: Path) -> Stage:
    return Stage(tmp_path, ec2)


def holder(stage: Stage) -> int:
    """The process that has the Lease; 0 for none."""
    held = stage.server.api.store.get("leases.coordination.k8s.io", ("joinery-system", "joinery"))
    text = held.object["spec"].get("holderIdentity") or "" if held is not None else ""
    return int(text.rpartition("_")[2] or 0)


def pair(stage: Stage, *doom: str, kubeconfig: Path | None = None) -> tuple[DaemonProcess, DaemonProcess]:
    """A leader, and one that waits."""
    leader = stage.begin(*doom, kubeconfig=kubeconfig)
    stage.wait("a leader", lambda: holder(stage) == leader.process.pid)
    return leader, stage.begin()


def taken_over(stage: Stage, other: DaemonProcess, began: float) -> float:
    """Seconds until the other has the Lease."""
    stage.wait("the other leads", lambda: holder(stage) == other.process.pid, LATEST)
    return time.monotonic() - began


def grow_and_shrink(stage: Stage) -> None:
    run(stage, 2)
    scale(stage, "scan", 1)
    run(stage, 1)


def ended(stage: Stage) -> list[str]:
    stage.silence()
    fleet = Counter(i.type for i in stage.ours())
    return [*stage.faults(), *([] if fleet == {MEDIUM: 1} else [f"the end has {dict(fleet)}"])]


@pytest.mark.parametrize("step", STEPS)
def test_a_leader_killed_at_a_step_is_followed(step: str, stage: Stage, record_property: Record) -> None:
    with stage:
        leader, other = pair(stage, "after", step)
        pool(stage)
        deploy(stage, "scan", 2)
        if step in {"delete_claim", "terminate_instance"}:
            run(stage, 2)
            scale(stage, "scan", 1)
        stage.wait("the leader's death", lambda: leader.process.poll() == KILLED)
        seconds = taken_over(stage, other, time.monotonic())
        if step not in {"delete_claim", "terminate_instance"}:
            grow_and_shrink(stage)
        run(stage, 1)
        assert ended(stage) == []
        record_property("counts", dict(stage.counts()))
    record_property("said", f"leader killed after {step}: the other led {seconds:.1f} s later")


def test_a_leader_that_slept_longer_than_its_lease_writes_nothing_more(stage: Stage, record_property: Record) -> None:
    with stage:
        leader, other = pair(stage)
        pool(stage)
        deploy(stage, "scan", 2)
        run(stage, 2)
        os.kill(leader.process.pid, signal.SIGSTOP)
        seconds = taken_over(stage, other, time.monotonic())
        woken = stage.witness.recorder.now
        os.kill(leader.process.pid, signal.SIGCONT)
        scale(stage, "scan", 1)
        run(stage, 1)
        assert ended(stage) == []
        assert written(stage, leader, woken) == []
        assert leader.process.poll() is None
    record_property("said", f"leader asleep: the other led {seconds:.1f} s later; the sleeper woke and wrote nothing")


@pytest.mark.parametrize("step", ["create_claim", "create_fleet", "terminate_instance"])
def test_a_leader_that_fell_asleep_between_fence_and_write_does_no_harm(step: str, stage: Stage) -> None:
    """A fence cannot look after a write was begun; the intent's version and the client token can."""
    with stage:
        leader, other = pair(stage, "asleep", step)
        pool(stage)
        deploy(stage, "scan", 2)
        if step == "terminate_instance":
            run(stage, 2)
            scale(stage, "scan", 1)
        stage.wait("sleep", lambda: asleep(leader.process.pid))
        taken_over(stage, other, time.monotonic())
        stage.wait("the other has finished", lambda: stage.running() == (1 if step == "terminate_instance" else 2))
        woken = stage.witness.recorder.now
        os.kill(leader.process.pid, signal.SIGCONT)
        time.sleep(1.0)
        scale(stage, "scan", 1)
        run(stage, 1)
        assert [f for f in ended(stage) if not late(f, leader)] == []
        assert len(written(stage, leader, woken)) <= 1, "the one write that it was about to send, and no other"
        assert stage.counts()["double launches"] == 0


def test_a_leader_cut_off_from_the_api_is_followed_and_does_not_come_back(
    stage: Stage, record_property: Record
) -> None:
    with stage, Wire(stage.server.url) as wire:
        across = wire.kubeconfig(stage.daemon_kubeconfig, stage.folder / "across.conf")
        leader, other = pair(stage, kubeconfig=across)
        pool(stage)
        deploy(stage, "scan", 2)
        stage.wait("claims", stage.claims)
        wire.cut()
        seconds = taken_over(stage, other, time.monotonic())
        run(stage, 2)
        mended = stage.witness.recorder.now
        wire.mend()
        scale(stage, "scan", 1)
        run(stage, 1)
        # What was on the wire when it was cut arrives when it is mended, as a packet that was sent again would.
        assert [f for f in ended(stage) if not late(f, leader)] == []
        assert not {"CreateFleet", "TerminateInstances", "POST nodeclaims"} & set(written(stage, leader, mended))
        assert stage.counts()["double launches"] == 0
    record_property("said", f"leader cut off: the other led {seconds:.1f} s later")


def written(stage: Stage, daemon: DaemonProcess, since: float) -> list[str]:
    """What the daemon wrote but its Lease, Events and reviews of its own rights."""
    mine = f"_{daemon.process.pid}"
    writes = (w for w in stage.witness.history if isinstance(w, Write) and w.at > since and w.process.endswith(mine))
    return [w.action for w in writes if not w.action.endswith(("leases", "events", "selfsubjectreviews"))]


def late(fault: str, leader: DaemonProcess) -> bool:
    """Whether it is a write of the former leader's that was begun while it led, and arrived later."""
    return fault.startswith("one-writer") and f"_{leader.process.pid} did " in fault


def asleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
