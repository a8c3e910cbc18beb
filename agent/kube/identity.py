"""The daemon's identity in the cluster: a ServiceAccount's token that is asked for, kept in a file and renewed in time.

The token comes from the TokenRequest API (kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin), so
it expires by itself and no Secret holds it. The daemon renews it at half of its life with its own rights; admin.conf is
only used when there is no token left that the API server accepts.
"""

import base64
import binascii
import os
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.endpoint import Endpoint, EndpointError, read_endpoint, render_kubeconfig
from agent.kube.errors import Denied, KubeError, NotFound
from agent.kube.private_file import FileError, Owner, read_private, write_private
from agent.kube.rbac import SERVICE_ACCOUNT
from agent.model import names

LIFETIME_SECONDS: Final = 86_400
"""A day: long enough that an API server away for a night costs nothing, short enough that a stolen one is soon dead."""

_LAST_SECONDS: Final = 60
# A token in its last minute would die while the daemon starts.

_REVIEWS: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


class IdentityError(Exception):
    """There is no usable credential and none could be made; the text says why and what to do."""


class Target(msgspec.Struct, frozen=True):
    """Where the credential is kept: a kubeconfig without secrets that names the file of the token."""

    kubeconfig: Path = Path("/etc/joinery/kubeconfig")
    token: Path = Path("/var/lib/joinery/token")
    owner: Owner | None = None
    """Who may read both; None is whoever runs this."""
    namespace: str = names.NAMESPACE
    lifetime_seconds: int = LIFETIME_SECONDS


class Life(msgspec.Struct, frozen=True):
    """What a token says of itself (RFC 7519): subject, and when it was issued and expires, in seconds since 1970."""

    sub: str
    iat: int
    exp: int

    def remaining_seconds(self, now: datetime) -> int:
        """Seconds until it expires; negative when it has."""
        return self.exp - int(now.timestamp())

    def half_over(self, now: datetime) -> bool:
        """Whether it is time to renew."""
        return 2 * self.remaining_seconds(now) <= self.exp - self.iat


class _Grant(msgspec.Struct):
    token: str


class _Answer(msgspec.Struct):
    status: _Grant


def life_of(token: str) -> Life | None:
    """Reads a token's claims without checking its signature, which is the API server's business; None: not a token."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 (header, claims, signature)
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=Life)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None


def username(namespace: str) -> str:
    """The name under which the API server knows the daemon."""
    return f"system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}"


def request_token(api: KubeApi, target: Target) -> str:
    """Asks for a token of the daemon's ServiceAccount; ``api`` is an administrator, or that account itself.

    Raises:
        IdentityError: There is no such ServiceAccount.
        KubeError: The API server did not answer or refused.
    """
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": target.lifetime_seconds},
    }
    try:
        answer = api.create(paths.service_account_token(target.namespace, SERVICE_ACCOUNT), body)
    except NotFound as error:
        raise IdentityError(
            f"{api.server} has no ServiceAccount {target.namespace}/{SERVICE_ACCOUNT}: run `joinery install` first"
        ) from error
    return msgspec.json.decode(answer, type=_Answer).status.token


def renew(api: KubeApi, target: Target, now: datetime) -> int:
    """Replaces the token once half of its life is over; returns the seconds that the one in the file has left.

    Called by the daemon with its own identity. Whoever holds the old token may go on using it until it expires.

    Raises:
        IdentityError: The new token could not be kept; the old one still is.
        KubeError: The API server did not answer or refused.
    """
    token = _stored(target.token)
    life = life_of(token) if token else None
    if life is None or life.half_over(now):
        token = request_token(api, target)
        _keep(target.token, token, target)
        life = life_of(token)
    return life.remaining_seconds(now) if life else 0


def ensure(admin_kubeconfig: Path, target: Target, now: datetime) -> str:
    """Sees to it that the files hold a credential that is accepted, and says in one sentence what it found or did.

    An administrator's rights are used only when the token is missing, expired or not accepted; the address and CA of
    the API server are always taken from the administrator's kubeconfig, so that the daemon's follows a moved endpoint.

    Args:
        admin_kubeconfig: kubeadm's admin.conf. Without that file a token that is there and not expired is trusted.
        target: The files, and who owns them.
        now: The present.

    Raises:
        IdentityError: No usable credential, and none could be made or kept; what was there before still is.
    """
    try:
        endpoint = read_endpoint(admin_kubeconfig)
        if endpoint is None:
            return _ensure_alone(admin_kubeconfig, target, now)
        _follow(endpoint, target)
        with KubeApi.from_kubeconfig(str(admin_kubeconfig)) as admin:
            return _ensure_with(admin, target, now)
    except (EndpointError, KubeError) as error:
        raise IdentityError(str(error)) from error


def _ensure_alone(admin_kubeconfig: Path, target: Target, now: datetime) -> str:
    fault = "missing" if _stored(target.kubeconfig) is None else None
    fault = f"{target.kubeconfig}: {fault}" if fault else _faulty_token(target, now)
    if fault:
        raise IdentityError(f"{fault}, and there is no {admin_kubeconfig} to get another with")
    return _nothing_to_do(target, now)


def _ensure_with(admin: KubeApi, target: Target, now: datetime) -> str:
    fault = _faulty_token(target, now) or _refused_token(admin, target)
    if not fault:
        return _nothing_to_do(target, now)
    try:
        fresh = request_token(admin, target)
    except KubeError as error:
        raise IdentityError(f"{fault}, and no other was given: {error}") from error
    _keep(target.token, fresh, target)
    return f"{fault}; another was written"


def _nothing_to_do(target: Target, now: datetime) -> str:
    life = life_of(_stored(target.token) or "")
    return f"{target.token}: valid for another {life.remaining_seconds(now) if life else 0} s, nothing to do"


def _faulty_token(target: Target, now: datetime) -> str | None:
    """What is wrong with the token by its own words; None when nothing is."""
    token = _stored(target.token)
    if token is None:
        return f"{target.token}: missing"
    life = life_of(token)
    if life is None:
        return f"{target.token}: not a token"
    if life.remaining_seconds(now) <= _LAST_SECONDS:
        return f"{target.token}: expired"
    if life.sub != username(target.namespace):
        return f"{target.token}: another's token ({life.sub})"
    return None


def _refused_token(admin: KubeApi, target: Target) -> str | None:
    """What the API server has against the token; None when nothing, or when it cannot be asked."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        with admin.with_bearer(_stored(target.token) or "") as holder:
            holder.create(_REVIEWS, body)
    except Denied:
        return f"{target.token}: not accepted by {admin.server}"
    except KubeError:
        # The API server is away, or too old for the question: the daemon can wait for it, its start-up command cannot.
        return None
    return None


def _follow(endpoint: Endpoint, target: Target) -> None:
    wanted = render_kubeconfig(endpoint, target.token)
    if _stored(target.kubeconfig) != wanted:
        _keep(target.kubeconfig, wanted, target)


def _stored(path: Path) -> str | None:
    try:
        return read_private(path)
    except FileError as error:
        raise IdentityError(str(error)) from error


def _keep(path: Path, text: str, target: Target) -> None:
    try:
        write_private(path, text, target.owner or Owner(os.getuid(), os.getgid()))
    except FileError as error:
        raise IdentityError(str(error)) from error
