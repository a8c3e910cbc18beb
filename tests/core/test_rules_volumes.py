"""Karpenter's rules 11.1 to 11.7 on volumes, and what differs from them: each test's plan changes without its rule."""

from typing import Any

import msgspec
import pytest

from agent.core.decide import decide
from agent.model import names
from agent.model.constraints import Requirement, TopologySpread
from agent.model.kubernetes import Node, Pod, VolumeAttachment
from agent.model.names import ClassName, NodeName
from agent.model.plan import Plan, Snapshot
from agent.model.resources import Resources
from agent.model.volumes import AttachLimits, StorageClass, Traits, Volume, VolumeClaim
from tests.build import NOW, TYPES, ZONE_A, ZONE_C, claim, conditions, machine, meta, node, pod, snapshot

EBS = "ebs.csi.aws.com"
DIMENSION = f"attachable-volumes-{EBS}"


def inside(*zones: str, key: str = names.ZONE) -> tuple[Requirement, ...]:
    return (Requirement(key, "In", zones),)


def volume(name: str, *terms: tuple[Requirement, ...], driver: str = EBS, **about: Any) -> Volume:
    return Volume(meta(name, **about), driver, f"vol-{name}", terms)


def bound(name: str, to: str, **fields: Any) -> VolumeClaim:
    return VolumeClaim(meta(name, namespace="default"), to, "gp3", **fields)


def unbound(name: str, storage_class: str | None = "gp3", **about: Any) -> VolumeClaim:
    return VolumeClaim(meta(name, namespace="default", **about), "", storage_class)


def late(name: str = "gp3", *topologies: tuple[Requirement, ...], **fields: Any) -> StorageClass:
    about: dict[str, Any] = {"provisioner": EBS, "late": True} | fields
    return StorageClass(meta(name), topologies=topologies, **about)


def mounting(*claims: str, name: str = "web", **fields: Any) -> Pod:
    return pod(name, claims=claims, **fields)


def world(**fields: Any) -> Snapshot:
    return snapshot(**({"storage_classes": (late(),)} | fields))


def zones(plan: Plan) -> list[str]:
    return [zone for x in plan.launches for r in x.draft.requirements if r.key == names.ZONE for zone in r.values]


def why(plan: Plan) -> str:
    (refusal,) = plan.refusals
    ((of, reason),) = refusal.reasons
    assert of == ""  # no pool is to blame
    return reason.message


def fixed(name: str, **fields: Any) -> Node:
    labels = {names.ZONE: ZONE_A, names.HOSTNAME: name, names.INSTANCE_TYPE: "t3.large"}
    return node(machine(7), meta=meta(name, labels=labels), taints=(), provider_id=None, **fields)


# 11.1, 11.2: which claims, and when they keep the pod from every node.


def test_rule_11_2_a_claim_that_does_not_exist_keeps_its_pod_from_any_node() -> None:
    plan = decide(world(pods=(mounting("data"),), nodes=(fixed("base"),)))
    assert (plan.launches, plan.placements) == ((), ())
    assert why(plan) == ("its PersistentVolumeClaim default/data does not exist; create it, or mend the pod's volumes")
    there = decide(world(pods=(mounting("data"),), volume_claims=(unbound("data"),)))
    assert len(there.launches) == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"volume_claims": (unbound("data", deleted_at=NOW),)}, "is being deleted"),
        (
            {"volume_claims": (bound("data", "gone"),)},
            "the PersistentVolume gone of its claim default/data does not exist",
        ),
        (
            {"volume_claims": (bound("data", "pv"),), "volumes": (volume("pv", deleted_at=NOW),)},
            "the PersistentVolume pv of its claim default/data is being deleted",
        ),
        (
            {"volume_claims": (bound("data", "pv", is_binding=True),), "volumes": (volume("pv"),)},
            "its PersistentVolumeClaim default/data is not bound to the PersistentVolume pv yet",
        ),
        (
            {"volume_claims": (bound("data", "pv", phase="Lost"),), "volumes": (volume("pv"),)},
            "its PersistentVolumeClaim default/data has lost the PersistentVolume pv",
        ),
        ({"volume_claims": (unbound("data", ""),)}, "has no StorageClass"),
        ({"volume_claims": (unbound("data", None),)}, "has no StorageClass"),
        (
            {"volume_claims": (unbound("data", "fast"),)},
            "the StorageClass fast of its PersistentVolumeClaim default/data",
        ),
        (
            {"volume_claims": (unbound("data"),), "storage_classes": (late(late=False),)},
            "StorageClass gp3 binds at once; look at the claim's Events",
        ),
        (
            {
                "volume_claims": (unbound("data", "local"),),
                "storage_classes": (late("local", provisioner="kubernetes.io/no-provisioner"),),
            },
            "which nothing makes, and none is free that has what it asks; a new node would bring none",
        ),
    ],
)
def test_rule_11_2_a_claim_that_cannot_be_bound_keeps_its_pod_from_any_node(
    fields: dict[str, Any], sentence: str
) -> None:
    plan = decide(world(pods=(mounting("data"), pod("other")), nodes=(), **fields))
    assert [p.pod for p in plan.placements] == ["default/other"]
    assert sentence in why(plan)


