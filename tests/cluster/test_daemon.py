"""The daemon process on real parts, when things go wrong: it buys once, loses nothing, and says what is the matter."""

from __future__ import annotations

import copy
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.report.observing import read
from agent.sim.daemon import DaemonProcess
from tests.cluster.controlplane import ControlPlane
from tests.cluster.slow_watch import SlowWatch, settle
from tests.cluster.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
POOL, CLASS = "worker-scalable", "default"


@pytest.fixture(scope="module")
def stack(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("daemon"), control_plane) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(stack: Stack) -> Iterator[None]:
    """Each test finds the pool ready to be bought from and leaves no claim and no instance."""
    stack.room.holding = True
    stack.ec2.heal()
    stack.ec2.admin("/_calls", method="DELETE")
    stack.apply(*_manifests())
    yield
    stack.ec2.heal()
    stack.control_plane.kubectl("delete", "deployment", "--all", "--wait=false")
    if stack.daemon is None or stack.daemon.process.poll() is not None:
        stack.start_daemon()
    stack.control_plane.kubectl("delete", "nodeclaims.karpenter.sh", "--all", "--wait=false")
    stack.wait("nothing left", lambda: not stack.claims() and not stack.ec2.alive(), 90)
    assert stack.daemon is not None
    stack.daemon.stop()
    stack.daemon = None


def _manifests() -> list[dict[str, Any]]:
    """The example's pool and class, with no wait before empty nodes go."""
    documents = list(yaml.safe_load_all((ROOT / "examples/worker-scalable.yaml").read_text()))
    for document in documents:
        if document["kind"] == "NodePool":
            document["spec"]["disruption"] = {
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": "1s",
                "budgets": [{"nodes": "100%"}],
            }
    return documents


def _work(name: str, replicas: int, cpu: str = "1", memory: str = "2Gi") -> dict[str, Any]:
    deployment: dict[str, Any] = yaml.safe_load((ROOT / "examples/scan-workers.yaml").read_text())
    deployment["metadata"]["name"] = name
    deployment["spec"] |= {"replicas": replicas, "selector": {"matchLabels": {"app": name}}}
    template = deployment["spec"]["template"]
    template["metadata"]["labels"] = {"app": name}
    template["spec"]["containers"][0]["resources"]["requests"] = {"cpu": cpu, "memory": memory}
    return deployment


def _launched(stack: Stack, count: int) -> bool:
    claims = stack.claims()
    return len(claims) == count and all(c.get("status", {}).get("providerID") for c in claims)


def _one_instance_each(stack: Stack) -> None:
    by_claim: dict[str, list[str]] = {}
    for instance in stack.ec2.alive():
        by_claim.setdefault(instance["tags"]["joinery.sh/nodeclaim-uid"], []).append(instance["id"])
    assert sorted(by_claim) == sorted(c["metadata"]["uid"] for c in stack.claims())
    assert all(len(ids) == 1 for ids in by_claim.values()), by_claim


def _events(stack: Stack, reason: str) -> list[str]:
    return [e["message"] for e in stack.listed("events") if e["reason"] == reason]


def test_killed_after_the_launch_call_and_before_its_answer_it_has_bought_one_instance(stack: Stack) -> None:
    stack.ec2.fault("CreateFleet", moment="after", delay_seconds=3.0)
    stack.apply(_work("killed", 1))
    first = stack.start_daemon()
    stack.wait("the launch call", lambda: bool(stack.ec2.calls("CreateFleet")), 60)
    first.stop(signal.SIGKILL)
    stack.wait("an instance of which nobody was told", lambda: len(stack.ec2.alive()) == 1, 15)
    stack.start_daemon()
    stack.wait("the claim knows its instance", lambda: _launched(stack, 1), 60)
    _one_instance_each(stack)


def test_an_answer_that_is_lost_is_asked_for_again_by_the_same_token(stack: Stack) -> None:
    stack.ec2.fault("CreateFleet", moment="after")
    stack.start_daemon()
    stack.apply(_work("lost", 1))
    stack.wait("the claim knows its instance", lambda: _launched(stack, 1), 90)
    _one_instance_each(stack)
    tokens = {c["form"]["ClientToken"] for c in stack.ec2.calls("CreateFleet")}
    assert len(tokens) == 1


