"""A refusal names the constraint that leaves no instance type, or the pair of them that does together."""

from typing import Any

import msgspec

from agent.core.inputs import PackingInput
from agent.core.packing import pack
from agent.model import names
from agent.model.constraints import Operator, Requirement
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import DaemonSet, Meta, NodePool, Pod
from agent.model.names import ClassName
from agent.model.resources import Resources
from tests.build import GIB, NOW, ZONE_A, ZONE_C, instance_type, node_class, pod, pool
from tests.core import neighbours
from tests.core.neighbours import app, spread, term

GPU = "nvidia.com/gpu"


def with_gpu(kind: InstanceType, count: int) -> InstanceType:
    capacity = kind.capacity
    more = Resources(
        capacity.cpu_milli, capacity.memory_bytes, capacity.pods, capacity.ephemeral_storage_bytes, ((GPU, count),)
    )
    return msgspec.structs.replace(kind, capacity=more)


def arm(kind: InstanceType) -> InstanceType:
    return msgspec.structs.replace(
        kind, requirements=(Requirement(names.ARCH, "In", ("arm64",)), Requirement(names.OS, "In", ("linux",)))
    )


TYPES = (
    instance_type("small", 2, 4, 0.05),
    arm(instance_type("arm", 4, 8, 0.06, (ZONE_A,))),
    with_gpu(instance_type("gpu", 8, 32, 0.9, (ZONE_C,)), 1),
)


def why(wanted: Pod, workers: NodePool | None = None, *, types: tuple[InstanceType, ...] = TYPES, **more: Any) -> str:
    asked = PackingInput(
        now=NOW,
        pods=(wanted,),
        pools=(workers or pool(),),
        classes=(node_class(),),
        instance_types={ClassName("default"): types},
        **more,
    )
    [(name, reason)] = pack(asked).refusals[0].reasons
    assert name == "workers"
    return reason.message.removeprefix("NodePool workers: ")


def requiring(*requirements: tuple[str, Operator, tuple[str, ...]], **labels: str) -> NodePool:
    written = tuple(Requirement(key, operator, values) for key, operator, values in requirements)
    return msgspec.structs.replace(pool(), requirements=written, labels=labels)


def test_a_label_that_no_type_has_is_named_alone() -> None:
    assert why(pod(node_selector={names.ARCH: "s390x"})) == (
        "3 types → 0 with kubernetes.io/arch=s390x; drop it from the pod, "
        "or let the NodePool have nodes with kubernetes.io/arch=s390x (its types have amd64, arm64)"
    )


def test_two_labels_that_no_type_has_both_are_named_as_a_pair() -> None:
    assert why(pod(node_selector={names.ARCH: "arm64", names.ZONE: ZONE_C})) == (
        "3 types → 1 with kubernetes.io/arch=arm64 → 0 with topology.kubernetes.io/zone=ap-northeast-2c; "
        "no type has both kubernetes.io/arch=arm64 and topology.kubernetes.io/zone=ap-northeast-2c; "
        "drop one of them from the pod"
    )


def test_an_amount_that_no_type_has_is_named_alone_with_the_most_there_is() -> None:
    wanted = Resources(1000, GIB, 1, 0, ((GPU, 2),))
    assert why(pod(requests=wanted)) == (
        "3 types → 0 with nvidia.com/gpu ≥ 2 free for pods; the most that these have is 1: "
        "ask for less, or allow larger types"
    )


def test_an_amount_and_a_label_that_exclude_each_other_are_named_as_a_pair() -> None:
    wanted = Resources(1000, GIB, 1, 0, ((GPU, 1),))
    assert why(pod(requests=wanted, node_selector={names.ZONE: ZONE_A})) == (
        "3 types → 2 with topology.kubernetes.io/zone=ap-northeast-2a → 0 with nvidia.com/gpu ≥ 1 free for pods; "
        "those with topology.kubernetes.io/zone=ap-northeast-2a have at most 0: "
        "ask for less, or drop topology.kubernetes.io/zone=ap-northeast-2a"
    )


def test_rules_about_other_pods_are_named_where_they_forbid_something_and_nowhere_else() -> None:
    zone = names.ZONE
    apart = app(3, anti_affinity=(term(),))
    (sentence,) = {neighbours.why(neighbours.planned(*apart, *app(1, "last", labels={"app": "web"})))}
    assert sentence.startswith(f"anti-affinity of other pods by {zone} keeps it out of ")
    alone = neighbours.planned(*app(1, "alone", affinity=(term(),), anti_affinity=(term(app="nobody"),)))
    assert neighbours.why(alone) == f"its affinity by {zone} to pods with app=web: none is where it could go"
    both = app(3, affinity=(term(),), anti_affinity=(term(app="db"),))
    there, bound = neighbours.fixed("n", ZONE_A), (neighbours.running("n"), neighbours.running("n", "db"))
    kept_out = neighbours.planned(*both, pairs=(there,), bound=bound)
    assert neighbours.why(kept_out) == (
        f"its affinity by {zone} to pods with app=web: none is in {neighbours.ZONE_B}, {ZONE_C}; "
        f"its anti-affinity by {zone} to pods with app=db: there is one in {ZONE_A}"
    )
    uneven = app(2, spread=(spread(honor_affinity=False),), node_selector={zone: str(ZONE_A)})
    assert "anti-affinity" not in neighbours.why(neighbours.planned(*uneven))


