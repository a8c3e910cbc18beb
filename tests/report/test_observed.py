"""What an observing daemon wanted is kept line by line, and adds up to hours and dollars."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from agent.cli import root
from agent.core.decide import decide
from agent.model import names
from agent.model.names import PodKey
from agent.model.plan import Plan, Snapshot
from agent.report import observed_text
from agent.report.observed import Account, Fixed, Line, Unwanted, Wanted, account, line
from agent.report.observing import MOST_BYTES, Observing, read
from tests.build import machine, meta, node, pod, pool, snapshot

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LARGE = Wanted("workers", "t3.large", "a", "on-demand", 100_000_000, (PodKey("default/web"),))
SMALL = Wanted("workers", "t3.small", "a", "on-demand", 20_000_000, (PodKey("default/api"),))
EMPTY = Unwanted("i-1", "t3.large", 100_000_000, "node i-1 is empty for 30 s")
FIXED = (Fixed("t3.medium", 2, 50_000_000), Fixed("x9.huge", 1))


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def said(minutes: float, *wanted: Wanted, unwanted: tuple[Unwanted, ...] = (), refused: int = 0) -> Line:
    return Line(at(minutes), wanted, unwanted, FIXED, refused)


def added(*lines: Line, until: float, since: datetime | None = None) -> Account:
    found = account(lines, since, at(until))
    assert found is not None
    return found


def test_a_node_counts_from_when_it_is_wanted_until_it_is_not() -> None:
    lines = (said(0), said(6, LARGE, SMALL), said(12, LARGE, SMALL), said(18, LARGE), said(24), said(30))
    found = added(*lines, until=30)
    [large, small] = found.bought
    assert (large.what, large.seconds, large.nano_usd, large.lasts) == (LARGE, 1080, 30_000_000, False)
    assert (small.what, small.seconds) == (SMALL, 720)
    assert found.seen_seconds == 1800
    assert found.fixed_nano_usd == 50_000_000
    assert found.unpriced == ("x9.huge",)


def test_another_pod_on_the_same_node_is_no_other_node() -> None:
    other = msgspec.structs.replace(LARGE, pods=(PodKey("default/web-2"),))
    [one] = added(said(0, LARGE), said(10, other), until=20).bought
    assert one.seconds == 1200
    assert one.lasts


def test_two_alike_are_two() -> None:
    found = added(said(0, LARGE, LARGE), said(10, LARGE), until=20)
    assert sorted(s.seconds for s in found.bought) == [600, 1200]


def test_time_in_which_nobody_looked_counts_for_nothing() -> None:
    found = added(said(0, LARGE), said(600, LARGE), until=605)
    assert found.seen_seconds == (15 + 5) * 60
    [one] = found.bought
    assert one.seconds == (15 + 5) * 60


def test_what_was_before_is_left_out() -> None:
    found = added(said(0, LARGE), said(10, LARGE), until=20, since=at(15))
    assert found.began == at(15)
    assert found.seen_seconds == 300
    assert account([said(0)], at(30), at(40)) is None
    assert account([], None, at(1)) is None


def test_a_clock_that_stepped_back_adds_nothing() -> None:
    found = added(said(0, LARGE), said(-30, LARGE), said(5), until=10)
    assert found.seen_seconds == 600
    assert found.bought[0].seconds == 300


def test_a_node_that_would_have_gone_costs_from_then_on() -> None:
    found = added(said(0), said(6, unwanted=(EMPTY,)), said(12, unwanted=(EMPTY,)), until=18)
    [gone] = found.removed
    assert (gone.what, gone.seconds, gone.nano_usd) == (EMPTY, 720, 20_000_000)


def test_the_text_says_hours_and_dollars_and_what_they_are_compared_with() -> None:
    text = observed_text.text(added(said(0, LARGE), said(10, LARGE, unwanted=(EMPTY,), refused=3), until=20))
    assert "It would have bought 1 node, together 20 minutes for $0.0333:" in text
    assert "1 x t3.large on-demand of pool workers at $0.1000/h: 20 minutes, $0.0333; 1 still wanted" in text
    assert "would cost $73.00 a month" in text
    assert "It would have removed 1 node" in text
    assert "Nodes that are not Joinery's cost $0.0333 in that time, $0.1000 an hour at list price." in text
    assert "no price is known: x9.huge" in text
    assert "Up to 3 pods" in text


class Silent:
    """Nobody is told."""

    def publish(self, snapshot: Snapshot, plan: Plan, started: tuple[object, ...]) -> None:
        """Nothing."""

    def waiting(self, sentence: str) -> None:
        """Nothing."""


def keep(observing: Observing, minutes: float, world: Snapshot) -> None:
    now = msgspec.structs.replace(world, now=at(minutes))
    observing.publish(now, decide(now), ())


def test_a_line_is_kept_when_the_plan_changes_and_every_ten_minutes(tmp_path: Path) -> None:
    path = tmp_path / "observed.jsonl"
    observing = Observing(Silent(), path)
    for minutes in (0, 1, 2):
        keep(observing, minutes, snapshot(pods=(pod(),)))
    keep(observing, 3, snapshot())
    for minutes in (4, 8, 12, 14):
        keep(observing, minutes, snapshot())
    lines, torn = read(path)
    assert torn == 0
    assert [(x.at, len(x.wanted)) for x in lines] == [(at(0), 1), (at(3), 0), (at(14), 0)]
    assert lines[0].wanted[0].pods == ("default/web",)


def test_while_the_batch_window_is_open_what_was_wanted_stands_as_long_as_its_pods_wait() -> None:
    before = Line(START, (LARGE, SMALL))
    world = snapshot(pods=(pod(),), provision=False)
    assert line(world, decide(world), before).wanted == (LARGE,)


def test_nodes_of_nobody_are_counted_by_type_with_their_price() -> None:
    labels = {names.INSTANCE_TYPE: "t3.large"}
    fixed = [node(machine(n), meta=meta(f"fixed-{n}", labels=labels), taints=()) for n in (1, 2)]
    strange = node(machine(3), meta=meta("strange", labels={names.INSTANCE_TYPE: "x9.huge"}), taints=())
    world = snapshot(nodes=(*fixed, strange), pools=(pool(),))
    [large, huge] = line(world, decide(world), None).fixed
    assert (large.instance_type, large.count) == ("t3.large", 2)
    assert large.price_nano_usd is not None
    assert huge == Fixed("x9.huge", 1)


def test_the_record_is_bounded_and_the_file_before_it_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "observed.jsonl"
    observing = Observing(Silent(), path, most_bytes=200)
    for minutes in range(0, 200, 10):
        keep(observing, minutes, snapshot())
    assert path.stat().st_size <= 200
    assert sorted(p.name for p in tmp_path.iterdir()) == ["observed.jsonl", "observed.jsonl.1"]
    lines, _ = read(path)
    assert lines[-1].at == at(190)
    assert MOST_BYTES == 8 << 20


def test_a_torn_line_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "observed.jsonl"
    keep(Observing(Silent(), path), 0, snapshot())
    with path.open("ab") as file:
        file.write(b'{"at":"2026-03-02T08')
    lines, torn = read(path)
    assert (len(lines), torn) == (1, 1)
    done = CliRunner().invoke(root, ["report", "--record", str(path), "--since", "2026-01-01T00:00:00Z"])
    assert "1 lines" in done.stderr
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("where", ["missing/observed.jsonl", "full"])
def test_a_record_that_cannot_be_written_stops_nothing_and_is_said_once(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("/dev/full") if where == "full" else tmp_path / where
    observing = Observing(Silent(), path)
    for minutes in (0, 1):
        keep(observing, minutes, snapshot())
    assert capsys.readouterr().out.count("what is observed cannot be kept") == 1


def test_the_command_answers_in_json_and_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "observed.jsonl"
    keep(Observing(Silent(), path), 0, snapshot(pods=(pod(),)))
    done = CliRunner().invoke(root, ["report", "--record", str(path), "-o", "json"])
    body = json.loads(done.stdout)
    assert body["kind"] == "ObservationReport"
    assert body["bought"][0]["pods"] == ["default/web"]
    assert body["bought"][0]["seconds"] == 900, "nobody looked after that"
    later = CliRunner().invoke(root, ["report", "--record", str(path), "--since", "1h"])
    assert later.exit_code == 1
    assert "says nothing of that time" in later.output
    none = CliRunner().invoke(root, ["report", "--record", str(tmp_path / "none")])
    assert none.exit_code == 1
    assert "joinery run --dry-run writes it" in none.output
    assert CliRunner().invoke(root, ["report", "--since", "soon"]).exit_code == 2