def test_late_watch_events_never_make_two_claims_for_one_pod(stack: Stack) -> None:
    with SlowWatch(stack.kubeconfig, stack.folder, 10.0) as slow:
        command = ["run", "--settings", str(stack.folder / "agent.yaml"), "--kubeconfig", str(slow.kubeconfig)]
        stack.daemon = DaemonProcess(command, stack.environment, stack.folder / "slow.log")
        stack.apply(_work("late", 5))
        stack.wait("bought", lambda: sum(_vcpus(i["type"]) for i in stack.ec2.alive()) >= 5, 120)
        settle(15.0)
        assert sum(_vcpus(i["type"]) for i in stack.ec2.alive()) == 5
        _one_instance_each(stack)
        stack.daemon.stop()


def _vcpus(kind: str) -> int:
    """Scan workers that fit: t3.medium has the memory for one only."""
    return {"t3.medium": 1, "t3.large": 2, "t3.xlarge": 4}[kind]


def test_without_capacity_the_next_offering_is_taken_and_the_refused_one_remembered(stack: Stack) -> None:
    stack.ec2.admin(
        "/_capacity",
        {f"t3.medium/ap-northeast-2{z}/on-demand": 0 for z in "ac"} | {"t3.large/ap-northeast-2a/on-demand": 0},
    )
    stack.start_daemon()
    stack.apply(_work("scarce", 1))
    stack.wait("bought elsewhere", lambda: _launched(stack, 1), 60)
    bought = stack.ec2.alive()[0]
    assert (bought["type"], bought["zone"]) == ("t3.large", "ap-northeast-2c")


def test_denied_by_ec2_it_says_so_and_buys_when_it_may_again(stack: Stack) -> None:
    stack.ec2.fault("CreateFleet", code="UnauthorizedOperation", message="You are not authorized", status=403, times=-1)
    daemon = stack.start_daemon()
    stack.apply(_work("denied", 1))
    stack.wait(
        "an Event that says so", lambda: any("UnauthorizedOperation" in m for m in _events(stack, "LaunchFailed")), 60
    )
    calls = len(stack.ec2.calls("CreateFleet"))
    settle(5.0)
    assert len(stack.ec2.calls("CreateFleet")) <= calls + 1, "no hot loop"
    assert not stack.ec2.alive()
    assert daemon.process.poll() is None


def test_limits_hold_and_the_pod_beyond_them_is_told_why(stack: Stack) -> None:
    documents = _manifests()
    documents[0]["spec"]["limits"] = {"cpu": "4"}
    stack.apply(*documents)
    stack.start_daemon()
    stack.apply(_work("many", 9))
    stack.wait("as much as the limit allows", lambda: sum(_vcpus(i["type"]) for i in stack.ec2.alive()) == 4, 60)
    stack.wait("a refusal", lambda: any("limit" in m for m in _events(stack, "FailedScheduling")), 30)
    settle(3.0)
    assert sum(2 if i["type"] != "t3.xlarge" else 4 for i in stack.ec2.alive()) <= 4


def test_a_pool_and_a_class_with_faults_say_so_and_stop_no_other(stack: Stack) -> None:
    """What the CRD's schema cannot see: a time zone that does not exist, a class that has no template here."""
    pool, node_class = copy.deepcopy(_manifests())
    pool["metadata"] = {"name": "faulty", "annotations": {"joinery.sh/time-zone": "Mars/Olympus"}}
    node_class["metadata"] = {"name": "faulty"}
    node_class["spec"] |= {"amiFamily": "Debian"}
    stack.apply(pool, node_class)
    stack.start_daemon()
    stack.apply(_work("good", 1))
    stack.wait("the good pool buys", lambda: _launched(stack, 1), 60)

    def condition(what: str, name: str) -> str:
        found = json.loads(stack.control_plane.kubectl("get", what, name, "-o", "json"))
        conditions = found.get("status", {}).get("conditions", [])
        return next((f"{c['status']} {c['message']}" for c in conditions if c["type"] == "Ready"), "")

    stack.wait("the pool's condition", lambda: "time zone" in condition("nodepool", "faulty"), 30)
    stack.wait("the class's condition", lambda: "amiFamily Debian" in condition("ec2nodeclass", "faulty"), 30)
    stack.wait("an Event", lambda: any("time zone" in m for m in _events(stack, "NodePoolNotReady")), 30)
    assert stack.daemon is not None
    assert "Traceback" not in stack.daemon.log
    stack.control_plane.kubectl("delete", "nodepool/faulty", "ec2nodeclass/faulty", "--wait=false")


