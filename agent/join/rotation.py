"""The one bootstrap token of the cluster: made, proved, published, and retired, in an order that survives a crash.

A node that reads Parameter Store always finds a token that works: the Secret comes before the publication, the
publication before the end of the old token. Whatever is left by a process that died in between is at most one extra
live token, which ends by itself and which the next rotation or repair removes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, Literal, TypeVar, get_args

import msgspec

from agent.aws.ssm import Ssm
from agent.join.errors import LockHeld, LockLost, NotOurToken, PublishFailed, TokenRejected
from agent.join.facts import JoinFacts
from agent.join.published import PublishedToken, Surroundings, TokenPolicy, TokenState
from agent.join.token_api import TokenApi
from agent.join.tokens import BootstrapToken, TokenSecret
from agent.kube.api import KubeApi
from agent.kube.errors import NotFound
from agent.kube.lease import LeaseLock

Step = Literal["publish-facts", "create-secret", "publish-token", "retire-secret", "revoke-secret"]
STEPS: Final[tuple[Step, ...]] = get_args(Step)
"""Every write to the outside. Each is announced as ``before <step>`` and ``after <step>`` to the checkpoint."""

LOCK_NAME: Final = "joinery-token"
_POLL_SECONDS: Final = 0.5

T = TypeVar("T")


class Outcome(msgspec.Struct, frozen=True, rename="camel"):
    """What a rotation or repair did."""

    rotated: bool
    token_id: str
    expires_at: datetime
    why: str
    retired: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()


class TokenRotation:
    """Rotates, repairs and revokes; the only writer, by a Lease that daemon, timer and command share."""

    def __init__(
        self, api: KubeApi, ssm: Ssm, lock: LeaseLock, policy: TokenPolicy, surroundings: Surroundings
    ) -> None:
        self._tokens = TokenApi(api)
        self._reader = PublishedToken(api, ssm, policy, surroundings.clock)
        self._ssm = ssm
        self._lock = lock
        self._policy = policy
        self._by = surroundings

    def rotate(self, facts: JoinFacts | None = None, *, force: bool = False) -> Outcome:
        """Publish a new token when ``force``, when it is time, or when the published one does not work.

        Args:
            facts: published beside the token when they differ from what is there; None leaves them alone.
            force: do not wait until the token is due.

        Raises:
            JoinError: the lock is held or was lost, or the new token was not accepted; the old one stays published.
            KubeError, AwsError: an edge failed; what was done so far is finished by the next rotation or repair.
        """
        with self._locked():
            self._publish_facts(facts)
            state, swept = self._swept()
            if state.current is None:
                return self._replaced(state, "; ".join(state.faults), swept)
            if force:
                return self._replaced(state, "asked for", swept)
            if self._reader.due(state):
                return self._replaced(state, "due", swept)
            return self._kept(state, state.current, swept)

    def repair(self, facts: JoinFacts | None = None) -> Outcome:
        """Make Parameter Store and cluster agree again: a new token only when the published one does not work."""
        with self._locked():
            self._publish_facts(facts)
            state, swept = self._swept()
            if state.current is None:
                return self._replaced(state, "; ".join(state.faults), swept)
            return self._kept(state, state.current, swept)

    def revoke(self, token_id: str) -> Outcome | None:
        """End one token of ours now. The published one is replaced first, so that booting machines find another.

        Returns what a replacement did, or None when the token was not the published one.

        Raises:
            NotOurToken: it does not exist or somebody else made it.
        """
        with self._locked():
            secret = self._tokens.get(token_id)
            if secret is None or not secret.managed:
                raise NotOurToken(f"there is no bootstrap token {token_id} of Joinery's; see: joinery token list")
            state = self._reader.state()
            if state.published is None or state.published.id != token_id:
                self._revoke(secret)
                return None
            try:
                outcome = self._replaced(state, f"{token_id} is revoked", (), overlap_seconds=0)
            finally:
                # A leaked token must end even when its successor cannot be published.
                self._revoke(secret)
            return msgspec.structs.replace(outcome, retired=(), revoked=(token_id,))

    def _swept(self) -> tuple[TokenState, tuple[str, ...]]:
        """The state once every token that no machine can need is gone: all but the current and its predecessor."""
        state = self._reader.verify()
        if state.current is None:
            # Nothing says which one booting machines hold: the newest that works stays, until it is replaced.
            keep = next((s for s in state.ours if not s.faults and s.live(self._by.clock())), None)
        else:
            keep = state.predecessor
        kept = {s.id for s in (state.current, keep) if s is not None and s.live(self._by.clock())}
        extra = [s for s in state.ours if s.id not in kept]
        for secret in extra:
            self._revoke(secret)
        left = tuple(s for s in state.ours if s.id in kept)
        return msgspec.structs.replace(state, ours=left), tuple(s.id for s in extra)

    def _kept(self, state: TokenState, current: TokenSecret, swept: tuple[str, ...]) -> Outcome:
        retired = self._retire(state.predecessor, self._policy.overlap_seconds)
        assert current.expires_at is not None  # a Secret without an end is a fault, so never current
        return Outcome(False, current.id, current.expires_at, "not due", retired, swept)

    def _replaced(
        self, state: TokenState, why: str, swept: tuple[str, ...], *, overlap_seconds: int | None = None
    ) -> Outcome:
        """The order that makes a crash harmless: Secret, proof, publication, read back, end of the old one."""
        old = state.current or next(iter(state.ours), None)
        token = BootstrapToken.generate(self._by.random)
        expires_at = (self._by.clock() + timedelta(seconds=self._policy.ttl_seconds)).replace(microsecond=0)
        replaces = old.id if old else ""
        self._effect("create-secret", lambda: self._tokens.create(token, expires_at, replaces))
        self._prove(token)
        self._publish(token)
        # The old predecessor is beyond the one overlap from now on.
        others = [s for s in state.ours if s.id not in {replaces, token.id}]
        for secret in others:
            self._revoke(secret)
        overlap = self._policy.overlap_seconds if overlap_seconds is None else overlap_seconds
        retired = self._retire(old, overlap) if overlap else ()
        return Outcome(True, token.id, expires_at, why, retired, swept + tuple(s.id for s in others))

    def _prove(self, token: BootstrapToken) -> None:
        rejection = self._until(lambda: self._tokens.rejection(token), self._policy.prove_seconds)
        if rejection:
            if (secret := self._tokens.get(token.id)) is not None:
                self._revoke(secret)
            raise TokenRejected(f"a new token was made and removed again: {rejection}; the old one stays published")

    def _publish(self, token: BootstrapToken) -> None:
        name, key = self._policy.parameter, self._policy.kms_key_id
        about = "Bootstrap token of the cluster, rotated by Joinery."
        self._effect(
            "publish-token", lambda: self._ssm.put(name, token.text, secure=True, description=about, kms_key_id=key)
        )

        def differs() -> str:
            found = self._ssm.get(name)
            return "" if found is not None and found.value == token.text else "another value is read back"

        if self._until(differs, self._policy.prove_seconds):
            raise PublishFailed(
                f"the parameter {name} was written but another value is read back: somebody else writes it; "
                "the old token keeps its life, and the next repair decides"
            )

    def _publish_facts(self, facts: JoinFacts | None) -> None:
        if facts is None:
            return
        name, text = self._policy.facts_parameter, facts.text()
        found = self._ssm.get(name)
        if found is None or found.value != text:
            about = "What a machine must know to join the cluster; nothing secret."
            self._effect("publish-facts", lambda: self._ssm.put(name, text, secure=False, description=about))

    def _retire(self, secret: TokenSecret | None, overlap_seconds: int) -> tuple[str, ...]:
        """Let the predecessor end after the overlap at the latest; never later than it would have."""
        if secret is None or secret.faults:
            return ()
        end = (self._by.clock() + timedelta(seconds=overlap_seconds)).replace(microsecond=0)
        if secret.expires_at is not None and secret.expires_at <= end:
            return ()
        try:
            self._effect("retire-secret", lambda: self._tokens.shorten(secret, end))
        except NotFound:
            return ()
        return (secret.id,)

    def _revoke(self, secret: TokenSecret) -> None:
        self._effect("revoke-secret", lambda: self._tokens.delete(secret))

    def _effect(self, step: Step, write: Callable[[], T]) -> T:
        """One write to the outside, only while the lock is ours."""
        if not self._lock.renew() or not self._lock.held():
            raise LockLost("the lease for changing tokens was lost; the next rotation or repair continues from here")
        self._by.checkpoint(f"before {step}")
        result = write()
        self._by.checkpoint(f"after {step}")
        return result

    def _until(self, fault: Callable[[], str], seconds: float) -> str:
        """Ask until there is no fault or the time is over; the last fault."""
        waited = 0.0
        while (found := fault()) and waited < seconds:
            self._by.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
            self._lock.renew()
        return found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        waited = 0.0
        while not self._lock.try_acquire():
            if waited >= self._policy.lock_wait_seconds:
                if self._lock.fault is not None:
                    raise self._lock.fault
                raise LockHeld(self._lock.holder, waited)
            self._by.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
        try:
            yield
        finally:
            self._lock.release()
