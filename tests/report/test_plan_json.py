from pathlib import Path
from typing import Any

from tests.report.plans import catalogue, claim, node, planned, pod, pool, running, world


def only_launch(body: dict[str, Any]) -> dict[str, Any]:
    (launch,) = body["actions"]
    assert isinstance(launch, dict)
    return launch


def test_a_launch_has_every_field_of_the_contract(tmp_path: Path) -> None:
    taints = [{"key": "a", "effect": "NoSchedule"}]
    wanted = pool(weight=5)
    wanted["spec"]["template"]["spec"]["startupTaints"] = taints
    launch = only_launch(planned(world(tmp_path, wanted, pod("web"))))
    assert list(launch) == [
        *("action", "id", "nodePool", "nodeClass", "instanceType", "zone", "capacityType", "price", "instanceTypes"),
        *("requirements", "labels", "annotations", "taints", "startupTaints", "requests", "pods", "reason", "message"),
    ]
    assert (launch["action"], launch["id"], launch["nodePool"], launch["nodeClass"]) == (
        "launch",
        0,
        "default",
        "default",
    )
    assert (launch["instanceType"], launch["zone"], launch["capacityType"]) == ("m5.large", "eu-west-1b", "spot")
    assert (launch["price"], launch["instanceTypes"]) == (0.041, ["m5.large"])
    assert launch["requests"] == {"cpu": "1", "memory": "1Gi", "pods": "1"}
    assert (launch["pods"], launch["reason"]) == (["default/web"], "Provisioned")
    assert (launch["taints"], launch["startupTaints"]) == ([], [{"key": "a", "value": "", "effect": "NoSchedule"}])
    assert launch["labels"]["karpenter.sh/nodepool"] == "default"
    assert {frozenset(r) for r in launch["requirements"]} == {frozenset({"key", "operator", "values", "minValues"})}


def test_the_document_has_every_field_of_the_contract(tmp_path: Path) -> None:
    body = planned(
        world(tmp_path, pool(), pod("web"), pod("big", nodeSelector={"none": "such"})), "--now", "2026-11-20T12:00:00Z"
    )
    assert list(body) == [
        *("apiVersion", "kind", "now", "actions", "placements", "unschedulable", "blocked", "pricePerHour"),
    ]
    assert (body["apiVersion"], body["kind"], body["now"]) == ("joinery.sh/v1alpha1", "Plan", "2026-11-20T12:00:00Z")
    assert body["placements"] == {"default/web": {"launch": 0}}
    (refused,) = body["unschedulable"]
    assert (refused["pod"], [r["nodePool"] for r in refused["reasons"]]) == ("default/big", ["default"])
    assert body["pricePerHour"] == {"before": 0.0, "after": 0.041, "lowerBound": 0.041}


def test_an_empty_node_is_disrupted_by_name_with_its_savings(tmp_path: Path) -> None:
    there = [claim("a", "aws:///eu-west-1a/i-1"), node("i-1", "aws:///eu-west-1a/i-1")]
    body = planned(world(tmp_path, pool(), *there))
    (gone,) = body["actions"]
    message = gone.pop("message")
    assert gone == {
        "action": "disrupt",
        "id": 0,
        "nodes": ["i-1"],
        "nodeClaims": ["a"],
        "reason": "Empty",
        "replacements": [],
        "savings": 0.107,
        "graceful": True,
    }
    assert "i-1" in message
    assert body["pricePerHour"] == {"before": 0.107, "after": 0.0, "lowerBound": 0.0}


def test_ids_of_disruptions_follow_those_of_launches(tmp_path: Path) -> None:
    there = [claim("a", "aws:///eu-west-1a/i-1"), node("i-1", "aws:///eu-west-1a/i-1")]
    body = planned(world(tmp_path, pool(), *there, pod("big", nodeSelector={"karpenter.sh/capacity-type": "spot"})))
    assert [(a["action"], a["id"]) for a in body["actions"]] == [("launch", 0), ("disrupt", 1)]


def test_a_node_is_the_claims_by_provider_id_whatever_its_name_else_by_label_and_name(tmp_path: Path) -> None:
    by_id = [claim("a", "aws:///eu-west-1a/i-1"), node("ip-10-0-0-1", "aws:///eu-west-1a/i-1")]
    by_name = [claim("b", None), node("b", None)]
    by_name[0]["status"]["conditions"] = by_id[0]["status"]["conditions"]
    stranger = node("c", "aws:///eu-west-1a/i-3")
    body = planned(world(tmp_path, pool(), *by_id, *by_name, stranger))
    assert [(a["nodes"], a["nodeClaims"]) for a in body["actions"]] == [(["ip-10-0-0-1"], ["a"]), (["b"], ["b"])]


