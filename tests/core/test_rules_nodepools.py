"""Karpenter's rules 19.1 to 19.4: what is said of pools, each with a status that is another one without it."""

from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.model import actions as a
from agent.model import names
from agent.model.ec2 import NodeClass
from agent.model.kubernetes import Condition, NodePool
from agent.model.names import PoolName
from agent.model.plan import Plan
from agent.model.resources import ZERO
from tests.build import NOW, TYPES, claim, machine, meta, node_class, pod, pool, snapshot


def statuses(plan: Plan) -> list[a.WritePoolStatus]:
    return [x for x in plan.actions if isinstance(x, a.WritePoolStatus)]


def status(**fields: Any) -> a.WritePoolStatus:
    found = statuses(decide(snapshot(**fields)))
    assert len(found) == 1
    return found[0]


def said(written: a.WritePoolStatus) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in written.conditions}


def settled(own: NodePool, written: a.WritePoolStatus) -> NodePool:
    """The pool once its status was written."""
    about = msgspec.structs.replace(own.meta, annotations={names.NODEPOOL_HASH: written.hash or own.hash})
    return msgspec.structs.replace(
        own, meta=about, node_count=written.node_count, resources=written.resources, conditions=written.conditions
    )


def unready(*conditions: Condition, **fields: Any) -> NodeClass:
    return node_class(conditions=conditions, **fields)


@pytest.mark.parametrize(
    ("classes", "reason"),
    [
        ((), "NodeClassNotFound"),
        ((node_class(meta=meta("default", deleted_at=NOW)),), "NodeClassTerminating"),
        ((unready(),), "NodeClassReadinessUnknown"),
        ((unready(Condition("Ready", "Unknown", "AwaitingReconciliation")),), "NodeClassReadinessUnknown"),
        ((unready(Condition("Ready", "False", "SubnetsNotFound", "no subnet")),), "SubnetsNotFound"),
    ],
)
def test_rule_19_1_a_pool_is_as_ready_as_its_class_and_says_why(classes: tuple[NodeClass, ...], reason: str) -> None:
    assert said(status(classes=classes)) == {
        "ValidationSucceeded": ("True", "ValidationSucceeded"),
        "NodeClassReady": ("False", reason),
        "Ready": ("False", reason),
    }
    assert said(status())["Ready"] == ("True", "Ready")


def test_rule_19_2_faults_of_a_pool_are_a_condition_of_it() -> None:
    written = status(pools=(pool(faults=("spec.weight: must be 1..100",)),))
    assert said(written)["ValidationSucceeded"] == ("False", "NodePoolValidationFailed")
    assert said(written)["Ready"] == ("False", "NodePoolValidationFailed")
    assert "spec.weight" in written.conditions[-1].message


def test_rule_19_3_a_pool_carries_the_hash_of_its_template_and_its_claims_do_too() -> None:
    assert (status().hash, status().hash_version) == ("1", "v")
    changed = msgspec.structs.replace(settled(pool(), status()), hash="2")
    assert status(pools=(changed,)).hash == "2"
    (launch,) = decide(snapshot(pods=(pod(),))).launches
    wanted = {names.NODEPOOL_HASH: "1", names.NODEPOOL_HASH_VERSION: "v"}
    assert wanted.items() <= launch.draft.annotations.items()


def test_rule_19_4_a_pools_status_counts_its_nodes_that_stay_and_what_they_have() -> None:
    one, two = (claim(f"workers-{n}", instance=machine(n, claim=f"workers-{n}")) for n in (1, 2))
    foreign = msgspec.structs.replace(claim("other-1"), pool=PoolName("other"))
    leaving = msgspec.structs.replace(two, meta=msgspec.structs.replace(two.meta, deleted_at=NOW))
    both = status(claims=(one, two, foreign))
    assert (both.node_count, both.resources) == (2, TYPES[1].capacity + TYPES[1].capacity)
    less = status(claims=(one, leaving), pools=(settled(pool(), both),))
    assert (less.node_count, less.resources) == (1, TYPES[1].capacity)
    none = status(pools=(settled(pool(), less),))
    assert (none.node_count, none.resources) == (0, ZERO)
    assert statuses(decide(snapshot(pools=(settled(pool(), none),)))) == []
