"""Keeps the view, runs the controllers whenever something changed, and carries out what they want."""

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self

from agent.kube.api import KubeApi
from agent.kube.cache import Cache, Fault
from agent.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from agent.kube.times import utc_now
from agent.sim.controllers import budgets, housekeeping, scheduler, workloads
from agent.sim.controllers.view import View, Write, kinds
from agent.sim.machines.world import PODS

Controller = Callable[[View], Iterable[Write]]
CONTROLLERS: Final[tuple[Controller, ...]] = (
    workloads.deployments,
    workloads.replica_sets,
    workloads.daemon_sets,
    scheduler.schedule,
    budgets.budgets,
    housekeeping.lost_pods,
    housekeeping.silent_nodes,
    housekeeping.roles,
)
LEAST_SECONDS: Final = 0.05
"""Between two rounds, so that a burst of changes is one."""
MOST_SECONDS: Final = 1.0
"""After so long a round is due though nothing changed: silence is noticed by looking."""
FAILED_SECONDS: Final = 1.0
JOIN_SECONDS: Final = 10.0


class Controllers:
    """All controllers, in one thread while entered. ``cache`` is shared with whoever wants to look."""

    def __init__(self, api: KubeApi, controllers: tuple[Controller, ...] = CONTROLLERS) -> None:
        self._api = api
        self._controllers = controllers
        self._due = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="controllers", daemon=True)
        self.cache = Cache(api, kinds(), wake=self._due.set, on_fault=self._told)
        self.fault = ""
        """What could not be read at last."""
        self.failed: BaseException | None = None
        """The error that ended the thread; whoever entered should end for it."""

    def __enter__(self) -> Self:
        self.cache.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._due.set()
        self._thread.join(JOIN_SECONDS)
        self.cache.stop()

    def _told(self, fault: Fault) -> None:
        self.fault = f"{fault.kind} {fault.name}: {fault.message}"

    def _run(self) -> None:
        try:
            while not self._stopped.wait(LEAST_SECONDS):
                self._due.wait(MOST_SECONDS)
                self._due.clear()
                if not self._stopped.is_set() and not self._round():
                    self._stopped.wait(FAILED_SECONDS)
        except BaseException as error:
            self.failed = error
            raise

    def _round(self) -> bool:
        """Run every controller once on what is there; whether all went well."""
        if not self.cache.synced():
            return True
        well = True
        for controller in self._controllers:
            view = View(utc_now(), {kind.name: self.cache.items(kind.name) for kind in kinds()})
            for write in controller(view):
                well = self._carried_out(write) and well
        return well

    def _carried_out(self, write: Write) -> bool:
        try:
            self._carry_out(write)
        except (AlreadyExists, Conflict, NotFound):
            return True  # somebody was faster; the next view shows it
        except KubeError:
            self._due.set()
            return False
        return True

    def _carry_out(self, write: Write) -> None:
        if write.verb == "delete":
            self._api.delete(write.path, uid=write.uid, grace_seconds=write.grace_seconds)
            return
        if write.verb == "create" and not write.kind:
            self._api.create(write.path, write.body)
            # A binding's answer is no pod, and the next round must know where the pod is.
            self.cache.wrote(PODS, self._api.get(write.path.removesuffix("/binding")))
            return
        call = self._api.create if write.verb == "create" else self._api.merge_patch
        self.cache.wrote(write.kind, call(write.path, write.body))
