"""Explanations are the engine's own answers: to the whole cluster, and to each pool alone."""

import msgspec

from agent.core.decide import decide
from agent.core.explaining import PodExplained, PoolExplained, explain_pod, explain_pool
from agent.model import names
from agent.model.kubernetes import Budget, Node, Pod, Taint
from agent.model.names import PodKey
from agent.model.plan import Snapshot
from tests.build import GIB, ZONE_A, claim, conditions, machine, meta, node, pod, pool, snapshot

INSTANCE = machine(1)
READY = claim(instance=INSTANCE, conditions=conditions("Launched", "Registered", "Initialized"))


def fixed(**fields: object) -> Node:
    about: dict[str, object] = {
        "meta": meta("fixed", labels={names.ZONE: str(ZONE_A)}),
        "provider_id": None,
        "taints": (),
    }
    return node(machine(900), **(about | fields))


def of_pod(world: Snapshot, name: str = "web") -> PodExplained:
    found = explain_pod(world, decide(world), PodKey(f"default/{name}"))
    assert found is not None
    return found


def of_pool(world: Snapshot, name: str = "workers") -> PoolExplained:
    found = explain_pool(world, decide(world), name)
    assert found is not None
    return found


def test_a_pod_that_is_refused_has_the_reasons_of_the_plan() -> None:
    world = snapshot(pods=(pod(memory="500Gi"),))
    found = of_pod(world)
    assert found.state == "Refused"
    assert found.refusal == decide(world).refusals[0]
    assert [a.reason for a in found.pools] == [reason for _, reason in decide(world).refusals[0].reasons]
    assert "3 types → 0 with memory ≥ 500Gi" in str(found.pools[0].reason)


def test_a_pod_that_a_node_is_bought_for_has_its_launch() -> None:
    found = of_pod(snapshot(pods=(pod(),)))
    assert (found.state, found.refusal) == ("Placed", None)
    assert found.launch is not None
    assert found.launch.pods == ("default/web",)


def test_a_pod_with_room_on_a_node_says_so_and_still_what_pools_would_buy() -> None:
    found = of_pod(snapshot(pods=(pod(),), nodes=(fixed(),)))
    assert found.placement is not None
    assert (found.placement.node, found.launch) == ("fixed", None)
    assert found.pools[0].launch is not None


def test_each_pool_is_asked_alone_in_the_order_of_weight() -> None:
    pools = (
        pool("light"),
        pool("heavy", weight=10, taints=(Taint("gpu", "NoSchedule"),)),
        pool("static", replicas=2),
        pool("broken", faults=("spec.weight: must be 1..100",)),
    )
    found = of_pod(snapshot(pods=(pod(),), pools=pools))
    assert [answer.pool for answer in found.pools] == ["heavy", "broken", "light", "static"]
    assert [answer.launch is not None for answer in found.pools] == [False, False, True, False]
    assert "gpu" in str(found.pools[0].reason)
    assert "must be 1..100" in str(found.pools[1].reason)
    assert "static" in str(found.pools[3].reason)


def states(*pods: Pod) -> list[tuple[str, str]]:
    world = snapshot(pods=pods, nodes=(fixed(),))
    return [(found.state, found.sentence) for found in (of_pod(world, p.meta.name) for p in pods)]


def test_pods_that_need_no_node_say_why() -> None:
    told = states(
        pod("there", node="fixed", cpu="100m", memory="1Mi"),
        pod("done", phase="Succeeded"),
        pod("new", unschedulable=False),
        pod("daemon", owner_kind="DaemonSet"),
        pod("going", meta=meta("going", namespace="default", deleted_at=snapshot().now)),
        pod("nominated", nominated_node="fixed"),
    )
    assert [state for state, _ in told] == ["Running", "Finished", *["NotPending"] * 4]
    for (_, sentence), word in zip(
        told, ("on node fixed", "Succeeded", "scheduling gate", "DaemonSet", "deleted", "preemption"), strict=True
    ):
        assert word in sentence


def test_a_pod_waits_while_nothing_may_be_launched() -> None:
    assert of_pod(snapshot(pods=(pod(),), provision=False)).state == "Waiting"


def test_who_is_not_there_is_not_explained() -> None:
    world = snapshot()
    assert explain_pod(world, decide(world), PodKey("default/none")) is None
    assert explain_pool(world, decide(world), "none") is None


def test_a_pool_says_what_it_would_buy_and_what_its_limits_hold() -> None:
    limited = pool(limits={"cpu": 4000, "nodes": 3, "memory": 64 * GIB})
    found = of_pool(
        snapshot(pools=(limited,), claims=(READY,), machines=(INSTANCE,), nodes=(node(INSTANCE, taints=()),))
    )
    assert found.answer.launch is not None
    assert found.limits == (("cpu", 2000, 4000), ("memory", 8 * GIB, 64 * GIB), ("nodes", 1, 3))
    assert found.nodes == 1


def test_a_pool_that_is_at_its_limit_says_which() -> None:
    full = pool(limits={"nodes": 1})
    found = of_pool(snapshot(pools=(full,), claims=(READY,), machines=(INSTANCE,), nodes=(node(INSTANCE, taints=()),)))
    assert found.answer.launch is None
    assert "nodes" in str(found.answer.reason)


def test_the_budgets_of_a_pool_are_told_with_their_windows_and_what_they_allow() -> None:
    budgets = (Budget("100%"), Budget("0", "0 9-17 * * mon-fri", 8 * 3600, ("Empty",)))
    seoul = meta("workers", annotations={names.TIME_ZONE: "Asia/Seoul"})
    world = snapshot(pools=(pool(meta=seoul, budgets=budgets),), claims=(READY,), machines=(INSTANCE,))
    found = of_pool(msgspec.structs.replace(world, nodes=(node(INSTANCE, taints=()),)))
    assert found.time_zone == "Asia/Seoul"
    assert [b.is_open for b in found.budgets] == [True, True]
    assert [b.overlaps for b in found.budgets] == [False, True]
    assert [(reason, count) for reason, count, _ in found.allowed] == [
        ("Empty", 0),
        ("Drifted", 1),
        ("Underutilized", 1),
    ]
    assert [b.node for b in found.blocked] == [INSTANCE.id]
