"""What was bought for a pod serves it: also when others come to room that is there before the new node has come."""

from typing import Any

import msgspec

from agent.core.inputs import PROMISED, Pair
from agent.model import names
from agent.model.constraints import HostPort, Requirement
from agent.model.ec2 import Offering
from agent.model.kubernetes import NodeClaim, Pod, Taint, Toleration
from agent.model.names import ClassName
from tests.build import ZONE_A, ZONE_C, instance_type, meta, pool
from tests.core.neighbours import (
    TYPES,
    ZONE_B,
    app,
    domains,
    fixed,
    planned,
    question,
    refused,
    running,
    selects,
    spread,
    term,
    types,
)

HOST = names.HOSTNAME


def coming(name: str, zone: str, pod: Pod) -> Pair:
    """A claim in a zone that was bought for a pod, and holds little more."""
    labels = {names.NODEPOOL: "workers", names.ZONE: zone}
    claim = NodeClaim(
        meta(name, labels=labels, annotations={PROMISED: msgspec.json.encode((pod.key,)).decode()}),
        ClassName("default"),
        requirements=(Requirement(names.INSTANCE_TYPE, "In", ("t3.medium",)),),
        requests=TYPES[0].allocatable,
    )
    return Pair(None, claim)


def test_the_first_of_a_group_goes_to_where_the_others_find_room_before_its_node_comes() -> None:
    """kube-scheduler binds at once who has room on a node; whom they attract may go nowhere else then."""
    (first,) = app(1, "web", cpu="1800m", affinity=(term(),))
    plain = app(1, "plain", cpu="1500m", labels={"app": "web"})
    for zone in (ZONE_A, ZONE_B, ZONE_C):
        room = fixed("room", zone, cpu=1600)
        plan = planned(first, *plain, pairs=(room,))
        assert {p.pod: p.node for p in plan.placements}[plain[0].key] == "room"
        assert domains(question(first, *plain, pairs=(room,)), plan) == {zone: 2}


def test_a_pod_that_keeps_to_a_spread_is_bought_for_where_those_that_it_only_counts_leave_it_room() -> None:
    """Two that have room on a node are bound before the new node comes, and a third in their zone is one too many."""
    (even,) = app(1, "even", cpu="1500m", labels={"app": "web"}, spread=(spread(max_skew=2),))
    plain = app(2, "plain", cpu="300m", labels={"app": "web"})
    for zone in (ZONE_A, ZONE_B, ZONE_C):
        pairs = (fixed("room", zone, cpu=900),)
        plan = planned(even, *plain, pairs=pairs)
        assert {p.node for p in plan.placements if p.pod != even.key} == {"room"}
        assert domains(question(even, *plain, pairs=pairs), plan)[zone] == len(plain)


def test_the_first_of_a_group_on_one_node_is_not_bought_for_where_others_are_elsewhere_before_it() -> None:
    (first,) = app(1, "web", cpu="1800m", affinity=(term(HOST),))
    plain = app(1, "plain", cpu="1500m", labels={"app": "web"})
    plan = planned(first, *plain, pairs=(fixed("room", ZONE_A, cpu=1600),))
    assert refused(plan) == ["web-0"]
    assert not plan.launches


def test_a_domain_that_a_spread_does_not_count_is_none_after_others_looked_at_it() -> None:
    """Two that must be on one node are weighed for a zone that the other's spread knows nothing of."""
    together = app(2, "together", cpu="1500m", labels={"app": "web"}, affinity=(term(HOST),))
    here = {names.ZONE: str(ZONE_B)}
    only = app(3, "only", labels={"app": "web"}, node_selector=here, spread=(spread(),))
    assert refused(planned(*together, *only)) == []


def test_pods_that_a_spread_merely_counts_do_not_take_the_step_of_one_that_keeps_to_it() -> None:
    """All four came in some order; it is not the one in which they are dealt, and yet no node is bought again."""
    here = {names.ZONE: str(ZONE_B)}
    (counted,) = app(1, "counted", cpu="1500m", labels={"app": "web"}, node_selector=here, affinity=(term(),))
    bound = (running("full", "web"), running("half", "web"))
    even = app(2, cpu="1500m", spread=(spread(),))
    pairs = (
        fixed("full", ZONE_C, cpu=100),
        fixed("half", ZONE_B, cpu=100),
        coming("one", str(ZONE_B), counted),
        coming("two", str(ZONE_A), even[0]),
        coming("three", str(ZONE_B), even[1]),
    )
    plan = planned(counted, *even, pairs=pairs, bound=bound)
    assert not plan.launches
    assert {p.pod: p.claim for p in plan.placements} == {counted.key: "one", even[0].key: "two", even[1].key: "three"}


def test_a_pod_is_not_left_out_because_others_that_its_spread_counted_on_got_no_place() -> None:
    """``two`` was dealt the other zone, found none there to be beside, and had already raised the least of a spread."""
    web = {"app": "web"}
    both = (Offering(ZONE_A, "spot", 90_000_000), Offering(ZONE_B, "on-demand", 260_000_000))
    kind = msgspec.structs.replace(instance_type("t3.2xlarge", 8, 32, 0.3), offerings=both)
    here = Requirement(names.ZONE, "In", (str(ZONE_A),))
    pools = (pool("a", requirements=(here,)), pool("b", taints=(Taint("old", "PreferNoSchedule"),)))
    even = app(2, "even", cpu="300m", labels=web, host_ports=(HostPort(8080),), spread=(spread(max_skew=2),))
    one = app(1, "one", cpu="1", labels=web, affinity=(term(HOST),))
    two = app(1, "two", cpu="1", labels=web, affinity=(term(HOST),), spread=(spread(names.CAPACITY_TYPE),))
    plan = planned(*even, *one, *two, instance_types=types(kind), pools=pools)
    assert not {"even-0", "even-1"} & {*refused(plan)}


