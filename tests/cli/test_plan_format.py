"""The JSON of ``joinery plan``: other programs read these fields, so that none may be renamed or dropped.

And the shipped examples can be planned.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.report.plans import EXAMPLES, catalogue, claim, node, planned, pod, pool, run, running, world

TEXT, NUMBER, LIST, MAP = str, (int, float), list, dict
TOP = {
    "apiVersion": TEXT,
    "kind": TEXT,
    "now": TEXT,
    "actions": LIST,
    "placements": MAP,
    "unschedulable": LIST,
    "blocked": LIST,
    "pricePerHour": MAP,
}
LAUNCH = {
    "action": TEXT,
    "id": int,
    "nodePool": TEXT,
    "nodeClass": TEXT,
    "instanceType": TEXT,
    "zone": TEXT,
    "capacityType": TEXT,
    "price": NUMBER,
    "instanceTypes": LIST,
    "requirements": LIST,
    "labels": MAP,
    "annotations": MAP,
    "taints": LIST,
    "startupTaints": LIST,
    "requests": MAP,
    "pods": LIST,
    "reason": TEXT,
    "message": TEXT,
}
DISRUPT = {
    "action": TEXT,
    "id": int,
    "nodes": LIST,
    "nodeClaims": LIST,
    "reason": TEXT,
    "replacements": LIST,
    "savings": NUMBER,
    "graceful": bool,
    "message": TEXT,
}
REQUIREMENT = {"key": TEXT, "operator": TEXT, "values": LIST, "minValues": (int, type(None))}
TAINT = {"key": TEXT, "value": TEXT, "effect": TEXT}
BLOCKED = {"node": TEXT, "reason": TEXT, "blocker": TEXT, "message": TEXT}
PRICE = {"before": NUMBER, "after": NUMBER, "lowerBound": (int, float, type(None))}
SOUND = sorted(p.name for p in EXAMPLES.glob("*.yaml") if p.name not in {"agent.yaml", "broken-nodepool.yaml"})
"""Without the settings of the daemon, which are no object of a cluster, and what is broken to show its faults."""


def wrong(body: dict[str, Any], fields: dict[str, Any]) -> list[str]:
    """Fields of the format that are missing or of another kind."""
    return [name for name, kind in fields.items() if name not in body or not isinstance(body[name], kind)]


def everything(folder: Path) -> dict[str, Any]:
    """A plan in which each part of the format occurs."""
    taint = {"key": "team", "effect": "NoSchedule"}
    boot = {"key": "boot", "value": "yes", "effect": "NoExecute"}
    tainted = pool("tainted")
    wants = {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"], "minValues": 1}
    tainted["spec"]["template"]["spec"] |= {"taints": [taint], "startupTaints": [boot], "requirements": [wants]}
    mine = [{"key": "team", "operator": "Exists"}]
    there = [
        thing
        for n in ("a", "b")
        for thing in (claim(n, f"aws:///eu-west-1a/i-{n}"), node(f"i-{n}", f"aws:///eu-west-1a/i-{n}"))
    ]
    kept = claim("c", "aws:///eu-west-1a/i-c")
    kept["metadata"]["labels"] |= {"karpenter.sh/nodepool": "tainted"}
    tainted["spec"]["disruption"]["budgets"] = [{"nodes": "0"}]
    there += [kept, node("i-c", "aws:///eu-west-1a/i-c", **{"karpenter.sh/nodepool": "tainted"})]
    there[-1]["spec"]["taints"] = [{"key": "other", "effect": "NoSchedule"}]
    held = running("held", "i-b")
    heavy = pod("heavy", tolerations=mine, nodeSelector={"karpenter.sh/nodepool": "tainted"})
    impossible = pod("impossible", nodeSelector={"example.com/no-such": "label"})
    small = pod("small", nodeSelector={"topology.kubernetes.io/zone": "eu-west-1a"})
    small["spec"]["containers"][0]["resources"]["requests"] = {"cpu": "100m"}
    fixed = node("fixed", None, **{"topology.kubernetes.io/zone": "eu-west-1a"})
    fixed["metadata"]["labels"].pop("karpenter.sh/nodepool")
    return planned(world(folder, pool(), tainted, *there, held, heavy, impossible, small, fixed, types=catalogue()))


def test_every_field_of_the_format_is_there_and_of_its_kind(tmp_path: Path) -> None:
    body = everything(tmp_path)
    assert wrong(body, TOP) == []
    assert (body["apiVersion"], body["kind"]) == ("joinery.sh/v1alpha1", "Plan")
    assert wrong(body["pricePerHour"], PRICE) == []
    by_kind = {a["action"]: a for a in body["actions"]}
    assert wrong(by_kind["launch"], LAUNCH) == []
    assert wrong(by_kind["disrupt"], DISRUPT) == []
    assert [w for r in by_kind["launch"]["requirements"] for w in wrong(r, REQUIREMENT)] == []
    assert by_kind["launch"]["taints"] == [{"key": "team", "value": "", "effect": "NoSchedule"}]
    assert by_kind["launch"]["startupTaints"] == [{"key": "boot", "value": "yes", "effect": "NoExecute"}]
    assert [w for t in by_kind["launch"]["taints"] for w in wrong(t, TAINT)] == []
    assert all(isinstance(amount, str) for amount in by_kind["launch"]["requests"].values())


def test_pods_are_placed_on_launches_by_number_and_on_nodes_by_name(tmp_path: Path) -> None:
    body = everything(tmp_path)
    (launch,) = [a for a in body["actions"] if a["action"] == "launch"]
    assert body["placements"]["default/heavy"] == {"launch": launch["id"]}
    assert launch["pods"] == ["default/heavy"]
    assert set(body["placements"]["default/small"]) == {"node"}
    assert len({a["id"] for a in body["actions"]}) == len(body["actions"])


def test_what_is_refused_or_held_says_by_whom(tmp_path: Path) -> None:
    body = everything(tmp_path)
    (refused,) = body["unschedulable"]
    assert refused["pod"] == "default/impossible"
    assert [wrong(r, {"nodePool": TEXT, "message": TEXT}) for r in refused["reasons"]] == [[], []]
    (held,) = body["blocked"]
    assert (wrong(held, BLOCKED), held["node"]) == ([], "i-c")


@pytest.mark.parametrize("file", SOUND)
def test_an_example_is_planned_or_its_one_fault_is_told(file: str) -> None:
    done = run("-f", str(EXAMPLES / file), "-o", "json")
    if file == "side-project-as-posted.yaml":
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.endswith("NodePool/side-project: spec.limit: unknown field (did you mean spec.limits?)\n")
    else:
        assert wrong(planned(["-f", str(EXAMPLES / file)]), TOP) == []
