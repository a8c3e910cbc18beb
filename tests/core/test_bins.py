"""Bins: rules of one node hold in every one of them, whichever way they were filled."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.core.bins import Bin, Problem
from agent.core.fields import Fields
from agent.core.firstfit import first_fit
from agent.core.growing import Ground
from agent.core.hosts import HostRule
from agent.core.merging import merged
from agent.core.patterns.generating import generated
from agent.core.repacking import repacked
from agent.core.steered import Style, steered
from agent.core.terrain import Terrain
from agent.core.variants import cheapest_bins
from agent.model.resources import Resources
from tests.build import instance_type
from tests.core.problems import SHELF, demand, faults, problems, space

LAWS = settings(max_examples=150, deadline=None)
ALONE = HostRule(matches=(0,), caps=((0, 1),))


def every_way(problem: Problem) -> list[tuple[Bin, ...]]:
    ground = Ground.of(problem)
    terrain, counts = Terrain.of(ground), [d.count for d in problem.demands]
    plain = first_fit(ground, range(len(problem.demands)), -1)
    ways = [plain] + [steered(terrain, style, counts) for style in (Style(0.75), Style(heads=8))]
    again = [repacked(terrain, plain, (Style(), Style(0.5))), generated(terrain, plain, ways, Style())]
    return [*ways, merged(ground, plain), *again]


@LAWS
@given(problems())
def test_rules_of_a_node_hold_in_every_bin_and_all_that_fits_is_placed(problem: Problem) -> None:
    for bins in every_way(problem):
        assert faults(problem, bins) == []
        assert problem.placed(bins) == sum(d.count * d.size for d in problem.demands if _fits_alone(problem, d))


def _fits_alone(problem: Problem, one: object) -> bool:
    own = next(d for d in problem.demands if d is one)
    caps = [cap for selector, cap in own.host.caps if selector in own.host.matches]
    return bool(problem.space.fits(own.amounts)) and own.size <= min(caps, default=own.size)


def test_pods_that_repel_each_other_get_a_node_each() -> None:
    own = space()
    problem = Problem(own, (demand(own, 100, 100, 5, host=ALONE), demand(own, 100, 100, 5)))
    for bins in every_way(problem):
        assert len(bins) == 5
        assert problem.placed(bins) == 10


def test_pods_that_need_another_beside_them_come_with_it_and_leave_none_of_it_unused() -> None:
    own = space()
    target, follower = HostRule(matches=(0,)), HostRule(needs=(0,))
    problem = Problem(own, (demand(own, 1500, 1000, 3, host=target), demand(own, 6000, 1000, 3, host=follower)))
    for bins in every_way(problem):
        assert faults(problem, bins) == []
        assert problem.placed(bins) == 6


def test_what_needs_something_that_needs_something_gets_both() -> None:
    own = space()
    rules = (HostRule(needs=(1,)), HostRule(matches=(1,), needs=(2,)), HostRule(matches=(2,)))
    problem = Problem(own, tuple(demand(own, 500, 500, 1, host=rule, shape=n) for n, rule in enumerate(rules)))
    for bins in every_way(problem):
        assert faults(problem, bins) == []
        assert problem.placed(bins) == 3


def test_what_needs_a_pod_that_is_not_there_gets_no_node() -> None:
    own = space()
    problem = Problem(own, (demand(own, 500, 500, 2, host=HostRule(needs=(1,))), demand(own, 500, 500, 1)))
    for bins in every_way(problem):
        assert problem.placed(bins) == 1


def test_units_of_several_pods_stay_together_and_count_as_so_many() -> None:
    own = space()
    pair = HostRule(matches=(0,), caps=((0, 3),))
    problem = Problem(own, (demand(own, 200, 200, 3, host=pair, size=2),))
    for bins in every_way(problem):
        assert [found.content for found in bins] == [((0, 1),)] * 3
        assert problem.placed(bins) == 6


@LAWS
@given(problems())
def test_the_answer_is_never_dearer_than_first_fit_and_serves_no_fewer(problem: Problem) -> None:
    answer = cheapest_bins(Ground.of(problem))
    assert faults(problem, answer) == []
    ground = Ground.of(problem)
    for share in (1.0, 0.5):
        plain = first_fit(ground, range(len(problem.demands)), problem.space.cheaper(share))
        assert problem.price(answer) <= problem.price(plain)
        assert problem.placed(answer) >= problem.placed(plain)


def test_small_pods_that_only_small_types_serve_cheaply_are_a_group_of_their_own() -> None:
    """A core of the smallest type costs a quarter of what it costs elsewhere, but holds no large pods."""
    own = space((*SHELF, instance_type("t3.nano", 2, 1, 0.006)))
    problem = Problem(own, (demand(own, 500, 3000, 30), demand(own, 500, 200, 30)))
    large, small = Terrain.of(Ground.of(problem)).groups
    assert (list(large.asked), list(small.asked)) == ([0], [1])
    assert small.value[1] < large.value[0] / 4
    assert problem.price(cheapest_bins(Ground.of(problem))) <= 16 * 126_000_000


def test_groups_that_are_served_later_fill_what_the_nodes_of_earlier_ones_leave() -> None:
    """Pods of three cores leave 7 GiB of a node with 8, and one memory-bound pod fits in that."""
    own = space()
    problem = Problem(own, (demand(own, 3000, 500, 30), demand(own, 100, 6000, 30)))
    answer = cheapest_bins(Ground.of(problem))
    assert len(answer) == 30
    assert problem.price(answer) == 30 * 170_000_000


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40)), min_size=1, max_size=6))
def test_amounts_fit_in_fields_exactly_when_each_of_them_fits(pairs: list[tuple[int, int]]) -> None:
    room, amounts = [a for a, _ in pairs], [b for _, b in pairs]
    fields = Fields.holding(len(pairs), max(room))
    left = fields.room(room) - fields.packed(amounts) if max(amounts) < 1 << fields.width - 1 else 0
    assert (left & fields.guard == fields.guard) == all(b <= a for a, b in pairs)
    assert fields.unpacked(fields.room(room), len(room)) == tuple(room)


def test_where_rules_force_nodes_none_is_much_larger_than_an_equal_share_of_all() -> None:
    own = space([instance_type(f"m.{cores}", cores, 4 * cores, 0.05 * cores) for cores in range(1, 65)])
    forced, free = demand(own, 700, 1500, 60, host=ALONE), demand(own, 450, 1100, 240)
    share = own.price(own.fits(own.vector(Resources(2500, 5900 << 20, 5))))
    for others, rules in ((60, True), (1, False)):
        problem = Problem(own, (replace(forced, count=others), free))
        bins = steered(Terrain.of(Ground.of(problem)), Style(), [d.count for d in problem.demands])
        assert (max(problem.price((b,)) for b in bins) <= 4 * share) == rules