def test_types_need_not_agree_on_a_label_that_makes_no_difference_to_a_spread() -> None:
    """The spread of another looks at nodes of some size only, and every type has such a size, or the zone is enough."""
    sizes = tuple(
        msgspec.structs.replace(own, requirements=(*own.requirements, Requirement("example.com/size", "In", (size,))))
        for own, size in zip(TYPES[1:], ("2", "4"), strict=True)
    )
    small = Requirement("example.com/size", "Lt", ("6",))
    somewhere = Requirement(names.ZONE, "In", (str(ZONE_A),))
    diverse = pool(requirements=(Requirement(names.INSTANCE_TYPE, "Exists", min_values=2),))
    counted = app(1, "counted", labels={"app": "web"})
    for terms in (((small,),), ((somewhere, small), (somewhere,))):
        even = app(1, "even", affinity_terms=terms, labels={"app": "even"}, spread=(spread(),))
        plan = planned(*even, *counted, pools=(diverse,), instance_types=types(*sizes))
        assert "counted-0" not in refused(plan)


def _of_both_capacity_types() -> dict[str, Any]:
    """Nodes of two sizes from a pool of which no node can be told to be spot."""
    sizes = tuple(
        msgspec.structs.replace(
            own,
            requirements=(*own.requirements, Requirement("example.com/size", "In", (size,))),
            offerings=tuple(
                Offering(zone, capacity_type, own.offerings[0].price_nano_usd)
                for zone in (ZONE_A, ZONE_B)
                for capacity_type in ("spot", "on-demand")
            ),
        )
        for own, size in zip(TYPES[1:], ("4", "8"), strict=True)
    )
    both = pool(requirements=(Requirement(names.CAPACITY_TYPE, "Exists", min_values=2),))
    return {"pools": (both,), "instance_types": types(*sizes)}


SMALL_OR_SPOT = ((Requirement("example.com/size", "Lt", ("6",)),), (Requirement(names.CAPACITY_TYPE, "In", ("spot",)),))
"""Terms of node affinity: of a large node from such a pool it is open whether it is what they ask."""


def test_a_pod_gets_a_node_although_it_stays_open_whether_the_spread_of_another_counts_it() -> None:
    counted = app(1, "counted", cpu="3", labels={"app": "web"})
    even = app(1, "even", affinity_terms=SMALL_OR_SPOT, labels={"app": "even"}, spread=(spread(),))
    assert refused(planned(*even, *counted, **_of_both_capacity_types())) == []


def test_a_spread_does_not_rely_on_pods_that_may_turn_out_not_to_be_counted() -> None:
    """Its own pods can be in one zone only; a second one may come if the other zone has a pod that surely counts."""
    volume = ((Requirement(names.ZONE, "In", (str(ZONE_A),)),),)
    web = {"app": "web"}
    even = app(2, "even", volume_terms=volume, labels=web, spread=(spread(),), affinity_terms=SMALL_OR_SPOT)
    for size, left_out in (("4", []), ("8", ["even-1"])):
        other = {names.ZONE: str(ZONE_B), "example.com/size": size}
        counted = app(1, "counted", labels=web, node_selector=other)
        assert refused(planned(*even, *counted, **_of_both_capacity_types())) == left_out


def test_pods_that_get_a_node_each_do_without_company_where_their_pool_has_no_nodes_of_its_domains() -> None:
    """Others are dealt by capacity type, and of the pool that these may use no node is of one for certain."""
    about = _of_both_capacity_types()
    reserved_for = Toleration("each", "Exists")
    pools = (*about["pools"], pool("each", taints=(Taint("each", "NoSchedule"),)))
    by_type = spread(names.CAPACITY_TYPE, selector=selects(app="even"))
    even = app(4, "even", spread=(by_type,), tolerations=(reserved_for,))
    apart = app(2, "apart", anti_affinity=(term(HOST, app="apart"),))
    assert refused(planned(*even, *apart, **about | {"pools": pools})) == []


def test_who_was_promised_room_comes_before_others_of_its_kind_once_the_spread_lets_it() -> None:
    """``app-2`` waits until another is in zone a; the step that this gives zone b is not for the pod after it."""
    even = app(4, cpu="1500m", spread=(spread(),))
    here = Requirement(names.ZONE, "In", (str(ZONE_B),))
    pairs = (
        fixed("room", ZONE_A, cpu=1600),
        coming("two", str(ZONE_B), even[1]),
        coming("three", str(ZONE_B), even[2]),
    )
    plan = planned(*even, pairs=pairs, pools=(pool(requirements=(here,)),))
    assert {p.pod: p.node or p.claim for p in plan.placements} == {
        even[0].key: "room",
        even[1].key: "two",
        even[2].key: "three",
    }
    assert refused(plan) == [even[3].meta.name]