def test_a_claim_without_a_class_takes_the_default_one() -> None:
    default = late("usual", inside(ZONE_C), is_default=True)
    plan = decide(world(pods=(mounting("data"),), volume_claims=(unbound("data", None),), storage_classes=(default,)))
    assert zones(plan) == [ZONE_C]


def test_a_claim_for_one_pod_alone_serves_the_pod_that_has_it() -> None:
    mine = msgspec.structs.replace(bound("data", "pv"), single_pod=True)
    running = mounting("data", name="first", node="base")
    base = fixed("base")
    plan = decide(
        world(pods=(running, mounting("data")), volume_claims=(mine,), volumes=(volume("pv"),), nodes=(base,))
    )
    assert "is ReadWriteOncePod and the pod default/first uses it" in why(plan)
    done = msgspec.structs.replace(running, phase="Succeeded")
    plan = decide(world(pods=(done, mounting("data")), volume_claims=(mine,), volumes=(volume("pv"),), nodes=(base,)))
    assert [p.pod for p in plan.placements] == ["default/web"]


# 11.3, 11.4: where.


@pytest.mark.parametrize("key", [names.ZONE, "topology.ebs.csi.aws.com/zone", "failure-domain.beta.kubernetes.io/zone"])
@pytest.mark.parametrize("zone", [ZONE_A, ZONE_C])
def test_rule_11_3_a_bound_volume_decides_the_zone(zone: str, key: str) -> None:
    there = volume("pv", inside(zone, key=key))
    plan = decide(world(pods=(mounting("data"),), volume_claims=(bound("data", "pv"),), volumes=(there,)))
    assert zones(plan) == [zone]
    assert [x.zone for x in plan.launches] == [zone]


def test_rule_11_3_a_volume_that_is_made_late_goes_where_its_class_allows() -> None:
    narrow = late("gp3", inside(ZONE_C))
    plan = decide(world(pods=(mounting("data"),), volume_claims=(unbound("data"),), storage_classes=(narrow,)))
    assert zones(plan) == [ZONE_C]


def test_rule_11_3_volumes_of_one_pod_hold_together() -> None:
    """Each alone leaves a choice; together one zone is left."""
    both = volume("pv-1", inside(ZONE_A), inside(ZONE_C))
    one = volume("pv-2", inside(ZONE_C, "elsewhere"))
    plan = decide(
        world(
            pods=(mounting("a", "b"),),
            volume_claims=(bound("a", "pv-1"), bound("b", "pv-2")),
            volumes=(both, one),
        )
    )
    assert zones(plan) == [ZONE_C]


def static(name: str, zone: str, **fields: Any) -> Volume:
    about: dict[str, Any] = {"storage_class": "static", "traits": Traits(100, ("ReadWriteOnce",))} | fields
    return msgspec.structs.replace(volume(name, inside(zone)), **about)


