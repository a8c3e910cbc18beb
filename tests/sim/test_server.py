"""The embedded EC2 as a process: says where it is, hides nothing, and leaves nothing behind."""

import gzip
import json
import os
import socket
from urllib.error import HTTPError
from urllib.parse import urlparse

import pytest

from tests.sim.server import REGION, UBUNTU, ZONE_A, Server, World


def test_it_announces_itself_and_ends_by_sigterm() -> None:
    server = Server()
    address = urlparse(server.endpoint)
    announced = json.loads(server.state.read_bytes())
    assert announced == {"endpoint": server.endpoint, "pid": server.process.pid, "region": REGION}
    assert address.hostname == "127.0.0.1"
    os.kill(announced["pid"], 15)
    assert server.process.wait(timeout=20) == 0
    assert not server.state.exists()
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", address.port or 0), timeout=1):
        pass
    server.stop()


def test_the_seed_is_the_network_of_the_story(world: World) -> None:
    ec2, iam = world.session.client("ec2"), world.session.client("iam")
    assert set(world.subnets) == {f"{REGION}a", f"{REGION}c"}
    tagged = {"Name": "tag:karpenter.sh/discovery", "Values": ["true"]}
    subnets = ec2.describe_subnets(Filters=[tagged])["Subnets"]  # type: ignore[list-item]  # a dict is what it takes
    assert {s["AvailabilityZone"]: s["SubnetId"] for s in subnets} == world.subnets
    profile = iam.get_instance_profile(InstanceProfileName="karpenter-node-profile")["InstanceProfile"]
    assert [r["RoleName"] for r in profile["Roles"]] == ["joinery-node"]


def test_several_launches_take_as_much_capacity_and_as_many_addresses(world: World) -> None:
    once = world.session.once()
    world.server.ask("/_capacity", {f"t3.medium/{ZONE_A}/on-demand": 3})
    once.run_instances(ImageId=UBUNTU, InstanceType="t3.medium", SubnetId=world.subnets[ZONE_A], MinCount=3, MaxCount=3)
    with pytest.raises(once.exceptions.ClientError, match="InsufficientInstanceCapacity"):
        once.run_instances(
            ImageId=UBUNTU, InstanceType="t3.medium", SubnetId=world.subnets[ZONE_A], MinCount=1, MaxCount=1
        )


def test_a_wildcard_of_capacity_gives_way_to_what_is_more_exact(world: World) -> None:
    world.server.ask("/_capacity", {"*/*/on-demand": 0, f"t3.medium/{ZONE_A}/on-demand": 1})
    assert world.launch().startswith("i-")


def test_an_unknown_steering_path_is_said_to_be_unknown(world: World) -> None:
    with pytest.raises(OSError, match="404"):
        world.server.ask("/_nothing", {})


def test_a_wrong_steering_request_is_refused_with_a_sentence(world: World) -> None:
    for wrong in ({"id": "i-nobody", "do": "terminate"}, {"do": "terminate"}):
        with pytest.raises(HTTPError) as caught:
            world.server.ask("/_instances", wrong)
        with caught.value as refusal:
            assert refusal.code == 400
            assert json.loads(refusal.read())["error"]


def test_an_instance_is_listed_with_what_a_machine_needs_to_boot(world: World) -> None:
    instance_id = world.launch()
    [found] = world.server.ask("/_instances", method="GET")
    assert (found["id"], found["type"], found["zone"]) == (instance_id, "t3.medium", ZONE_A)
    assert (found["capacityType"], found["image"]) == ("on-demand", UBUNTU)
    assert found["privateDns"] == f"ip-{found['privateIp'].replace('.', '-')}.{REGION}.compute.internal"
    assert found["launchTime"].endswith("Z")
    assert found["userData"] == "#!/bin/sh\ntrue\n"


def test_compressed_user_data_is_listed_as_cloud_init_would_read_it(world: World) -> None:
    ec2 = world.session.once()
    for user_data in (gzip.compress(b"#!/bin/sh\n"), b"\x1f\x8bbroken", b"\xff\xfe"):
        ec2.run_instances(
            ImageId=UBUNTU,
            InstanceType="t3.medium",
            SubnetId=world.subnets[ZONE_A],
            MinCount=1,
            MaxCount=1,
            UserData=user_data,  # type: ignore[arg-type]  # boto3 takes bytes too
        )
    assert [i["userData"] for i in world.server.ask("/_instances", method="GET")] == ["#!/bin/sh\n", "", ""]


def test_a_queue_takes_and_gives_messages(world: World) -> None:
    sqs = world.session.client("sqs")
    url = sqs.create_queue(QueueName="interruptions")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="spot")
    assert [m["Body"] for m in sqs.receive_message(QueueUrl=url)["Messages"]] == ["spot"]
