"""Karpenter's rule 9.6 for DaemonSets that select a zone or a capacity type, which a launch decides only in the end."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.core.inputs import PackingInput, Pair
from agent.core.packing import pack
from agent.core.verifying import PlanInvalid, verify
from agent.model import names
from agent.model.actions import Launch
from agent.model.constraints import Requirement
from agent.model.ec2 import CapacityError, InstanceType
from agent.model.kubernetes import DaemonSet, Meta, Pod
from agent.model.names import ClassName, PodKey
from agent.model.plan import Limits, Placement, Plan
from tests.build import NOW, TYPES, ZONE_A, ZONE_C, amounts, claim, meta, node_class, pod, pool, snapshot

DEFAULT = ClassName("default")
SMALL, LARGE = "100m", "600m"
"""What a DaemonSet asks beside a pod of 1500m: a type of two cores holds both, or it does not."""


def log(cpu: str = LARGE, **selector: str) -> DaemonSet:
    """A DaemonSet of one zone or capacity type."""
    return of({getattr(names, key.upper()): value for key, value in selector.items()}, cpu)


def of(selector: Mapping[str, str], cpu: str = LARGE) -> DaemonSet:
    about: dict[str, Any] = {"owner_kind": "DaemonSet", "unschedulable": False, "node_selector": dict(selector)}
    return DaemonSet(Meta("log", "default", "uid-log"), pod("log", cpu=cpu, memory="64Mi", **about))


def asking(**fields: Any) -> Pod:
    return pod(cpu="1500m", **fields)


def bought(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    """The type that each launch is expected to become, and the zones that it names; none: it may be in any."""
    return [(x.instance_type, values(x, names.ZONE)) for x in plan.launches]


def values(launch: Launch, key: str) -> tuple[str, ...]:
    return next((r.values for r in launch.draft.requirements if r.key == key), ())


def with_spot() -> dict[ClassName, tuple[InstanceType, ...]]:
    spot = tuple(msgspec.structs.replace(o, capacity_type="spot") for o in TYPES[0].offerings)
    return {DEFAULT: (msgspec.structs.replace(TYPES[0], offerings=TYPES[0].offerings + spot), *TYPES[1:])}


@pytest.mark.parametrize(
    ("selector", "kind", "where"),
    [
        ({names.ZONE: ZONE_A}, "t3.medium", (ZONE_C,)),
        ({names.ZONE: ZONE_C}, "t3.medium", (ZONE_A,)),
        ({names.ZONE: "elsewhere"}, "t3.medium", ()),
        ({names.CAPACITY_TYPE: "spot"}, "t3.medium", ()),
        ({names.CAPACITY_TYPE: "on-demand"}, "t3.xlarge", ()),
    ],
)
def test_rule_9_6_a_daemonset_of_one_zone_counts_there_and_a_launch_for_another_zone_is_confined_to_it(
    selector: dict[str, str], kind: str, where: tuple[str, ...]
) -> None:
    assert bought(decide(snapshot(pods=(asking(),), daemonsets=(of(selector),)))) == [(kind, where)]


@pytest.mark.parametrize(("selected", "other"), [("spot", "on-demand"), ("on-demand", "spot")])
def test_rule_9_6_a_daemonset_of_one_capacity_type_confines_a_launch_that_it_leaves_no_room_to_the_other(
    selected: str, other: str
) -> None:
    about = {"daemonsets": (log(capacity_type=selected),), "instance_types": with_spot()}
    plan = decide(snapshot(pods=(asking(),), **about))
    assert [x.instance_type for x in plan.launches] == ["t3.medium"]
    assert values(plan.launches[0], names.CAPACITY_TYPE) == (other,)


def test_where_the_types_hold_the_pods_beside_it_in_every_zone_a_launch_stays_open_to_all() -> None:
    plan = decide(snapshot(pods=(asking(),), daemonsets=(log(SMALL, zone=ZONE_A),)))
    assert bought(plan) == [("t3.medium", (ZONE_A, ZONE_C))]
    assert plan.launches[0].instance_types == ("t3.medium", "t3.large", "t3.xlarge")
    assert plan.launches[0].draft.requests.cpu_milli == 1600


def test_a_pod_of_the_zone_gets_a_type_that_holds_it_beside_the_daemonset() -> None:
    there = asking(node_selector={names.ZONE: ZONE_A})
    assert bought(decide(snapshot(pods=(there,), daemonsets=(log(zone=ZONE_A),)))) == [("t3.xlarge", (ZONE_A,))]


def test_of_two_pools_the_one_whose_zone_it_leaves_alone_is_cheaper() -> None:
    pools = tuple(
        pool(name, requirements=(Requirement(names.ZONE, "In", (zone,)),))
        for name, zone in (("first", ZONE_A), ("second", ZONE_C))
    )
    plan = decide(snapshot(pods=(asking(),), pools=pools, daemonsets=(log(zone=ZONE_A),)))
    assert [(x.draft.pool, x.instance_type) for x in plan.launches] == [("second", "t3.medium")]


def test_a_limit_that_leaves_no_room_for_the_larger_type_confines_the_launch_and_refuses_nobody() -> None:
    plan = decide(snapshot(pods=(asking(),), pools=(pool(limits={"cpu": 2000}),), daemonsets=(log(zone=ZONE_A),)))
    assert bought(plan) == [("t3.medium", (ZONE_C,))]


@pytest.mark.parametrize(
    ("key", "cpu", "kinds"),
    [
        (names.ZONE, SMALL, ("t3.medium", "t3.large", "t3.xlarge")),
        # Types that hold the pod in one of the zones only would leave the launch one zone.
        (names.ZONE, LARGE, ("t3.xlarge",)),
        (names.INSTANCE_TYPE, LARGE, ("t3.medium", "t3.large", "t3.xlarge")),
    ],
)
def test_min_values_hold_for_what_one_launch_names(key: str, cpu: str, kinds: tuple[str, ...]) -> None:
    diverse = pool(requirements=(Requirement(key, "Exists", min_values=2),))
    plan = decide(snapshot(pods=(asking(),), pools=(diverse,), daemonsets=(log(cpu, zone=ZONE_A),)))
    assert [x.instance_types for x in plan.launches] == [kinds]


def test_min_values_that_no_launch_keeps_are_the_reason_that_is_told() -> None:
    diverse = pool(requirements=(Requirement(names.ZONE, "Exists", min_values=2),))
    plan = decide(snapshot(pods=(pod(cpu="3500m"),), pools=(diverse,), daemonsets=(log(zone=ZONE_A),)))
    assert plan.launches == ()
    assert "wants 2 values of topology.kubernetes.io/zone" in plan.refusals[0].reasons[0][1].message


def test_an_offering_that_ec2_refused_lately_is_no_fallback_where_its_type_would_not_hold_the_pods() -> None:
    """The refusal is forgotten before the claim is; then it would be asked for."""
    refused = CapacityError("on-demand", NOW + timedelta(minutes=3), TYPES[0].name, ZONE_A)
    base = snapshot(pods=(asking(),), daemonsets=(log(zone=ZONE_A),))
    memory = msgspec.structs.replace(base.memory, capacity_errors=(refused,))
    assert bought(decide(msgspec.structs.replace(base, memory=memory))) == [("t3.medium", (ZONE_C,))]


def test_on_a_claim_whose_zone_is_open_it_keeps_its_room_and_on_one_of_another_zone_it_needs_none() -> None:
    def placed(*where: str) -> list[str | None]:
        coming = claim(
            meta=meta("workers-1", labels={names.NODEPOOL: "workers"}),
            requirements=(
                Requirement(names.INSTANCE_TYPE, "In", ("t3.medium",)),
                Requirement(names.ZONE, "In", where),
            ),
            requests=amounts("1700m", "3Gi", pods="10"),
        )
        about = snapshot(pods=(asking(),), claims=(coming,), daemonsets=(log(zone=ZONE_A),))
        return [placement.claim for placement in decide(about).placements]

    assert placed(ZONE_A, ZONE_C) == [None]
    assert placed(ZONE_C) == ["workers-1"]


def test_on_a_claim_it_counts_only_if_some_offering_is_of_its_zone_and_its_capacity_type() -> None:
    """The claim may come in its zone, and with its capacity type, but not with both."""
    offerings = (TYPES[0].offerings[0], msgspec.structs.replace(TYPES[0].offerings[1], capacity_type="spot"))
    only = (msgspec.structs.replace(TYPES[0], offerings=offerings),)
    both = of({names.ZONE: ZONE_A, names.CAPACITY_TYPE: "spot"})
    coming = claim(
        meta=meta("workers-1", labels={names.NODEPOOL: "workers"}),
        requirements=(Requirement(names.INSTANCE_TYPE, "In", ("t3.medium",)),),
        requests=amounts("1700m", "3Gi", pods="10"),
    )
    about = snapshot(pods=(asking(),), claims=(coming,), daemonsets=(both,), instance_types={DEFAULT: only})
    assert [placement.claim for placement in decide(about).placements] == ["workers-1"]


@pytest.mark.parametrize(("cpu", "zones"), [(SMALL, (ZONE_A, ZONE_C)), ("2500m", (ZONE_C,))])
def test_a_static_node_with_a_pod_is_confined_only_where_the_daemonset_would_not_fit(
    cpu: str, zones: tuple[str, ...]
) -> None:
    kept = pool("kept", replicas=1, requirements=(Requirement(names.INSTANCE_TYPE, "In", ("t3.medium",)),))
    plan = decide(snapshot(pods=(pod(cpu="1"),), pools=(kept,), daemonsets=(log(cpu, zone=ZONE_A),)))
    assert [(x.reason.code, x.pods, values(x, names.ZONE)) for x in plan.launches] == [
        ("Static", ("default/web",), zones)
    ]


def test_the_verifier_refuses_a_launch_that_may_end_up_where_the_daemonset_leaves_no_room() -> None:
    asked = PackingInput(
        now=NOW,
        pods=(asking(),),
        pairs=tuple[Pair, ...](),
        pools=(pool(),),
        classes=(node_class(),),
        instance_types={DEFAULT: TYPES},
        daemonsets=(log(zone=ZONE_A),),
        limits=Limits(),
    )
    found = pack(asked)
    verify(asked, found)
    launch = found.launches[0]
    rest = tuple(r for r in launch.draft.requirements if r.key != names.ZONE)
    draft = msgspec.structs.replace(launch.draft, requirements=rest)
    spoilt = msgspec.structs.replace(found, launches=(msgspec.structs.replace(launch, draft=draft),))
    assert spoilt.placements == (Placement(PodKey("default/web"), launch=0),)
    with pytest.raises(PlanInvalid, match="do not fit on every one of its types"):
        verify(asked, spoilt)
