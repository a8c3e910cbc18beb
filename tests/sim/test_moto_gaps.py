"""Each gap of moto that a launch could fall into is closed: these tests fail against moto alone."""

import base64
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.sim.server import CLUSTER, REGION, UBUNTU, UBUNTU_ARM, ZONE_A, ZONE_C, World

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import InstanceTypeDef


def run(world: World, **more: object) -> str:
    asked: dict[str, Any] = {
        "ImageId": UBUNTU,
        "InstanceType": "t3.medium",
        "SubnetId": world.subnets[ZONE_A],
        "MinCount": 1,
        "MaxCount": 1,
    }
    answer = world.session.once().run_instances(**(asked | more))
    return answer["Instances"][0]["InstanceId"]


def refused(world: World, **more: object) -> str:
    with pytest.raises(ClientError) as caught:
        run(world, **more)
    return str(caught.value.response["Error"]["Code"])


def described(world: World, instance_id: str) -> "InstanceTypeDef":
    return world.session.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]


def test_run_instances_with_the_same_token_launches_once(world: World) -> None:
    assert run(world, ClientToken="one") == run(world, ClientToken="one")
    assert len(world.server.ask("/_instances", method="GET")) == 1


def test_a_token_with_other_parameters_is_refused(world: World) -> None:
    run(world, ClientToken="one")
    assert refused(world, ClientToken="one", InstanceType="t3.large") == "IdempotentParameterMismatch"


def test_a_token_whose_instance_is_terminated_is_refused(world: World) -> None:
    first = run(world, ClientToken="one")
    world.session.once().terminate_instances(InstanceIds=[first])
    assert refused(world, ClientToken="one") == "IdempotentInstanceTerminated"


def test_a_refused_request_does_not_use_its_token_up(world: World) -> None:
    world.server.ask("/_capacity", {f"t3.medium/{ZONE_A}/on-demand": 0})
    assert refused(world, ClientToken="one") == "InsufficientInstanceCapacity"
    world.server.ask("/_capacity", method="DELETE")
    assert run(world, ClientToken="one").startswith("i-")


@pytest.mark.parametrize("size", [16_385, 20_000])
def test_user_data_over_the_limit_is_refused(world: World, size: int) -> None:
    assert refused(world, UserData="x" * size) == "InvalidUserData.Malformed"
    with pytest.raises(ClientError, match="InvalidUserData"):
        world.session.once().create_launch_template(
            LaunchTemplateName="large",
            LaunchTemplateData={"UserData": base64.b64encode(b"x" * size).decode()},
        )


def test_user_data_at_the_limit_is_taken(world: World) -> None:
    assert run(world, UserData="x" * 16_384).startswith("i-")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"InstanceType": "zz.large"}, "InvalidParameterValue"),
        ({"InstanceType": "t4g.medium"}, "InvalidParameterValue"),
        ({"ImageId": "ami-00000000"}, "InvalidAMIID.NotFound"),
        ({"SubnetId": "subnet-0"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-0"]}, "InvalidGroup.NotFound"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
        ({"Placement": {"AvailabilityZone": ZONE_C}}, "InvalidParameterCombination"),
    ],
)
def test_what_cannot_be_launched_is_refused(world: World, more: dict[str, Any], code: str) -> None:
    assert refused(world, **more) == code
    assert world.server.ask("/_instances", method="GET") == []


def test_a_group_of_another_network_is_refused(world: World) -> None:
    other = world.server.ask("/_seed", {"discovery": "other"})
    assert refused(world, SecurityGroupIds=[other["securityGroup"]]) == "InvalidParameter"


def test_a_full_subnet_refuses_and_a_terminated_instance_gives_its_address_back(world: World) -> None:
    ec2 = world.session.client("ec2")
    world.server.ask("/_delays", {"shutting_down": 0})
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    small = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/28", AvailabilityZone=ZONE_A)["Subnet"]["SubnetId"]
    launched = [run(world, SubnetId=small) for _ in range(11)]
    assert refused(world, SubnetId=small) == "InsufficientFreeAddressesInSubnet"
    ec2.terminate_instances(InstanceIds=launched[:1])
    assert ec2.describe_subnets(SubnetIds=[small])["Subnets"][0]["AvailableIpAddressCount"] == 1
    assert run(world, SubnetId=small).startswith("i-")


def test_a_new_instance_is_hidden_then_pending_then_running(world: World) -> None:
    world.server.ask("/_delays", {"hidden": 60, "pending": 60})
    instance = run(world)
    assert shown(world, instance) == "gone"
    assert world.session.client("ec2").describe_instances()["Reservations"] == []
    world.server.ask("/_delays", {"hidden": 0, "pending": 60})
    assert shown(world, instance) == "pending"
    world.server.ask("/_delays", {"hidden": 0, "pending": 0})
    assert shown(world, instance) == "running"


def test_a_terminated_instance_is_shutting_down_then_terminated_then_forgotten(world: World) -> None:
    world.server.ask("/_delays", {"shutting_down": 60})
    instance = run(world)
    world.session.once().terminate_instances(InstanceIds=[instance])
    assert shown(world, instance) == "shutting-down"
    world.server.ask("/_delays", {"shutting_down": 0})
    assert shown(world, instance) == "terminated"
    world.server.ask("/_delays", {"forgotten": 0})
    assert shown(world, instance) == "gone"


