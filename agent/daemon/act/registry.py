"""The registry of effects: every write that Joinery makes to the world, by name.

An effect is one external request. Each checks the fence, so that nothing is written without the Lease or from
an old view, and passes two checkpoints, so that a crash can be tried before and after every one of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import update_wrapper
from random import Random
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from agent.aws.ec2 import Ec2
from agent.aws.templates import TemplateContent, Templates
from agent.core.admission import Verdict
from agent.daemon.machines import Machines
from agent.kube.api import KubeApi
from agent.kube.cache import Cache
from agent.kube.events import EventRecorder
from agent.model.kubernetes import CertificateRequest
from agent.model.names import ClassName
from agent.model.plan import Cluster, Lesson

P = ParamSpec("P")
T = TypeVar("T")


class Fenced(Exception):  # noqa: N818 - a state, not a fault
    """The Lease is not held, or the view is too old: nothing may be written."""


class Blueprint(Protocol):
    """What an instance of a class is launched with now; raises ``aws.errors.Invalid`` when it cannot be rendered."""

    def __call__(self, node_class: ClassName, reservation: str) -> TemplateContent:
        """The launch template's content, and the class's own tags; into a capacity reservation, or into none."""


@dataclass(frozen=True, slots=True)
class Hands:
    """Everything that effects touch the world with."""

    api: KubeApi
    ec2: Ec2
    templates: Templates
    cache: Cache
    machines: Machines
    events: EventRecorder
    cluster: Cluster
    blueprint: Blueprint
    review: Callable[[CertificateRequest], Verdict]
    clock: Callable[[], datetime]
    fence: Callable[[], None]
    learn: Callable[[Lesson], None]
    capacity_error_seconds: int = 180
    checkpoint: Callable[[str, str], None] = field(default=lambda _name, _moment: None)
    random: Random = field(default_factory=Random)


EFFECTS: dict[str, Callable[..., object]] = {}
"""Every effect by name; the crash tests enumerate it."""


def effect(function: Callable[Concatenate[Hands, P], T]) -> Callable[Concatenate[Hands, P], T]:
    """Register a function that makes exactly one external write."""
    name = function.__name__

    def carried_out(hands: Hands, /, *args: P.args, **kwargs: P.kwargs) -> T:
        hands.fence()
        hands.checkpoint(name, "before")
        answer = function(hands, *args, **kwargs)
        hands.checkpoint(name, "after")
        return answer

    EFFECTS[name] = update_wrapper(carried_out, function)
    return carried_out
