"""`joinery token`: the bootstrap token by hand, with the daemon running or not; the lease keeps the two apart."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from random import SystemRandom
from typing import Concatenate, Final, Literal, ParamSpec

import click
import msgspec

from agent.aws.errors import AwsError
from agent.aws.session import AwsSession
from agent.aws.ssm import Ssm
from agent.join.errors import JoinError, LockHeld
from agent.join.facts import JoinFacts, facts_for
from agent.join.published import PublishedToken, Surroundings, TokenPolicy, TokenState
from agent.join.rotation import LOCK_NAME, Outcome, TokenRotation
from agent.join.tokens import TokenSecret
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError
from agent.kube.lease import LeaseLock
from agent.kube.times import rfc3339
from agent.manifests.durations import DurationError, parse_duration
from agent.settings import DEFAULT_PATH, Settings, SettingsError, load

LOCKED: Final = 3
"""Exit code: another process is changing the tokens."""
_MAX_OVERLAP_SECONDS: Final = 3600

Output = Literal["text", "json"]


class Where(msgspec.Struct, frozen=True):
    """What every command of the group is told: which cluster, and how to answer."""

    settings: str
    kubeconfig: str | None
    output: Output


class Listed(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A token without its secret."""

    id: str
    state: str
    created_at: datetime | None
    expires_at: datetime | None
    faults: tuple[str, ...] = ()


