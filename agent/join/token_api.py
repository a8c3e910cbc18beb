"""Bootstrap tokens in the API server: the Secrets, and the proof that a token is really accepted."""

from datetime import datetime
from typing import Final

import msgspec

from agent.join.tokens import (
    MANAGED_BY,
    NAMESPACE,
    OURS,
    BootstrapToken,
    TokenSecret,
    expiration_patch,
    parse_secret,
    parse_secrets,
    secret_manifest,
    secret_name,
)
from agent.kube import paths, wire
from agent.kube.api import KubeApi
from agent.kube.errors import Denied, NotFound
from agent.model.names import BOOTSTRAP_GROUP, KUBEADM_GROUP

_REVIEW_PATH: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_REVIEW: Final = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


class _User(msgspec.Struct):
    username: str = ""
    groups: list[str] = []


class _ReviewStatus(msgspec.Struct, rename="camel"):
    user_info: _User = msgspec.field(default_factory=_User)


class _ReviewAnswer(msgspec.Struct):
    status: _ReviewStatus = msgspec.field(default_factory=_ReviewStatus)


class TokenApi:
    """Reads and writes bootstrap token Secrets; every error is one of ``agent.kube.errors``."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def ours(self) -> tuple[TokenSecret, ...]:
        """Every token with our label, newest first."""
        return parse_secrets(self._api.get(paths.secrets(NAMESPACE), {"labelSelector": f"{MANAGED_BY}={OURS}"}))

    def get(self, token_id: str) -> TokenSecret | None:
        """The token of this id, whoever made it; None when there is none."""
        try:
            return parse_secret(self._api.get(paths.secrets(NAMESPACE, secret_name(token_id))))
        except NotFound:
            return None

    def create(self, token: BootstrapToken, expires_at: datetime, replaces: str) -> None:
        """Make a token live. The API server accepts it as soon as its watch has seen the Secret."""
        self._api.create(paths.secrets(NAMESPACE), secret_manifest(token, expires_at, replaces))

    def shorten(self, secret: TokenSecret, expires_at: datetime) -> None:
        """Let a token end at ``expires_at``, guarded by the version that was read.

        Raises:
            Conflict: somebody changed it meanwhile.
            NotFound: it is gone already.
        """
        self._api.merge_patch(
            paths.secrets(NAMESPACE, secret_name(secret.id)),
            expiration_patch(secret.resource_version, expires_at),
        )

    def delete(self, secret: TokenSecret) -> None:
        """Revoke a token. One that is gone already is revoked."""
        try:
            self._api.delete(paths.secrets(NAMESPACE, secret_name(secret.id)), uid=secret.uid)
        except NotFound:
            return

    def rejection(self, token: BootstrapToken) -> str:
        """Why the API server would not let ``token`` join as one of ours; empty when it would.

        Asked with the token itself (SelfSubjectReview), so it is the API server's own word on user and groups; and the
        signature that kubeadm's discovery needs has to stand in kube-public/cluster-info.
        """
        try:
            with self._api.with_bearer(token.text) as bearer:
                answer = bearer.create(_REVIEW_PATH, _REVIEW)
        except Denied as e:
            return f"the API server does not accept it (HTTP {e.status})"
        user = msgspec.json.decode(answer, type=_ReviewAnswer).status.user_info
        if user.username != f"system:bootstrap:{token.id}":
            return f"the API server takes it for {user.username or 'nobody'}"
        if BOOTSTRAP_GROUP not in user.groups:
            return f"the API server does not count it to {BOOTSTRAP_GROUP}"
        if KUBEADM_GROUP in user.groups:
            return f"it belongs to {KUBEADM_GROUP}, whose requests kubeadm approves unseen"
        if not self._signed(token.id):
            return "the controller manager has not signed kube-public/cluster-info with it"
        return ""

    def _signed(self, token_id: str) -> bool:
        try:
            raw = self._api.get(paths.config_maps("kube-public", "cluster-info"))
        except NotFound:
            return False
        return f"jws-kubeconfig-{token_id}" in wire.config_map_data(raw)
