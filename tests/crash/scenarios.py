"""Short stories with a certain end, each played by real processes; together they make the daemon do all that it can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import msgspec
import yaml

from agent.kube import paths
from agent.model import names
from agent.sim.embedded import CREDENTIALS, REGION
from agent.sim.team import CLUSTER
from tests.crash.stage import Stage
from tests.virtual.record import is_true
from tests.virtual.scenarios import OVERLAY

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/worker-scalable.yaml"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
POOL = "worker-scalable"
MEDIUM = "t3.medium"


@dataclass(frozen=True)
class Scenario:
    """What happens, and which instances there are in the end."""

    play: Callable[[Stage], None]
    end: Counter[str]
    before: Callable[[Stage], None] = lambda _: None
    """What is there before the daemon starts."""


def pool(stage: Stage, **more: Any) -> None:
    """The example's pool and class, of one size of instance; empty nodes leave at once."""
    found, node_class = yaml.safe_load_all(EXAMPLE.read_text())
    spec = found["spec"]
    spec["template"]["spec"]["requirements"][0]["values"] = [MEDIUM]
    spec["template"]["spec"] |= more
    spec["disruption"] |= {"consolidateAfter": "0s", "budgets": [{"nodes": "100%"}]}
    stage.apply(paths.node_classes(), node_class)
    stage.apply(paths.node_pools(), found)


def deploy(stage: Stage, name: str, replicas: int) -> None:
    """Pods of which one fills a t3.medium."""
    labels = {"app": name}
    pod = {
        "metadata": {"labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "nodeSelector": {names.NODEPOOL: POOL},
            "tolerations": [{"key": "workload", "operator": "Exists"}],
            "containers": [
                {"name": "main", "image": "x", "resources": {"requests": {"cpu": "1500m", "memory": "1Gi"}}}
            ],
        },
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    stage.apply(DEPLOYMENTS, manifest)


def scale(stage: Stage, name: str, replicas: int) -> None:
    stage.api.merge_patch(f"{DEPLOYMENTS}/{name}", {"spec": {"replicas": replicas}})


def budget(stage: Stage, name: str, unavailable: int) -> None:
    spec = {"selector": {"matchLabels": {"app": name}}, "maxUnavailable": unavailable}
    manifest = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
    stage.apply(BUDGETS, manifest)


def run(stage: Stage, count: int) -> None:
    """Until so many pods run, each on a node of its own that is whole."""

    def there() -> bool:
        claims = stage.claims()
        whole = [c for c in claims if is_true(c, "Initialized") and "deletionTimestamp" not in c["metadata"]]
        return stage.running() == count == len(whole) == len(claims) == len(stage.ours())

    # A rotation that failed is tried again after a minute.
    stage.wait(f"{count} pods on {count} nodes", there, 100.0)


def grown_and_shrunk(stage: Stage) -> None:
    """Pods come and one of two goes: nodes are bought, join, and the empty one leaves; an overlay has no part in it."""
    stage.apply(paths.node_overlays(), OVERLAY)
    pool(stage, terminationGracePeriod="10m")
    deploy(stage, "scan", 2)
    run(stage, 2)
    scale(stage, "scan", 1)
    run(stage, 1)


def drained(stage: Stage) -> None:
    """Somebody deletes a claim whose pods are behind a budget."""
    pool(stage)
    deploy(stage, "web", 2)
    budget(stage, "web", 1)
    run(stage, 2)
    _delete_claim(stage)
    run(stage, 2)


def overdue(stage: Stage) -> None:
    """A budget that allows nothing, and a deadline that ends it."""
    pool(stage, terminationGracePeriod="5s")
    deploy(stage, "web", 1)
    budget(stage, "web", 0)
    run(stage, 1)
    _delete_claim(stage)
    run(stage, 1)


def marked(stage: Stage) -> None:
    """A node carries the taint of a disruption that nobody remembers."""
    pool(stage)
    deploy(stage, "web", 1)
    run(stage, 1)
    name = stage.node_of(stage.claims()[0])
    node = stage.decoded(paths.nodes(name))
    taints = node["spec"].get("taints", [])
    stage.api.merge_patch(
        paths.nodes(name), {"spec": {"taints": [*taints, {"key": names.DISRUPTED_TAINT, "effect": "NoSchedule"}]}}
    )
    stage.wait("the taint is lifted", lambda: stage.decoded(paths.nodes(name))["spec"]["taints"] == taints)


def protected(stage: Stage) -> None:
    """A pool is in protected mode from before it was changed: it may buy again."""
    pool(stage)
    old = {"until": "2026-01-01T00:00:00Z", "trial": 1, "poolGeneration": 0, "classGeneration": 0}
    text = msgspec.json.encode(old).decode()
    stage.api.merge_patch(paths.node_pools(POOL), {"metadata": {"annotations": {names.PROTECTED: text}}})

    def free() -> bool:
        return names.PROTECTED not in stage.decoded(paths.node_pools(POOL))["metadata"].get("annotations", {})

    stage.wait("protected mode ends", free)


def old_template(stage: Stage) -> None:
    """A launch template of months ago, as a class that was changed since has left it."""
    uid = stage.decoded(paths.namespaces("kube-system"))["metadata"]["uid"]
    tags = {names.TAG_CLUSTER: CLUSTER, names.TAG_CLUSTER_UID: uid, names.TAG_MANAGED: "true"}
    tags[names.TAG_TEMPLATE_HASH] = "0" * 32
    listed: Any = [{"Key": k, "Value": v} for k, v in tags.items()]
    client = _ec2(stage)
    client.create_launch_template(
        LaunchTemplateName=f"joinery/team/{uid[:8]}/{'0' * 32}",
        LaunchTemplateData={"InstanceType": MEDIUM},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": listed}],
    )
    client.close()
    stage.witness.ages_templates = True


def rewritten(stage: Stage) -> None:
    """Nothing uses an old template: it is deleted."""
    pool(stage)
    client = _ec2(stage)
    stage.wait("the template is gone", lambda: not client.describe_launch_templates()["LaunchTemplates"])
    client.close()


SCENARIOS = {
    "grown_and_shrunk": Scenario(grown_and_shrunk, Counter({MEDIUM: 1})),
    "drained": Scenario(drained, Counter({MEDIUM: 2})),
    "overdue": Scenario(overdue, Counter({MEDIUM: 1})),
    "marked": Scenario(marked, Counter({MEDIUM: 1})),
    "protected": Scenario(protected, Counter()),
    "rewritten": Scenario(rewritten, Counter(), old_template),
}


def _ec2(stage: Stage) -> Any:
    access, secret = CREDENTIALS.values()
    return boto3.client(
        "ec2",
        region_name=REGION,
        endpoint_url=stage.ec2.endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
    )


def _delete_claim(stage: Stage) -> None:
    name = stage.claims()[0]["metadata"]["name"]
    stage.api.delete(paths.node_claims(name))

    def gone() -> bool:
        return name not in {c["metadata"]["name"] for c in stage.claims()}

    stage.wait(f"{name} is gone", gone)
