"""The demo: its story told in quick, its checks, its bill, and how it looks."""

import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest

from agent.sim.demo.bill import Bill, dollars
from agent.sim.demo.checks import Seen, checks, fixed_nodes
from agent.sim.demo.picture import svg
from agent.sim.demo.story import Script, Story
from agent.sim.demo.terminal import Terminal
from agent.sim.embedded import Listed
from agent.sim.examples import example
from agent.sim.machines.world import Pace
from agent.sim.sandbox import Sandbox
from agent.sim.team import fixed_machines

QUICK = Pace(phase=0.05, pod_start=0.1, pod_stop=0.1, retry=0.2, look=0.2)
FEW = tuple(m for m in fixed_machines() if m.name in {"control-plane", "auth", "worker-ai"})


def script(**more: Any) -> Script:
    pool = example("worker-scalable.yaml")
    pool[0]["spec"]["disruption"]["consolidateAfter"] = "1s"
    return Script(pool, example("scan-workers.yaml"), **more)


def told(folder: Path, story: Script, **capacity: int) -> tuple[bool, str]:
    """Whether the story ended well, and all that was said."""
    out = io.StringIO()
    with Sandbox(folder, fixed=FEW, pace=QUICK) as sandbox:
        sandbox.ec2.capacity(**capacity)
        ended_well = Story(sandbox, story, Terminal(out)).tell()
    return ended_well, out.getvalue()


def test_the_story_ends_as_it_should_and_says_so(tmp_path: Path) -> None:
    ended_well, said = told(tmp_path, script())
    assert ended_well, said
    said = re.sub(r"\n +", " ", said)
    scheduler = "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
    for sentence in (
        "7 scan workers of 1 CPU and 2 GiB find no node",
        f"scheduler: {scheduler}2 node(s) had untolerated taint(s).",
        "joinery buys t3.xlarge in ap-northeast-2a (on-demand, $0.2080/h): room for 4 pending pods",
        "7 of 7 scan workers run, on 3 new nodes",
        "joinery: phase=user-script",
        "is empty for",
        "the same nodes kept: $0.3640 an hour, $265.72 a month, busy or idle",
        "ok  0 instances of Joinery's are left",
    ):
        assert sentence in said
    assert "NOT SO" not in said
    assert "\x1b" not in said, "piped output is plain"


def test_without_capacity_in_ec2_the_story_does_not_end_well(tmp_path: Path) -> None:
    ended_well, said = told(tmp_path, script(patience=6.0), **{"*/*/*": 0})
    assert not ended_well
    assert "still waiting" in said
    assert "NOT SO  7 of 7 scan workers ran, on nodes that Joinery bought: 0 ran, on no node" in said


def instance(number: int, *, state: str = "running", ours: bool = False, **more: Any) -> Listed:
    tags = {"joinery.sh/managed": "true"} if ours else {"joinery.sh/role": "base"}
    network = {"private_ip": "10.42.0.4", "private_dns": "ip-10-42-0-4"}
    facts = {"id": f"i-{number}", "state": state, "type": "t3.medium", "zone": "ap-northeast-2a", "user_data": ""}
    return Listed(**(facts | network | more), launch_time="2026-11-25T12:00:00Z", tags=tags)


LEAK = instance(2, state="terminated", ours=True, user_data="token=abcdef.0123456789abcdef")
GOOD = Seen(
    workers=2,
    ran=frozenset({"i-2"}),
    ran_count=2,
    fixed_before={"auth": ("uid-auth", ("domain",))},
    fixed_after={"auth": ("uid-auth", ("domain",))},
    instances=(instance(1), instance(2, state="terminated", ours=True)),
    fixed_instances=frozenset({"i-1"}),
    claims=(),
    nodes=frozenset({"auth"}),
    pending=(),
)


def test_an_end_as_it_should_be_passes_every_check() -> None:
    assert [c.sentence for c in checks(GOOD) if not c.holds] == []


