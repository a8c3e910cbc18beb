"""`joinery check` on a sound installation, and on ones that lack something: each line names what, and the fix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from agent.preflight import QUESTIONS
from tests.cluster.controlplane import ControlPlane
from tests.cluster.stack import Stack

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stack(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("check"), control_plane) as running:
        running.apply(*yaml.safe_load_all((ROOT / "examples/worker-scalable.yaml").read_text()))
        running.room.holding = True
        yield running


@pytest.fixture(autouse=True)
def healed(stack: Stack) -> Iterator[None]:
    stack.ec2.heal()
    _joinery(stack, "token", "rotate", "--if-due")
    yield
    stack.ec2.heal()


def _joinery(stack: Stack, *arguments: str) -> str:
    where = ("--settings", str(stack.folder / "agent.yaml"), "--kubeconfig", str(stack.kubeconfig))
    return stack.joinery(*arguments, *where)


def _looked(stack: Stack, settings: str = "agent.yaml") -> dict[str, list[dict[str, Any]]]:
    """Findings by question."""
    done = stack.run(
        "check", "--settings", str(stack.folder / settings), "--kubeconfig", str(stack.kubeconfig), "-o", "json"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(done.stdout)["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    failed = any(f["level"] == "fail" for findings in found.values() for f in findings)
    assert done.returncode == int(failed)
    return found


def _levels(found: dict[str, list[dict[str, Any]]], name: str) -> set[str]:
    return {finding["level"] for finding in found[name]}


def test_a_sound_installation_has_an_answer_to_every_question(stack: Stack) -> None:
    found = _looked(stack)
    assert set(found) == {name for name, _ in QUESTIONS}
    # The story's API server is on loopback, which a node of another machine could not reach.
    assert "which is themselves" in found.pop("endpoint")[0]["message"]
    assert not [f for findings in found.values() for f in findings if f["level"] == "fail"]
    for name in ("api-server", "crds", "rights", "credential", "aws", "token", "nodeclass", "launch", "nodepool"):
        assert _levels(found, name) == {"ok"}, found[name]
    assert "ec2:RunInstances is allowed" in str(found["launch"])


def test_nothing_was_changed_by_looking(stack: Stack) -> None:
    stack.ec2.admin("/_calls", method="DELETE")
    _looked(stack)
    reads = ("Describe", "Get", "List", "Simulate")
    writes = [c for c in stack.ec2.admin("/_calls", method="GET") if not c["action"].startswith(reads)]
    assert writes, "the launch was asked about"
    assert all(c["form"].get("DryRun") == "true" for c in writes), writes
    assert not stack.ec2.alive()


def test_a_denied_launch_names_the_statement_that_is_missing(stack: Stack) -> None:
    stack.ec2.fault(
        "RunInstances", code="UnauthorizedOperation", message="You are not authorized", status=403, times=-1
    )
    (fault,) = [f for f in _looked(stack)["launch"] if f["level"] == "fail"]
    statements = json.loads(fault["fix"].partition(": ")[2])
    assert {s["Action"] for s in statements} == {"ec2:RunInstances"}
    assert [s["Sid"] for s in statements] == ["LaunchFrom", "LaunchInto", "LaunchBy", "LaunchTagged"]
    assert statements[-1]["Condition"]["StringEquals"]["aws:RequestTag/joinery.sh/cluster"] == "team"


def test_a_role_that_may_not_be_passed_is_named_as_such(stack: Stack) -> None:
    message = "You are not authorized to perform: iam:PassRole on resource: node"
    stack.ec2.fault("RunInstances", code="UnauthorizedOperation", message=message, status=403, times=-1)
    (fault,) = [f for f in _looked(stack)["launch"] if f["level"] == "fail"]
    [statement] = json.loads(fault["fix"].partition(": ")[2])
    assert statement["Action"] == "iam:PassRole"
    assert statement["Resource"].endswith(":role/joinery-node")


def test_parameter_store_that_denies_makes_its_line_unknown_and_stops_no_other(stack: Stack) -> None:
    stack.ec2.fault("GetParameter", code="AccessDeniedException", message="no", status=400, times=-1)
    found = _looked(stack)
    assert _levels(found, "token") == {"unknown"}
    assert "ssm:GetParameter" in found["token"][0]["message"]
    [own, _] = json.loads(found["token"][0]["fix"].partition(": ")[2])
    assert own["Resource"].endswith(":parameter/joinery/team/*")
    assert _levels(found, "nodepool") == {"ok"}


def test_a_token_that_nobody_published_fails_with_the_command_that_publishes_one(stack: Stack) -> None:
    settings = yaml.safe_load((stack.folder / "agent.yaml").read_text())
    (stack.folder / "other.yaml").write_text(yaml.safe_dump(settings | {"ssmPrefix": "/joinery/elsewhere"}))
    (fault,) = _looked(stack, "other.yaml")["token"]
    assert (fault["level"], fault["fix"]) == ("fail", "joinery token rotate")


def test_join_facts_that_are_missing_are_told_although_the_token_works(stack: Stack) -> None:
    client: Any = boto3.Session("t", "t", region_name=stack.ec2.region).client("ssm", endpoint_url=stack.ec2.endpoint)
    client.delete_parameter(Name="/joinery/team/join-facts")
    client.close()
    token, facts = _looked(stack)["token"]
    assert (token["level"], facts["level"]) == ("ok", "fail")
    assert "base workers cannot join" in facts["message"]
    _joinery(stack, "token", "rotate")
    assert _levels(_looked(stack), "token") == {"ok"}


def test_a_subnet_with_few_addresses_is_told_before_a_launch_fails_for_it(stack: Stack) -> None:
    client: Any = boto3.Session("t", "t", region_name=stack.ec2.region).client("ec2", endpoint_url=stack.ec2.endpoint)
    made = client.create_subnet(VpcId=stack.seeded["vpc"], CidrBlock="10.42.9.0/28")["Subnet"]["SubnetId"]
    client.create_tags(Resources=[made], Tags=[{"Key": "karpenter.sh/discovery", "Value": "true"}])
    try:
        (warned,) = [f for f in _looked(stack)["nodeclass"] if f["level"] == "warn"]
        assert made in warned["message"]
        assert "11 free" in warned["message"]
    finally:
        client.delete_subnet(SubnetId=made)
        client.close()


def test_a_right_that_somebody_took_away_is_named_with_its_reason(stack: Stack) -> None:
    role = json.loads(stack.control_plane.kubectl("get", "clusterrole", "joinery", "-o", "json"))
    kept = [rule for rule in role["rules"] if "pods/eviction" not in rule["resources"]]
    stack.apply({k: v for k, v in role.items() if k != "metadata"} | {"metadata": {"name": "joinery"}, "rules": kept})
    try:
        (fault,) = _looked(stack)["rights"]
        assert "may not create pods/eviction" in fault["message"]
        assert fault["fix"] == "joinery install"
    finally:
        stack.joinery("install", kubeconfig=stack.control_plane.kubeconfig)


def test_others_that_buy_nodes_and_pools_that_mean_something_else_here_are_told(stack: Stack) -> None:
    container = {"name": "c", "image": "registry.invalid/c"}
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [container]}}
    pod["metadata"] = {"name": "autoscaler", "namespace": "default", "labels": {"app": "cluster-autoscaler"}}
    pool = yaml.safe_load((ROOT / "examples/worker-scalable.yaml").read_text().split("---")[0])
    pool["metadata"]["name"] = "cheap"
    pool["spec"].pop("limits")
    wanted = {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]}
    pool["spec"]["template"]["spec"]["requirements"] = [wanted]
    stack.apply(pod, pool)
    try:
        found = _looked(stack)
        assert _levels(found, "neighbours") == {"warn"}
        said = [f["message"] for f in found["nodepool"] if f["message"].startswith("cheap") and f["level"] == "warn"]
        assert len(said) == 2
        assert "without limits" in said[0]
        assert "interruption notices" in said[1]
    finally:
        stack.control_plane.kubectl("delete", "pod/autoscaler", "nodepool/cheap", "--wait=false")


def test_as_text_every_finding_is_one_line_with_its_fix_beside_it(stack: Stack) -> None:
    where = ("--settings", str(stack.folder / "agent.yaml"), "--kubeconfig", str(stack.kubeconfig))
    lines = stack.run("check", *where).stdout.splitlines()
    assert lines[-1].endswith("looked at, 1 failed")
    (endpoint,) = [line for line in lines if line.startswith("fail")]
    assert endpoint.split()[1] == "endpoint"
    assert " -> set apiServerEndpoint" in endpoint
