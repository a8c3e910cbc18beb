import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.cli import root
from tests.report.plans import claim, condition, examples, node, planned, pod, pool, running, world

WORKERS = examples("worker-scalable.yaml", "five-scan-workers.yaml")
BUSINESS = examples("business-hours-budgets.yaml")


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(root, ["explain", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def explained(target: str, *arguments: str) -> dict[str, Any]:
    done = run(target, *arguments, "-o", "json")
    assert done.exit_code == 0, done.stderr
    body: dict[str, Any] = json.loads(done.stdout)
    assert (body["apiVersion"], body["kind"]) == ("joinery.sh/v1alpha1", "Explanation")
    return body


def test_a_pod_that_gets_a_node_says_which_and_what_each_pool_would_do(tmp_path: Path) -> None:
    heavy = pool("gpu", weight=5)
    heavy["spec"]["template"]["spec"]["taints"] = [{"key": "gpu", "effect": "NoSchedule"}]
    done = run("pod/p", *world(tmp_path, pool(), heavy, pod("p"), pod("q")))
    assert done.stdout.splitlines() == [
        "pod default/p: gets a new node: spot m5.large eu-west-1b of NodePool default ($0.041/h)",
        "",
        "If each pool were asked for it alone, and no node had room:",
        "  x gpu (weight 5): NodePool gpu has the taint gpu:NoSchedule, which the pod does not tolerate",
        "  + default: spot m5.large eu-west-1b of NodePool default ($0.041/h)",
    ]


def test_a_refused_pod_has_the_reasons_of_the_plan_with_counts(tmp_path: Path) -> None:
    arguments = world(tmp_path, pool(), pod("p", nodeSelector={"kubernetes.io/arch": "arm64"}))
    body = explained("pod/default/p", *arguments)
    assert (body["state"], body["message"]) == ("Refused", "no node is bought for it")
    assert body["reasons"] == planned(arguments)["unschedulable"][0]["reasons"]
    assert "1 type → 0 with kubernetes.io/arch=arm64" in body["reasons"][0]["message"]
    assert body["nodePools"] == [
        {
            "nodePool": "default",
            "weight": 0,
            "serves": False,
            "message": body["reasons"][0]["message"],
            "code": "FailedScheduling",
        }
    ]
    assert run("pod/p", *arguments).stdout.splitlines() == [
        "pod default/p: no node is bought for it",
        f"  {body['reasons'][0]['message']}",
        "",
        "Asked for it alone, and were no node to have room, each pool gives the same answer.",
    ]


def test_a_pod_of_a_cluster_without_pools_is_told_that_there_is_none(tmp_path: Path) -> None:
    lines = run("pod/p", *world(tmp_path, pod("p"))).stdout.splitlines()
    assert lines == [
        "pod default/p: no node is bought for it",
        "  there is no NodePool; apply one that says what may be bought",
    ]


def test_pods_with_room_on_nodes_and_claims_say_where(tmp_path: Path) -> None:
    there = [claim("a", "aws:///eu-west-1a/i-1"), node("i-1", "aws:///eu-west-1a/i-1")]
    ahead = claim("b", None, annotations={"joinery.sh/pods": '["default/q"]'})
    ahead["spec"]["resources"]["requests"] = {"cpu": "1", "memory": "1Gi", "pods": "2"}
    small = pod("s", containers=[{"name": "c", "resources": {"requests": {"cpu": "100m"}}}])
    arguments = world(tmp_path, pool(), *there, ahead, pod("q"), small, running("r", "i-1"))
    assert explained("pod/q", *arguments)["message"] == "goes onto NodeClaim b, which has room for it"
    assert explained("pod/s", *arguments)["message"] == "goes onto node i-1, which has room for it"
    assert run("pod/r", *arguments).stdout.startswith("pod default/r: is on node i-1\n")


def test_budgets_are_told_in_the_pools_time_with_a_warning_where_windows_run_into_each_other() -> None:
    done = run("nodepool/business-hours", *BUSINESS, "--now", "2026-11-25T12:00:00Z")
    assert done.exit_code == 0
    assert "Disruption budgets (times in UTC):" in done.stdout
    assert "     Wed 2026-11-25 09:00 to Thu 2026-11-26 01:00" in done.stdout
    warning = "the schedule hits again before 8h are over: its 9 windows make one, from Wed 09:00 to Thu 01:00"
    assert f"     warning: {warning}" in done.stdout


def test_a_pool_in_another_time_zone_shows_its_own_time(tmp_path: Path) -> None:
    budgets = [{"nodes": "0", "schedule": "0 9 * * *", "duration": "8h"}]
    korean = pool(disruption={"consolidationPolicy": "WhenEmpty", "consolidateAfter": "0s", "budgets": budgets})
    korean["metadata"]["annotations"] = {"joinery.sh/time-zone": "Asia/Seoul"}
    arguments = [*world(tmp_path, korean), "--now", "2026-11-25T12:00:00Z"]
    lines = run("nodepool/default", *arguments).stdout.splitlines()
    assert "Disruption budgets (times in Asia/Seoul):" in lines
    assert "  0: nodes: 0, 0 9 * * * for 8h: closed now" in lines
    assert "     Thu 2026-11-26 09:00 to Thu 2026-11-26 17:00" in lines
    body = explained("nodepool/default", *arguments)
    assert body["budgets"][0]["windows"][0] == {"start": "2026-11-26T00:00:00Z", "end": "2026-11-26T08:00:00Z"}
    assert body["allowedDisruptions"][0]["count"] is None


def test_a_pool_says_its_limits_what_it_buys_and_what_holds_its_nodes(tmp_path: Path) -> None:
    limited = pool(limits={"cpu": "4"}, disruption={"consolidationPolicy": "WhenEmpty", "consolidateAfter": "Never"})
    owned = claim("a", "aws:///eu-west-1a/i-1")
    owned["status"] |= {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "1900m"}}
    arguments = world(tmp_path, limited, owned, node("i-1", "aws:///eu-west-1a/i-1"))
    lines = run("nodepool/default", *arguments).stdout.splitlines()
    assert lines[0] == "nodepool default: 1 node"
    assert "  cpu: 2 of 4 used" in lines
    assert "  node i-1 would go (Empty), but NodePool default has consolidateAfter: Never" in lines
    body = explained("nodepool/default", *arguments)
    assert (body["nodes"], body["limits"]) == (1, [{"resource": "cpu", "used": "2", "limit": "4"}])
    assert body["buys"]["instanceType"] == "m5.large"


def test_a_node_that_goes_is_told(tmp_path: Path) -> None:
    arguments = world(tmp_path, pool(), claim("a", "aws:///eu-west-1a/i-1"), node("i-1", "aws:///eu-west-1a/i-1"))
    assert "  node i-1 is empty for 0 s" in run("nodepool/default", *arguments).stdout.splitlines()


def test_a_pool_whose_class_is_not_ready_says_why_it_buys_nothing(tmp_path: Path) -> None:
    status = {"conditions": [condition("Ready", "False") | {"message": "no subnet matches"}]}
    broken = {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "default"},
        "spec": {
            "amiFamily": "Ubuntu",
            "role": "node",
            "amiSelectorTerms": [{"alias": "ubuntu@latest"}],
            "subnetSelectorTerms": [{"tags": {"a": "b"}}],
            "securityGroupSelectorTerms": [{"tags": {"a": "b"}}],
        },
        "status": status,
    }
    said = run("nodepool/default", *world(tmp_path, pool(), broken))
    assert "no subnet matches" in said.stdout, said.stderr


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("pod/scan-worker-9", "Error: there is no pod default/scan-worker-9 (did you mean default/scan-worker-"),
        ("pod/other/nothing", "Error: there is no pod other/nothing\n"),
        ("nodepool/worker-scalabel", "Error: there is no NodePool worker-scalabel (did you mean worker-scalable?)"),
    ],
)
def test_who_is_not_there_ends_with_1_and_a_suggestion(target: str, line: str) -> None:
    done = run(target, *WORKERS)
    assert (done.exit_code, done.stdout) == (1, "")
    assert line in done.stderr


