"""The judge rejects a plan that answers wrongly, buys what cannot be had, or lets go what it must keep."""

from __future__ import annotations

from typing import Any

import pytest

from tests.checker.scene import A, Broken, C, Scene, Spoil, affinity, rejected
from tests.worlds import objects
from tests.worlds.objects import TYPE, ZONE, ZONES

Json = dict[str, Any]
broken = Broken()


# Answers.


@broken("pod shop/web-2 is neither placed nor refused")
def forgotten(scene: Scene) -> None:
    del scene.plan["placements"]["shop/web-2"]
    scene.launch["pods"].remove("shop/web-2")


@broken("pod shop/web-0 is placed and refused")
def twice(scene: Scene) -> None:
    scene.plan["unschedulable"].append({"pod": "shop/web-0", "reasons": [{"nodePool": "default", "message": "no"}]})


@broken("pod shop/old needs no place")
def moved_for_nothing(scene: Scene) -> None:
    scene.plan["placements"]["shop/old"] = {"node": "n-a"}


@broken("launch 0 and placements disagree on pod shop/web-1")
def listed_elsewhere(scene: Scene) -> None:
    scene.launch["pods"].remove("shop/web-1")


@broken("is refused without a reason")
def silent(scene: Scene) -> None:
    del scene.plan["placements"]["shop/web-0"]
    scene.plan["unschedulable"].append({"pod": "shop/web-0", "reasons": []})


@broken("pod shop/web-0 is refused although NodePool default has small in eu-west-1a for it")
def refused_for_nothing(scene: Scene) -> None:
    del scene.plan["placements"]["shop/web-0"]
    scene.plan["unschedulable"].append({"pod": "shop/web-0", "reasons": [{"nodePool": "default", "message": "no"}]})


@broken("pod shop/web-0 is refused although NodePool default has small in eu-west-1b for it")
def refused_although_another_zone_is_free(scene: Scene) -> None:
    refused_for_nothing(scene)
    for n in range(3):
        scene.spec(f"web-{n}")["affinity"] = affinity("podAntiAffinity", "web", ZONE) if n == 0 else {}
    scene.fix_zone(A)


@broken("pods are sent to node n-x, which takes none")
def nowhere(scene: Scene) -> None:
    scene.plan["placements"]["shop/web-0"] = {"node": "n-x"}


@broken("pods are sent to node n-a, which takes none")
def leaving(scene: Scene) -> None:
    scene.named("Node", "n-a")["spec"]["taints"] = [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]


# What is bought.


@broken("launch 0: there is no offering small eu-west-1c on-demand that is available and allowed")
def no_such_zone(scene: Scene) -> None:
    scene.launch["zone"] = C


@broken("launch 0: small has no offering that is available and allowed")
def sold_out(scene: Scene) -> None:
    for offering in scene.catalogue["instanceTypes"][0]["offerings"]:
        offering["available"] = False


@broken("launch 0: small has no offering that is available and allowed")
def no_such_type(scene: Scene) -> None:
    del scene.catalogue["instanceTypes"][0]


@broken("launch 0 is priced 0.04, its offering costs 0.05")
def wrong_price(scene: Scene) -> None:
    scene.launch["price"] = 0.04


@broken("launch 0 expects to pay 0.05 although it may pay 0.03")
def not_the_cheapest_offering(scene: Scene) -> None:
    scene.catalogue["instanceTypes"][0]["offerings"][2]["price"] = 0.03


@broken("launch 0 does not list the cheapest type first")
def dearest_first(scene: Scene) -> None:
    scene.launch["instanceTypes"].reverse()


@broken("launch 0 as small does not have the karpenter.sh/capacity-type that NodePool default requires")
def other_capacity_type(scene: Scene) -> None:
    scene.launch["requirements"] = []


@broken("launch 0 lacks the label tier=web of its NodePool")
def label_lost(scene: Scene) -> None:
    del scene.launch["labels"]["tier"]


@broken("launch 0 does not have the taints of its NodePool")
def taint_lost(scene: Scene) -> None:
    scene.pool["spec"]["template"]["spec"]["taints"] = [{"key": "ai", "effect": "NoSchedule"}]
    for spec in scene.webs():
        spec["tolerations"] = [{"operator": "Exists"}]


@broken("launch 0 gives its node a tier that it forbids itself")
def label_forbidden(scene: Scene) -> None:
    scene.launch["requirements"].append({"key": "tier", "operator": "NotIn", "values": ["web"]})


@broken("launch 0 requests less cpu than its pods")
def too_modest(scene: Scene) -> None:
    scene.launch["requests"]["cpu"] = "1500m"


@broken("launch 0 is of NodePool default, which buys nothing for pending pods")
def unready(scene: Scene) -> None:
    scene.pool["status"] = {"conditions": [objects.condition("Ready", "False")]}


@broken("launch 0 has 2 values of node.kubernetes.io/instance-type, its NodePool wants 3")
def too_uniform(scene: Scene) -> None:
    entry = {"key": TYPE, "operator": "Exists", "minValues": 3}
    scene.pool["spec"]["template"]["spec"]["requirements"].append(entry)


@broken("NodePool default would have more cpu than its limit")
def over_a_limit_as_the_larger_type(scene: Scene) -> None:
    scene.pool["spec"]["limits"] = {"cpu": "3"}


@broken("NodePool default would have more nodes than its limit")
def over_the_limit_of_nodes(scene: Scene) -> None:
    scene.pool["spec"]["limits"] = {"nodes": "0"}


@broken("more nodes than maxNodes")
def over_a_brake(scene: Scene) -> None:
    scene.settings["maxNodes"] = 0


@broken("the nodes will cost 0.05, not 0.01")
def wrong_total(scene: Scene) -> None:
    scene.plan["pricePerHour"]["after"] = 0.01


@broken("the lower bound is above the price")
def unproven_bound(scene: Scene) -> None:
    scene.plan["pricePerHour"]["lowerBound"] = 0.06


# Disruption.


def _disrupt(scene: Scene, node: str, claim: str) -> None:
    action = {"action": "disrupt", "id": 1, "nodes": [node], "nodeClaims": [claim], "reason": "Empty"}
    scene.plan["actions"].append(action | {"replacements": [], "graceful": True})


@broken("node n-a is disrupted and is not ours")
def fixed_node_touched(scene: Scene) -> None:
    _disrupt(scene, "n-a", "n-a")


@broken("node n-b is not empty: shop/busy runs there")
def not_empty(scene: Scene) -> None:
    busy = objects.pod("busy", "shop", objects.containers({"cpu": "1m"}), {})
    scene.objects.append(objects.running(busy, "n-b"))
    kind = scene.catalogue["instanceTypes"][0]
    made = objects.claim("c", {objects.POOL: "default", ZONE: ZONES[1]}, kind, kind["capacity"], "n-b")
    scene.named("Node", "n-b")["spec"]["providerID"] = made["status"]["providerID"]
    scene.objects.append(made)
    _disrupt(scene, "n-b", "c")


@pytest.mark.parametrize(("spoil", "sentence"), [way[1:] for way in broken.ways], ids=[way[0] for way in broken.ways])
def test_a_broken_plan_is_rejected_for_what_is_broken(spoil: Spoil, sentence: str) -> None:
    assert rejected(spoil, sentence)