def test_pods_go_onto_a_claim_that_has_not_joined_yet_and_say_so(tmp_path: Path) -> None:
    coming = claim("a", "aws:///eu-west-1a/i-1")
    coming["status"] |= {"conditions": [], "allocatable": {"cpu": "1900m", "memory": "7Gi", "pods": "110"}}
    body = planned(world(tmp_path, pool(), coming, pod("web")))
    assert (body["actions"], body["placements"]) == ([], {"default/web": {"nodeClaim": "a"}})


def test_what_holds_an_empty_node_is_named(tmp_path: Path) -> None:
    held = node("i-1", "aws:///eu-west-1a/i-1")
    held["metadata"]["annotations"] = {"karpenter.sh/do-not-disrupt": "true"}
    body = planned(world(tmp_path, pool(), claim("a", "aws:///eu-west-1a/i-1"), held))
    (blocked,) = body["blocked"]
    assert (blocked["node"], blocked["reason"], blocked["blocker"]) == ("i-1", "Empty", "Node i-1")
    assert "do-not-disrupt" in blocked["message"]


def test_a_label_that_a_type_mentions_may_be_asked_for_and_one_that_it_does_not_is_absent(tmp_path: Path) -> None:
    asked = pod("special", nodeSelector={"example.com/special": "yes"})
    assert only_launch(planned(world(tmp_path, pool(), asked)))["pods"] == ["default/special"]
    plain = catalogue(requirements=[])
    assert planned(world(tmp_path, pool(), asked, types=plain))["actions"] == []


def test_offerings_that_are_not_available_are_not_bought(tmp_path: Path) -> None:
    gone = {"zone": "eu-west-1b", "capacityType": "spot", "price": 0.01, "available": False}
    there = {"zone": "eu-west-1a", "capacityType": "on-demand", "price": 0.107}
    launch = only_launch(planned(world(tmp_path, pool(), pod("web"), types=catalogue(offerings=[gone, there]))))
    assert (launch["capacityType"], launch["price"]) == ("on-demand", 0.107)


def test_a_class_that_is_not_ready_refuses_and_one_without_conditions_does_not(tmp_path: Path) -> None:
    terms = {"subnetSelectorTerms": [{"id": "subnet-0"}], "securityGroupSelectorTerms": [{"id": "sg-0"}]}
    about = {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "default"},
        "spec": {"amiFamily": "Ubuntu", "instanceProfile": "p", **terms},
    }
    condition = {"type": "Ready", "status": "False", "reason": "SubnetsNotFound", "message": "no subnet matches"}
    assert len(planned(world(tmp_path, pool(), about, pod("web")))["placements"]) == 1
    body = planned(world(tmp_path, pool(), about | {"status": {"conditions": [condition]}}, pod("web")))
    assert body["placements"] == {}
    assert "no subnet matches" in body["unschedulable"][0]["reasons"][0]["message"]


def test_a_hash_that_a_pool_carries_is_taken_as_given(tmp_path: Path) -> None:
    stamped = pool()
    stamped["metadata"]["annotations"] = {
        "karpenter.sh/nodepool-hash": "42",
        "karpenter.sh/nodepool-hash-version": "v3",
    }
    launch = only_launch(planned(world(tmp_path, stamped, pod("web"))))
    assert launch["annotations"]["karpenter.sh/nodepool-hash"] == "42"
    assert launch["annotations"]["karpenter.sh/nodepool-hash-version"] == "v3"


def test_pods_on_a_node_use_its_room_and_keep_it(tmp_path: Path) -> None:
    there = [claim("a", "aws:///eu-west-1a/i-1"), node("i-1", "aws:///eu-west-1a/i-1"), running("busy", "i-1")]
    body = planned(world(tmp_path, pool(), *there, pod("web")))
    assert body["placements"] == {"default/web": {"launch": 0}}
    assert [a["action"] for a in body["actions"]] == ["launch"]


def test_pods_of_a_node_that_is_going_are_placed_like_pending_ones(tmp_path: Path) -> None:
    going = claim(
        "a", "aws:///eu-west-1a/i-1", deletionTimestamp="2026-11-20T12:00:00Z", finalizers=["karpenter.sh/termination"]
    )
    body = planned(world(tmp_path, pool(), going, node("i-1", "aws:///eu-west-1a/i-1"), running("busy", "i-1")))
    assert body["placements"] == {"default/busy": {"launch": 0}}
    assert [a["action"] for a in body["actions"]] == ["launch"]


def test_the_order_of_the_files_changes_nothing(tmp_path: Path) -> None:
    objects = [pool(), pod("a"), pod("b"), claim("c", "aws:///eu-west-1a/i-1"), node("i-1", "aws:///eu-west-1a/i-1")]
    assert planned(world(tmp_path, *objects)) == planned(world(tmp_path, *reversed(objects)))
