"""The published bootstrap token, read: which it is, whether nodes can join with it, and whether it is due."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import msgspec

from agent.aws.ssm import Ssm
from agent.join.errors import TokenMalformed
from agent.join.token_api import TokenApi
from agent.join.tokens import BootstrapToken, TokenSecret
from agent.kube.api import KubeApi
from agent.settings import Settings


class TokenPolicy(msgspec.Struct, frozen=True):
    """Where the token is published and how long it lives; seconds throughout."""

    parameter: str
    facts_parameter: str
    ttl_seconds: int = 7200
    rotate_seconds: int = 3600
    overlap_seconds: int = 900
    kms_key_id: str | None = None
    lock_wait_seconds: float = 60.0
    prove_seconds: float = 30.0
    """How long the API server may take to accept a new token and to sign cluster-info with it."""

    @classmethod
    def of(cls, settings: Settings, *, overlap_seconds: int | None = None) -> "TokenPolicy":
        """The policy of the settings, with another overlap for one rotation."""
        return cls(
            parameter=settings.token_parameter,
            facts_parameter=settings.facts_parameter,
            ttl_seconds=settings.token.ttl_seconds,
            rotate_seconds=settings.token.rotate_seconds,
            overlap_seconds=settings.token.overlap_seconds if overlap_seconds is None else overlap_seconds,
            kms_key_id=settings.kms_key_id,
        )


class Surroundings(msgspec.Struct, frozen=True):
    """What is not the token's business to choose: time, chance, and who watches (a crash test)."""

    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    random: Random
    checkpoint: Callable[[str], None] = lambda _: None


class TokenState(msgspec.Struct, frozen=True):
    """What is published and which tokens of ours there are."""

    published: BootstrapToken | None
    version: int
    current: TokenSecret | None
    """The Secret behind the published token, when it is fit to be published."""
    ours: tuple[TokenSecret, ...]
    faults: tuple[str, ...] = ()
    """Why nodes cannot join with what is published; empty: they can."""

    @property
    def predecessor(self) -> TokenSecret | None:
        """The token that was published before the current one, so that a booting machine may still hold it."""
        if self.current is None:
            return None
        return next((s for s in self.ours if s.id == self.current.replaces and not s.faults), None)


class PublishedToken:
    """Reads Parameter Store and the cluster and compares them; writes nothing, so it needs no lock."""

    def __init__(self, api: KubeApi, ssm: Ssm, policy: TokenPolicy, clock: Callable[[], datetime]) -> None:
        self._tokens = TokenApi(api)
        self._ssm = ssm
        self._policy = policy
        self._clock = clock

    def state(self) -> TokenState:
        """What is published and what is live, without asking with the token itself."""
        ours = self._tokens.ours()
        parameter = self._ssm.get(self._policy.parameter)
        if parameter is None:
            return TokenState(None, 0, None, ours, (f"the parameter {self._policy.parameter} does not exist",))
        try:
            published = BootstrapToken.parse(parameter.value)
        except TokenMalformed:
            fault = f"the parameter {self._policy.parameter} does not hold a bootstrap token"
            return TokenState(None, parameter.version, None, ours, (fault,))
        secret = next((s for s in ours if s.id == published.id), None) or self._tokens.get(published.id)
        faults = self._faults(published, secret)
        return TokenState(published, parameter.version, None if faults else secret, ours, faults)

    def verify(self) -> TokenState:
        """The state, with the API server's own word on the published token added to its faults."""
        state = self.state()
        if state.published is None or state.faults:
            return state
        if rejection := self._tokens.rejection(state.published):
            fault = f"token {state.published.id}: {rejection}"
            return msgspec.structs.replace(state, faults=(fault,), current=None)
        return state

    def due(self, state: TokenState) -> bool:
        """Whether the published token is as old as the policy allows, judged by its end alone: one clock, ours."""
        if state.current is None or state.current.expires_at is None:
            return True
        age_left = self._policy.ttl_seconds - self._policy.rotate_seconds
        return state.current.expires_at - self._clock() <= timedelta(seconds=age_left)

    def _faults(self, published: BootstrapToken, secret: TokenSecret | None) -> tuple[str, ...]:
        called = f"token {published.id}"
        if secret is None:
            return (f"{called} is published, but the cluster has no such token",)
        if not secret.managed:
            return (f"{called} is published, but somebody else made it",)
        if secret.token != published:
            return (f"{called} is published with a secret that is not the cluster's",)
        if not secret.live(self._clock()):
            return (f"{called} is published, but it has expired",)
        return tuple(f"{called}: {fault}" for fault in secret.faults)