def test_what_a_pool_requires_and_no_type_has_is_named_with_what_there_is() -> None:
    assert why(pod(), requiring((names.ZONE, "In", (ZONE_A,)), (names.ARCH, "In", ("x86_64",)))) == (
        "3 types → 2 with topology.kubernetes.io/zone=ap-northeast-2a → 0 with kubernetes.io/arch=x86_64; "
        "no type has it, they have amd64, arm64; change the NodePool's requirement"
    )


def test_two_requirements_of_a_pool_that_no_type_meets_together_are_named_as_a_pair() -> None:
    assert why(pod(), requiring((names.ARCH, "In", ("arm64",)), (names.ZONE, "In", (ZONE_C,)))) == (
        "3 types → 1 with kubernetes.io/arch=arm64 → 0 with topology.kubernetes.io/zone=ap-northeast-2c; "
        "no type has both kubernetes.io/arch=arm64 and topology.kubernetes.io/zone=ap-northeast-2c; "
        "change one of the NodePool's requirements"
    )


def test_types_that_cannot_be_bought_are_told_as_such() -> None:
    small = instance_type("small", 2, 4, 0.05)
    gone = tuple(msgspec.structs.replace(offering, available=False) for offering in small.offerings)
    none = "1 type → 0 that can be bought; none has an offering that is available, and more than its overhead"
    assert why(pod(), types=(msgspec.structs.replace(small, offerings=gone),)) == none
    assert why(pod(), types=(msgspec.structs.replace(small, overhead=Resources(9000)),)) == none


def test_daemonsets_that_leave_no_type_are_told_as_such() -> None:
    agent = DaemonSet(Meta("agent", namespace="kube-system"), pod(requests=Resources(64_000, GIB, 1)))
    assert why(pod(), daemonsets=(agent,)) == (
        "3 types → 0 with room for the DaemonSets that would run there; allow larger types"
    )


def test_what_a_pod_asks_and_its_pool_excludes_is_named_with_the_pools_requirement() -> None:
    amd = requiring((names.ARCH, "In", ("amd64",)))
    assert why(pod(node_selector={names.ARCH: "arm64"}), amd) == (
        "3 types → 2 of the pool → 0 with kubernetes.io/arch=arm64; the NodePool has kubernetes.io/arch=amd64; "
        "drop kubernetes.io/arch=arm64 from the pod, or allow it in the NodePool"
    )
    assert why(pod(node_selector={names.INSTANCE_TYPE: "arm"}), amd) == (
        "3 types → 2 of the pool → 0 with node.kubernetes.io/instance-type=arm; no type has both that and the "
        "NodePool's kubernetes.io/arch=amd64; drop it from the pod, or widen the NodePool"
    )
    assert why(pod(requests=Resources(1000, GIB, 1, 0, ((GPU, 1),))), requiring((names.ZONE, "In", (ZONE_A,)))) == (
        "3 types → 2 of the pool → 0 with nvidia.com/gpu ≥ 1 free for pods; those with the NodePool's "
        "topology.kubernetes.io/zone=ap-northeast-2a have none: ask for less, or widen the NodePool"
    )


def test_labels_that_only_people_or_the_node_itself_give_have_their_own_advice() -> None:
    labelled = requiring(team="a")
    assert why(pod(node_selector={"team": "b"}), labelled).endswith(
        "0 with team=b; the NodePool has team=a; drop team=b from the pod, or allow it in the NodePool"
    )
    assert why(pod(node_selector={"disk": "ssd"})).endswith(
        "0 with disk=ssd; drop it from the pod, or set disk in the NodePool's spec.template.metadata.labels"
    )
    assert why(pod(node_selector={names.NODEPOOL: "other"})).endswith("=other; the pod asks for another NodePool")
    assert why(pod(node_selector={names.HOSTNAME: "ip-1"})).endswith(
        "=ip-1; what a new node is called is not known before; drop it from the pod"
    )


def test_of_several_alternatives_it_is_told_that_no_other_leaves_any() -> None:
    terms = tuple((Requirement(names.ARCH, "In", (arch,)),) for arch in ("s390x", "ppc64le", "riscv64"))
    assert why(pod(affinity_terms=terms)).endswith("; nor do its affinity's other alternatives leave any")
    assert why(pod(affinity_terms=terms[:2])).endswith("; nor does its affinity's other alternative leave any")


def test_a_resource_that_no_type_has_at_all_cannot_be_asked_for_less() -> None:
    assert why(pod(requests=Resources(1000, GIB, 1, 0, (("example.com/fpga", 1),)))) == (
        "3 types → 0 with example.com/fpga ≥ 1 free for pods; "
        "these have none: drop it from the pod, or allow types that have some"
    )


def test_a_limit_is_told_with_the_smallest_type_that_would_serve_this_pod_and_what_the_plan_counts() -> None:
    tight = msgspec.structs.replace(pool(), limits={"cpu": 9000})
    asked = PackingInput(
        now=NOW,
        pods=(pod("big-1", cpu="7"), pod("big-2", cpu="7"), pod("little", cpu="1500m")),
        pools=(tight,),
        classes=(node_class(),),
        instance_types={ClassName("default"): TYPES},
    )
    packed = pack(asked)
    told = {refusal.pod: refusal.reasons[0][1].message for refusal in packed.refusals}
    planned = " (planned nodes count as the largest type that they may become)"
    used, raised = f"uses cpu 8 of its limit 9{planned}", "raise spec.limits or free nodes"
    assert told == {
        "default/big-2": f"NodePool workers {used}, and not even gpu fits in the rest; {raised}",
        "default/little": f"NodePool workers {used}, and not even small fits in the rest; {raised}",
    }
