"""Worlds as files: objects in the shape of kubectl's output, and a small catalogue."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from agent.cli.plan import plan

EXAMPLES = Path(__file__).parents[2] / "examples"
T0 = "2026-11-20T12:00:00Z"


def run(*arguments: str, stdin: str | None = None) -> Result:
    done = CliRunner().invoke(plan, list(arguments), input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def examples(*files: str) -> list[str]:
    return [part for file in files for part in ("-f", str(EXAMPLES / file))]


def written(folder: Path, name: str, body: object) -> str:
    path = folder / name
    path.write_text(json.dumps(body))
    return str(path)


def pod(name: str, **spec: Any) -> dict[str, Any]:
    requests = {"cpu": "1", "memory": "1Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}], **spec},
    }


def running(name: str, node: str) -> dict[str, Any]:
    return pod(name, nodeName=node) | {"status": {"phase": "Running", "conditions": [condition("PodScheduled")]}}


def pool(name: str = "default", **spec: Any) -> dict[str, Any]:
    about = {"nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}}
    disruption = {"consolidationPolicy": "WhenEmpty", "consolidateAfter": "0s", "budgets": [{"nodes": "100%"}]}
    template = {"spec": {**about, "requirements": []}}
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": name},
        "spec": {"template": template, "disruption": disruption, **spec},
    }


def condition(kind: str, status: str = "True") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": kind, "message": "", "lastTransitionTime": T0}


def claim(name: str, provider: str | None, **metadata: Any) -> dict[str, Any]:
    labels = {
        "karpenter.sh/nodepool": "default",
        "karpenter.sh/capacity-type": "on-demand",
        "node.kubernetes.io/instance-type": "m5.large",
        "topology.kubernetes.io/zone": "eu-west-1a",
    }
    ref = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    kinds = ("Launched", "Registered", "Initialized") if provider else ("Launched",)
    status: dict[str, Any] = {"conditions": [condition(kind) for kind in kinds]}
    if provider:
        status["providerID"] = provider
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodeClaim",
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": labels, **metadata},
        "spec": {"nodeClassRef": ref, "requirements": [], "expireAfter": "Never", "resources": {"requests": {}}},
        "status": status,
    }


def node(name: str, provider: str | None, **labels: str) -> dict[str, Any]:
    spec = {"providerID": provider} if provider else {}
    room = {"cpu": "1900m", "memory": "7Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"karpenter.sh/nodepool": "default", **labels}},
        "spec": spec,
        "status": {"capacity": room, "allocatable": room, "conditions": [condition("Ready")]},
    }


def catalogue(**fields: Any) -> dict[str, Any]:
    offerings = [
        {"zone": "eu-west-1a", "capacityType": "on-demand", "price": 0.107},
        {"zone": "eu-west-1b", "capacityType": "spot", "price": 0.041},
    ]
    m5 = {
        "name": "m5.large",
        "capacity": {"cpu": "2", "memory": "8Gi", "pods": "110"},
        "overhead": {"cpu": "100m", "memory": "700Mi"},
        "requirements": [
            {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
            {"key": "example.com/special", "operator": "In", "values": ["yes"]},
        ],
        "offerings": offerings,
    }
    return {"apiVersion": "joinery.sh/v1alpha1", "kind": "InstanceTypeCatalog", "instanceTypes": [m5 | fields]}


def world(folder: Path, *objects: dict[str, Any], types: dict[str, Any] | None = None) -> list[str]:
    """Arguments for these objects and the small catalogue."""
    listed = written(folder, "objects.json", {"apiVersion": "v1", "kind": "List", "items": list(objects)})
    return ["-f", listed, "--catalog", written(folder, "catalog.json", types or catalogue())]


def planned(arguments: list[str], *more: str) -> dict[str, Any]:
    done = run(*arguments, "-o", "json", *more)
    assert done.exit_code == 0, done.stderr
    body: dict[str, Any] = json.loads(done.stdout)
    return body