@pytest.mark.parametrize("target", ["pod", "pod/", "pod/a/b/c", "node/a", "nodepool/a/b", "/pod", "default"])
def test_a_wrong_target_is_wrong_usage(target: str) -> None:
    done = run(target, *WORKERS)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f'"{target}" is none of pod/NAME, pod/NAMESPACE/NAME and nodepool/NAME' in done.stderr


def test_the_namespace_may_be_said_in_either_place(tmp_path: Path) -> None:
    there = pod("p")
    there["metadata"]["namespace"] = "shop"
    arguments = world(tmp_path, pool(), there)
    for target in (
        ["pod/shop/p"],
        ["pod/p", "-n", "shop"],
        ["Pod/p", "--namespace", "shop"],
        ["po/shop/p", "-n", "shop"],
    ):
        assert run(*target, *arguments).stdout.startswith("pod shop/p: gets a new node")
    both = run("pod/shop/p", "-n", "web", *arguments)
    assert (both.exit_code, both.stdout) == (2, "")
    assert "shop/p is in the namespace shop, and --namespace says web" in both.stderr


@pytest.mark.parametrize("target", ["nodepool/default", "NodePool/default", "nodepools.karpenter.sh/default"])
def test_kinds_are_written_as_kubectl_takes_them(tmp_path: Path, target: str) -> None:
    assert run(target, *world(tmp_path, pool())).stdout.startswith("nodepool default: 0 nodes\n")


def test_pods_of_the_name_in_other_namespaces_are_suggested(tmp_path: Path) -> None:
    pods = [pod("p") for _ in range(7)]
    for number, made in enumerate(pods):
        made["metadata"]["namespace"] = f"n{number}"
    assert "there is no pod default/p (did you mean n0/p?)" in run("pod/p", *world(tmp_path, pods[0])).stderr
    several = run("pod/p", *world(tmp_path, *pods))
    assert "there is no pod default/p (did you mean one of n0/p, n1/p, n2/p, n3/p, n4/p and 2 more?)" in several.stderr


def test_schedules_are_told_up_to_the_ends_of_the_calendar(tmp_path: Path) -> None:
    scheduled = pool(disruption={"budgets": [{"nodes": "0", "schedule": "0 9 * * mon-fri", "duration": "8h"}]})
    arguments = world(tmp_path, scheduled)
    first = run("nodepool/default", *arguments, "--now", "0001-01-01T00:00:00Z")
    assert "0: nodes: 0, 0 9 * * mon-fri for 8h: closed now" in first.stdout
    last = run("nodepool/default", *arguments, "--now", "9999-12-31T23:59:59Z")
    assert (last.exit_code, last.stdout) == (2, "")
    assert '"9999-12-31T23:59:59Z" is not a time such as 2026-11-20T12:00:00Z' in last.stderr
