"""A launch template per content: made once, found again, never somebody else's."""

import base64
import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.aws import errors
from agent.aws.templates import TemplateContent, Templates, launch_template_data, template_content, template_name
from agent.model import names
from agent.model.names import ClassName
from tests.sim.server import CLUSTER, CLUSTER_UID, UBUNTU, World, class_spec


def test_the_same_content_is_made_once_and_found_by_another_process(world: World) -> None:
    first = world.template()
    assert Templates(world.session, CLUSTER, CLUSTER_UID).ensure(content(world)) == first
    assert len(world.server.calls("CreateLaunchTemplate")) == 1
    assert world.template("#!/bin/sh\nother\n") != first


def content(world: World, user_data: str = "#!/bin/sh\ntrue\n", **spec: object) -> TemplateContent:
    return template_content(class_spec(**spec), world.resolved(), ClassName("default"), user_data)


def test_the_template_says_whose_it_is_and_what_it_holds(world: World) -> None:
    template_id, version = world.template()
    ec2 = world.session.client("ec2")
    listed = ec2.describe_launch_templates(LaunchTemplateIds=[template_id])["LaunchTemplates"][0]
    tags = {t["Key"]: t["Value"] for t in listed["Tags"]}
    assert tags == {
        names.TAG_CLUSTER: CLUSTER,
        names.TAG_CLUSTER_UID: CLUSTER_UID,
        names.TAG_MANAGED: "true",
        names.TAG_CLASS: "default",
        names.TAG_TEMPLATE_HASH: content(world).hash,
    }
    data = ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=[version])[
        "LaunchTemplateVersions"
    ][0]["LaunchTemplateData"]
    assert data["ImageId"] == UBUNTU
    assert base64.b64decode(data["UserData"]) == b"#!/bin/sh\ntrue\n"
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["IamInstanceProfile"]["Name"] == "karpenter-node-profile"
    assert data["SecurityGroupIds"] == [world.group]


@pytest.mark.parametrize(("size", "gib"), [("40Gi", 40), ("40G", 38), ("1Ti", 1024), ("1T", 932), ("1G", 1)])
def test_disks_are_rounded_up_to_whole_gib(world: World, size: str, gib: int) -> None:
    disk = {"deviceName": "/dev/sda1", "ebs": {"volumeSize": size}}
    data = launch_template_data(content(world, blockDeviceMappings=[disk]))
    assert data["BlockDeviceMappings"][0]["Ebs"] == {"VolumeSize": gib, "DeleteOnTermination": True}


def test_user_data_over_the_limit_is_refused_before_ec2_sees_it(world: World) -> None:
    with pytest.raises(errors.Invalid, match=r"has 16385 bytes; EC2 takes 16384"):
        content(world, "x" * 16_385)
    assert world.template("x" * 16_384)
    with pytest.raises(errors.Invalid):
        content(world, "é" * 8_193)


def test_a_template_that_somebody_deleted_is_made_again(world: World) -> None:
    template_id, _ = world.template()
    world.session.client("ec2").delete_launch_template(LaunchTemplateId=template_id)
    assert world.template()[0] != template_id


def test_two_processes_that_make_it_at_once_end_with_one(world: World) -> None:
    template = world.template()
    world.server.fault("DescribeLaunchTemplates", code="InvalidLaunchTemplateName.NotFoundException", times=1)
    assert world.template() == template


def test_a_template_made_just_now_and_not_yet_shown_can_be_asked_for_again(world: World) -> None:
    world.template()
    world.server.fault("DescribeLaunchTemplates", code="InvalidLaunchTemplateName.NotFoundException", times=2)
    with pytest.raises(errors.Retryable, match="not shown yet"):
        world.template()


def test_a_lost_answer_leaves_one_template_that_is_found(world: World) -> None:
    world.server.fault("CreateLaunchTemplate", moment="after")
    made = world.template()
    listed = world.templates.listed()
    assert [t.id for t in listed] == [made[0]]


def test_a_name_that_another_uses_is_not_taken_over(world: World) -> None:
    ours = content(world)
    name = f"joinery/{CLUSTER}/{CLUSTER_UID[:8]}/{ours.hash}"
    world.session.client("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"ImageId": UBUNTU})
    with pytest.raises(errors.AlreadyExists, match="not ours"):
        world.templates.ensure(ours)


def test_only_this_clusters_templates_are_listed_page_by_page(world: World) -> None:
    mine = {world.template(f"#!/bin/sh\n{n}\n")[0] for n in range(5)}
    Templates(world.session, CLUSTER, "another-uid").ensure(content(world))
    world.server.ask("/_pages", {"limit": 2})
    listed = world.templates.listed()
    assert {t.id for t in listed} == mine
    assert all(t.created_at > datetime.now(UTC) - timedelta(minutes=5) and t.hash for t in listed)


def test_deleting_what_is_gone_is_fine(world: World) -> None:
    template_id, _ = world.template()
    world.templates.delete(template_id)
    world.templates.delete(template_id)
    assert world.templates.listed() == ()


def test_a_denied_creation_names_the_action(world: World) -> None:
    world.server.fault("CreateLaunchTemplate", code="UnauthorizedOperation", status=403, message="You may not.")
    with pytest.raises(errors.Denied, match="not allowed: ec2:CreateLaunchTemplate"):
        world.template()


def test_any_change_of_content_is_another_hash(world: World) -> None:
    base = content(world)
    others = [
        content(world, "#!/bin/sh\nother\n"),
        content(world, tags={"Team": "search"}),
        content(world, detailedMonitoring=True),
        content(world, associatePublicIPAddress=False),
        content(world, metadataOptions={"httpPutResponseHopLimit": 2}),
        msgspec.structs.replace(base, security_groups=("sg-1",)),
        msgspec.structs.replace(base, instance_profile="other"),
        msgspec.structs.replace(base, image_id="ami-1"),
    ]
    assert len({c.hash for c in [base, *others]}) == len(others) + 1
    assert content(world, tags={"a": "1", "b": "2"}).hash == content(world, tags={"b": "2", "a": "1"}).hash


@given(cluster=st.text(min_size=1, max_size=300), uid=st.text(max_size=40), digest=st.just("0" * 32))
def test_the_name_is_within_ec2s_rules_for_any_cluster(cluster: str, uid: str, digest: str) -> None:
    name = template_name(cluster, uid, digest)
    assert re.fullmatch(r"[a-zA-Z0-9().\-/_]{3,128}", name)
    assert name.endswith(digest)
