"""One instance per attempt, whatever happens to the answers."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.aws import errors
from agent.aws.fleet import client_token, fleet_request
from agent.aws.templates import template_content
from agent.model.ec2 import CapacityType, LaunchRequest
from agent.model.names import ClaimUid, ClassName
from tests.sim.server import CLUSTER_UID, REGION, UBUNTU, UBUNTU_ARM, ZONE_A, ZONE_C, World, class_spec


@given(st.text(), st.integers(0, 10**6))
def test_a_token_is_ascii_within_the_limit_and_different_for_each_attempt(claim: str, attempt: int) -> None:
    token = client_token(ClaimUid(claim), attempt)
    assert len(token) <= 64
    assert token.isascii()
    assert token == client_token(ClaimUid(claim), attempt)
    assert token != client_token(ClaimUid(claim), attempt + 1)


def test_the_cheapest_offering_is_launched_and_described(world: World) -> None:
    request = world.request(
        world.override("t3.xlarge"), world.override("t3.medium", ZONE_C), world.override("t3.large")
    )
    answer = world.ec2.create_fleet(request, world.token())
    assert answer.failure is None
    assert answer.instance is not None
    assert (answer.instance.instance_type, answer.instance.zone) == ("t3.medium", ZONE_C)
    assert (answer.instance.image_id, answer.instance.capacity_type) == (UBUNTU, "on-demand")
    machine = world.ec2.machine(answer.instance.id)
    assert machine is not None
    assert (machine.instance_type, machine.zone, machine.subnet_id) == ("t3.medium", ZONE_C, world.subnets[ZONE_C])
    assert machine.is_ours("team", CLUSTER_UID)
    assert (machine.claim, machine.claim_uid, machine.pool) == ("worker-1", "claim-uid", "worker")
    assert machine.provider_id == f"aws:///{ZONE_C}/{machine.id}"


def test_the_instance_is_as_the_class_asks(world: World) -> None:
    disk = {
        "deviceName": "/dev/sda1",
        "ebs": {"volumeSize": "40Gi", "volumeType": "gp3", "encrypted": True, "iops": 4000, "throughput": 250},
    }
    template_id, version = world.template(
        user_data="#!/bin/sh\necho here\n",
        blockDeviceMappings=[disk],
        metadataOptions={"httpTokens": "required", "httpPutResponseHopLimit": 2},
        detailedMonitoring=True,
    )
    request = msgspec.structs.replace(world.request(), template_id=template_id, template_version=version)
    answer = world.ec2.create_fleet(request, world.token())
    assert answer.instance is not None
    ec2 = world.session.client("ec2")
    shown = ec2.describe_instances(InstanceIds=[answer.instance.id])["Reservations"][0]["Instances"][0]
    assert [g["GroupId"] for g in shown["SecurityGroups"]] == [world.group]
    assert shown["IamInstanceProfile"]["Arn"].endswith("/karpenter-node-profile")
    options = shown["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 2)
    assert shown["Monitoring"]["State"] == "enabled"
    volume = ec2.describe_volumes(VolumeIds=[shown["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]])["Volumes"][0]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (40, "gp3", True)
    assert (volume["Iops"], volume["Throughput"]) == (4000, 250)
    assert {t["Key"]: t["Value"] for t in volume["Tags"]} == dict(request.tags)
    listed = world.server.ask("/_instances", method="GET")
    assert listed[0]["userData"] == "#!/bin/sh\necho here\n"


def test_a_public_address_is_asked_for_with_the_groups_kept(world: World) -> None:
    template_id, version = world.template(associatePublicIPAddress=True)
    request = msgspec.structs.replace(world.request(), template_id=template_id, template_version=version)
    answer = world.ec2.create_fleet(request, world.token())
    assert answer.instance is not None
    ec2 = world.session.client("ec2")
    shown = ec2.describe_instances(InstanceIds=[answer.instance.id])["Reservations"][0]["Instances"][0]
    assert shown["SubnetId"] == world.subnets[ZONE_A]
    assert [g["GroupId"] for g in shown["NetworkInterfaces"][0]["Groups"]] == [world.group]


def test_an_instance_that_powers_itself_off_is_terminated(world: World) -> None:
    instance = world.launch()
    answer = world.session.client("ec2").describe_instance_attribute(
        InstanceId=instance, Attribute="instanceInitiatedShutdownBehavior"
    )
    assert answer["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


def test_a_lost_answer_costs_nothing_because_the_same_token_returns_the_same_instance(world: World) -> None:
    request, token = world.request(), world.token()
    world.server.fault("CreateFleet", moment="after")
    with pytest.raises(errors.Retryable):
        world.ec2.create_fleet(request, token)
    assert len(world.server.calls("CreateFleet")) == 1
    by_tag = world.ec2.machines_of_claim(ClaimUid("claim-uid"))
    answer = world.ec2.create_fleet(request, token)
    assert answer.instance is not None
    assert [m.id for m in by_tag] == [answer.instance.id]
    assert len(world.server.ask("/_instances", method="GET")) == 1


def test_a_call_that_never_arrived_launches_when_it_is_sent_again(world: World) -> None:
    request, token = world.request(), world.token()
    world.server.fault("CreateFleet", moment="cut")
    with pytest.raises(errors.Retryable):
        world.ec2.create_fleet(request, token)
    assert world.ec2.machines_of_claim(ClaimUid("claim-uid")) == ()
    assert world.ec2.create_fleet(request, token).instance is not None


def test_a_stored_request_is_resent_word_for_word(world: World) -> None:
    request = world.request(world.override("t3.large"), world.override("t3.medium"))
    stored = msgspec.json.decode(msgspec.json.encode(request), type=LaunchRequest)
    assert fleet_request(stored, "token") == fleet_request(request, "token")
    first = world.ec2.create_fleet(request, world.token())
    assert world.ec2.create_fleet(stored, world.token()).instance == first.instance


def test_another_request_with_the_same_token_is_a_definite_answer(world: World) -> None:
    world.ec2.create_fleet(world.request(), world.token())
    with pytest.raises(errors.TokenSpent, match="the next attempt uses a new token"):
        world.ec2.create_fleet(world.request(world.override("t3.large")), world.token())
    assert len(world.ec2.machines()) == 1


def test_a_token_whose_instance_is_terminated_is_a_definite_answer_and_the_next_launches(world: World) -> None:
    request = world.request()
    answer = world.ec2.create_fleet(request, world.token())
    assert answer.instance is not None
    world.ec2.terminate(answer.instance.id)
    with pytest.raises(errors.TokenSpent):
        world.ec2.create_fleet(request, world.token())
    again = world.ec2.create_fleet(msgspec.structs.replace(request, attempt=2), world.token(attempt=2))
    assert again.instance is not None
    assert again.instance.id != answer.instance.id


def test_capacity_that_is_short_in_one_zone_is_reported_beside_the_instance(world: World) -> None:
    world.server.ask("/_capacity", {f"t3.medium/{ZONE_A}/on-demand": 0})
    request = world.request(world.override("t3.medium"), world.override("t3.medium", ZONE_C))
    answer = world.ec2.create_fleet(request, world.token())
    assert answer.instance is not None
    assert answer.instance.zone == ZONE_C
    assert [(e.instance_type, e.zone, e.code) for e in answer.errors] == [
        ("t3.medium", ZONE_A, "InsufficientInstanceCapacity")
    ]
    assert answer.errors[0].kind is errors.CapacityUnavailable
    assert answer.failure is None


def test_no_capacity_at_all_names_every_offering(world: World) -> None:
    world.server.ask("/_capacity", {"*/*/on-demand": 0})
    request = world.request(world.override("t3.medium"), world.override("t3.large", ZONE_C))
    answer = world.ec2.create_fleet(request, world.token())
    assert answer.instance is None
    assert isinstance(answer.failure, errors.CapacityUnavailable)
    assert {(e.instance_type, e.zone) for e in answer.errors} == {("t3.medium", ZONE_A), ("t3.large", ZONE_C)}
    assert "t3.medium in ap-northeast-2a" in str(answer.failure)


def test_capacity_is_used_up(world: World) -> None:
    world.server.ask("/_capacity", {f"t3.medium/{ZONE_A}/on-demand": 1})
    assert world.ec2.create_fleet(world.request(claim="a"), world.token("a")).instance is not None
    assert world.ec2.create_fleet(world.request(claim="b"), world.token("b")).instance is None


@pytest.mark.parametrize(
    ("code", "kind", "whole"),
    [
        ("MaxSpotInstanceCountExceeded", "spot", True),
        ("VcpuLimitExceeded", "on-demand", True),
        ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "spot", True),
        ("UnfulfillableCapacity", "spot", False),
    ],
)
def test_a_quota_refuses_the_whole_capacity_type(world: World, code: str, kind: CapacityType, whole: bool) -> None:
    world.server.ask("/_capacity", {f"*/*/{kind}": code})
    answer = world.ec2.create_fleet(world.request(kind=kind), world.token())
    assert isinstance(answer.failure, errors.CapacityUnavailable)
    assert answer.errors[0].whole_capacity_type is whole


def test_a_refusal_that_capacity_cannot_mend_decides_the_answer(world: World) -> None:
    world.server.ask("/_capacity", {f"t3.medium/{ZONE_A}/on-demand": 0})
    wrong = world.override("t3.large", image=UBUNTU_ARM)
    answer = world.ec2.create_fleet(world.request(world.override("t3.medium"), wrong), world.token())
    assert isinstance(answer.failure, errors.Invalid)
    assert "architecture" in str(answer.failure)


def test_a_full_subnet_is_a_capacity_error_of_its_subnet(world: World) -> None:
    ec2 = world.session.client("ec2")
    vpc = world.seed["vpc"]
    small = ec2.create_subnet(VpcId=vpc, CidrBlock="10.42.9.0/28", AvailabilityZone=ZONE_A)["Subnet"]["SubnetId"]
    ec2.run_instances(ImageId=UBUNTU, InstanceType="t3.small", SubnetId=small, MinCount=11, MaxCount=11)
    full = msgspec.structs.replace(world.override("t3.medium"), subnet_id=small)
    answer = world.ec2.create_fleet(world.request(full), world.token())
    assert [(e.code, e.subnet_id, e.zone) for e in answer.errors] == [
        ("InsufficientFreeAddressesInSubnet", small, ZONE_A)
    ]


def test_spot_is_bought_as_spot_in_the_cheapest_zone(world: World) -> None:
    request = world.request(world.override("t3.medium", ZONE_C), world.override("t3.medium"), kind="spot")
    answer = world.ec2.create_fleet(request, world.token())
    assert answer.instance is not None
    assert (answer.instance.zone, answer.instance.capacity_type) == (ZONE_A, "spot")
    machine = world.ec2.machine(answer.instance.id)
    assert machine is not None
    assert machine.capacity_type == "spot"


def test_a_throttled_launch_was_not_carried_out_and_is_not_repeated_by_the_sdk(world: World) -> None:
    world.server.ask("/_throttle", {"action": "CreateFleet", "burst": 0, "per_second": 0})
    with pytest.raises(errors.Throttled):
        world.ec2.create_fleet(world.request(), world.token())
    assert len(world.server.calls("CreateFleet")) == 1
    assert world.server.ask("/_instances", method="GET") == []


def test_a_template_that_is_gone_is_said_to_be_gone(world: World) -> None:
    request = world.request()
    world.templates.delete(request.template_id)
    with pytest.raises(errors.Gone):
        world.ec2.create_fleet(request, world.token())


def test_a_profile_that_does_not_exist_is_invalid(world: World) -> None:
    wrong = msgspec.structs.replace(world.resolved(), instance_profile="nobody")
    template_id, _ = world.templates.ensure(template_content(class_spec(), wrong, ClassName("x"), "#!/bin/sh\n"))
    answer = world.ec2.create_fleet(msgspec.structs.replace(world.request(), template_id=template_id), world.token())
    assert isinstance(answer.failure, errors.Invalid)
    assert "nobody" in str(answer.failure)


@pytest.mark.parametrize(
    "change", [{"overrides": ()}, {"capacity_type": "reserved"}], ids=["no offering", "a reservation"]
)
def test_a_request_that_makes_no_sense_is_not_sent(world: World, change: dict[str, object]) -> None:
    with pytest.raises(errors.Invalid):
        world.ec2.create_fleet(msgspec.structs.replace(world.request(), **change), world.token())
    assert world.server.calls("CreateFleet") == []


def test_every_type_of_the_region_is_known_where_it_is_launched(world: World) -> None:
    answer = world.ec2.create_fleet(world.request(world.override("t3a.large", ZONE_A)), world.token())
    assert answer.instance is not None
    assert answer.instance.zone.startswith(REGION)