@pytest.mark.parametrize(
    ("planted", "sentence"),
    [
        ({"ran_count": 1}, "2 of 2 scan workers ran"),
        ({"ran": frozenset({"auth"})}, "2 of 2 scan workers ran"),
        ({"ran": frozenset(), "ran_count": 0}, "2 of 2 scan workers ran"),
        (
            {
                "instances": (
                    instance(1),
                    instance(2, state="terminated", ours=True, user_data="abcdef.0123456789abcdef"),
                )
            },
            "no user data held a bootstrap token",
        ),
        ({"instances": (instance(1), instance(2, ours=True))}, "0 instances of Joinery's"),
        ({"claims": ("worker-1",)}, "0 NodeClaims"),
        ({"nodes": frozenset({"auth", "i-2"})}, "0 NodeClaims"),
        ({"pending": ("scan-worker-1",)}, "0 pods are pending"),
        ({"fixed_after": {}}, "1 fixed nodes are the same"),
        ({"fixed_after": {"auth": ("uid-other", ("domain",))}}, "1 fixed nodes are the same"),
        ({"fixed_after": {"auth": ("uid-auth", ("domain", "karpenter.sh/disrupted"))}}, "1 fixed nodes are the same"),
        (
            {"instances": (instance(1, state="stopped"), instance(2, state="terminated", ours=True))},
            "1 fixed instances run",
        ),
        ({"instances": (*GOOD.instances, instance(3))}, "1 fixed instances run"),
    ],
)
def test_each_fault_fails_the_check_that_is_about_it(planted: dict[str, Any], sentence: str) -> None:
    [failed] = [c for c in checks(msgspec.structs.replace(GOOD, **planted)) if not c.holds]
    assert failed.sentence.startswith(sentence)
    assert failed.found


def test_where_nothing_was_bought_nothing_is_called_well() -> None:
    nothing = msgspec.structs.replace(GOOD, instances=(instance(1),), ran=frozenset(), ran_count=0)
    assert sum(not c.holds for c in checks(nothing)) == 3


def test_a_mark_of_joinerys_on_a_fixed_node_is_seen() -> None:
    node = {"metadata": {"name": "auth", "uid": "u", "labels": {"karpenter.sh/nodepool": "x"}}, "spec": {}}
    assert fixed_nodes((node,), frozenset({"auth"})) == {"auth": ("u", ("karpenter.sh/nodepool",))}


def test_a_machine_is_billed_by_the_second_and_for_a_minute_at_least() -> None:
    bill = Bill()
    assert bill.look([instance(1, ours=True), instance(2, ours=True)], 0.0) == []
    ended = bill.look([instance(1, state="terminated", ours=True), instance(2, ours=True)], 10.0)
    assert [e.instance.id for e in ended] == ["i-1"]
    assert dollars(bill.hourly_nano) == "$0.1040"
    minute = round(0.052e9 / 60)
    assert bill.entries["i-1"].nano(7200.0) == minute
    assert bill.entries["i-2"].nano(7200.0) == round(2 * 0.052e9)
    assert bill.nano(30.0) == 2 * minute


def test_a_terminal_that_is_looked_at_has_colours_and_a_line_that_changes() -> None:
    out = io.StringIO()
    terminal = Terminal(out, colour=True, live=True)
    terminal.progress("waiting for something")
    terminal.say("done", "good")
    assert "waiting for something" in out.getvalue()
    assert out.getvalue().endswith("\x1b[32mdone\x1b[0m\n")
    assert "\r\x1b[2K" in out.getvalue(), "the line that changes is wiped before one that stays"


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, False), ({"CLICOLOR_FORCE": "1"}, True), ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False)],
)
def test_colours_are_asked_for_or_forbidden_by_the_environment(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = io.StringIO()
    Terminal(out).say("x", "good")
    assert ("\x1b[" in out.getvalue()) is coloured


def test_the_picture_holds_every_word_in_its_colour_and_wraps_what_is_too_long() -> None:
    drawn = svg("\x1b[32mok\x1b[0m  a <b> & c\n" + "x" * 130 + "\n", "demo")
    root = ET.fromstring(drawn)
    texts = [t for t in root.iter() if t.tag.endswith("}text")]
    assert ["".join(t.itertext()) for t in texts] == ["ok  a <b> & c", "x" * 118, "x" * 12]
    assert texts[0][0].get("fill") == "#56d364"
    assert drawn == svg("\x1b[32mok\x1b[0m  a <b> & c\n" + "x" * 130 + "\n", "demo"), "the same text, the same picture"
