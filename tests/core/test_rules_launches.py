"""Karpenter's rules 6.3, 8.12, 8.13, 9.6 and 10.11: what a launch may become, and who may run on it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import DaemonSet, Meta, Taint, Toleration
from agent.model.names import ClassName
from agent.model.plan import Plan
from tests.build import TYPES, ZONE_A, ZONE_C, instance_type, node_class, pod, pool, snapshot
from tests.report import plans

DEFAULT = ClassName("default")


def bought(plan: Plan) -> list[str]:
    return [x.instance_type for x in plan.launches]


def zones(plan: Plan) -> tuple[str, ...]:
    """The zones that the first launch is confined to; none: it may be in any."""
    return next((tuple(r.values) for r in plan.launches[0].draft.requirements if r.key == names.ZONE), ())


def test_rule_6_3_a_pool_whose_class_offers_no_type_is_passed_over_for_the_next() -> None:
    empty = pool("empty", weight=10, node_class=ClassName("empty"))
    classes = (node_class(), node_class("empty"))
    types = {DEFAULT: TYPES, ClassName("empty"): ()}
    plan = decide(snapshot(pods=(pod(),), pools=(empty, pool()), classes=classes, instance_types=types))
    assert [x.draft.pool for x in plan.launches] == ["workers"]
    alone = decide(snapshot(pods=(pod(),), pools=(empty,), classes=classes, instance_types=types))
    assert [[name for name, _ in r.reasons] for r in alone.refusals] == [["empty"]]


def test_rule_8_12_a_launch_stays_open_to_every_type_and_zone_that_its_pods_can_use() -> None:
    plan = decide(snapshot(pods=(pod(),)))
    assert (plan.launches[0].instance_types, zones(plan)) == (("t3.medium", "t3.large", "t3.xlarge"), ())
    large = decide(snapshot(pods=(pod(memory="6Gi"),)))
    assert (large.launches[0].instance_types, zones(large)) == (("t3.large", "t3.xlarge"), ())
    there = decide(snapshot(pods=(pod(node_selector={names.ZONE: ZONE_C}),)))
    assert (there.launches[0].instance_types, zones(there)) == (("t3.medium", "t3.large", "t3.xlarge"), (ZONE_C,))


@pytest.mark.parametrize(
    ("taint", "toleration", "served"),
    [
        (Taint("role", "NoExecute", "db"), None, False),
        (Taint("role", "NoExecute", "db"), Toleration("role", value="db", effect="NoSchedule"), False),
        (Taint("role", "NoExecute", "db"), Toleration("role", value="db", effect="NoExecute"), True),
        (Taint("role", "NoSchedule", "db"), Toleration("role", value="web"), False),
        (Taint("role", "NoSchedule", "db"), Toleration("", "Exists"), True),
        (Taint("sla", "NoSchedule", "950"), Toleration("sla", "Gt", "900"), True),
        (Taint("sla", "NoSchedule", "950"), Toleration("sla", "Gt", "950"), False),
        (Taint("sla", "NoSchedule", "950"), Toleration("sla", "Lt", "951"), True),
        (Taint("sla", "NoSchedule", "950"), Toleration("sla", "Lt", "900"), False),
        (Taint("sla", "NoSchedule", "-5"), Toleration("sla", "Lt", "0"), True),
        (Taint("sla", "NoSchedule", "0950"), Toleration("sla", "Gt", "900"), False),
        (Taint("sla", "NoSchedule", "high"), Toleration("sla", "Gt", "900"), False),
        (Taint("sla", "NoSchedule", "9223372036854775808"), Toleration("sla", "Gt", "900"), False),
        (Taint("other", "NoSchedule", "950"), Toleration("sla", "Gt", "900"), False),
    ],
)
def test_rule_8_13_every_hard_taint_must_be_tolerated_and_numbers_are_compared(
    taint: Taint, toleration: Toleration | None, served: bool
) -> None:
    asking = pod(tolerations=() if toleration is None else (toleration,))
    plan = decide(snapshot(pods=(asking,), pools=(pool(taints=(taint,)),)))
    assert bought(plan) == (["t3.medium"] if served else [])


def arm(name: str, cpu: int, price: float) -> InstanceType:
    kind = instance_type(name, cpu, 4, price)
    return msgspec.structs.replace(
        kind, requirements=(Requirement(names.ARCH, "In", ("arm64",)), Requirement(names.OS, "In", ("linux",)))
    )


@pytest.mark.parametrize(
    ("selector", "kind"),
    [
        ({"kubernetes.io/arch": "arm64"}, "t3.medium"),
        ({"kubernetes.io/arch": "amd64"}, "t4g.medium"),
        ({}, "t3.xlarge"),
    ],
)
def test_rule_9_6_a_daemonset_counts_on_the_types_that_it_will_run_on_and_on_no_others(
    selector: dict[str, str], kind: str
) -> None:
    template = pod(
        "log", cpu="600m", memory="64Mi", owner_kind="DaemonSet", unschedulable=False, node_selector=selector
    )
    offered = {DEFAULT: (*TYPES, arm("t4g.medium", 2, 0.04))}
    log = DaemonSet(Meta("log", "default", "uid-log"), template)
    asking = pod(cpu="1500m")
    assert bought(decide(snapshot(pods=(asking,), instance_types=offered))) == ["t4g.medium"]
    assert bought(decide(snapshot(pods=(asking,), instance_types=offered, daemonsets=(log,)))) == [kind]


@pytest.mark.parametrize(("keys", "where"), [([], "second"), (["revision"], "first")])
def test_rule_10_11_pods_of_another_revision_do_not_count_where_the_revision_is_a_label_key(
    tmp_path: Path, keys: list[str], where: str
) -> None:
    def labelled(made: dict[str, Any], revision: str) -> dict[str, Any]:
        return made | {"metadata": made["metadata"] | {"labels": {"app": "web", "revision": revision}}}

    spread = {
        "topologyKey": names.ZONE,
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
        "matchLabelKeys": keys,
    }
    fixed = [plans.node("first", None, **{names.ZONE: ZONE_A}), plans.node("second", None, **{names.ZONE: ZONE_C})]
    old = labelled(plans.running("old", "first"), "1")
    old["spec"]["containers"][0]["resources"]["requests"] = {"cpu": "100m"}
    new = labelled(plans.pod("new", topologySpreadConstraints=[spread]), "2")
    found = plans.planned(plans.world(tmp_path, *fixed, old, new))
    assert found["placements"] == {"default/new": {"node": where}}
