"""Room that is there, as pods come to it."""

import msgspec

from agent.core.hosts import FREE, HostRule, HostState
from agent.core.rooms import Room
from agent.core.shapes import Shape
from agent.model.names import PodKey
from agent.model.plan import Placement
from agent.model.resources import Resources


class Place(msgspec.Struct):
    """A room with what is left of it, and what its pods mean to others."""

    room: Room
    free: Resources
    host: HostState

    def times(self, shape: Shape, rule: HostRule, limit: int) -> int:
        """How many pods of the shape may come, at most ``limit``; whether its labels and taints suit is not asked."""
        if not shape.requests.fits_in(self.free):
            return 0
        limit = limit if rule is FREE else self.host.room(rule, limit)
        return limit if limit <= 1 else shape.requests.times_in(self.free, limit)

    def take(self, shape: Shape, rule: HostRule, count: int) -> None:
        """Give room to so many pods."""
        self.free = self.free - (shape.requests if count == 1 else shape.requests * count)
        if rule is not FREE:
            self.host = self.host.plus(rule, count)

    def placement(self, pod: PodKey) -> Placement:
        """A pod's place here."""
        return Placement(pod, node=self.room.name) if self.room.is_node else Placement(pod, claim=self.room.name)