def test_pods_that_must_be_spread_get_nodes_in_different_zones(stack: Stack) -> None:
    work = _work("spread", 2)
    work["spec"]["template"]["spec"]["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "spread"}},
        }
    ]
    stack.start_daemon()
    stack.apply(work)
    stack.wait("bought", lambda: _launched(stack, 2), 60)
    assert {i["zone"] for i in stack.ec2.alive()} == {"ap-northeast-2a", "ap-northeast-2c"}


def test_a_pod_with_a_constraint_that_is_not_known_is_refused_by_its_name(stack: Stack) -> None:
    work = _work("picky", 1)
    volume = {"name": "data", "awsElasticBlockStore": {"volumeID": "vol-1"}}
    work["spec"]["template"]["spec"]["volumes"] = [volume]
    stack.start_daemon()
    stack.apply(work)
    stack.wait(
        "an Event that names it",
        lambda: any("awsElasticBlockStore" in m for m in _events(stack, "FailedScheduling")),
        60,
    )
    assert not stack.claims()


def test_dry_run_decides_the_same_and_writes_nothing_but_its_record(stack: Stack, tmp_path: Path) -> None:
    record = tmp_path / "observed.jsonl"
    (stack.folder / "agent.yaml").write_text(yaml.safe_dump({**stack.settings, "observeRecord": str(record)}))
    stack.apply(_work("watched", 2))
    daemon = stack.start_daemon("--dry-run")
    stack.wait("a decision", lambda: any(e["action"] == "Launch" for e in daemon.events("would")), 60)
    settle(2.0)
    assert not stack.claims()
    assert not stack.ec2.calls("CreateFleet")
    assert not stack.ec2.calls("CreateLaunchTemplate")
    daemon.stop()
    lines, torn = read(record)
    assert torn == 0
    assert sum(len(w.pods) for w in lines[-1].wanted) == 2


def test_paused_it_buys_nothing_until_it_is_resumed(stack: Stack) -> None:
    assert "joinery resume" in stack.operator("pause")
    daemon = stack.start_daemon()
    stack.apply(_work("paused", 1))
    stack.wait("it says so", lambda: bool(_events(stack, "Paused")) and "joinery resume" in daemon.log, 60)
    settle(3.0)
    assert not stack.claims()
    assert "there is no NodePool nowhere" in stack.operator("resume", "nowhere", fails=True)
    stack.operator("resume", POOL)
    stack.wait("bought", lambda: _launched(stack, 1), 60)


def test_once_carries_out_one_decision_and_leaves(stack: Stack) -> None:
    stack.apply(_work("once", 1))
    daemon = stack.start_daemon("--once")
    assert daemon.process.wait(60) == 0
    assert len(stack.claims()) == 1


def test_a_claim_deleted_by_hand_takes_its_instance_along(stack: Stack) -> None:
    stack.start_daemon()
    stack.apply(_work("short", 1))
    stack.wait("launched", lambda: _launched(stack, 1), 60)
    stack.apply(_work("short", 0))
    stack.control_plane.kubectl("delete", "nodeclaims.karpenter.sh", "--all", "--wait=false")
    stack.wait("gone with it", lambda: not stack.claims() and not stack.ec2.alive(), 60)


def test_an_instance_terminated_by_hand_is_replaced_once(stack: Stack) -> None:
    stack.start_daemon()
    stack.apply(_work("hit", 1))
    stack.wait("launched", lambda: _launched(stack, 1), 60)
    lost = stack.ec2.alive()[0]["id"]
    stack.ec2.by_hand("terminate", lost)
    stack.wait("another one", lambda: [i["id"] for i in stack.ec2.alive()] not in ([], [lost]), 60)
    settle(3.0)
    assert len(stack.ec2.alive()) == 1


def test_with_the_api_server_gone_it_waits_and_goes_on_when_it_is_back(stack: Stack) -> None:
    daemon = stack.start_daemon()
    stack.wait("a working daemon", lambda: bool(daemon.events("lease.leading")), 60)
    stack.control_plane.restart_apiserver()
    stack.apply(_work("after", 1))
    stack.wait("bought after the restart", lambda: _launched(stack, 1), 90)
    assert "Traceback" not in daemon.log
    _one_instance_each(stack)
