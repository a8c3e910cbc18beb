"""Packing problems as values: a few types, demands with rules of one node, and the checks of a bin by hand."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import strategies as st

from agent.core.bins import Bin, Demand, Problem
from agent.core.building import build
from agent.core.hosts import FREE, HostRule
from agent.core.shelf import Shelf
from agent.core.space import Space, bits
from agent.core.templates import template
from agent.model.ec2 import InstanceType
from agent.model.resources import Resources
from tests.build import TYPES, instance_type, pool

SHELF = (
    *TYPES,
    instance_type("c6i.xlarge", 4, 8, 0.17),
    instance_type("r6i.large", 2, 16, 0.126),
    instance_type("m6i.2xlarge", 8, 32, 0.384),
)
MIB = 1 << 20


def space(types: Sequence[InstanceType] = SHELF) -> Space:
    """What one pool without requirements may buy of these types."""
    return build([template(pool(), Shelf.of(tuple(types)))], (), (), ())


def demand(own: Space, cpu: int, mib: int, count: int, **fields: object) -> Demand:
    """Millicores and mebibytes of one unit, and how many units there are; any column will do."""
    size = fields.get("size", 1)
    assert isinstance(size, int)
    amounts = own.vector(Resources(cpu, mib * MIB, size))
    about: dict[str, object] = {"shape": 0, "amounts": amounts, "count": count, "mask": own.every}
    return Demand(**(about | fields))  # type: ignore[arg-type]


SELECTORS = st.integers(0, 2)
RULES = st.one_of(
    st.just(FREE),
    st.builds(
        lambda matches, caps: HostRule(tuple(sorted(matches)), tuple(sorted(caps.items()))),
        st.sets(SELECTORS),
        st.dictionaries(SELECTORS, st.integers(1, 3), max_size=2),
    ),
)
WANTED = st.lists(
    st.tuples(st.integers(100, 2000), st.integers(100, 6000), st.integers(1, 9), RULES, st.integers(1, 2)),
    min_size=1,
    max_size=6,
)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Up to six demands; some of one node's rules, some of two pods that must be together."""
    own = space()
    return Problem(
        own,
        tuple(
            demand(own, cpu, mib, count, host=rule, size=size, shape=n)
            for n, (cpu, mib, count, rule, size) in enumerate(draw(WANTED))
        ),
    )


def faults(problem: Problem, bins: Sequence[Bin]) -> list[str]:
    """What is wrong with the bins, by the rules alone and not by the structures that made them."""
    found = []
    placed: Counter[int] = Counter()
    for own in bins:
        placed.update(dict(own.content))
        demands = [(problem.demands[n], count) for n, count in own.content]
        used = tuple(sum(d.amounts[k] * count for d, count in demands) for k in range(len(own.used)))
        if used != own.used:
            found.append("what it uses is not the sum of what is in it")
        nets = [problem.space.net(i) for i in bits(own.mask)]
        if not nets or any(u > room for net in nets for u, room in zip(used, net, strict=True)):
            found.append("it may become a column that does not hold it, or none at all")
        found += _broken([(d.host, count * d.size) for d, count in demands])
    for n, own_demand in enumerate(problem.demands):
        if placed[n] > own_demand.count:
            found.append("more was placed than there is")
    return found


def _broken(pods: Sequence[tuple[HostRule, int]]) -> list[str]:
    counts = Counter[int]()
    for rule, count in pods:
        counts.update(dict.fromkeys(rule.matches, count))
    broken = [f"{counts[s]} pods of {s}, more than {cap}" for r, _ in pods for s, cap in r.caps if counts[s] > cap]
    return broken + [f"nothing of {s} that is needed" for rule, _ in pods for s in rule.needs if not counts[s]]
