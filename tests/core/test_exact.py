"""Few pods get the cheapest nodes that there are: nothing that sharing them out in any way could find costs less."""

from collections import Counter
from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.bins import Bin, Problem
from agent.core.exact import MOST_STATES, cheapest
from agent.core.growing import Ground
from agent.core.hosts import HostRule
from agent.core.variants import cheapest_bins
from tests.build import instance_type
from tests.core.problems import RULES, demand, faults, space

LAWS = settings(max_examples=80, deadline=None)
ALONE = HostRule((0,), ((0, 1),))


@st.composite
def few(draw: st.DrawFn) -> Problem:
    """At most seven units of up to four demands."""
    own = space()
    wanted = st.tuples(st.integers(100, 6000), st.integers(100, 24_000), st.integers(1, 2), RULES)
    listed = draw(st.lists(wanted, min_size=1, max_size=3))
    return Problem(own, tuple(demand(own, *amounts, host=rule, shape=n) for n, (*amounts, rule) in enumerate(listed)))


def shared_out(units: Sequence[int]) -> Iterator[list[list[int]]]:
    """Every way to put units into sets."""
    if not units:
        yield []
        return
    for rest in shared_out(units[1:]):
        yield [[units[0]], *rest]
        for at, own in enumerate(rest):
            yield [*rest[:at], [units[0], *own], *rest[at + 1 :]]


def price(problem: Problem, units: Sequence[int]) -> int | None:
    """Of the cheapest column that holds these units on one node, by the rules alone."""
    content = tuple(sorted(Counter(units).items()))
    used = tuple(map(sum, zip(*(problem.demands[n].amounts for n in units), strict=True)))
    for column in sorted(range(len(problem.space.columns)), key=lambda c: problem.space.columns[c].price):
        if not faults(problem, [Bin(1 << column, 1 << column, used, content)]):
            return problem.space.columns[column].price
    return None


def least(problem: Problem) -> int:
    """What all units that fit anywhere cost at least."""
    units = [n for n, own in enumerate(problem.demands) for _ in range(own.count) if price(problem, [n]) is not None]
    costs = ([price(problem, own) for own in way] for way in shared_out(units))
    return min(sum(filter(None, way)) for way in costs if None not in way)


@LAWS
@given(few())
def test_no_way_to_share_out_a_few_pods_is_cheaper(problem: Problem) -> None:
    bins = cheapest_bins(Ground.of(problem))
    assert faults(problem, bins) == []
    assert problem.price(bins) == least(problem)


def test_of_ways_that_cost_the_same_the_one_with_the_fewest_nodes_is_taken() -> None:
    """Two of the smallest type cost what the next one does, which holds both pods."""
    own = space([instance_type("t3.medium", 2, 4, 0.04), instance_type("t3.large", 2, 8, 0.08)])
    bins = cheapest(Ground.of(Problem(own, (demand(own, 500, 2500, 2),))))
    assert bins is not None
    assert [b.content for b in bins] == [((0, 2),)]


def test_many_equal_pods_are_few_states() -> None:
    own = space()
    for count, found in ((MOST_STATES - 1, True), (MOST_STATES, False)):
        bins = cheapest(Ground.of(Problem(own, (demand(own, 900, 900, count),))))
        assert (bins is not None) is found
        assert bins is None or sum(units for b in bins for _, units in b.content) == count


def test_pods_that_repel_each_other_get_a_node_each() -> None:
    own = space()
    problem = Problem(own, (demand(own, 500, 500, 3, host=ALONE), demand(own, 300, 300, 3)))
    bins = cheapest(Ground.of(problem))
    assert bins is not None
    assert faults(problem, bins) == []
    assert [dict(b.content).get(0) for b in bins] == [1, 1, 1]


def test_where_the_order_matters_in_which_a_node_is_filled_nothing_is_said() -> None:
    own = space()
    target = demand(own, 500, 500, 1, host=HostRule((0,)))
    follower = demand(own, 500, 500, 1, host=HostRule(needs=(0,)))
    assert cheapest(Ground.of(Problem(own, (target, follower)))) is None
    assert cheapest(Ground.of(Problem(own, (target,), floors=((("node.kubernetes.io/instance-type", 2),),)))) is None
