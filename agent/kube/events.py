"""Events on the objects concerned, de-duplicated and paced, never in the way of what they tell of.

core/v1 Events are written rather than events.k8s.io ones, because `kubectl describe` of every supported version
shows both alike, and a core Event needs neither a reporting instance nor a series to be updated.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Final

import msgspec
import structlog

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError
from agent.kube.times import rfc3339
from agent.model import names
from agent.model.reasons import Reason, ReasonCode

log = structlog.get_logger(__name__)

REPEAT_AFTER = timedelta(minutes=2)
SLOW_REPEAT_AFTER = timedelta(minutes=15)
SLOW: Final[frozenset[ReasonCode]] = frozenset(
    {"DisruptionBlocked", "Paused", "SweepBrake", "NodePoolNotReady", "NodeClassNotReady", "NodeOverlayNotReady"}
)
"""Reasons that stand for long; they are told every quarter of an hour."""
LONGEST_QUEUE = 500
"""Beyond it, because the API server is away, events are dropped."""
BURST = 50
PER_SECOND = 5.0
API_VERSIONS = {
    "Pod": "v1",
    "Node": "v1",
    "Namespace": "v1",
    "NodePool": f"{names.KARPENTER_GROUP}/v1",
    "NodeOverlay": f"{names.KARPENTER_GROUP}/v1alpha1",
    "NodeClaim": f"{names.KARPENTER_GROUP}/v1",
    "EC2NodeClass": f"{names.AWS_GROUP}/v1",
    "CertificateSigningRequest": "certificates.k8s.io/v1",
}


class _Event(msgspec.Struct, frozen=True):
    kind: str
    name: str
    namespace: str
    uid: str
    reason: Reason
    warning: bool


class EventRecorder:
    """Takes events from any thread and writes them from one of its own."""

    def __init__(self, api: KubeApi, clock: Callable[[], datetime], host: str = "") -> None:
        self._api = api
        self._clock = clock
        self._host = host
        self._queue: SimpleQueue[_Event | None] = SimpleQueue()
        self._told: dict[tuple[str, str, str, str], datetime] = {}
        self._tokens = float(BURST)
        self._filled_at = clock()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self.failed: BaseException | None = None
        """The error that ended the thread, if one did."""
        self.lost = 0
        """Events that were dropped or refused; they are help, not state."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write no more."""
        self._queue.put(None)

    def publish(  # noqa: PLR0913 - the object of an Event has five parts
        self, kind: str, name: str, reason: Reason, *, namespace: str = "", uid: str = "", warning: bool = True
    ) -> bool:
        """Tell of ``reason`` on an object, unless it was told lately. Never raises and never waits.

        False: it was dropped, because too many came at once; whoever still wants it told says it again later.
        """
        key = (kind, f"{namespace}/{name}", reason.code, reason.message)
        now = self._clock()
        with self._lock:
            last = self._told.get(key)
            if last is not None and now - last < (SLOW_REPEAT_AFTER if reason.code in SLOW else REPEAT_AFTER):
                return True
            if self._queue.qsize() >= LONGEST_QUEUE or not self._paced(now):
                self.lost += 1
                return False
            self._told[key] = now
            if len(self._told) > 10 * BURST:
                self._told = {k: t for k, t in self._told.items() if now - t < SLOW_REPEAT_AFTER}
        self._queue.put(_Event(kind, name, namespace, uid, reason, warning))
        return True

    def _paced(self, now: datetime) -> bool:
        """A token bucket: a storm of events would delay what they tell of."""
        grown = max(0.0, (now - self._filled_at).total_seconds()) * PER_SECOND
        self._tokens = min(float(BURST), self._tokens + grown)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _run(self) -> None:
        try:
            while (event := self._queue.get()) is not None:
                self._write(event)
        except BaseException as error:
            self.failed = error
            raise

    def _write(self, event: _Event) -> None:
        try:
            self._api.create(paths.core_events(_home(event)), self._manifest(event))
        except KubeError as error:
            self.lost += 1
            log.debug("event.lost", kind=event.kind, name=event.name, error=str(error))

    def _manifest(self, event: _Event) -> dict[str, object]:
        now = rfc3339(self._clock())
        involved = {"apiVersion": API_VERSIONS.get(event.kind, "v1"), "kind": event.kind, "name": event.name}
        if _home(event) == event.namespace:
            involved["namespace"] = event.namespace
        if event.uid:
            involved["uid"] = event.uid
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{event.name[:50].rstrip('.-')}.", "namespace": _home(event)},
            "involvedObject": involved,
            "reason": event.reason.code,
            "message": event.reason.message[:1024],
            "type": "Warning" if event.warning else "Normal",
            "source": {"component": names.FIELD_MANAGER, "host": self._host},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }


def _home(event: _Event) -> str:
    """Where an Event is kept: the API server takes one about a cluster-scoped object only in default."""
    return event.namespace if event.namespace and event.kind != "Namespace" else "default"
