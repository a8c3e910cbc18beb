"""Bins: rules of one node hold in every one of them, whichever way they were filled."""

from hypothesis import given, settings

from agent.core.bins import Bin, Problem
from agent.core.firstfit import first_fit
from agent.core.growing import Ground
from agent.core.hosts import HostRule
from agent.core.merging import merged
from agent.core.repacking import repacked
from agent.core.steered import Style, steered
from agent.core.terrain import Terrain
from tests.core.problems import demand, faults, problems, space

LAWS = settings(max_examples=150, deadline=None)
ALONE = HostRule(matches=(0,), caps=((0, 1),))


def every_way(problem: Problem) -> list[tuple[Bin, ...]]:
    ground = Ground.of(problem)
    terrain, counts = Terrain.of(ground), [d.count for d in problem.demands]
    plain = first_fit(ground, range(len(problem.demands)), -1)
    ways = [plain] + [steered(terrain, style, counts) for style in (Style(0.75), Style(heads=8))]
    return [*ways, merged(ground, plain), repacked(terrain, plain, (Style(), Style(0.5)))]


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
