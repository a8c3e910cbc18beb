"""Column generation: the programme, the search for a node's content, and the nodes that come of both."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.bins import Problem
from agent.core.fields import Fields
from agent.core.firstfit import first_fit
from agent.core.growing import Ground
from agent.core.patterns.generating import generated, suits
from agent.core.patterns.knapsack import Item, Knapsack
from agent.core.patterns.master import Master, Pattern
from agent.core.steered import Style, steered
from agent.core.terrain import Terrain
from agent.core.weights import worth_of
from tests.build import instance_type
from tests.core.problems import demand, faults, space

LAWS = settings(max_examples=80, deadline=None)
HEADS = Style(heads=8)
ROWS = 3


@st.composite
def programmes(draw: st.DrawFn) -> tuple[list[int], Master]:
    counts = draw(st.lists(st.integers(1, 30), min_size=ROWS, max_size=ROWS))
    prices = st.integers(50, 200)
    master = Master.of(counts, [Pattern(((row, draw(st.integers(1, 4))),), draw(prices)) for row in range(ROWS)])
    for content in draw(st.lists(st.dictionaries(st.integers(0, ROWS - 1), st.integers(1, 4), min_size=1), max_size=8)):
        master.add(Pattern(tuple(sorted(content.items())), draw(prices)))
    return counts, master


@LAWS
@given(programmes())
def test_the_programme_ends_where_no_pattern_is_worth_more_than_it_costs_and_all_is_bought_for_what_it_is_worth(
    programme: tuple[list[int], Master],
) -> None:
    counts, master = programme
    while (found := master.entering())[0] is not None:
        assert master.enter(found[0])
    bought = master.bought()
    for row, count in enumerate(counts):
        assert sum(dict(p.content).get(row, 0) * amount for p, amount in bought) >= count - 1e-6
    assert all(p.worth(master.duals) <= p.price * (1 + 1e-6) for p in master.patterns)
    paid = sum(p.price * amount for p, amount in bought)
    assert paid == pytest.approx(worth_of(master.duals, counts))


def test_halves_of_two_patterns_are_cheaper_than_a_node_for_each_kind() -> None:
    master = Master.of([2, 2], [Pattern(((0, 1),), 10), Pattern(((1, 1),), 10)])
    master.add(Pattern(((0, 1), (1, 1)), 12))
    number, gain = master.entering()
    assert (number, round(gain, 3)) == (2, 0.667)
    assert master.enter(2)
    assert master.entering()[0] is None
    assert master.bought() == [(Pattern(((0, 1), (1, 1)), 12), 2.0)]


def test_a_pattern_that_is_known_is_not_added_again() -> None:
    master = Master.of([2], [Pattern(((0, 1),), 10)])
    assert master.add(Pattern(((0, 1),), 10)) is None
    assert master.add(Pattern(((0, 2),), 10)) == 1


@st.composite
def knapsacks(draw: st.DrawFn) -> tuple[Knapsack, Fields, list[tuple[int, int]]]:
    """Of two resources, a unit of each of which weighs one."""
    fields = Fields.holding(2, 100)
    asked = draw(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=4))
    items = []
    for row, amounts in enumerate(asked):
        weight = float(sum(amounts))
        value = weight * draw(st.integers(50, 100)) / 100
        items.append(Item(value / weight, weight, fields.packed(amounts), value, draw(st.integers(1, 3)), row))
    items.sort(key=lambda i: (-i.density, -i.weight, i.row))
    room = draw(st.tuples(st.integers(40, 100), st.integers(40, 100)))
    return Knapsack(items, fields.room(room), float(sum(room)), fields.guard), fields, asked


@LAWS
@given(knapsacks())
def test_what_a_search_finds_fits_and_one_behind_each_first_pod_finds_no_less(
    given_: tuple[Knapsack, Fields, list[tuple[int, int]]],
) -> None:
    node, fields, asked = given_
    value_of, limit_of = {i.row: i.value for i in node.items}, {i.row: i.limit for i in node.items}
    room = fields.unpacked(node.room, 2)
    most = max(
        sum(value_of[row] * units for row, units in enumerate(counts))
        for counts in product(*(range(limit_of[row] + 1) for row in range(len(asked))))
        if all(sum(asked[row][d] * units for row, units in enumerate(counts)) <= room[d] for d in range(2))
    )
    plain = node.content()
    for best in (plain, node.content_by_first()):
        assert all(0 < units <= limit_of[row] for row, units in best.content)
        assert all(sum(asked[row][d] * units for row, units in best.content) <= room[d] for d in range(2))
        assert best.value == pytest.approx(sum(value_of[row] * units for row, units in best.content))
        assert plain.value <= best.value <= most + 1e-6
    assert plain.value >= max(i.value for i in node.items if (node.room - i.packed) & node.guard == node.guard)


WANTED = st.lists(st.tuples(st.integers(400, 3000), st.integers(500, 9000), st.integers(5, 60)), min_size=1, max_size=6)


@LAWS
@given(WANTED)
def test_nodes_made_of_patterns_hold_the_same_pods_for_no_more_money(wanted: list[tuple[int, int, int]]) -> None:
    own = space()
    problem = Problem(own, tuple(demand(own, cpu, mib, count, shape=n) for n, (cpu, mib, count) in enumerate(wanted)))
    ground = Ground.of(problem)
    terrain = Terrain.of(ground)
    assert suits(terrain)
    plain = first_fit(ground, range(len(problem.demands)), -1)
    found = generated(terrain, plain, [plain], HEADS)
    assert faults(problem, found) == []
    assert problem.placed(found) == problem.placed(plain)
    assert problem.price(found) <= problem.price(plain)
    assert found == generated(terrain, plain, [plain], HEADS)


def test_contents_are_chosen_as_a_whole_where_filling_one_node_after_the_other_leaves_over() -> None:
    own = space([instance_type("c6i.3xlarge", 12, 24, 0.51)])
    wanted = ((1400, 60), (2400, 20), (5400, 30))
    problem = Problem(own, tuple(demand(own, cpu, 100, count, shape=n) for n, (cpu, count) in enumerate(wanted)))
    terrain, counts = Terrain.of(Ground.of(problem)), [d.count for d in problem.demands]
    before = min((steered(terrain, style, counts) for style in (Style(), HEADS)), key=len)
    after = generated(terrain, before, [before], HEADS)
    assert (len(before), len(after)) == (27, 25)
    assert faults(problem, after) == []
