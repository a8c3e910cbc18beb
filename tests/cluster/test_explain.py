"""`joinery plan` and `joinery explain` of a real cluster: pods that the real scheduler has refused, and real lists."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.manifests.schema import CRDS
from agent.sim.daemon import JOINERY
from tests.cluster.access import Json
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import wait_until
from tests.report.plans import pod, pool

ROOT = Path(__file__).parents[2]
NAMESPACE = "explained"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
ONLY = {"example.com/explained": "yes"}


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    for spec in CRDS:
        control_plane.kubectl("apply", "-f", str(ROOT / "agent/crds" / spec.file))
    names = [f"crd/{spec.plural}.{spec.group}" for spec in CRDS]
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    control_plane.kubectl("create", "namespace", NAMESPACE)
    control_plane.kubectl("apply", "-f", "-", stdin=json.dumps(selected()))
    account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"
    wait_until("the service account", lambda: control_plane.api("GET", account)[0] == 200)
    yield control_plane
    control_plane.kubectl("delete", "nodepool", "explained")
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def selected() -> Json:
    """A pool that only pods of this test select."""
    made = pool("explained")
    made["spec"]["template"]["metadata"] = {"labels": ONLY}
    return made


def joinery(cluster: ControlPlane, *arguments: str) -> Json:
    command = [*JOINERY, *arguments, "-o", "json", "--set", "region=eu-west-1"]
    environment = os.environ | {"KUBECONFIG": str(cluster.kubeconfig)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    body: Json = json.loads(done.stdout)
    return body


def pending(cluster: ControlPlane, name: str, cpu: str) -> None:
    body = pod(name, nodeSelector=ONLY)
    body["spec"]["containers"][0] |= {"image": "none", "resources": {"requests": {"cpu": cpu}}}
    status, answer = cluster.api("POST", PODS, body)
    assert status == 201, answer
    wait_until(f"the scheduler's word on {name}", lambda: unschedulable(cluster, name), timeout=30)


def unschedulable(cluster: ControlPlane, name: str) -> bool:
    conditions = cluster.api("GET", f"{PODS}/{name}")[1]["status"].get("conditions", ())
    return any(c["type"] == "PodScheduled" and c.get("reason") == "Unschedulable" for c in conditions)


def test_pods_that_the_scheduler_refused_are_explained_as_they_are_planned(cluster: ControlPlane) -> None:
    pending(cluster, "small", "1")
    pending(cluster, "huge", "5000")
    planned = joinery(cluster, "plan")
    assert [a["nodePool"] for a in planned["actions"] if f"{NAMESPACE}/small" in a.get("pods", ())] == ["explained"]
    small = joinery(cluster, "explain", f"pod/{NAMESPACE}/small")
    assert (small["state"], small["reasons"]) == ("Placed", [])
    assert [p["nodePool"] for p in small["nodePools"] if p["serves"]] == ["explained"]
    huge = joinery(cluster, "explain", f"pod/{NAMESPACE}/huge")
    refused = next(u for u in planned["unschedulable"] if u["pod"] == f"{NAMESPACE}/huge")
    assert (huge["state"], huge["reasons"]) == ("Refused", refused["reasons"])
    own = next(r["message"] for r in huge["reasons"] if r["nodePool"] == "explained")
    assert "0 with cpu ≥ 5000 free for pods" in own


def test_a_nodepool_of_the_cluster_is_explained(cluster: ControlPlane) -> None:
    found = joinery(cluster, "explain", "nodepool/explained")
    assert (found["nodes"], found["buys"]["serves"], found["faults"]) == (0, True, [])
    assert found["budgets"][0]["nodes"] == "100%"
