"""A class with capacity reservations, from its terms to the nodes, in the sandbox with the real daemon."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.kinds import items
from agent.model import names
from agent.sim.embedded import Steering
from agent.sim.sandbox import apply
from tests.cluster.processes import wait_until
from tests.sim.test_sandbox import Started, start

__all__ = ["start"]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ZONE = "ap-northeast-2a"


def _objects() -> list[dict[str, Any]]:
    """Five pods that need a node each, of a pool that may use what the class finds, or on-demand."""
    named = ("worker-scalable.yaml", "five-scan-workers.yaml")
    found = [o for name in named for o in yaml.safe_load_all((EXAMPLES / name).read_text()) if o]
    for obj in found:
        if obj["kind"] == "EC2NodeClass":
            obj["spec"]["capacityReservationSelectorTerms"] = [{"tags": {"team": "ml"}}]
        elif obj["kind"] == "NodePool":
            spec = obj["spec"]["template"]["spec"]
            kept = [r for r in spec["requirements"] if r["key"] != names.CAPACITY_TYPE]
            wanted = {"key": names.CAPACITY_TYPE, "operator": "In", "values": ["reserved", "on-demand"]}
            spec["requirements"] = [*kept, wanted]
        elif obj["kind"] == "Deployment":
            obj["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "1200m"
    return found


def _labels(api: KubeApi) -> list[dict[str, str]]:
    """Of the nodes that have joined."""
    return [o["metadata"]["labels"] for o in items(api, paths.nodes()) if names.REGISTERED in o["metadata"]["labels"]]


def test_reservations_of_a_class_are_used_first_and_the_rest_is_bought_on_demand(start: Callable[..., Started]) -> None:
    started = start("--no-fixed-nodes")
    environment = os.environ | started.environment
    ec2 = Steering(environment["AWS_ENDPOINT_URL"])
    about = {"type": "t3.medium", "zone": ZONE, "tags": {"team": "ml"}}
    ec2.admin("/_reservations", about | {"id": "cr-1", "count": 2})
    # What this one says of its room is not so: EC2 refuses, and what was meant for it is bought otherwise.
    ec2.admin("/_reservations", about | {"id": "cr-2", "count": 1, "shown": 3})
    with KubeApi.from_kubeconfig(environment["KUBECONFIG"]) as api:
        apply(api, _objects())
        wait_until("five nodes", lambda: len(_labels(api)) >= 5, timeout=120)
        found = _labels(api)
        status = next(o["status"] for o in items(api, paths.node_classes()) if "status" in o)
    reserved = [labels for labels in found if labels[names.CAPACITY_TYPE] == "reserved"]
    assert sorted(labels[names.RESERVATION] for labels in reserved) == ["cr-1", "cr-1", "cr-2"]
    assert [names.RESERVATION in labels for labels in found].count(False) == 2
    assert [r["id"] for r in status["capacityReservations"]] == ["cr-1", "cr-2"]
    assert {c["type"]: c["status"] for c in status["conditions"]}["CapacityReservationsReady"] == "True"
    inside = [i for i in ec2.instances() if i["state"] == "running"]
    assert len(inside) == 5
