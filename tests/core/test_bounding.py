"""The lower bound: below every set of nodes there is, at the optimum of the linear programme where that is known."""

from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.bins import Demand, Problem
from agent.core.bounding import lower_bound
from agent.core.growing import Ground
from agent.core.hosts import HostRule
from agent.core.space import Space
from agent.core.steered import Style, steered
from agent.core.terrain import Terrain
from agent.core.variants import cheapest_bins
from tests.build import instance_type
from tests.core.problems import MIB, SHELF, demand, problems, space

LAWS = settings(max_examples=120, deadline=None)
TINY = st.lists(st.tuples(st.integers(200, 3900), st.integers(200, 15_000), st.integers(1, 2)), min_size=1, max_size=3)


def optimum(own: Space, pods: tuple[Demand, ...]) -> int:
    """The least price of nodes for at most six pods, by trying every way to divide them."""

    @cache
    def of(left: tuple[int, ...]) -> int:
        if not any(left):
            return 0
        best = 1 << 62
        for taken in product(*(range(n + 1) for n in left)):
            mask = own.fits(tuple(sum(d.amounts[k] * n for d, n in zip(pods, taken, strict=True)) for k in range(4)))
            if any(taken) and mask:
                rest = tuple(a - b for a, b in zip(left, taken, strict=True))
                best = min(best, own.price(mask) + of(rest))
        return best

    return of(tuple(d.count for d in pods))


@LAWS
@given(TINY)
def test_it_is_not_above_the_optimum_which_a_few_pods_get(sizes: list[tuple[int, int, int]]) -> None:
    own = space()
    pods = tuple(demand(own, cpu, mib, count, shape=n) for n, (cpu, mib, count) in enumerate(sizes))
    problem, best = Problem(own, pods), optimum(own, pods)
    ground = Ground.of(problem)
    steered_to = problem.price(steered(Terrain.of(ground), Style(), [d.count for d in pods]))
    assert lower_bound(ground) <= best <= steered_to
    assert problem.price(cheapest_bins(ground)) == best == lower_bound(ground)


def test_nodes_that_pods_keep_apart_on_are_no_bound_for_pods_without_rules() -> None:
    """The bound is on what their amounts need: a rule that is only preferred could be dropped."""
    own = space()
    alone = HostRule((0,), ((0, 1),))
    ground = Ground.of(Problem(own, (demand(own, 300, 300, 3, host=alone),)))
    bins = cheapest_bins(ground)
    assert len(bins) == ground.problem.demands[0].count
    assert lower_bound(ground) < ground.problem.price(bins)


@LAWS
@given(problems(), st.integers(1, 1 << 18))
def test_no_plan_costs_less_whatever_columns_and_rules_its_pods_have(problem: Problem, bits: int) -> None:
    masks = (problem.space.every, problem.space.every & bits, problem.space.every & ~bits)
    mixed = tuple(
        Demand(d.shape, d.amounts, d.count, masks[n % 3], host=d.host, size=d.size)
        for n, d in enumerate(problem.demands)
    )
    narrowed = Problem(problem.space, mixed)
    bins = cheapest_bins(Ground.of(narrowed))
    placed = dict.fromkeys(range(len(mixed)), 0)
    for found in bins:
        for n, count in found.content:
            placed[n] += count
    served = tuple(Demand(d.shape, d.amounts, placed[n], d.mask, size=d.size) for n, d in enumerate(mixed))
    assert lower_bound(Ground.of(Problem(narrowed.space, tuple(d for d in served if d.count)))) <= narrowed.price(bins)


def test_pods_that_fill_nodes_exactly_are_bounded_by_what_these_cost() -> None:
    """Four cores and 8 GiB less what kubelet keeps, in quarters: the bound is the price of the nodes to the cent."""
    own = space((instance_type("c6i.xlarge", 4, 8, 0.17),))
    quarter = own.net(0)[1] // 4
    problem = Problem(own, (Demand(0, (1000, quarter, 1, 0), 40, own.every),))
    assert lower_bound(Ground.of(problem)) == 10 * 170_000_000 == problem.price(cheapest_bins(Ground.of(problem)))


def test_a_pod_alone_costs_the_whole_of_the_cheapest_node_that_holds_it() -> None:
    own = space()
    assert lower_bound(Ground.of(Problem(own, (demand(own, 2100, 100, 1),)))) == 170_000_000


def test_it_is_a_multiple_of_what_divides_every_price() -> None:
    own = space((instance_type("t3.medium", 2, 4, 0.052), instance_type("t3.large", 2, 8, 0.104)))
    assert lower_bound(Ground.of(Problem(own, (demand(own, 1000, 500, 3),)))) == 104_000_000


def test_cheap_small_types_do_not_make_large_pods_look_cheap() -> None:
    """Cores are cheap on a type of 1 GiB, but not for pods that do not fit there."""
    own = space((*SHELF, instance_type("t3.micro", 2, 1, 0.0104)))
    few = Problem(own, (demand(own, 100, 3000, 40),))
    both = Problem(own, (demand(own, 100, 3000, 40), demand(own, 500, 200, 40)))
    assert lower_bound(Ground.of(few)) >= 40 * 3000 * MIB * 126_000_000 // own.net(_largest(own))[1] * 9 // 10
    assert lower_bound(Ground.of(both)) >= lower_bound(Ground.of(few))


def _largest(own: Space) -> int:
    return next(i for i, column in enumerate(own.columns) if column.type.name == "r6i.large")


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_costs_nothing(count: int) -> None:
    own = space()
    impossible = (demand(own, 1_000_000, 1, count),)
    assert lower_bound(Ground.of(Problem(own, impossible))) == 0
    assert lower_bound(Ground.of(Problem(own, ()))) == 0
