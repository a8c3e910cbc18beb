"""A refusal names the constraint that leaves no instance type, or the pair of them that does together."""

import msgspec

from agent.core.inputs import PackingInput
from agent.core.packing import pack
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import Pod
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


def why(wanted: Pod) -> str:
    asked = PackingInput(
        now=NOW,
        pods=(wanted,),
        pools=(pool(),),
        classes=(node_class(),),
        instance_types={ClassName("default"): TYPES},
    )
    [(name, reason)] = pack(asked).refusals[0].reasons
    assert name == "workers"
    return reason.message.removeprefix("NodePool workers: ")


def test_a_label_that_no_type_has_is_named_alone() -> None:
    assert why(pod(node_selector={names.ARCH: "s390x"})) == (
        "3 types → 0 with kubernetes.io/arch=s390x; drop it from the pod, "
        "or let the NodePool have nodes with kubernetes.io/arch"
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
