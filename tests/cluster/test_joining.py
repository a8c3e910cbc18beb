"""What it takes to join: a live token from Parameter Store, read at boot; without it an instance stays out and goes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from agent.join.fixed import base_worker
from agent.join.userdata import MACHINE
from tests.cluster.conftest import MakeInstance
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import wait_until
from tests.cluster.stack import Stack
from tests.cluster.test_instance import joining

ROOT = Path(__file__).resolve().parents[2]
PARAMETER = "/joinery/team/bootstrap-token"
TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")


@pytest.fixture(scope="module")
def stack(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("joining"), control_plane) as running:
        pool, node_class = yaml.safe_load_all((ROOT / "examples/worker-scalable.yaml").read_text())
        own = json.loads(json.dumps(node_class))
        own["metadata"]["name"] = "own-template"
        del own["spec"]["userData"]
        running.apply(pool, node_class, own)
        running.room.holding = True
        running.start_daemon()
        running.wait("a published token", lambda: bool(running.daemon and running.daemon.events("token.rotated")), 60)
        yield running


def _joinery(stack: Stack, *arguments: str, fails: bool = False) -> str:
    where = ("--settings", str(stack.folder / "agent.yaml"), "--kubeconfig", str(stack.kubeconfig))
    return stack.joinery(*arguments, *where, fails=fails)


def _user_data(stack: Stack, node_class: str) -> str:
    return _joinery(stack, "userdata", "render", node_class)


def _ssm(stack: Stack) -> Any:
    return boto3.Session("t", "t", region_name=stack.ec2.region).client("ssm", endpoint_url=stack.ec2.endpoint)


@pytest.mark.parametrize("node_class", ["default", "own-template"])
def test_an_instance_joins_by_its_user_data_alone(node_class: str, stack: Stack, make_instance: MakeInstance) -> None:
    """The user's own script, which knows nothing of us, and our template join alike."""
    text = _user_data(stack, node_class)
    assert not TOKEN.search(text), "userData holds a token"
    facts = stack.run_base_instance()
    instance = make_instance(facts, text, ssm_endpoint=stack.ec2.endpoint)
    node = stack.control_plane.wait_ready(facts.instance_id)
    assert node["spec"]["providerID"] == f"aws:///{facts.zone}/{facts.instance_id}"
    assert {"key": "karpenter.sh/unregistered", "effect": "NoExecute"} in [
        {k: v for k, v in t.items() if k in {"key", "effect"}} for t in node["spec"]["taints"]
    ]
    instance.wait_exit()
    token = json.loads(_joinery(stack, "token", "show", "--secret", "-o", "json"))["token"]
    assert token.partition(".")[2] not in instance.console
    stack.control_plane.kubectl("delete", "node", facts.instance_id)


def test_a_base_worker_of_terraforms_joins_with_the_published_token(stack: Stack, make_instance: MakeInstance) -> None:
    """As Terraform writes it, before there was a cluster; admitted for its tags, and Joinery lets it be."""
    known = {
        "region": stack.ec2.region,
        "factsParameter": "/joinery/team/join-facts",
        "labels": {"domain": "auth"},
        "taints": ["domain=auth:NoSchedule"],
    }
    facts = stack.run_base_instance()
    script = base_worker().replace(MACHINE, json.dumps(known))
    instance = make_instance(facts, script, ssm_endpoint=stack.ec2.endpoint)
    assert instance.wait_exit() == 0, instance.console
    node = stack.control_plane.wait_ready(facts.instance_id)
    assert node["spec"]["providerID"] == f"aws:///{facts.zone}/{facts.instance_id}"
    assert node["metadata"]["labels"]["domain"] == "auth"
    assert "karpenter.sh/nodepool" not in node["metadata"]["labels"]
    keys = {taint["key"] for taint in node["spec"]["taints"]}
    assert "domain" in keys
    assert "karpenter.sh/unregistered" not in keys
    stack.control_plane.kubectl("delete", "node", facts.instance_id)


def test_with_the_parameter_gone_the_node_stays_out_until_the_token_is_repaired(
    stack: Stack, make_instance: MakeInstance
) -> None:
    client = _ssm(stack)
    client.delete_parameter(Name=PARAMETER)
    facts = stack.run_base_instance()
    instance = make_instance(facts, _user_data(stack, "own-template"), ssm_endpoint=stack.ec2.endpoint)
    wait_until("a look for the token", lambda: "token" in instance.console, timeout=60)
    assert stack.control_plane.api("GET", f"/api/v1/nodes/{facts.instance_id}")[0] == 404
    assert instance.state == "running"
    # The daemon finds the parameter gone within its minute; the command does at once, by the same code.
    _joinery(stack, "token", "rotate", "--if-due")
    stack.control_plane.wait_ready(facts.instance_id)
    stack.control_plane.kubectl("delete", "node", facts.instance_id)
    client.close()


def test_with_an_expired_token_the_node_stays_out(stack: Stack, make_instance: MakeInstance) -> None:
    client = _ssm(stack)
    good = client.get_parameter(Name=PARAMETER, WithDecryption=True)["Parameter"]["Value"]
    client.put_parameter(Name=PARAMETER, Value="expire.d234567890123456", Type="SecureString", Overwrite=True)
    facts = stack.run_base_instance()
    instance = make_instance(facts, _user_data(stack, "own-template"), ssm_endpoint=stack.ec2.endpoint)
    wait_until("a try to join", lambda: any("kubeadm join" in c for c in instance.calls), timeout=90)
    assert stack.control_plane.api("GET", f"/api/v1/nodes/{facts.instance_id}")[0] == 404
    client.put_parameter(Name=PARAMETER, Value=good, Type="SecureString", Overwrite=True)
    client.close()


