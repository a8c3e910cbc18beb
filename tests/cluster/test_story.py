"""The story of a small team's cluster, on real parts: a queue fills, nodes are bought, join, run pods, and go again.

Told as it happens when pytest runs with -s (`make story`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml

from agent.sim.machines.hardware import vcpus_and_memory
from agent.sim.team import fixed_machines
from tests.cluster.controlplane import ControlPlane
from tests.cluster.hollow import HollowNodes
from tests.cluster.stack import Stack
from tests.iam.needs import Account, Call, refused
from tests.iam.test_policies import ACCOUNT, AGENT, NODE_ROLE

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/worker-scalable.yaml"

WORKERS = 7


class Teller:
    """Says what happens, with the time since the beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, sentence: str) -> None:
        print(f"  {time.monotonic() - self._began:6.1f} s  {sentence}", flush=True)


@pytest.fixture(scope="module")
def stack(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("story"), control_plane) as running:
        _fixed_nodes(running)
        yield running


def _fixed_nodes(stack: Stack) -> None:
    """The eighteen nodes that the team has, each a real (hollow) kubelet; tainted by domain but for the workers."""
    plane = stack.control_plane
    machines = sorted(fixed_machines(), key=lambda m: m.instance_type)
    for kind, group in groupby(machines, key=lambda m: m.instance_type):
        cores, memory = vcpus_and_memory(kind)
        names = [m.name for m in group]
        plane.hollow(HollowNodes(names, cores, memory, labels={"node.kubernetes.io/instance-type": kind}))
    plane.kubectl("label", "node", "control-plane", "node-role.kubernetes.io/control-plane=")
    for machine in machines:
        if machine.taint:
            plane.kubectl("taint", "node", machine.name, machine.taint)


def _client(stack: Stack) -> EC2Client:
    session = boto3.Session("test", "test", region_name=stack.ec2.region)  # the embedded EC2 takes any credentials
    return session.client("ec2", endpoint_url=stack.ec2.endpoint)


def _asked_no_more_than_its_policy_allows(stack: Stack) -> None:
    """Of all calls but those by which this test looks at the volumes itself."""
    calls: list[Call] = stack.ec2.admin("/_calls", method="GET")
    client = _client(stack)

    def tags_of(resource: str) -> dict[str, str]:
        found = client.describe_tags(Filters=[{"Name": "resource-id", "Values": [resource]}])
        return {t["Key"]: t["Value"] for t in found["Tags"]}

    assert {"CreateFleet", "TerminateInstances", "PutParameter"} <= {call["action"] for call in calls}
    where = Account(stack.ec2.region, ACCOUNT, NODE_ROLE, stack.seeded["securityGroup"], tags_of)
    assert refused([c for c in calls if c["action"] != "DescribeVolumes"], AGENT, where) == []


def _scan_workers(replicas: int) -> dict[str, Any]:
    with (ROOT / "examples/scan-workers.yaml").open() as file:
        deployment: dict[str, Any] = yaml.safe_load(file)
    deployment["spec"]["replicas"] = replicas
    return deployment


@pytest.mark.timeout(300)
def test_a_queue_fills_and_empties_and_the_cluster_is_as_before(stack: Stack) -> None:
    tell = Teller()
    plane = stack.control_plane
    fixed_before = {n["metadata"]["name"]: n["metadata"]["uid"] for n in stack.listed("nodes")}
    assert len(fixed_before) == 18
    print(f"\n\n  A cluster of {len(fixed_before)} fixed nodes; worker-scalable may buy t3.medium, .large, .xlarge.")
    plane.kubectl("apply", "-f", str(EXAMPLE))
    stack.start_daemon()
    stack.wait("a ready NodePool", lambda: _ready(stack), 60)
    tell.say("joinery runs; NodePool and EC2NodeClass are ready")
    stack.wait("a published token", lambda: bool(stack.daemon and stack.daemon.events("token.rotated")), 60)

    stack.apply(_scan_workers(WORKERS))
    tell.say(f"the queue fills: {WORKERS} scan workers (1 CPU, 2 GiB each) find no node")
    stack.wait("launched claims", lambda: _launched(stack) and _room(stack) >= WORKERS, 60)
    bought = sorted(i["type"] for i in stack.ec2.alive())
    for claim in stack.claims():
        labels = claim["metadata"]["labels"]
        tell.say(
            f"bought {labels['node.kubernetes.io/instance-type']} in {labels['topology.kubernetes.io/zone']}: "
            f"{claim['status']['providerID'].rpartition('/')[2]} for NodeClaim {claim['metadata']['name']}"
        )
    assert bought == ["t3.large", "t3.medium", "t3.xlarge"], "the cheapest nodes that hold seven workers"
    _as_asked(stack)

    stack.wait("initialised nodes", lambda: _initialized(stack) == len(bought), 120)
    tell.say(f"{len(bought)} instances ran their userData and joined; certificates were approved by joinery")
    stack.wait("running pods", lambda: _running(stack) == WORKERS, 60)
    tell.say(f"{WORKERS} of {WORKERS} pods run, bound by the real scheduler")
    _sizes_match(stack)
    _nodes_are_what_the_pool_says(stack)

    stack.apply(_scan_workers(0))
    tell.say("the queue is empty; the pool lets empty nodes go after 30 s, one at a time")
    stack.wait("no instances", lambda: not stack.ec2.alive() and not stack.claims(), 200)
    tell.say("drained and terminated: 0 instances, 0 NodeClaims")

    assert not stack.our_nodes()
    assert {n["metadata"]["name"]: n["metadata"]["uid"] for n in stack.listed("nodes")} == fixed_before
    assert not any("karpenter.sh/disrupted" in str(n["spec"].get("taints")) for n in stack.listed("nodes"))
    tokens = json.loads(
        plane.kubectl("get", "secrets", "-n", "kube-system", "-l", "app.kubernetes.io/managed-by=joinery", "-o", "json")
    )
    assert len(tokens["items"]) <= 2
    _asked_no_more_than_its_policy_allows(stack)
    tell.say("the 18 fixed nodes are untouched")
    assert stack.daemon is not None
    took = stack.daemon.stop()
    assert took < 5.0
    assert stack.daemon.process.returncode == 0
    tell.say(f"joinery was told to stop and did so in {took:.1f} s")


