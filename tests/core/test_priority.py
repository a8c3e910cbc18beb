"""Unlike Karpenter's rule 8.1: where there is not enough for all, pods of higher priority get it."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.decide import decide
from agent.core.inputs import PROMISED, PackingInput
from agent.core.packing import pack
from agent.core.priority import SCARCE, TIERS, pack_by_priority
from agent.core.shelves import Shelves
from agent.core.world import World
from agent.model.kubernetes import Pod
from agent.model.plan import Limits, Plan
from tests.build import machine, meta, node, pod, pool, snapshot


def rank(name: str, priority: int, cpu: str = "1500m", **fields: Any) -> Pod:
    return pod(name, cpu=cpu, memory="64Mi", priority=priority, **fields)


def served(plan: Plan) -> list[str]:
    return sorted(p.pod.removeprefix("default/") for p in plan.placements)


def limited(*pods: Pod, cpu: int, **fields: Any) -> Plan:
    return decide(snapshot(pods=pods, pools=(pool(limits={"cpu": cpu}),), **fields))


def test_under_a_limit_the_pod_of_higher_priority_gets_the_node_whatever_its_name_and_size() -> None:
    assert served(limited(rank("a", 0), rank("b", 10), cpu=2000)) == ["b"]
    assert served(limited(rank("a", 10), rank("b", 0), cpu=2000)) == ["a"]
    assert served(limited(rank("big", 0, "1900m"), rank("small", 10, "200m"), cpu=2000)) == ["small"]


def test_under_a_brake_too() -> None:
    pods = (rank("a", 0), rank("b", 0), rank("c", 5))
    for limits in (Limits(max_nodes=1), Limits(launches_per_minute=1), Limits(max_price_nano_usd=60_000_000)):
        assert served(decide(snapshot(pods=pods, limits=limits))) == ["c"]


def test_room_that_is_there_goes_by_priority_when_nothing_can_be_bought() -> None:
    base = node(machine(7), meta=meta("base"), taints=(), provider_id=None)
    pods = (rank("a", 0), rank("b", 9))
    plan = decide(snapshot(pods=pods, nodes=(base,), limits=Limits(max_nodes=0)))
    assert [(p.pod, p.node) for p in plan.placements] == [("default/b", "base")]


def test_a_node_bought_for_the_first_takes_the_next_as_far_as_it_has_room() -> None:
    plan = limited(rank("first", 10, "1"), rank("second", 5, "500m"), rank("third", 0, "1"), cpu=2000)
    assert served(plan) == ["first", "second"]
    (launch,) = plan.launches
    assert launch.pods == ("default/first", "default/second")
    assert launch.draft.requests.cpu_milli == 1500
    assert launch.draft.annotations[PROMISED] == '["default/first","default/second"]'
    assert {p.launch for p in plan.placements} == {0}


def test_launches_of_all_tiers_are_numbered_and_named_apart() -> None:
    pods = tuple(rank(f"w{n}", n) for n in range(6))
    plan = limited(*pods, cpu=8000)
    assert served(plan) == ["w2", "w3", "w4", "w5"]
    assert sorted(x.id for x in plan.launches) == [0, 1, 2, 3]
    assert len({x.draft.name for x in plan.launches}) == 4
    for launch in plan.launches:
        assert {p.pod for p in plan.placements if p.launch == launch.id} == set(launch.pods)


def test_more_priorities_than_are_told_apart_still_serve_the_highest_first() -> None:
    pods = tuple(rank(f"w{n:02}", n) for n in range(TIERS + 4))
    plan = limited(*pods, cpu=6000)
    assert served(plan) == [f"w{n:02}" for n in range(TIERS + 1, TIERS + 4)]


def question(pods: Iterable[Pod], **fields: Any) -> PackingInput:
    asked = snapshot(pods=tuple(pods), **fields)
    return PackingInput.of(World.of(asked), asked.pods, Shelves())


def test_where_there_is_enough_for_all_priority_changes_nothing() -> None:
    pods = [rank(f"w{n}", n % 3) for n in range(7)]
    assert pack_by_priority(question(pods)) == pack(question(pods))


sizes = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(("300m", "900m", "1700m"))), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(0, 9000))
def test_no_pod_waits_for_want_of_capacity_while_an_equal_one_of_less_priority_has_it(
    asked: list[tuple[int, str]], limit: int
) -> None:
    pods = {f"default/w{n}": rank(f"w{n}", priority, cpu) for n, (priority, cpu) in enumerate(asked)}
    plan = limited(*pods.values(), cpu=limit)
    for refusal in plan.refusals:
        waiting = pods[refusal.pod]
        assert {reason.code for _, reason in refusal.reasons} <= SCARCE
        for placement in plan.placements:
            other = pods[placement.pod]
            assert other.priority >= waiting.priority or other.requests.cpu_milli < waiting.requests.cpu_milli


def test_the_daemon_counts_priority_also_while_static_nodes_are_coming() -> None:
    fixed = pool("fixed", replicas=1)
    pods = (rank("a", 0), rank("b", 10))
    plan = decide(snapshot(pods=pods, pools=(fixed,)))
    assert served(plan) in (["a"], ["b"])
    braked = decide(snapshot(pods=pods, pools=(fixed, pool("more")), limits=Limits(max_nodes=1)))
    assert served(braked) == ["b"]
    assert [(x.draft.pool, x.pods) for x in braked.launches] == [("fixed", ("default/b",))]
