"""What a process talks over: every call to the API server and to AWS passes here, and here it can go wrong.

A call may be refused, lost on its way, carried out without an answer, or be the last thing that a process does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import msgspec

from tests.virtual.fibers import Fiber, Fibers, Killed

T = TypeVar("T")
Kind = Literal["refuse", "unreachable", "lost", "cut", "slow"]
"""refuse: answered with an error. unreachable: never arrives. lost: carried out, and the answer never arrives. cut: the
process dies with the answer on its way. slow: takes long."""


class Call(msgspec.Struct, frozen=True):
    """One request of a process."""

    process: str
    service: str
    """kube, ec2, ssm."""
    action: str
    """``PATCH nodes``, ``CreateFleet``."""
    subject: str
    write: bool
    effect: str
    """The registered effect or step that it belongs to; empty for what is none."""
    number: int
    """How often this process began that effect, from 1."""


class Mishap(msgspec.Struct, frozen=True):
    """What becomes of a call."""

    kind: Kind
    code: str = ""
    """Of AWS, or the HTTP status of the API server."""
    seconds: float = 10.0


@dataclass
class Line:
    """The connections of one process, and what its present effects are."""

    fibers: Fibers
    process: str
    mishap: Callable[[Call], Mishap | None] = lambda _: None
    checkpoint: Callable[[str, str, int], bool] = lambda _effect, _moment, _number: False
    """Whether the process dies at this moment of an effect."""
    alive: bool = True
    died: Callable[[], None] = lambda: None
    latency: dict[str, float] = field(default_factory=lambda: {"kube": 0.01, "ec2": 0.2, "ssm": 0.05})
    begun: Counter[str] = field(default_factory=Counter)
    _effects: dict[Fiber, tuple[str, int]] = field(default_factory=dict)

    def check(self) -> None:
        """Nothing of a process that is gone gets out."""
        if not self.alive:
            raise Killed(self.process)

    def kill(self) -> None:
        """kill -9, from within."""
        self.alive = False
        self.fibers.kill(self.process)
        self.died()

    def at(self, effect: str, moment: str) -> None:
        """An effect is about to be carried out, or has been."""
        self.check()
        fiber = self.fibers.current
        assert fiber is not None
        if moment == "before":
            self.begun[effect] += 1
            self._effects[fiber] = (effect, self.begun[effect])
        number = self._effects.get(fiber, (effect, self.begun[effect]))[1]
        if moment == "after":
            self._effects.pop(fiber, None)
        if self.checkpoint(effect, moment, number):
            self.kill()
            raise Killed(self.process)

    def call(
        self,
        service: str,
        action: str,
        subject: str,
        execute: Callable[[str], T],
        fail: Callable[[Mishap], T],
    ) -> T:
        """Carry a call out, or what becomes of it. ``execute`` is given the effect; ``fail`` raises or answers."""
        self.check()
        fiber = self.fibers.current
        assert fiber is not None, "a call needs a fiber to wait in"
        write = not action.startswith(("GET", "Describe", "Get"))
        effect, number = self._effects.get(fiber, ("", 0)) if write else ("", 0)
        mishap = self.mishap(Call(self.process, service, action, subject, write, effect, number))
        self.fibers.sleep(self.latency[service])
        self.check()
        if mishap is not None and mishap.kind in {"slow", "unreachable"}:
            self.fibers.sleep(mishap.seconds)
            self.check()
        if mishap is not None and mishap.kind in {"refuse", "unreachable"}:
            return fail(mishap)
        answer = execute(effect)
        if mishap is not None and mishap.kind == "cut":
            self.kill()
            raise Killed(self.process)
        if mishap is not None and mishap.kind == "lost":
            self.fibers.sleep(mishap.seconds)
            self.check()
            return fail(mishap)
        return answer
