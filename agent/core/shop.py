"""What the pools of one weight could buy: in full, within their limits, and were EC2 to refuse nothing."""

from dataclasses import dataclass, field

from agent.core.building import build, extended
from agent.core.buying import Buying
from agent.core.inputs import PackingInput
from agent.core.reservations import Reservations
from agent.core.space import Space
from agent.core.templates import Template
from agent.model.kubernetes import Pod
from agent.model.resources import Resources


@dataclass(frozen=True, slots=True)
class Shop:
    """Builds each space once, when it is asked for."""

    asked: PackingInput
    templates: tuple[Template, ...]
    daemons: tuple[Pod, ...]
    """One pod of each DaemonSet."""
    sizes: tuple[Resources, ...]
    """What the pods ask: resources that none of them asks for are no dimension of packing."""
    _spaces: dict[bool, Space] = field(default_factory=dict)

    def all(self) -> Space:
        """All that the pools allow, EC2 did not refuse lately, and no reservation was too full for beforehand."""
        return self._space(refused=True)

    def within(self, buying: Buying) -> Space:
        """Of it, the types of which one more would exceed no limit of its pool."""
        return self.all().within([buying.within_limits(own) for own in self.templates])

    def unrefused(self) -> Space:
        """All that the pools allow, as if EC2 had refused nothing and reservations had room."""
        return self._space(refused=False)

    def _space(self, *, refused: bool) -> Space:
        if refused not in self._spaces:
            errors = tuple(e for e in self.asked.capacity_errors if refused and e.until > self.asked.now)
            space = self.asked.shelves.kept(build, self.templates, errors, self.daemons, extended(self.sizes))
            space.forget()
            if refused and space.reserved:
                taken = Reservations.of(self.asked)
                space = space.within([own.shelf.every & ~taken.closed(own) for own in self.templates])
            self._spaces[refused] = space
        return self._spaces[refused]
