from pathlib import Path
from typing import Any

import pytest

from agent.report.plan_text import money
from tests.report.plans import claim, node, pod, pool, run, world


def test_each_launch_disruption_and_refusal_is_a_line_and_the_last_sums_up(tmp_path: Path) -> None:
    there = [claim("a", "aws:///eu-west-1a/i-1"), node("i-1", "aws:///eu-west-1a/i-1")]
    wanting = [pod(n, nodeSelector={"karpenter.sh/capacity-type": "spot"}) for n in ("b", "a")]
    lost = [pod(f"lost-{n}", nodeSelector={"none": "such"}) for n in range(3)]
    shown = run(*world(tmp_path, pool(), *there, *wanting, *lost)).stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["+", "launch"],
        ["+", "launch"],
        ["-", "disrupt"],
        ["x", "refuse"],
    ]
    assert "spot m5.large eu-west-1b" in lines[0]
    assert "$0.041/h pool default 1 pending pod: default/a" in lines[0]
    assert "i-1 (m5.large)" in lines[2]
    assert "-$0.107/h pool default node i-1 is empty" in lines[2]
    assert "default/lost-0 (+2)" in lines[3]
    assert lines[-1] == (
        "Plan: 2 to launch, 1 to disrupt, 0 kept, 0 pods on room that is there, 3 pods refused. "
        "$0.107/h now, $0.082/h then (-$0.025/h), 0.0 % over the lower bound $0.082/h: no cheaper nodes would do."
    )


def test_kept_nodes_say_what_holds_them_and_used_room_whose_it_is(tmp_path: Path) -> None:
    held = node("i-1", "aws:///eu-west-1a/i-1")
    held["metadata"]["annotations"] = {"karpenter.sh/do-not-disrupt": "true"}
    shown = run(*world(tmp_path, pool(), claim("a", "aws:///eu-west-1a/i-1"), held)).stdout
    assert "! keep  i-1  pool default  Empty, but node i-1 is annotated karpenter.sh/do-not-disrupt" in shown
    used = run(*world(tmp_path, pool(), claim("a", "aws:///eu-west-1a/i-1"), held, pod("web"))).stdout
    assert "= use  node i-1  room for 1 pod: default/web" in used
    assert "1 pod on room that is there" in used


def test_a_node_of_a_static_pool_that_no_pod_waits_for_says_why_it_is_bought(tmp_path: Path) -> None:
    shown = run(*world(tmp_path, pool(replicas=2), pod("a")))
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[0] == "+ launch spot m5.large eu-west-1b $0.041/h pool default 1 pending pod: default/a"
    assert lines[1] == (
        "+ launch spot m5.large eu-west-1b $0.041/h pool default NodePool default keeps 2 nodes and lacks 2"
    )


def test_a_static_pool_that_gets_fewer_nodes_than_it_keeps_is_told_of(tmp_path: Path) -> None:
    wanted = [{"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}]
    static = pool(replicas=2)
    static["spec"]["template"]["spec"]["requirements"] = wanted
    shown = run(*world(tmp_path, static))
    assert shown.stderr == (
        "note: NodePool default keeps 2 nodes, and has none to buy: 1 type → 0 with kubernetes.io/arch=arm64; "
        "no type has it, they have amd64; change the NodePool's requirement\n"
    )
    held = run(*world(tmp_path, pool(replicas=2)), "--set", "maxNodes=1")
    assert "note: NodePool default gets fewer nodes than it keeps: the cluster has 1 nodes of ours" in held.stderr
    assert run(*world(tmp_path, pool(replicas=2))).stderr == ""


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0.000/h"),
        (41_600_000, "$0.042/h"),
        (1_900_000, "$0.0019/h"),
        (22_504_000_000, "$22.504/h"),
        (1, "$0.000000001/h"),
    ],
)
def test_money_has_three_decimals_or_as_many_as_a_small_amount_needs(nano: int, text: str) -> None:
    assert money(nano) == text


def _shy(name: str) -> dict[str, Any]:
    term = {"labelSelector": {"matchLabels": {"app": "shy"}}, "topologyKey": "kubernetes.io/hostname"}
    preferred = [{"weight": 1, "podAffinityTerm": term}]
    found = pod(name, affinity={"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
    found["metadata"]["labels"] = {"app": "shy"}
    found["spec"]["containers"][0]["resources"]["requests"] = {"cpu": "100m", "memory": "64Mi"}
    return found


def test_what_preferences_cost_is_told_when_it_is_much(tmp_path: Path) -> None:
    asked = world(tmp_path, pool(), _shy("a"), _shy("b"))
    assert run(*asked).stdout.splitlines()[-1] == "preferences kept: +$0.041/h over ignoring them"
    assert "preferences kept" not in run(*asked, "--set", "preferencePolicy=Ignore").stdout
    assert "preferences kept" not in run(*world(tmp_path, pool(), _shy("a"))).stdout
