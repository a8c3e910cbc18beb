"""What a pod can be given: room that is there, or a domain in which nodes are bought."""

from collections.abc import Collection, Sequence

import msgspec

from agent.core.hosts import HostRule
from agent.core.placing import Place
from agent.core.topology.checks import Checks, Entry, Values
from agent.core.topology.offers import Offer
from agent.model.names import PodKey


class Deal(msgspec.Struct):
    """Pods of one shape that are to get new nodes in one domain."""

    shape: int
    level: int
    offer: Offer
    domain: tuple[str, ...]
    """Topology keys, and the domain of each."""
    values: Values
    host: HostRule
    entries: tuple[Entry, ...]
    """Where they are counted."""
    size: int = 1
    """So many of them share a node."""
    keys: list[PodKey] = []


class Seat(msgspec.Struct, frozen=True, gc=False):
    """A pod's place on room that is there."""

    shape: int
    place: Place


class Cell(msgspec.Struct):
    """One domain as pods of a shape find it."""

    values: Values
    places: list[Place]
    """Room that is there, the first last; what does not take another pod of the shape is dropped."""
    offer: Offer | None = None
    company: tuple[str, ...] = ()
    """Topology keys that its values are of although no rule of the pods needs them."""
    deal: Deal | None = None
    votes: int = 0
    """Of pods that must be together: how many could be here."""
    named: tuple[str, ...] = ()
    """Its values in a form that can be compared."""

    def __post_init__(self) -> None:
        """Looked at for every pod that may come here, so it is made once."""
        self.named = tuple([value or "" for value in self.values])


def rank(cell: Cell, checks: Checks, emptiest: Sequence[int], load: int) -> tuple[object, ...]:
    """Which of the domains that a pod may come into is best, as a key: the least.

    Where most of its group can be; room that is there; the heaviest pools; where it keeps no others out; by the first
    alternative of its node affinity; the cheapest; the emptiest.
    """
    broken, pods = checks.crowding(cell.values, emptiest)
    if cell.places or cell.offer is None:
        return (-cell.votes, 0, broken, 0, 0, pods, load, cell.named)
    return (-cell.votes, 1 + cell.offer.shelf, broken, cell.offer.turn, cell.offer.price, pods, load, cell.named)


def without(rule: HostRule, begun: Collection[int]) -> HostRule:
    """The rule for the first of a group, which needs nobody of it yet."""
    if not (begun and rule.needs):
        return rule
    return msgspec.structs.replace(rule, needs=tuple(n for n in rule.needs if n not in begun))
