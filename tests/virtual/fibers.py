"""Virtual time: many threads of which exactly one runs, and a clock that jumps to whatever is due next.

Production code blocks (a call to EC2, a watch, a rest), so each of its threads is a real thread here. A thread that
waits hands the baton to the one that is due first; nothing else ever runs, so that a run depends on its seed alone.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

Timer = Callable[[], None]


class Killed(BaseException):
    """The process of this fiber is gone: nothing of it runs any more."""


class Fiber:
    """One thread of a process. ``dead`` once its process was killed or its function has ended."""

    def __init__(self, name: str, group: str) -> None:
        self.name = name
        self.group = group
        self.killed = False
        self.ended = False
        self.ticket = 0
        """Of the entry by which it is due; older entries of the heap mean nothing."""
        self.due = 0.0
        self.gate = threading.Lock()
        self.gate.acquire()


class Fibers:
    """The scheduler. ``run`` is called from outside; everything else from fibers and timers."""

    def __init__(self) -> None:
        self.now = 0.0
        self.current: Fiber | None = None
        self._heap: list[tuple[float, int, int, Fiber | Timer]] = []
        self._count = 0
        self._main = threading.Lock()
        self._main.acquire()
        self._until = 0.0
        self._failure: BaseException | None = None
        self._fibers: set[Fiber] = set()
        self._frozen: dict[str, float] = {}
        self.switches = 0

    def spawn(self, function: Callable[[], object], name: str, group: str = "") -> Fiber:
        """Begin a thread; it runs when the present one waits."""
        fiber = Fiber(name, group)
        self._fibers.add(fiber)
        thread = threading.Thread(target=self._body, args=(fiber, function), name=f"fiber-{name}", daemon=True)
        thread.start()
        self._queue(fiber, self.now)
        return fiber

    def at(self, when: float, timer: Timer) -> None:
        """Call something at a time, on whichever thread is running then; it must not wait."""
        self._push(max(when, self.now), 0, timer)

    def after(self, seconds: float, timer: Timer) -> None:
        """Call something later."""
        self.at(self.now + seconds, timer)

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass in the fiber that calls."""
        fiber = self.current
        assert fiber is not None, "only a fiber can wait"
        if fiber.killed:
            raise Killed(fiber.group)
        self._queue(fiber, self.now + max(seconds, 0.0))
        self._switch(fiber)
        if fiber.killed:
            raise Killed(fiber.group)

    def wake(self, fiber: Fiber, when: float | None = None) -> None:
        """Let a waiting fiber go on earlier than it asked for."""
        when = self.now if when is None else max(when, self.now)
        if fiber is not self.current and not fiber.ended and when < fiber.due:
            self._queue(fiber, when)

    def kill(self, group: str) -> None:
        """End every fiber of a process; the one that calls must raise ``Killed`` itself."""
        for fiber in sorted((f for f in self._fibers if f.group == group), key=lambda f: f.name):
            fiber.killed = True
            if fiber is not self.current:
                self._queue(fiber, self.now)

    def freeze(self, group: str, seconds: float) -> None:
        """Stop every fiber of a process for a while, as SIGSTOP does."""
        self._frozen[group] = self.now + seconds

    def run(self, until: float) -> None:
        """Run everything that is due up to a time. Raises what a fiber raised that nobody foresaw."""
        self._until = until
        following = self._next()
        if following is not None:
            self._hand(following)
            self._main.acquire()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        self.now = max(self.now, until)

    def close(self) -> None:
        """End every fiber that is left."""
        for group in sorted({f.group for f in self._fibers}):
            self.kill(group)
        self._frozen.clear()
        while self._fibers:
            fiber = min(self._fibers, key=lambda f: (f.group, f.name))
            self._until, self._heap = self.now, []
            self._queue(fiber, self.now)
            self.run(self.now)
        self._heap = []

    def _push(self, when: float, ticket: int, what: Fiber | Timer) -> None:
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, ticket, what))

    def _queue(self, fiber: Fiber, when: float) -> None:
        fiber.ticket += 1
        fiber.due = when
        self._push(when, fiber.ticket, fiber)

    def _next(self) -> Fiber | None:
        """The fiber that is due next, timers being called on the way; None when none is due in time."""
        while self._heap and self._failure is None:
            if self._heap[0][0] > self._until:
                return None
            when, _, ticket, what = heapq.heappop(self._heap)
            if isinstance(what, Fiber):
                if what.ended or ticket != what.ticket:
                    continue
                thaws = self._frozen.get(what.group, 0.0)
                if thaws > when and not what.killed:
                    self._queue(what, thaws)
                    continue
                self.now = max(self.now, when)
                return what
            self.now = max(self.now, when)
            self._call(what)
        return None

    def _call(self, timer: Timer) -> None:
        before, self.current = self.current, None
        try:
            timer()
        except BaseException as error:  # noqa: BLE001 - raised again by run
            self._failure = error
        finally:
            self.current = before

    def _switch(self, fiber: Fiber) -> None:
        following = self._next()
        if following is fiber:
            return
        if following is None:
            self._main.release()
        else:
            self._hand(following)
        fiber.gate.acquire()
        self.current = fiber

    def _hand(self, fiber: Fiber) -> None:
        self.switches += 1
        self.current = fiber
        fiber.gate.release()

    def _body(self, fiber: Fiber, function: Callable[[], object]) -> None:
        fiber.gate.acquire()
        self.current = fiber
        try:
            if not fiber.killed:
                function()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by run
            self._failure = self._failure or error
        fiber.ended = True
        self._fibers.discard(fiber)
        following = self._next()
        if following is None:
            self._main.release()
        else:
            self._hand(following)


class VirtualExecutor(Executor):
    """A pool of a process whose workers are fibers; begins tasks in the order in which they were submitted."""

    def __init__(self, fibers: Fibers, group: str, workers: int = 8) -> None:
        self._fibers = fibers
        self._group = group
        self._workers = workers
        self._busy = 0
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        self._begin()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - Executor's
        self._waiting.clear()

    def _begin(self) -> None:
        while self._waiting and self._busy < self._workers:
            self._busy += 1
            future, task = self._waiting.pop(0)
            self._fibers.spawn(lambda f=future, t=task: self._run(f, t), f"effect-{self._group}", self._group)  # type: ignore[misc]

    def _run(self, future: Future[Any], task: Callable[[], Any]) -> None:
        try:
            result = task()
        except Exception as error:  # noqa: BLE001 - the future hands it on
            future.set_exception(error)
        else:
            future.set_result(result)
        self._busy -= 1
        self._begin()
