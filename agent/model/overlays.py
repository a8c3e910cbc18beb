"""Corrections of the catalogue: what a person knows of prices and capacities that AWS does not say."""

import msgspec

from agent.model.constraints import Requirement
from agent.model.kubernetes import Condition, Meta
from agent.model.resources import ZERO, Resources


class NodeOverlay(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A NodeOverlay (``karpenter.sh/v1alpha1``). One with ``faults`` corrects nothing."""

    meta: Meta
    requirements: tuple[Requirement, ...] = ()
    """Which offerings of which types it is about."""
    weight: int = 0
    price_nano_usd: int | None = None
    """US dollars per hour times 10^9, in place of the list price."""
    price_change_nano_usd: int | None = None
    """Added to the price; may be negative."""
    price_change_ppm: int | None = None
    """Millionths of the price, added to it: -100,000 is ten percent less."""
    capacity: Resources = ZERO
    """Extended resources that nodes have, in place of what the type says."""
    faults: tuple[str, ...] = ()
    conflicts: bool = False
    """Whether the fault is another overlay of the same weight about the same thing."""
    conditions: tuple[Condition, ...] = ()
    """As they were last written."""

    def price(self, listed: int) -> int:
        """The price instead of the listed one; never below nothing. Both nano-dollars per hour."""
        if self.price_nano_usd is not None:
            return self.price_nano_usd
        changed = listed + (self.price_change_nano_usd or 0) + listed * (self.price_change_ppm or 0) // 1_000_000
        return max(0, changed)

    @property
    def has_price(self) -> bool:
        """Whether it says anything of prices."""
        return any(p is not None for p in (self.price_nano_usd, self.price_change_nano_usd, self.price_change_ppm))