def _ready(stack: Stack) -> bool:
    pools = {p["metadata"]["name"]: p for p in stack.listed("nodepools.karpenter.sh")}
    conditions = pools["worker-scalable"].get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _launched(stack: Stack) -> bool:
    claims = stack.claims()
    return bool(claims) and all(c.get("status", {}).get("providerID") for c in claims)


def _room(stack: Stack) -> int:
    """Scan workers that the launched instances hold, by CPU."""
    vcpus = {"t3.medium": 1, "t3.large": 2, "t3.xlarge": 4}
    return sum(vcpus[i["type"]] for i in stack.ec2.alive())


def _initialized(stack: Stack) -> int:
    return sum(
        any(c["type"] == "Initialized" and c["status"] == "True" for c in claim["status"].get("conditions", ()))
        for claim in stack.claims()
    )


def _running(stack: Stack) -> int:
    pods = [p for p in stack.listed("pods") if p["metadata"]["labels"].get("app") == "scan-worker"]
    return sum(p["status"]["phase"] == "Running" for p in pods)


def _as_asked(stack: Stack) -> None:
    """What EC2 has must be what the class asked for; each of these fails when its field is dropped from the request."""
    client = _client(stack)
    reservations = client.describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    )["Reservations"]
    instances = [i for r in reservations for i in r["Instances"]]
    claims = {c["metadata"]["name"]: c for c in stack.claims()}
    assert len(instances) == len(claims)
    for found in instances:
        assert [g["GroupId"] for g in found["SecurityGroups"]] == [stack.seeded["securityGroup"]]
        assert found["IamInstanceProfile"]["Arn"].endswith("/karpenter-node-profile")
        options = found["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 2)
        assert found["SubnetId"] in stack.seeded["subnets"].values()
        volume = client.describe_volumes(VolumeIds=[found["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]])["Volumes"][0]
        assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (40, "gp3", True)
        tags = {t["Key"]: t["Value"] for t in found["Tags"]}
        claim = claims[tags["joinery.sh/nodeclaim"]]
        assert tags["Name"] == claim["metadata"]["name"]
        assert tags["joinery.sh/nodeclaim-uid"] == claim["metadata"]["uid"]
        assert tags["joinery.sh/cluster"] == "team"
        assert tags["joinery.sh/managed"] == "true"
        assert tags["joinery.sh/attempt"] == "1"
        assert (tags["karpenter.sh/nodepool"], tags["karpenter.k8s.aws/ec2nodeclass"]) == ("worker-scalable", "default")
        assert (tags["Environment"], tags["ManagedBy"]) == ("dev", "karpenter")
        uid = json.loads(stack.control_plane.kubectl("get", "namespace", "kube-system", "-o", "json"))
        assert tags["joinery.sh/cluster-uid"] == uid["metadata"]["uid"]


def _sizes_match(stack: Stack) -> None:
    """The real kubelet sees the machine that was bought."""
    for node in stack.our_nodes():
        facts = stack.room.facts[node["metadata"]["name"]]
        assert node["status"]["capacity"]["cpu"] == str(facts.vcpus)
        assert node["status"]["capacity"]["memory"] == f"{facts.memory_bytes // 1024}Ki"


def _nodes_are_what_the_pool_says(stack: Stack) -> None:
    for node in stack.our_nodes():
        labels, taints = node["metadata"]["labels"], node["spec"].get("taints", [])
        assert (labels["role"], labels["managed-by"]) == ("worker", "karpenter")
        assert labels["karpenter.sh/nodepool"] == "worker-scalable"
        assert labels["karpenter.sh/registered"] == labels["karpenter.sh/initialized"] == "true"
        assert taints == [{"key": "workload", "value": "ai", "effect": "NoSchedule"}]
        assert node["spec"]["providerID"].endswith("/" + node["metadata"]["name"])