def asking(name: str = "data", **fields: Any) -> VolumeClaim:
    about: dict[str, Any] = {"traits": Traits(100, ("ReadWriteOnce",))} | fields
    return VolumeClaim(meta(name, namespace="default"), "", "static", **about)


STATIC = {"storage_classes": (late("static", provisioner="kubernetes.io/no-provisioner"),)}


def test_unlike_rule_11_3_a_claim_that_nothing_makes_a_volume_for_goes_where_a_free_one_suits_it() -> None:
    """Karpenter buys a node anywhere, and kube-scheduler finds no volume there."""
    about: dict[str, Any] = STATIC | {"pods": (mounting("data"),), "volume_claims": (asking(),)}
    there = static("pv", ZONE_C)
    assert zones(decide(world(volumes=(there,), **about))) == [ZONE_C]
    others: tuple[dict[str, Any], ...] = (
        {"traits": Traits(99, ("ReadWriteOnce",))},
        {"traits": Traits(100, ("ReadOnlyMany",))},
        {"traits": Traits(100, ("ReadWriteOnce",), is_block=True)},
        {"storage_class": "other"},
        {"claim": "default/other"},
        {"meta": meta("pv", deleted_at=NOW)},
    )
    for other in others:
        plan = decide(world(volumes=(msgspec.structs.replace(there, **other),), **about))
        assert plan.launches == ()
        assert "none is free that has what it asks" in why(plan)


def test_unlike_rule_11_3_free_volumes_are_for_one_claim_each_and_for_those_that_select_them() -> None:
    pods = tuple(mounting(f"data-{n}", name=f"web-{n}") for n in range(3))
    claims = tuple(asking(f"data-{n}") for n in range(3))
    volumes = (static("large", ZONE_A, traits=Traits(200, ("ReadWriteOnce",))), static("small", ZONE_C))
    plan = decide(world(pods=pods, volume_claims=claims, volumes=volumes, **STATIC))
    assert sorted(zones(plan)) == [ZONE_A, ZONE_C]
    assert [r.pod for r in plan.refusals] == ["default/web-2"]
    only = asking("data-0", selector=(Requirement("tier", "In", ("fast",)),))
    labelled = static("fast", ZONE_A, meta=meta("fast", labels={"tier": "fast"}), traits=volumes[0].traits)
    plan = decide(world(pods=pods[:1], volume_claims=(only,), volumes=(*volumes, labelled), **STATIC))
    assert zones(plan) == [ZONE_A]


def test_unlike_rule_11_3_a_claim_that_waits_for_its_first_pod_goes_where_the_volume_is_that_is_kept_for_it() -> None:
    kept = static("pv", ZONE_C, claim="default/data", claim_uid="mine")
    about: dict[str, Any] = {"pods": (mounting("data"),), "volumes": (kept,)}
    first = VolumeClaim(meta("data", namespace="default", uid="mine"), "", "gp3")
    topologies = (late("gp3", inside(ZONE_A), inside(ZONE_C)),)
    assert zones(decide(world(volume_claims=(first,), storage_classes=topologies, **about))) == [ZONE_C]
    later = VolumeClaim(meta("data", namespace="default", uid="another"), "", "gp3")
    assert zones(decide(world(volume_claims=(later,), storage_classes=topologies, **about))) == [ZONE_A]


def test_volumes_in_different_zones_are_a_reason_of_their_own() -> None:
    plan = decide(
        world(
            pods=(mounting("a", "b"),),
            volume_claims=(bound("a", "pv-1"), bound("b", "pv-2")),
            volumes=(volume("pv-1", inside(ZONE_A)), volume("pv-2", inside(ZONE_C))),
        )
    )
    assert plan.launches == ()
    assert "its volumes (a, b) can be attached to no node together" in why(plan)


def test_rule_11_4_alternatives_are_tried_in_order() -> None:
    nowhere_first = volume("pv", inside("elsewhere"), inside(ZONE_C))
    plan = decide(world(pods=(mounting("data"),), volume_claims=(bound("data", "pv"),), volumes=(nowhere_first,)))
    assert zones(plan) == [ZONE_C]
    either = volume("pv", inside(ZONE_C), inside(ZONE_A))
    plan = decide(world(pods=(mounting("data"),), volume_claims=(bound("data", "pv"),), volumes=(either,)))
    assert zones(plan) == [ZONE_C]


