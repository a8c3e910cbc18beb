"""First-fit decreasing, and what must be begun before anything else is packed."""

from collections.abc import Sequence

from agent.core.bins import Bin, Demand
from agent.core.growing import Ground, Growing
from agent.core.hosts import FREE, HostRule


def first_fit(ground: Ground, order: Sequence[int], ceiling: int) -> tuple[Bin, ...]:
    """Each demand into the first nodes that take it, then into new ones.

    ``ceiling`` limits the columns that a node may become, where a demand fits any of them at all: without a limit
    nodes grow to the largest type that there is, whose shape may suit the rest badly.
    """
    left = [demand.count for demand in ground.problem.demands]
    nodes = begun(ground, left)
    tops = [node.top for node in nodes]
    full: dict[HostRule, int] = {}
    for number in (*order, *ground.problem.followers):
        demand = ground.problem.demands[number]
        if not ground.single[number]:
            continue
        _fit(nodes, tops, (number, _first(nodes, demand, full)), left)
        while left[number]:
            node = Growing(ground, demand.mask & ceiling if ground.single[number] & ceiling else demand.mask)
            count = node.add(number, left[number])
            if not count:
                break
            more = left[number] // count
            nodes += [node, *(node.copied() for _ in range(more - 1))]
            tops += [node.top] * more
            left[number] %= count
    return tuple(node.done() for node in nodes)


def _fit(nodes: Sequence[Growing], tops: list[int], which: tuple[int, int], left: list[int]) -> None:
    """Put a demand into the nodes that take it, from one on. ``tops`` says what at most is left of each."""
    number, first = which
    if first == len(nodes) or not left[number]:
        return
    packed, guard = nodes[0].ground.packed[number], nodes[0].ground.fields.guard
    for at in range(first, len(nodes)):
        if (tops[at] - packed) & guard == guard and (count := nodes[at].add(number, left[number])):
            tops[at] = nodes[at].top
            left[number] -= count
            if not left[number]:
                return


def _first(nodes: Sequence[Growing], demand: Demand, full: dict[HostRule, int]) -> int:
    """The first node that may bear pods under the demand's rule: those that cannot once never will."""
    if demand.host is FREE or demand.host.needs:
        return 0
    at = full.get(demand.host, 0)
    while at < len(nodes) and not demand.bearable(nodes[at].host, 1):
        at += 1
    full[demand.host] = at
    return at


def begun(ground: Ground, left: list[int]) -> list[Growing]:
    """Nodes for demands that need other pods beside them: one unit of what they need, and as many of them as fit.

    They come first, because those that they need could be anywhere, and would fill their nodes. ``left`` loses what
    found a place.
    """
    nodes = []
    for number in ground.problem.followers:
        while left[number]:
            node = Growing(ground, ground.problem.demands[number].mask)
            if not _beside(node, left, number, frozenset()) or not node.add(number, left[number]):
                break
            for n, count in node.content.items():
                left[n] -= count
            nodes.append(node)
    return nodes


def _beside(node: Growing, left: Sequence[int], number: int, above: frozenset[int]) -> bool:
    """Put one unit of each kind that a demand needs, and of what those need; False when there is none left."""
    demands = node.ground.problem.demands
    for selector in demands[number].host.needs:
        if node.host.counts.get(selector):
            continue
        for n, demand in enumerate(demands):
            if selector not in demand.host.matches or n == number or n in above or left[n] <= node.content.get(n, 0):
                continue
            if _beside(node, left, n, above | {number}) and node.add(n, 1):
                break
        else:
            return False
    return True
