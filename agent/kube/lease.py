"""A lock that several daemons share: ``coordination.k8s.io/v1`` Lease, taken by compare-and-swap.

The rules are those of client-go's leader election. Who holds the lock is judged by this process's monotonic clock
alone: a rival counts as gone when its record has not changed for its whole duration since *we* first saw it. So
neither skewed clocks nor a step of the wall clock give the lock to two.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.errors import Conflict, KubeError, NotFound
from agent.kube.times import Clock, micro_time


class _Spec(msgspec.Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Record(msgspec.Struct):
    spec: _Spec | None = None


class LeaseLock:
    """One contender for one Lease. Not for use by several threads at once, but for ``held``."""

    clock: Clock = Clock()
    """Replaced before first use by tests only."""

    def __init__(self, api: KubeApi, namespace: str, name: str, identity: str, *, duration_seconds: int = 15) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._duration_seconds = duration_seconds
        self._renew_deadline_seconds = duration_seconds * 2 / 3
        self._last_renew: float | None = None
        self._seen: _Record | None = None
        self._seen_at = 0.0
        self._raw: dict[str, Any] = {}
        self.holder = ""
        """Who has the lock, as last observed; empty for nobody."""
        self.fault: KubeError | None = None
        """Why the last attempt failed, when it was not for a rival; None when it did not."""

    def try_acquire(self) -> bool:
        """Take the lock if it is free, ours, or its holder's time is up. Any failure means no."""
        return self._attempt(self._acquire)

    def renew(self) -> bool:
        """Prolong the lock that we hold. Any failure means no; ``held`` says for how long that is bearable."""
        return self._last_renew is not None and self._attempt(self._renew)

    def held(self) -> bool:
        """The fence before every effect: the last renewal is younger than two thirds of the duration.

        Rivals wait the whole duration, so that an effect which passes the fence has the remaining third.
        """
        renewed = self._last_renew
        return renewed is not None and self.clock.monotonic() <= renewed + self._renew_deadline_seconds

    def release(self) -> None:
        """Hand the lock over at once instead of letting it run out. Never raises: unreleased, it runs out."""
        if self._last_renew is None:
            return
        self._last_renew = None
        self._attempt(self._give_up)

    def pause_seconds(self) -> float:
        """How long to wait before the next attempt: two fifteenths of the duration, up to a fifth more."""
        return self._duration_seconds * 2 / 15 * (1 + self.clock.jitter() / 5)

    def _attempt(self, step: Callable[[], bool]) -> bool:
        self.fault = None
        try:
            return step()
        except Conflict:
            # Somebody wrote in between; who it was is read at the next attempt.
            return False
        except KubeError as error:
            self.fault = error
            return False

    def _acquire(self) -> bool:
        try:
            record = self._read()
        except NotFound:
            return self._write(transitions=0, create=True)
        spec = record.spec or _Spec()
        ours = spec.holder_identity == self._identity
        if not ours and spec.holder_identity and not self._run_out(spec):
            self._last_renew = None
            return False
        return self._write(transitions=(spec.lease_transitions or 0) + (not ours))

    def _renew(self) -> bool:
        assert self._seen is not None
        transitions = (self._seen.spec or _Spec()).lease_transitions or 0
        try:
            return self._write(transitions=transitions)
        except Conflict:
            # Our own write whose answer was lost, or a foreign annotation: still ours if it says so.
            spec = self._read().spec or _Spec()
            if spec.holder_identity == self._identity:
                return self._write(transitions=spec.lease_transitions or 0)
            self._last_renew = None
            return False

    def _give_up(self) -> bool:
        spec = self._raw.setdefault("spec", {})
        # One second, so that observers of a lock without holder do not wait; zero is refused by validation.
        spec |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time(self.clock.now())}
        self._observe(self._api.replace(paths.leases(self._namespace, self._name), self._raw))
        return True

    def _run_out(self, spec: _Spec) -> bool:
        duration = spec.lease_duration_seconds or self._duration_seconds
        return self.clock.monotonic() > self._seen_at + duration

    def _read(self) -> _Record:
        return self._observe(self._api.get(paths.leases(self._namespace, self._name)))

    def _write(self, *, transitions: int, create: bool = False) -> bool:
        started = self.clock.monotonic()
        now = micro_time(self.clock.now())
        raw = self._fresh() if create else self._raw
        spec = raw.get("spec") or {}
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = now
        spec |= {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._duration_seconds,
            "renewTime": now,
            "leaseTransitions": transitions,
        }
        # The whole object goes back as it was read, so that fields and labels of others survive.
        raw["spec"] = spec
        if create:
            self._observe(self._api.create(paths.leases(self._namespace), raw))
        else:
            self._observe(self._api.replace(paths.leases(self._namespace, self._name), raw))
        # Counted from before the request: a slow answer must not lengthen the lease.
        self._last_renew = started
        return True

    def _fresh(self) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": self._namespace, "name": self._name},
        }

    def _observe(self, body: bytes) -> _Record:
        try:
            record = msgspec.json.decode(body, type=_Record)
            raw = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise KubeError(f"the Lease {self._namespace}/{self._name} cannot be read: {error}") from error
        # A foreign annotation does not prolong a lease: only its spec counts.
        if self._seen is None or record.spec != self._seen.spec:
            self._seen_at = self.clock.monotonic()
        self._seen = record
        self._raw = raw
        self.holder = (record.spec and record.spec.holder_identity) or ""
        return record