def test_a_rotated_token_still_joins_in_the_overlap_and_not_once_it_is_revoked(
    stack: Stack, make_instance: MakeInstance
) -> None:
    old = json.loads(_joinery(stack, "token", "show", "--secret", "-o", "json"))["token"]
    new = json.loads(_joinery(stack, "token", "rotate", "-o", "json"))
    assert new["tokenId"] != old.partition(".")[0]
    facts = stack.run_base_instance()
    instance = make_instance(facts, joining(stack.control_plane, facts, token=old))
    assert instance.wait_exit() == 0, instance.console
    stack.control_plane.wait_ready(facts.instance_id)
    stack.control_plane.kubectl("delete", "node", facts.instance_id)
    _joinery(stack, "token", "revoke", old.partition(".")[0])
    late = stack.run_base_instance()
    refused = make_instance(late, joining(stack.control_plane, late, token=old))
    assert refused.wait_exit() not in (0, None)
    assert stack.control_plane.api("GET", f"/api/v1/nodes/{late.instance_id}")[0] == 404


@pytest.mark.parametrize(
    ("code", "sentence"), [("AccessDeniedException", "ssm:PutParameter"), ("ThrottlingException", "ssm:PutParameter")]
)
def test_when_parameter_store_refuses_the_published_token_stays_alive(code: str, sentence: str, stack: Stack) -> None:
    before = json.loads(_joinery(stack, "token", "show", "-o", "json"))["id"]
    stack.ec2.fault("PutParameter", code=code, message="refused", status=400, times=-1)
    said = _joinery(stack, "token", "rotate", fails=True)
    stack.ec2.heal()
    assert sentence in said
    assert json.loads(_joinery(stack, "token", "show", "-o", "json"))["id"] == before
    _joinery(stack, "token", "verify")
    _joinery(stack, "token", "rotate", "--if-due")
    listed = json.loads(_joinery(stack, "token", "list", "-o", "json"))
    assert len(listed) <= 2, "the token that could not be published is swept"


def _lost_instance(stack: Stack, claim: str) -> str:
    """An instance of ours whose claim is gone."""
    uid = json.loads(stack.control_plane.kubectl("get", "namespace", "kube-system", "-o", "json"))["metadata"]["uid"]
    tags = {
        "joinery.sh/cluster": "team",
        "joinery.sh/cluster-uid": uid,
        "joinery.sh/managed": "true",
        "joinery.sh/nodeclaim": claim,
        "joinery.sh/nodeclaim-uid": f"00000000-0000-0000-0000-00000000{claim}",
        "karpenter.sh/nodepool": "worker-scalable",
        "karpenter.k8s.aws/ec2nodeclass": "default",
    }
    return stack.run_instance(tags, "t3.large").instance_id


@pytest.fixture
def nothing_allowed(stack: Stack) -> Iterator[None]:
    """No operator has allowed anything, before or after."""
    forget = ("delete", "configmap", "-n", "joinery-system", "joinery-approvals", "--ignore-not-found")
    stack.control_plane.kubectl(*forget)
    yield
    stack.control_plane.kubectl(*forget)


@pytest.mark.usefixtures("nothing_allowed")
def test_sweep_and_adopt_decide_about_an_instance_that_lost_its_claim(stack: Stack) -> None:
    """An instance without a claim, none of which exist at all: nothing is done until somebody says what."""
    made = _lost_instance(stack, "dead")
    assert made in stack.operator("sweep")
    stack.wait("the brake's Event", lambda: any(e["reason"] == "SweepBrake" for e in stack.listed("events")), 90)
    assert made in {i["id"] for i in stack.ec2.alive()}
    stack.operator("adopt")
    stack.wait("a claim for it", lambda: [c["metadata"]["name"] for c in stack.claims()] == ["dead"], 60)
    stack.wait("its instance recorded", lambda: made in str(stack.claims()[0].get("status", {}).get("providerID")), 30)
    assert "every instance of ours has a NodeClaim" in stack.operator("sweep")
    stack.control_plane.kubectl("delete", "nodeclaims.karpenter.sh", "dead", "--wait=false")
    stack.wait("gone", lambda: made not in {i["id"] for i in stack.ec2.alive()}, 60)
    stack.wait("forgotten", lambda: not stack.claims(), 60)


@pytest.mark.usefixtures("nothing_allowed")
def test_sweep_with_yes_terminates_what_lost_its_claim_and_nothing_else(stack: Stack) -> None:
    base = stack.run_base_instance().instance_id
    made = _lost_instance(stack, "beef")
    stack.operator("sweep")
    assert made in {i["id"] for i in stack.ec2.alive()}, "only listed"
    said = stack.operator("sweep", "--yes")
    assert made in said
    assert base not in said
    stack.wait("terminated", lambda: made not in {i["id"] for i in stack.ec2.alive()}, 60)
    assert base in {i["id"] for i in stack.ec2.alive()}
