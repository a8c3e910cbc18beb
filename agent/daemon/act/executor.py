"""Carries out plans: a small pool of workers, one object at a time, and a rest for what failed.

The loop is the retry: an effect that failed is simply decided again, after a rest that grows with each
failure of the same object. What type of error it was says how long; nothing else is inspected.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from agent.aws import errors as aws
from agent.daemon.act import launching, nodes, status, terminating
from agent.daemon.act.registry import Fenced, Hands
from agent.kube import errors as kube
from agent.model import actions as a
from agent.model.actions import Action, ClaimDraft
from agent.model.plan import Plan
from agent.model.reasons import Reason

log = structlog.get_logger(__name__)

CARRIERS: dict[type, Callable[..., None]] = {
    a.Launch: launching.launch,
    a.ContinueLaunch: launching.continue_launch,
    a.RecordLaunch: launching.record,
    a.AdoptMachine: launching.adopt,
    a.RegisterNode: nodes.register,
    a.InitializeNode: nodes.initialize,
    a.SetCondition: nodes.condition,
    a.RecordPodEvent: nodes.write_pod_event,
    a.DisruptNode: nodes.disrupt,
    a.UndisruptNode: nodes.undisrupt,
    a.DeleteClaim: nodes.give_up,
    a.BeginTermination: terminating.begin,
    a.EvictPod: terminating.evict,
    a.DeletePod: terminating.delete,
    a.TerminateMachine: terminating.terminate,
    a.DeleteNode: terminating.forget_node,
    a.RemoveFinalizer: terminating.forget_claim,
    a.ReviewCertificate: status.review_certificate,
    a.WritePoolStatus: status.pool_status,
    a.WriteOverlayStatus: status.write_overlay_status,
    a.WriteClassStatus: status.class_status,
    a.DeleteTemplate: status.delete_template,
    a.SetProtectedMode: status.protect_pool,
}

FIRST_REST = timedelta(seconds=1)
LONGEST_REST = timedelta(minutes=1)
DENIED_REST = timedelta(minutes=1)
LEAVING_REST = timedelta(seconds=2)
"""A pod that was sent away is left alone until the watch shows that it goes; else it is sent away again at once."""
RETRYABLE = (kube.Retryable, aws.Retryable, aws.Throttled)
HOPELESS = (kube.Denied, kube.Invalid, aws.Denied, aws.Invalid, aws.Gone, aws.CapacityUnavailable)
OVERTAKEN = (kube.Conflict, kube.AlreadyExists, kube.NotFound, kube.Expired)


@dataclass
class Rest:
    """How often an object's effects failed in a row, and until when it is left alone."""

    failures: int
    until: datetime


