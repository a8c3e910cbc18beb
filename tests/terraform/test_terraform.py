"""The modules, judged by Terraform and the schema of the AWS provider that they pin; nothing here talks to AWS."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agent.join.fixed import base_worker, control_plane
from agent.join.userdata import MACHINE, MAX_BYTES
from agent.manifests import check_documents, load_documents
from agent.settings import load
from tests.iam.policy import rendered
from tests.terraform.tool import Terraform, outputs, resources

EXAMPLES = ("examples/minimal", "examples/production")
MODULES = ("base-workers", "control-plane", "manifests", "network", "ssm")
Messages = list[dict[str, Any]]


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    return Terraform(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="session")
def story(terraform: Terraform) -> Messages:
    """The example for production with its terraform.tfvars, applied to a provider that invents its answers."""
    return terraform.tested("examples/production")


def test_every_file_is_formatted(terraform: Terraform) -> None:
    done = terraform.run(".", "fmt", "-check", "-recursive", "-diff")

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_resource_and_argument_is_in_the_providers_schema(terraform: Terraform, example: str) -> None:
    terraform.ready(example)
    done = terraform.run(example, "validate", "-no-color")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "right", "wrong"),
    [
        ("interruption", "message_retention_seconds", "message_retention_second"),
        ("control-plane", "http_put_response_hop_limit", "http_put_response_hoplimit"),
        ("iam", 'resource "aws_iam_role" "this"', 'resource "aws_iam_rol" "this"'),
    ],
)
def test_a_planted_typo_is_found(tmp_path: Path, module: str, right: str, wrong: str) -> None:
    terraform = Terraform(tmp_path)
    file = terraform.tree / "modules" / module / "main.tf"
    file.write_text(file.read_text().replace(right, wrong))
    terraform.ready("examples/production")
    done = terraform.run("examples/production", "validate", "-no-color")

    assert done.returncode == 1
    assert wrong.split('"')[1 if '"' in wrong else 0] in done.stderr


@pytest.mark.parametrize("module", MODULES)
def test_the_module_does_what_its_own_tests_say(terraform: Terraform, module: str) -> None:
    terraform.tested(f"modules/{module}")


def test_the_story_has_its_eighteen_fixed_nodes(story: Messages) -> None:
    machines = resources(story, "aws_instance")
    names = sorted(m["values"]["tags"]["Name"] for m in machines)

    types = Counter(m["values"]["instance_type"] for m in machines)
    assert types == {"t3.xlarge": 1, "t3.small": 5, "t3.medium": 12}
    assert [n for n in names if "redis" in n] == ["team-redis-0", "team-redis-1", "team-redis-2"]


def test_fixed_machines_carry_the_tags_that_admission_believes_and_never_joinerys(story: Messages) -> None:
    for machine in resources(story, "aws_instance"):
        tags = machine["values"]["tags"]
        role = "control-plane" if "control-plane" in tags["Name"] else "base"
        assert (tags["joinery.sh/cluster"], tags["joinery.sh/role"]) == ("team", role)
        assert not {"joinery.sh/managed", "joinery.sh/cluster-uid"} & set(tags)


def test_pods_cannot_reach_the_role_of_a_fixed_machine(story: Messages) -> None:
    for machine in resources(story, "aws_instance"):
        [options] = machine["values"]["metadata_options"]
        assert (options["http_tokens"], options["http_put_response_hop_limit"]) == ("required", 1)


def test_the_userdata_is_the_template_with_one_json_document(story: Messages) -> None:
    for machine in resources(story, "aws_instance"):
        sent = base64.b64decode(machine["values"]["user_data_base64"])
        is_control_plane = machine["values"]["tags"]["joinery.sh/role"] == "control-plane"
        before, after = (control_plane() if is_control_plane else base_worker()).split(MACHINE)
        text = gzip.decompress(sent).decode()
        assert text.startswith(before)
        assert text.endswith(after)
        document = json.loads(text[len(before) : -len(after)])
        assert document["region"] == "ap-northeast-2"
        assert len(sent) <= MAX_BYTES


def test_taints_and_labels_of_the_story_are_told_to_the_kubelets(story: Messages) -> None:
    told = {}
    for machine in resources(story, "aws_instance"):
        text = gzip.decompress(base64.b64decode(machine["values"]["user_data_base64"])).decode()
        [line] = [line for line in text.splitlines() if line.startswith('{"')]
        told[machine["values"]["tags"]["Name"]] = json.loads(line)

    assert told["team-auth-0"]["taints"] == ["domain=auth:NoSchedule"]
    assert told["team-worker-ai-0"]["taints"] == []
    assert told["team-worker-ai-0"]["labels"] == {"role": "worker"}
    assert sum(bool(t.get("taints")) for t in told.values()) == 15


def test_no_token_can_be_in_the_state(story: Messages) -> None:
    parameters = {p["values"]["name"] for p in resources(story, "aws_ssm_parameter")}

    assert parameters == {"/joinery/team/join-facts", "/joinery/team/control-plane/state"}


def test_the_daemon_takes_its_settings_and_the_manifests(story: Messages, tmp_path: Path) -> None:
    told = outputs(story)
    (tmp_path / "agent.yaml").write_text(told["agent_yaml"])
    settings = load(str(tmp_path / "agent.yaml"))
    loaded = load_documents(told["manifests_yaml"], "manifests_yaml")

    assert (settings.cluster_name, settings.max_nodes) == ("team", 20)
    assert settings.token_parameter == "/joinery/team/bootstrap-token"
    assert (loaded.faults, check_documents(loaded.documents).faults) == ((), ())
    assert sorted(d.obj["kind"] for d in loaded.documents) == ["EC2NodeClass", "NodePool"]


def test_the_policies_are_those_that_are_tested(story: Messages) -> None:
    values = {
        "partition": "aws",
        "suffix": "amazonaws.com",
        "account": "111122223333",
        "region": "ap-northeast-2",
        "prefix": "/joinery/team",
        "cluster": "team",
        "discovery": "team",
        "node_role": "arn:aws:iam::111122223333:role/team-node",
    }
    made = {(p["index"], p["values"]["policy"]) for p in resources(story, "aws_iam_role_policy")}
    by_name = {name: json.loads(policy) for name, policy in made}

    assert by_name["control-plane/agent"] == rendered("iam/policies/agent.json.tftpl", values)
    assert by_name["node/join"] == by_name["base/join"] == rendered("iam/policies/node.json.tftpl", values)
    assert sorted(n for n in by_name if n.startswith("node/")) == ["node/images", "node/join", "node/key"]


def test_a_worker_decrypts_the_token_and_nothing_else(story: Messages) -> None:
    made = {p["index"]: json.loads(p["values"]["policy"]) for p in resources(story, "aws_iam_role_policy")}
    [statement] = made["node/key"]["Statement"]

    assert statement["Action"] == ["kms:Decrypt"]
    context = statement["Condition"]["StringLike"]["kms:EncryptionContext:PARAMETER_ARN"]
    assert context == "arn:aws:ssm:ap-northeast-2:111122223333:parameter/joinery/team/bootstrap-token"


def test_nothing_looks_at_machines_that_terraform_did_not_make(terraform: Terraform) -> None:
    text = "".join(path.read_text() for path in sorted(terraform.tree.rglob("*.tf")))

    for kind in ("aws_instances", "aws_autoscaling", "aws_launch_template", "aws_spot", 'data "aws_instance"'):
        assert kind not in text