def shown(world: World, instance: str) -> str:
    """The state that EC2 tells, or that it does not know the instance."""
    try:
        return str(described(world, instance)["State"]["Name"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidInstanceID.NotFound":
            raise
        return "gone"


def test_the_state_filter_sees_the_state_that_is_shown(world: World) -> None:
    world.server.ask("/_delays", {"pending": 60})
    run(world)
    ec2 = world.session.client("ec2")
    for state, count in (("pending", 1), ("running", 0)):
        found = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": [state]}])
        assert len(found["Reservations"]) == count


@pytest.mark.parametrize(
    ("operation", "key", "more"),
    [
        ("describe_instance_types", "InstanceTypes", {}),
        ("describe_instance_type_offerings", "InstanceTypeOfferings", {"LocationType": "availability-zone"}),
        ("describe_subnets", "Subnets", {}),
        ("describe_security_groups", "SecurityGroups", {}),
        ("describe_images", "Images", {}),
        ("describe_spot_price_history", "SpotPriceHistory", {}),
    ],
)
def test_lists_come_in_pages(world: World, operation: str, key: str, more: dict[str, Any]) -> None:
    ec2 = world.session.client("ec2")
    whole = getattr(ec2, operation)(**more)[key]
    page = max(5, len(whole) // 3)
    pages = list(ec2.get_paginator(operation).paginate(**more, PaginationConfig={"PageSize": page}))  # type: ignore[call-overload]
    assert [len(p[key]) <= page for p in pages] == [True] * len(pages)
    assert len(pages) > 1 or len(whole) <= page
    assert [lasting(x) for p in pages for x in p[key]] == [lasting(x) for x in whole]


def lasting(item: dict[str, Any]) -> dict[str, Any]:
    """Without the time of a spot price, which is that of the answer."""
    return {k: v for k, v in item.items() if k != "Timestamp"}


def test_pages_can_be_held_small_whatever_is_asked(world: World) -> None:
    for _ in range(5):
        run(world)
    world.server.ask("/_pages", {"limit": 2})
    pages = list(
        world.session.client("ec2").get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 1000})
    )
    assert [len(p["Reservations"]) for p in pages] == [2, 2, 1]


def test_a_token_of_no_page_is_refused(world: World) -> None:
    with pytest.raises(ClientError, match="InvalidNextToken"):
        world.session.client("ec2").describe_subnets(NextToken="nonsense", MaxResults=5)


def test_disks_keep_what_was_asked_of_them(world: World) -> None:
    ebs = {"VolumeSize": 50, "VolumeType": "gp3", "Iops": 4000, "Throughput": 250, "Encrypted": True}
    instance = run(world, BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": ebs}])
    volume_id = described(world, instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    volume = world.session.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
    assert (volume["Size"], volume["VolumeType"], volume["Iops"], volume["Throughput"], volume["Encrypted"]) == (
        50,
        "gp3",
        4000,
        250,
        True,
    )


def test_calls_over_the_rate_are_throttled_and_the_bucket_refills(world: World) -> None:
    world.server.ask("/_throttle", {"action": "RunInstances", "burst": 2, "per_second": 5})
    run(world)
    run(world)
    assert refused(world) == "RequestLimitExceeded"
    time.sleep(0.3)
    assert run(world).startswith("i-")


def test_all_actions_can_be_throttled_like_ec2(world: World) -> None:
    world.server.ask("/_throttle", {"like": "ec2"})
    codes = []
    for _ in range(9):
        try:
            codes.append(run(world))
        except ClientError as e:
            codes.append(str(e.response["Error"]["Code"]))
    assert [c for c in codes if c.startswith("i-")][:5] == codes[:5]
    assert "RequestLimitExceeded" in codes


def test_prices_come_in_pages_and_differ_by_zone_for_spot(world: World) -> None:
    pricing = world.session.client("pricing")
    filters: Any = [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": REGION}]
    pages = list(pricing.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=filters))
    assert len(pages) > 1
    history = world.session.client("ec2").describe_spot_price_history(InstanceTypes=["t3.medium"])["SpotPriceHistory"]
    prices = {h["AvailabilityZone"]: float(h["SpotPrice"]) for h in history}
    assert len(prices) > 1
    assert len(set(prices.values())) == len(prices)
    assert min(prices.values()) > 0.001


def test_public_parameters_name_images_that_exist(world: World) -> None:
    root = "/aws/service/canonical/ubuntu/server/24.04/stable/current"
    for arch, image, machine in (("amd64", UBUNTU, "x86_64"), ("arm64", UBUNTU_ARM, "arm64")):
        found = world.session.client("ssm").get_parameter(Name=f"{root}/{arch}/hvm/ebs-gp3/ami-id")
        assert found["Parameter"]["Value"] == image
        described_image = world.session.client("ec2").describe_images(ImageIds=[image])["Images"][0]
        assert described_image["Architecture"] == machine


def test_instances_can_be_ended_stopped_and_impaired_by_hand(world: World) -> None:
    world.server.ask("/_delays", {"pending": 0, "shutting_down": 0})
    stopped, failed, impaired = run(world), run(world), run(world)
    ec2 = world.session.client("ec2")
    world.server.ask("/_instances", {"id": stopped, "do": "stop"})
    world.server.ask("/_instances", {"id": failed, "do": "terminate", "reason": "Client.InternalError"})
    world.server.ask("/_instances", {"id": impaired, "do": "impair"})
    assert described(world, stopped)["State"]["Name"] == "stopped"
    assert described(world, failed)["State"]["Name"] == "terminated"
    assert described(world, failed)["StateReason"]["Code"] == "Client.InternalError"
    status = ec2.describe_instance_status(InstanceIds=[impaired])["InstanceStatuses"][0]
    assert status["InstanceStatus"]["Status"] == "impaired"
    assert status["SystemStatus"]["Status"] == "ok"


def test_a_reset_leaves_nothing(world: World) -> None:
    run(world, TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": CLUSTER, "Value": "x"}]}])
    world.server.fault("DescribeInstances", code="InternalError", times=-1)
    world.server.ask("/_reset", {})
    assert world.session.client("ec2").describe_instances()["Reservations"] == []
