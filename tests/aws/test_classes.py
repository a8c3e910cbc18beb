"""What a class's terms mean: found, missing, denied, unanswered; and pins that hold."""

import pytest

from agent.aws.classes import ResolvedClass, Resolver
from agent.model.ec2 import Image
from tests.sim.server import UBUNTU, UBUNTU_ARM, ZONE_A, ZONE_C, World, class_spec

FAMILIES = frozenset({"Ubuntu", "Custom"})
OLDER = "ami-0000000000ubu24ol"
JAMMY, JAMMY_ARM = "ami-0000000000ubu2204", "ami-0000000000ubu22a4"
AL2023, AL2023_ARM = "ami-0000000000al2023x", "ami-0000000000al2023a"
NOBLE_NAME = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260901"


def resolve(
    world: World, pinned: tuple[Image, ...] = (), faults: tuple[str, ...] = (), **spec: object
) -> ResolvedClass:
    return Resolver(world.session, FAMILIES).resolve(class_spec(**spec), pinned, faults)


def condition(resolved: ResolvedClass, kind: str) -> tuple[str, str, str]:
    found = next(c for c in resolved.conditions if c.type == kind)
    return found.status, found.reason, found.message


def ids(resolved: ResolvedClass) -> set[str]:
    return {i.id for i in resolved.images}


def test_the_storys_class_is_resolved_whole(world: World) -> None:
    resolved = resolve(world)
    assert resolved.ready
    assert {(s.zone, s.id) for s in resolved.subnets} == set(world.subnets.items())
    assert all(s.free_addresses > 200 and s.zone_id for s in resolved.subnets)
    assert resolved.security_groups == (world.group,)
    assert resolved.security_group_names == {world.group: "nodes"}
    assert resolved.instance_profile == "karpenter-node-profile"
    assert [(i.id, i.architecture) for i in sorted(resolved.images, key=lambda i: i.architecture)] == [
        (UBUNTU, "amd64"),
        (UBUNTU_ARM, "arm64"),
    ]
    assert {(c.type, c.status) for c in resolved.conditions} == {
        ("AMIsReady", "True"),
        ("SubnetsReady", "True"),
        ("SecurityGroupsReady", "True"),
        ("InstanceProfileReady", "True"),
        ("CapacityReservationsReady", "True"),
        ("ValidationSucceeded", "True"),
        ("Ready", "True"),
    }


def test_subnets_with_more_free_addresses_come_first(world: World) -> None:
    for n in range(3):
        world.launch(f"claim-{n}")
    assert [s.zone for s in resolve(world).subnets] == [ZONE_C, ZONE_A]


def test_terms_are_alternatives_and_their_fields_hold_together(world: World) -> None:
    ec2 = world.session.client("ec2")
    ec2.create_tags(Resources=[world.subnets[ZONE_A]], Tags=[{"Key": "tier", "Value": "private"}])
    both = [{"tags": {"karpenter.sh/discovery": "true", "tier": "private"}}]
    assert {s.zone for s in resolve(world, subnetSelectorTerms=both).subnets} == {ZONE_A}
    either = [{"tags": {"tier": "*"}}, {"id": world.subnets[ZONE_C]}]
    assert {s.zone for s in resolve(world, subnetSelectorTerms=either).subnets} == {ZONE_A, ZONE_C}
    by_name = resolve(world, securityGroupSelectorTerms=[{"name": "nodes"}])
    assert by_name.security_groups == (world.group,)
    by_id = resolve(world, securityGroupSelectorTerms=[{"id": world.group}])
    assert by_id.security_groups == (world.group,)


def test_small_pages_are_all_read(world: World) -> None:
    world.server.ask("/_pages", {"limit": 1})
    assert len(resolve(world).subnets) == 2