@dataclass
class Actor:
    """The only writer. ``wake`` is called whenever an effect ended, so that the next decision can follow."""

    hands: Hands
    wake: Callable[[], None]
    workers: int = 8
    pool: Executor | None = None
    """What runs the effects; by default that many threads of its own."""
    _pool: Executor = field(init=False)
    _under_way: dict[str, Future[None]] = field(default_factory=dict)
    _drafts: dict[str, ClaimDraft] = field(default_factory=dict)
    _rests: dict[str, Rest] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._pool = self.pool or ThreadPoolExecutor(max_workers=self.workers, thread_name_prefix="effect")

    def carry_out(self, plan: Plan) -> tuple[Action, ...]:
        """Start every action whose object is neither under way nor resting; returns those started."""
        started = []
        for action in plan.actions:
            key = object_of(action)
            with self._lock:
                if key in self._under_way or self._rests_until(rests_as(action)) > plan.now:
                    continue
                if isinstance(action, a.Launch | a.AdoptMachine):
                    self._drafts[key] = action.draft
                future = self._pool.submit(self._run, key, action)
                self._under_way[key] = future
            # Not before the future is done: a loop that is woken earlier finds the object still under way, sleeps on,
            # and nothing else may wake it.
            future.add_done_callback(lambda _: self.wake())
            started.append(action)
        return tuple(started)

    def busy(self) -> tuple[str, ...]:
        """Names of objects for which an effect is under way, or which rest after a failure."""
        with self._lock:
            return tuple(self._under_way)

    def drafts(self) -> tuple[ClaimDraft, ...]:
        """Claims that are being created and may not be in any cache yet."""
        with self._lock:
            return tuple(self._drafts.values())

    def next_at(self) -> datetime | None:
        """When the first rest ends."""
        now = self.hands.clock()
        with self._lock:
            return min((r.until for r in self._rests.values() if r.until > now), default=None)

    def settle(self, seconds: float) -> None:
        """Wait for what is under way, but no longer than that. Raises what an effect raised that nobody foresaw."""
        with self._lock:
            futures = dict(self._under_way)
        wait(futures.values(), timeout=seconds)
        self.collect()

    def collect(self) -> None:
        """Forget what has ended. Raises the first unforeseen error of an effect."""
        with self._lock:
            ended = {k: f for k, f in self._under_way.items() if f.done()}
            for key in ended:
                del self._under_way[key]
                self._drafts.pop(key, None)
        for future in ended.values():
            future.result()

    def close(self) -> None:
        """Take no more work. What is under way is left to end or die; the next process continues it."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _rests_until(self, key: str) -> datetime:
        rest = self._rests.get(key)
        return rest.until if rest else datetime.min.replace(tzinfo=self.hands.clock().tzinfo)

    def _run(self, key: str, action: Action) -> None:
        rests = rests_as(action)
        try:
            CARRIERS[type(action)](self.hands, action)
        except Fenced as error:
            log.info("effect.fenced", object=key, action=type(action).__name__, reason=str(error))
        except OVERTAKEN as error:
            self._rest(rests, timedelta(milliseconds=200))
            log.debug("effect.overtaken", object=key, action=type(action).__name__, error=str(error))
        except RETRYABLE as error:
            self._fail(key, action, error, getattr(error, "retry_after_seconds", None))
        except HOPELESS as error:
            self._fail(key, action, error, DENIED_REST.total_seconds())
        else:
            if isinstance(action, a.EvictPod | a.DeletePod):
                self._rest(rests, LEAVING_REST)
                return
            with self._lock:
                self._rests.pop(rests, None)

    def _fail(self, key: str, action: Action, error: Exception, least_seconds: float | None) -> None:
        rests = rests_as(action)
        with self._lock:
            failures = self._rests[rests].failures + 1 if rests in self._rests else 1
        grown = min(FIRST_REST * 2 ** (failures - 1), LONGEST_REST) * self.hands.random.uniform(0.5, 1.0)
        self._rest(rests, max(grown, timedelta(seconds=least_seconds or 0)), failures)
        log.warning("effect.failed", object=key, action=type(action).__name__, failures=failures, error=str(error))
        kind, name = event_object(action)
        if kind and not isinstance(action, a.EvictPod):
            leaving = isinstance(action, a.BeginTermination | a.TerminateMachine | a.RemoveFinalizer)
            reason = Reason("FailedDraining" if leaving else "LaunchFailed", str(error))
            self.hands.events.publish(kind, name, reason, warning=True)

    def _rest(self, key: str, duration: timedelta, failures: int = 0) -> None:
        with self._lock:
            self._rests[key] = Rest(failures, self.hands.clock() + duration)


def object_of(action: Action) -> str:
    """The name of the object that an action is about; two actions on one object never run at once."""
    match action:
        case a.Launch() | a.AdoptMachine():
            return action.draft.name
        case a.EvictPod():
            return action.pod.uid
        case a.DeletePod():
            # Not the eviction's: one that rests because a budget refused it must not hold up the deadline.
            return f"delete/{action.pod.uid}"
        case a.TerminateMachine(claim=None):
            return action.instance
        case a.DeleteNode():
            return action.node.name
        case a.ReviewCertificate():
            return action.asked or action.request.name
        case a.WritePoolStatus() | a.SetProtectedMode() | a.WriteOverlayStatus() | a.WriteClassStatus():
            kind, name = event_object(action)
            return f"{kind.lower()}/{name}"
        case a.DeleteTemplate():
            return action.template_id
        case _:
            assert action.claim is not None
            return action.claim.name


def rests_as(action: Action) -> str:
    """What rests when the action fails: its object; of a new claim, which has another name each time, its pool."""
    return f"launches/{action.draft.pool}" if isinstance(action, a.Launch) else object_of(action)


def event_object(action: Action) -> tuple[str, str]:
    """Kind and name of the object that people look at when the action fails; empty when there is none."""
    match action:
        case a.Launch():
            return "NodePool", action.draft.pool
        case a.WritePoolStatus() | a.SetProtectedMode():
            return "NodePool", action.pool.name
        case a.WriteOverlayStatus():
            return "NodeOverlay", action.overlay.name
        case a.WriteClassStatus():
            return "EC2NodeClass", action.node_class.name
        case a.TerminateMachine(claim=None) | a.AdoptMachine() | a.DeleteTemplate() | a.ReviewCertificate():
            return "", ""
        case a.EvictPod() | a.DeletePod() | a.DeleteNode():
            return "", ""
        case _:
            return ("NodeClaim", action.claim.name) if action.claim is not None else ("", "")