def test_a_volume_decides_among_nodes_that_are_there() -> None:
    there = volume("pv", inside(ZONE_C))
    plan = decide(
        world(pods=(mounting("data"),), volume_claims=(bound("data", "pv"),), volumes=(there,), nodes=(fixed("base"),))
    )
    assert (zones(plan), len(plan.placements)) == ([ZONE_C], 1)
    here = volume("pv", inside(ZONE_A))
    plan = decide(
        world(pods=(mounting("data"),), volume_claims=(bound("data", "pv"),), volumes=(here,), nodes=(fixed("base"),))
    )
    assert [p.node for p in plan.placements] == ["base"]


def test_unlike_rule_11_5_a_local_volume_keeps_its_pod_on_its_host() -> None:
    """Karpenter drops the host's name and buys a node on which kube-scheduler will not bind the pod."""
    local = volume("pv", (Requirement(names.HOSTNAME, "In", ("base",)),), driver="")
    about = {"volume_claims": (bound("data", "pv"),), "volumes": (local,)}
    plan = decide(world(pods=(mounting("data"),), nodes=(fixed("base"),), **about))
    assert [p.node for p in plan.placements] == ["base"]
    full = fixed("base", allocatable=Resources(cpu_milli=100, pods=1))
    plan = decide(world(pods=(mounting("data"),), nodes=(full,), **about))
    assert plan.launches == ()
    assert [r.pod for r in plan.refusals] == ["default/web"]


# 11.6, 11.7: how many.


def spread_over(count: int) -> dict[str, Any]:
    """So many pods with a volume each, small enough for one node."""
    return {
        "pods": tuple(mounting(f"data-{n}", name=f"web-{n}", cpu="10m", memory="16Mi") for n in range(count)),
        "volume_claims": tuple(unbound(f"data-{n}") for n in range(count)),
    }


def test_rule_11_6_a_node_takes_as_many_volumes_as_its_csinode_says() -> None:
    limits = AttachLimits(meta("base"), NodeName("base"), {EBS: 3})
    plan = decide(world(nodes=(fixed("base"),), attach_limits=(limits,), **spread_over(5)))
    assert [p.node for p in plan.placements].count("base") == 3
    unlimited = decide(world(nodes=(fixed("base"),), **spread_over(5)))
    assert [p.node for p in unlimited.placements].count("base") == 5


def test_rule_11_6_what_is_attached_counts_once_whether_by_pods_or_left_over() -> None:
    about = spread_over(5)
    shared = (mounting("x", name="old-1", node="base", cpu="1m"), mounting("x", name="old-2", node="base", cpu="1m"))
    plan = decide(
        world(
            nodes=(fixed("base"),),
            attach_limits=(AttachLimits(meta("base"), NodeName("base"), {EBS: 3}),),
            pods=(*about["pods"], *shared),
            volume_claims=(*about["volume_claims"], bound("x", "pv-x")),
            volumes=(volume("pv-x"), volume("pv-y")),
            attachments=(
                VolumeAttachment(meta("at-1"), NodeName("base"), "pv-x"),
                VolumeAttachment(meta("at-2"), NodeName("base"), "pv-y"),
            ),
        )
    )
    assert [p.node for p in plan.placements].count("base") == 1


def test_unlike_rule_11_6_a_new_node_is_not_bought_for_more_volumes_than_its_type_attaches() -> None:
    small = tuple(msgspec.structs.replace(kind, ebs_attachments=2) for kind in TYPES)
    plan = decide(world(instance_types={ClassName("default"): small}, **spread_over(5)))
    assert sorted(len(x.pods) for x in plan.launches) == [1, 2, 2]
    assert len(decide(world(**spread_over(5))).launches) == 1