@pytest.mark.parametrize(
    ("spec", "kind", "reason"),
    [
        ({"subnetSelectorTerms": [{"tags": {"none": "such"}}]}, "SubnetsReady", "SubnetsNotFound"),
        ({"securityGroupSelectorTerms": [{"name": "none"}]}, "SecurityGroupsReady", "SecurityGroupsNotFound"),
        ({"instanceProfile": "nobody"}, "InstanceProfileReady", "InstanceProfileNotFound"),
        ({"instanceProfile": None, "role": "nobody"}, "InstanceProfileReady", "InstanceProfileNotFound"),
        ({"amiSelectorTerms": [{"id": "ami-0123"}]}, "AMIsReady", "AMINotFound"),
        ({"amiSelectorTerms": [{"alias": "ubuntu@20.04"}]}, "AMIsReady", "UnsupportedAlias"),
        ({"amiFamily": "Flatcar"}, "AMIsReady", "AMINotFound"),
        ({"amiFamily": "AL2023"}, "ValidationSucceeded", "UserDataTemplateMissing"),
    ],
)
def test_what_is_missing_is_said_in_its_condition_and_in_ready(
    world: World, spec: dict[str, object], kind: str, reason: str
) -> None:
    resolved = Resolver(world.session, FAMILIES).resolve(class_spec(**spec), (), ())
    status, said, message = condition(resolved, kind)
    assert (status, said) == ("False", reason)
    assert message
    assert condition(resolved, "Ready")[0] == "False"
    assert not resolved.ready


def test_a_family_without_a_template_is_named_with_those_that_have_one(world: World) -> None:
    message = condition(resolve(world, amiFamily="AL2023"), "ValidationSucceeded")[2]
    assert "AL2023" in message
    assert "Custom, Ubuntu" in message


def test_the_classs_own_fault_is_named_before_what_it_lacks(world: World) -> None:
    resolved = resolve(world, amiFamily="Flatcar", subnetSelectorTerms=[{"tags": {"none": "such"}}])
    assert condition(resolved, "Ready")[:2] == ("False", "UserDataTemplateMissing")


def test_a_profile_without_a_role_is_not_enough(world: World) -> None:
    world.session.client("iam").create_instance_profile(InstanceProfileName="empty")
    resolved = resolve(world, instanceProfile="empty")
    assert not resolved.ready
    assert "has no role" in next(c.message for c in resolved.conditions if c.type == "InstanceProfileReady")


def test_a_roles_own_profile_is_found(world: World) -> None:
    assert resolve(world, instanceProfile=None, role="joinery-node").instance_profile == "karpenter-node-profile"


def test_faults_of_the_manifest_make_it_invalid(world: World) -> None:
    assert condition(resolve(world, faults=("spec.tags: wrong",)), "ValidationSucceeded") == (
        "False",
        "InvalidSpec",
        "spec.tags: wrong",
    )
    unreadable = Resolver(world.session, FAMILIES).resolve(None, (), ("spec: missing",))
    assert [(c.type, c.status) for c in unreadable.conditions] == [("ValidationSucceeded", "False"), ("Ready", "False")]


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("DescribeSubnets", "SubnetsReady"),
        ("DescribeSecurityGroups", "SecurityGroupsReady"),
        ("GetInstanceProfile", "InstanceProfileReady"),
        ("GetParameter", "AMIsReady"),
    ],
)
def test_what_aws_refuses_to_say_is_unknown_and_hides_nothing_else(world: World, action: str, kind: str) -> None:
    world.server.fault(action, code="AccessDenied", status=403, times=-1)
    resolved = resolve(world)
    assert {c.type for c in resolved.conditions if c.status != "True"} == {kind, "Ready"}
    status, reason, message = condition(resolved, kind)
    assert (status, reason) == ("Unknown", "Denied")
    assert action in message


def test_al2023_is_amazons_plain_image_never_an_eks_optimised_one(world: World) -> None:
    for spec in ({"amiFamily": "AL2023"}, {"amiFamily": "AL2023", "amiSelectorTerms": [{"alias": "al2023@latest"}]}):
        assert ids(resolve(world, **spec)) == {AL2023, AL2023_ARM}
    assert not [c for c in world.server.calls("GetParameter") if "eks" in c["json"]["Name"]]


def test_a_release_can_be_named(world: World) -> None:
    assert ids(resolve(world, amiSelectorTerms=[{"alias": "ubuntu@22.04"}])) == {JAMMY, JAMMY_ARM}


