"""The sandbox's scheduler: what it binds where, and what it says of what it does not bind."""

from hypothesis import given
from hypothesis import strategies as st

from agent.sim.controllers.scheduler import schedule
from agent.sim.controllers.view import View
from tests.sim.manifests import node, pod, view

AI = {"key": "workload", "value": "ai", "effect": "NoSchedule"}


def bound(world: View) -> dict[str, str]:
    """Pods to nodes."""
    return {
        w.body["metadata"]["name"]: w.body["target"]["name"] for w in schedule(world) if w.path.endswith("/binding")
    }


def said(world: View) -> str:
    """The message of the only pod that is not bound."""
    [write] = list(schedule(world))
    [condition] = write.body["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("PodScheduled", "False", "Unschedulable")
    return str(condition["message"])


def test_a_pod_goes_to_the_node_with_the_largest_share_left() -> None:
    assert bound(view(nodes=[node("small", cpu="2"), node("large", cpu="8", memory="16Gi")], pods=[pod("a")])) == {
        "a": "large"
    }


def test_pods_of_one_round_know_of_each_other() -> None:
    world = view(nodes=[node("one", cpu="2"), node("two", cpu="2")], pods=[pod(n, cpu="2") for n in ("a", "b", "c")])
    found = bound(world)
    assert len(found) == 2
    assert set(found.values()) == {"one", "two"}


def test_pods_that_are_there_count_and_finished_ones_do_not() -> None:
    running = pod("r", cpu="2", nodeName="n", ready=True)
    done = pod("d", cpu="2", nodeName="n", phase="Succeeded")
    assert bound(view(nodes=[node("n")], pods=[pod("a"), done])) == {"a": "n"}
    assert bound(view(nodes=[node("n")], pods=[pod("a"), running])) == {}


def test_a_higher_priority_comes_first_then_the_older() -> None:
    old = pod("old", cpu="2", meta={"creationTimestamp": "2026-01-01T00:00:00Z"})
    vital = pod("vital", cpu="2", priority=1000)
    assert bound(view(nodes=[node("n")], pods=[pod("a", cpu="2"), old, vital])) == {"vital": "n"}
    assert bound(view(nodes=[node("n")], pods=[pod("a", cpu="2"), old])) == {"old": "n"}


def test_each_node_is_refused_by_the_first_filter_that_refuses_it() -> None:
    nodes = [
        node("tainted", cpu="8", taints=[AI]),
        node("cordoned", cpu="8", unschedulable=True),
        node("elsewhere", cpu="8", labels={"zone": "b"}),
        node("small", labels={"zone": "a"}, memory="1Gi"),
    ]
    asked = pod("a", cpu="3", memory="2Gi", nodeSelector={"zone": "a"})
    assert said(view(nodes=nodes, pods=[asked])) == (
        "0/4 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, "
        "1 node(s) didn't match Pod's node affinity/selector, "
        "1 node(s) had untolerated taint(s), 1 node(s) were unschedulable."
    )


def test_without_nodes_that_is_what_is_said() -> None:
    assert said(view(nodes=[], pods=[pod("a")])) == "0/0 nodes are available."


def test_a_toleration_opens_a_tainted_node() -> None:
    tolerating = pod("a", tolerations=[{"key": "workload", "operator": "Exists"}])
    assert bound(view(nodes=[node("n", taints=[AI])], pods=[tolerating])) == {"a": "n"}


def test_required_node_affinity_is_kept() -> None:
    term = {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["b"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    nodes = [node("b", cpu="8", labels={"zone": "b"}), node("c", labels={"zone": "c"})]
    assert bound(view(nodes=nodes, pods=[pod("a", affinity=affinity)])) == {"a": "c"}


def test_a_hard_constraint_without_a_filter_is_named_and_the_pod_not_bound() -> None:
    spread = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]
    assert "does not know" in said(view(nodes=[node("n")], pods=[pod("a", topologySpreadConstraints=spread)]))


def test_pods_of_another_scheduler_and_pods_that_go_are_left_alone() -> None:
    going = pod("g", meta={"deletionTimestamp": "2026-11-25T12:00:00Z"})
    assert not list(schedule(view(nodes=[node("n")], pods=[pod("a", schedulerName="mine"), going])))


def test_a_refusal_that_stands_is_not_written_again() -> None:
    waiting = pod("a", cpu="4")
    [write] = list(schedule(view(nodes=[node("n")], pods=[waiting])))
    waiting["status"] = write.body["status"]
    assert not list(schedule(view(nodes=[node("n")], pods=[waiting])))
    [again] = list(schedule(view(nodes=[node("n"), node("m")], pods=[waiting])))
    assert "0/2 nodes" in again.body["status"]["conditions"][0]["message"]


@given(
    st.lists(st.integers(1, 8), max_size=5),
    st.lists(st.integers(1, 4000), max_size=12),
)
def test_no_node_is_ever_given_more_than_it_has(sizes: list[int], asked: list[int]) -> None:
    nodes = [node(f"n{i}", cpu=str(size), memory="64Gi") for i, size in enumerate(sizes)]
    pods = [pod(f"p{i}", cpu=f"{milli}m", memory="1Mi") for i, milli in enumerate(asked)]
    found = bound(view(nodes=nodes, pods=pods))
    used = [sum(asked[int(p[1:])] for p, n in found.items() if n == f"n{i}") for i in range(len(sizes))]
    assert all(amount <= size * 1000 for amount, size in zip(used, sizes, strict=True))
    unbound = [milli for i, milli in enumerate(asked) if f"p{i}" not in found]
    left = [size * 1000 - amount for amount, size in zip(used, sizes, strict=True)]
    assert all(milli > room for milli in unbound for room in left), "a pod that would fit is waiting"