class Shown(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The published token; its text only when that was asked for."""

    parameter: str
    id: str
    version: int
    expires_at: datetime | None
    faults: tuple[str, ...] = ()
    token: str = ""


class _Locked(click.ClickException):
    exit_code = LOCKED


P = ParamSpec("P")


def _located(function: Callable[Concatenate[Where, P], None]) -> Callable[..., None]:
    """Give a command the options that all of them have."""

    @click.option("--settings", default=DEFAULT_PATH, show_default=True, metavar="FILE", help="The daemon's settings.")
    @click.option("--kubeconfig", metavar="FILE", help="Kubeconfig to use.  [default: as the settings say]")
    @click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
    @wraps(function)
    def located(settings: str, kubeconfig: str | None, output: Output, *args: P.args, **kwargs: P.kwargs) -> None:
        function(Where(settings, kubeconfig, output), *args, **kwargs)

    return located


@click.group(name="token")
def token() -> None:
    """See and change the bootstrap token that new machines join with.

    Works while the daemon is down. Exit codes: 0 done (also when nothing was due), 1 failed or not fit to join with,
    3 another process is changing the tokens, 64 wrong usage.
    """


@token.command()
@click.option("--if-due", is_flag=True, help="Only when the token is old enough or does not work, for a timer.")
@click.option("--overlap", metavar="DURATION", help="How long the old token still joins, such as 15m.")
@_located
def rotate(where: Where, if_due: bool, overlap: str | None) -> None:
    """Make a new token, prove it, publish it, and let the old one end after the overlap."""
    seconds = _overlap_seconds(overlap)
    with _edges(where) as edges:
        outcome = edges.rotation(seconds).rotate(edges.facts(), force=not if_due)
    _say_outcome(where, outcome)


@token.command()
@click.option("--secret", is_flag=True, help="Also print the token itself.")
@_located
def show(where: Where, secret: bool) -> None:
    """Print which token is published; without --secret only what is public."""
    with _edges(where) as edges:
        state, parameter = edges.published().state(), edges.settings.token_parameter
    if state.published is None:
        raise click.ClickException("; ".join(state.faults))
    text = state.published.text if secret else ""
    expires_at = state.current.expires_at if state.current else None
    shown = Shown(parameter, state.published.id, state.version, expires_at, state.faults, text)
    if where.output == "json":
        _print_json(shown)
        return
    click.echo(text or f"{shown.id}  expires {_time(expires_at)}  {parameter} version {shown.version}")
    for fault in state.faults:
        click.echo(f"warning: {fault}", err=True)


@token.command()
@_located
def verify(where: Where) -> None:
    """Ask the API server, with the published token, whether a machine could join with it now."""
    with _edges(where) as edges:
        state = edges.published().verify()
    if where.output == "json":
        _print_json(
            {"ok": not state.faults, "id": state.published.id if state.published else "", "faults": state.faults}
        )
    if state.faults or state.current is None:
        raise click.ClickException("; ".join(state.faults) + "; mend it: joinery token rotate")
    if where.output == "text":
        click.echo(f"{state.current.id} works and expires {_time(state.current.expires_at)}")


@token.command(name="list")
@_located
def list_tokens(where: Where) -> None:
    """List the tokens of ours, without their secrets."""
    with _edges(where) as edges:
        state = edges.published().state()
    now = datetime.now(UTC)
    listed = [Listed(s.id, _state_of(s, state, now), s.created_at, s.expires_at, s.faults) for s in state.ours]
    if where.output == "json":
        _print_json(listed)
        return
    click.echo(f"{'ID':8}{'STATE':14}EXPIRES")
    for entry in listed:
        click.echo(f"{entry.id:8}{entry.state:14}{_time(entry.expires_at)}")


@token.command()
@click.argument("token_id", metavar="ID")
@_located
def revoke(where: Where, token_id: str) -> None:
    """End one token of ours now; when it is the published one, another is published first."""
    with _edges(where) as edges:
        outcome = edges.rotation(None).revoke(token_id)
    if outcome is not None:
        _say_outcome(where, outcome)
    elif where.output == "json":
        _print_json({"revoked": [token_id]})
    else:
        click.echo(f"{token_id} is revoked")


class _Edges:
    """The cluster and Parameter Store, as the settings name them."""

    def __init__(self, settings: Settings, api: KubeApi, ssm: Ssm) -> None:
        self.settings = settings
        self._api = api
        self._ssm = ssm

    def published(self) -> PublishedToken:
        return PublishedToken(self._api, self._ssm, TokenPolicy.of(self.settings), _now)

    def rotation(self, overlap_seconds: int | None) -> TokenRotation:
        identity = f"{socket.gethostname()}/joinery-token/{os.getpid()}"
        lock = LeaseLock(self._api, self.settings.namespace, LOCK_NAME, identity)
        policy = TokenPolicy.of(self.settings, overlap_seconds=overlap_seconds)
        surroundings = Surroundings(clock=_now, sleep=time.sleep, random=SystemRandom())
        return TokenRotation(self._api, self._ssm, lock, policy, surroundings)

    def facts(self) -> JoinFacts:
        return facts_for(self._api, self.settings)


@contextmanager
def _edges(where: Where) -> Iterator[_Edges]:
    """Open both edges; whatever fails on them becomes one sentence and an exit code."""
    try:
        settings = load(where.settings)
        session = AwsSession(settings.region)
        try:
            with KubeApi.from_kubeconfig(where.kubeconfig or settings.kubeconfig) as api:
                yield _Edges(settings, api, Ssm(session))
        finally:
            session.close()
    except LockHeld as error:
        raise _Locked(str(error)) from error
    except (JoinError, KubeError, AwsError, SettingsError) as error:
        raise click.ClickException(str(error)) from error


def _now() -> datetime:
    return datetime.now(UTC)


def _overlap_seconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except DurationError as error:
        raise click.BadParameter(str(error), param_hint="--overlap") from error
    if not 0 <= seconds <= _MAX_OVERLAP_SECONDS:
        raise click.BadParameter("at most an hour: a replaced token is to be useless soon", param_hint="--overlap")
    return seconds


def _state_of(secret: TokenSecret, state: TokenState, now: datetime) -> str:
    if not secret.live(now):
        return "expired"
    if state.published is not None and secret.id == state.published.id:
        return "published" if state.current else "broken"
    return "overlapping" if state.predecessor is not None and secret.id == state.predecessor.id else "extra"


def _say_outcome(where: Where, outcome: Outcome) -> None:
    if where.output == "json":
        _print_json(outcome)
        return
    what = f"new token {outcome.token_id} ({outcome.why})" if outcome.rotated else f"kept {outcome.token_id}: not due"
    click.echo(f"{what}; expires {_time(outcome.expires_at)}")
    if outcome.retired:
        click.echo(f"ending after the overlap: {', '.join(outcome.retired)}")
    if outcome.revoked:
        click.echo(f"revoked: {', '.join(outcome.revoked)}")


def _time(moment: datetime | None) -> str:
    return "never" if moment is None else rfc3339(moment)


def _print_json(value: object) -> None:
    click.echo(msgspec.json.encode(value).decode())