def test_a_newer_image_never_moves_a_pin(world: World) -> None:
    pinned = (Image(id=OLDER, name=NOBLE_NAME),)
    assert ids(resolve(world, pinned)) == {OLDER, UBUNTU_ARM}
    assert ids(resolve(world, pinned, amiSelectorTerms=[{"alias": "ubuntu@latest"}])) == {OLDER, UBUNTU_ARM}
    by_name = [{"name": "ubuntu/images/*-24.04-amd64-*", "owner": "099720109477"}]
    assert ids(resolve(world, pinned, amiSelectorTerms=by_name)) == {OLDER}
    assert ids(resolve(world, amiSelectorTerms=by_name)) == {UBUNTU}


def test_a_whole_pin_is_kept_without_asking_for_newer_ones(world: World) -> None:
    first = resolve(world)
    asked = len(world.server.calls("GetParameter"))
    assert ids(resolve(world, first.images)) == ids(first)
    assert len(world.server.calls("GetParameter")) == asked


def test_a_changed_term_moves_the_pin_at_once(world: World) -> None:
    pinned = resolve(world).images
    assert ids(resolve(world, pinned, amiSelectorTerms=[{"alias": "ubuntu@22.04"}])) == {JAMMY, JAMMY_ARM}
    assert ids(resolve(world, pinned, amiFamily="AL2023")) == {AL2023, AL2023_ARM}
    assert ids(resolve(world, pinned, amiSelectorTerms=[{"id": OLDER}])) == {OLDER}


def test_a_pin_whose_image_is_gone_is_replaced_and_the_other_stays(world: World) -> None:
    pinned = (Image(id="ami-0gone", name=NOBLE_NAME), Image(id=JAMMY_ARM, name=NOBLE_NAME, architecture="arm64"))
    assert ids(resolve(world, pinned)) == {UBUNTU, JAMMY_ARM}


def test_pins_outlive_an_aws_that_does_not_answer(world: World) -> None:
    pinned = resolve(world).images
    world.server.fault("DescribeImages", code="RequestLimitExceeded", status=503, times=-1)
    resolved = resolve(world, pinned)
    assert condition(resolved, "AMIsReady")[:2] == ("Unknown", "Throttled")
    assert resolved.images == pinned


def test_parts_stand_while_aws_is_out_of_reach_but_not_when_it_says_no(world: World) -> None:
    resolver, spec = Resolver(world.session, FAMILIES), class_spec()
    before = resolver.resolve(spec, (), ())
    actions = ("DescribeSubnets", "DescribeSecurityGroups", "DescribeImages", "GetInstanceProfile")
    for action in actions:
        world.server.fault(action, code="InternalError", status=500, times=-1)
    assert resolver.resolve(spec, before.images, (), before) == before
    assert not resolver.resolve(spec, before.images, ()).ready
    world.server.ask("/_faults", method="DELETE")
    world.server.fault("DescribeSubnets", code="UnauthorizedOperation", status=403, times=-1)
    assert condition(resolver.resolve(spec, (), (), before), "SubnetsReady")[:2] == ("Unknown", "Denied")


def test_images_are_found_by_id_tag_and_parameter(world: World) -> None:
    ec2, ssm = world.session.client("ec2"), world.session.client("ssm")
    ec2.create_tags(Resources=[JAMMY], Tags=[{"Key": "golden", "Value": "yes"}])
    ssm.put_parameter(Name="/team/image", Value=UBUNTU_ARM, Type="String")
    assert ids(resolve(world, amiSelectorTerms=[{"id": OLDER}])) == {OLDER}
    assert ids(resolve(world, amiSelectorTerms=[{"tags": {"golden": "*"}}])) == {JAMMY}
    assert ids(resolve(world, amiSelectorTerms=[{"ssmParameter": "/team/image"}])) == {UBUNTU_ARM}
    assert condition(resolve(world, amiSelectorTerms=[{"ssmParameter": "/none"}]), "AMIsReady")[1] == "AMINotFound"
    several = [{"id": JAMMY}, {"ssmParameter": "/team/image"}]
    assert ids(resolve(world, amiSelectorTerms=several)) == {JAMMY, UBUNTU_ARM}


def test_a_deregistered_image_is_not_found(world: World) -> None:
    world.session.client("ec2").deregister_image(ImageId=UBUNTU)
    assert ids(resolve(world)) == {UBUNTU_ARM}