def test_a_pod_with_more_volumes_than_any_type_attaches_is_told_so() -> None:
    small = tuple(msgspec.structs.replace(kind, ebs_attachments=2) for kind in TYPES)
    names_ = [f"data-{n}" for n in range(3)]
    plan = decide(
        world(
            pods=(mounting(*names_),),
            volume_claims=tuple(unbound(n) for n in names_),
            instance_types={ClassName("default"): small},
        )
    )
    assert plan.launches == ()
    assert f"0 with {DIMENSION} ≥ 3" in plan.refusals[0].reasons[0][1].message


def test_what_nodes_of_a_type_state_stands_over_the_estimate() -> None:
    """Else the same node would be bought again and again for volumes that it does not take."""
    large = tuple(msgspec.structs.replace(kind, ebs_attachments=5) for kind in TYPES)
    seen = AttachLimits(meta("full"), NodeName("full"), {EBS: 2})
    full = fixed("full", allocatable=Resources(cpu_milli=1, pods=1))
    plan = decide(
        world(
            nodes=(full,),
            attach_limits=(seen,),
            instance_types={ClassName("default"): large[1:2]},
            **spread_over(4),
        )
    )
    assert [(x.instance_type, len(x.pods)) for x in plan.launches] == [("t3.large", 2), ("t3.large", 2)]


def test_a_claim_in_flight_holds_the_volumes_that_it_was_bought_for_and_no_more() -> None:
    types = {ClassName("default"): tuple(msgspec.structs.replace(kind, ebs_attachments=2) for kind in TYPES)}
    about = spread_over(2)
    (first,) = decide(world(instance_types=types, **about)).launches
    assert first.draft.requests.extended == ()  # the node will report no such resource, and must become initialised
    flying = claim(first.draft.name, requests=first.draft.requests, requirements=first.draft.requirements)
    again = decide(world(instance_types=types, claims=(flying,), busy=(flying.name,), **about))
    assert (again.launches, [p.claim for p in again.placements]) == ((), [flying.name] * 2)
    roomy = msgspec.structs.replace(flying, requests=TYPES[0].allocatable)
    third = decide(world(instance_types=types, claims=(roomy,), busy=(flying.name,), **spread_over(3)))
    assert len(third.launches) == 1


def test_a_node_of_ours_that_is_starting_has_its_types_limit_until_its_driver_speaks() -> None:
    types = {ClassName("default"): tuple(msgspec.structs.replace(kind, ebs_attachments=1) for kind in TYPES)}
    instance = machine(1)
    starting = claim(instance=instance, conditions=conditions("Launched", "Registered"))
    plan = decide(
        world(
            instance_types=types,
            claims=(starting,),
            machines=(instance,),
            nodes=(node(instance, taints=()),),
            **spread_over(2),
        )
    )
    assert [p.node for p in plan.placements].count(NodeName(instance.id)) == 1


def test_volumes_that_nothing_limits_take_no_room() -> None:
    """A driver without a limit, such as one of network file systems, is not counted at all."""
    efs = volume("pv", driver="efs.csi.aws.com")
    plan = decide(world(pods=(mounting("data"),), volume_claims=(bound("data", "pv"),), volumes=(efs,)))
    assert len(plan.launches) == 1


def test_rule_10_19_the_zone_of_a_volume_is_no_affinity_of_the_pod() -> None:
    """Else the other zones would be no domains of a spread, and both pods could come."""
    spread = TopologySpread(names.ZONE, 1, (Requirement("app", "In", ("web",)),))
    about = [meta(f"web-{n}", namespace="default", labels={"app": "web"}) for n in range(2)]
    pods = tuple(mounting("data", meta=own, spread=(spread,), cpu="100m") for own in about)
    there = volume("pv", inside(ZONE_A))
    plan = decide(world(pods=pods, volume_claims=(bound("data", "pv"),), volumes=(there,)))
    assert [x.zone for x in plan.launches] == [ZONE_A]
    assert (len(plan.placements), len(plan.refusals)) == (1, 1)
    selecting = tuple(msgspec.structs.replace(p, claims=(), node_selector={names.ZONE: str(ZONE_A)}) for p in pods)
    assert len(decide(world(pods=selecting)).placements) == 2
