"""Bootstrap tokens as values: their text, the Secret that makes one live, and what a Secret says of itself.

Rules: kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens. The Secret is named after the token's id; only
the literal ``true`` enables a usage; without an expiration a token never ends, and one that cannot be parsed has ended.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from datetime import UTC, datetime
from random import Random
from string import ascii_lowercase, digits
from typing import Final

import msgspec

from agent.join.errors import TokenMalformed
from agent.kube.times import rfc3339
from agent.model.names import BOOTSTRAP_GROUP, KUBEADM_GROUP

NAMESPACE: Final = "kube-system"
SECRET_TYPE: Final = "bootstrap.kubernetes.io/token"  # noqa: S105 - the type's name, not a secret
SECRET_PREFIX: Final = "bootstrap-token-"  # noqa: S105 - likewise
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OURS: Final = "joinery"
REPLACES: Final = "joinery.sh/replaces"
"""Annotation: id of the token that was published when this one was made, so the one that may still be in use."""

_ALPHABET: Final = ascii_lowercase + digits
_TEXT: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_AUTHENTICATION: Final = "usage-bootstrap-authentication"
_SIGNING: Final = "usage-bootstrap-signing"
_API = "rbac.authorization.k8s.io"
_GROUP = {"kind": "Group", "name": BOOTSTRAP_GROUP, "apiGroup": _API}
_READABLE = ("kubeadm-config", "kubelet-config", "kube-proxy")


class BootstrapToken(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A token: the id is public, the secret is not and shows up in no repr."""

    id: str
    secret: str

    def __repr__(self) -> str:
        """Without the secret: a repr ends up in logs and tracebacks."""
        return f"BootstrapToken(id={self.id!r})"

    __str__ = __repr__

    @property
    def text(self) -> str:
        """``id.secret``, as kubeadm takes it. For SSM, a Secret or a bearer header, never for a log."""
        return f"{self.id}.{self.secret}"

    @classmethod
    def parse(cls, text: str) -> "BootstrapToken":
        """Read ``id.secret``.

        Raises:
            TokenMalformed: it is not six, a dot, and sixteen of ``a-z0-9``.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise TokenMalformed("not a bootstrap token: six and sixteen characters of a-z and 0-9 with a dot between")
        return cls(id=found.group(1), secret=found.group(2))

    @classmethod
    def generate(cls, random: Random) -> "BootstrapToken":
        """A new token; 82 bits of secret when ``random`` is ``random.SystemRandom``."""
        return cls(
            id="".join(random.choice(_ALPHABET) for _ in range(6)),
            secret="".join(random.choice(_ALPHABET) for _ in range(16)),
        )


class _Meta(msgspec.Struct, rename="camel"):
    name: str
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Secret(msgspec.Struct):
    metadata: _Meta
    type: str = ""
    data: dict[str, str] | None = None


class _SecretList(msgspec.Struct):
    items: list[_Secret]


class TokenSecret(msgspec.Struct, frozen=True):
    """A bootstrap token Secret as the API server has it."""

    token: BootstrapToken
    uid: str
    resource_version: str
    created_at: datetime | None
    expires_at: datetime | None
    """None: it never ends, which is never true of ours."""
    managed: bool
    """Carries our label."""
    replaces: str = ""
    faults: tuple[str, ...] = ()
    """Why nothing can join with it as it should, whatever the time is."""

    @property
    def id(self) -> str:
        """The token's id."""
        return self.token.id

    def live(self, now: datetime) -> bool:
        """Not expired at ``now``, by our clock."""
        return self.expires_at is None or self.expires_at > now


def secret_name(token_id: str) -> str:
    """Name of the Secret of a token."""
    return SECRET_PREFIX + token_id


def secret_manifest(token: BootstrapToken, expires_at: datetime, replaces: str) -> dict[str, object]:
    """The Secret that makes ``token`` live until ``expires_at``.

    The usage ``signing`` is there because kubeadm's token discovery checks cluster-info by a signature with this very
    token. The group is ours alone: kubeadm's default group would have its requests approved without a look.
    """
    description = "Joins instances that Joinery launched; rotated by Joinery, do not edit."
    ours = {"labels": {MANAGED_BY: OURS}, "annotations": {REPLACES: replaces} if replaces else {}}
    return _manifest(token, expires_at, ours, (BOOTSTRAP_GROUP, description))


def kubeadm_secret(token: BootstrapToken, expires_at: datetime, description: str) -> dict[str, object]:
    """A token in kubeadm's own group, whose joins are approved unseen.

    It is not one of the daemon's: neither its rotation nor its admission knows of it.
    """
    return _manifest(token, expires_at, {}, (KUBEADM_GROUP, description))


def _manifest(
    token: BootstrapToken, expires_at: datetime, marks: dict[str, dict[str, str]], about: tuple[str, str]
) -> dict[str, object]:
    """The Secret of a token. ``about``: its group and its description."""
    group, description = about
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret_name(token.id), "namespace": NAMESPACE, **marks},
        "type": SECRET_TYPE,
        "data": {
            "token-id": _encoded(token.id),
            "token-secret": _encoded(token.secret),
            "expiration": _encoded(rfc3339(expires_at)),
            "description": _encoded(description),
            _AUTHENTICATION: _encoded("true"),
            _SIGNING: _encoded("true"),
            "auth-extra-groups": _encoded(group),
        },
    }


def expiration_patch(resource_version: str, expires_at: datetime) -> dict[str, object]:
    """A merge patch that moves the end of a token, only if nobody changed the Secret since it was read."""
    return {
        "metadata": {"resourceVersion": resource_version},
        "data": {"expiration": _encoded(rfc3339(expires_at))},
    }


def _encoded(value: str) -> str:
    return b64encode(value.encode()).decode()


def parse_secret(raw: bytes) -> TokenSecret | None:
    """One Secret; None when it holds no token that could ever authenticate."""
    return _observed(msgspec.json.decode(raw, type=_Secret))


def parse_secrets(raw: bytes) -> tuple[TokenSecret, ...]:
    """The bootstrap tokens of a list of Secrets, newest first; what is no token is left out."""
    found = [t for s in msgspec.json.decode(raw, type=_SecretList).items if (t := _observed(s)) is not None]
    return tuple(sorted(found, key=lambda t: (t.created_at or datetime.min.replace(tzinfo=UTC), t.id), reverse=True))


def _observed(secret: _Secret) -> TokenSecret | None:
    data = {key: _decoded(value) for key, value in (secret.data or {}).items()}
    meta = secret.metadata
    try:
        token = BootstrapToken.parse(f"{data.get('token-id', '')}.{data.get('token-secret', '')}")
    except TokenMalformed:
        return None
    if secret.type != SECRET_TYPE or meta.name != secret_name(token.id):
        return None
    expires_at, fault = _expiration(data.get("expiration", ""))
    faults = [fault] if fault else []
    if meta.deletion_timestamp is not None:
        faults.append("its Secret is being deleted")
    faults += [
        f"its Secret does not say {usage}: true" for usage in (_AUTHENTICATION, _SIGNING) if data.get(usage) != "true"
    ]
    if (groups := data.get("auth-extra-groups", "")) != BOOTSTRAP_GROUP:
        faults.append(f"its groups are {groups or 'none'} instead of {BOOTSTRAP_GROUP} alone")
    return TokenSecret(
        token=token,
        uid=meta.uid,
        resource_version=meta.resource_version,
        created_at=meta.creation_timestamp,
        expires_at=expires_at,
        managed=(meta.labels or {}).get(MANAGED_BY) == OURS,
        replaces=(meta.annotations or {}).get(REPLACES, ""),
        faults=tuple(faults),
    )


def _decoded(value: str) -> str:
    try:
        return b64decode(value, validate=True).decode()
    except (Base64Error, UnicodeDecodeError):
        return ""


def _expiration(text: str) -> tuple[datetime | None, str]:
    """The end of a token and what is wrong with it; an end that cannot be parsed counts as reached."""
    if not text:
        return None, "its Secret has no expiration"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        return datetime.min.replace(tzinfo=UTC), f"its expiration {text!r} is no RFC 3339 time"
    return moment, ""


def bootstrap_rbac() -> list[dict[str, object]]:
    """The objects that ``joinery install`` applies: what a bearer of our tokens may do, bound to our group.

    kubeadm binds the same to its default group
    (kubernetes.io/docs/reference/setup-tools/kubeadm/implementation-details). One binding of kubeadm's is missing on
    purpose: ``kubeadm:node-autoapprove-bootstrap``. With it any name would be admitted unseen; without it a request
    waits until the agent has looked at the instance.
    """
    reader = "joinery:bootstrap-config"
    nodes = "joinery:bootstrap-get-nodes"
    return [
        _binding("ClusterRoleBinding", "joinery:kubelet-bootstrap", "ClusterRole", "system:node-bootstrapper"),
        _role("ClusterRole", nodes, {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}),
        _binding("ClusterRoleBinding", nodes, "ClusterRole", nodes),
        _role(
            "Role",
            reader,
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": list(_READABLE), "verbs": ["get"]},
        ),
        _binding("RoleBinding", reader, "Role", reader),
    ]


def _metadata(kind: str, name: str) -> dict[str, object]:
    metadata: dict[str, object] = {"name": name, "labels": {MANAGED_BY: OURS}}
    return metadata if kind.startswith("Cluster") else metadata | {"namespace": "kube-system"}


def _role(kind: str, name: str, rule: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": f"{_API}/v1", "kind": kind, "metadata": _metadata(kind, name), "rules": [rule]}


def _binding(kind: str, name: str, role_kind: str, role: str) -> dict[str, object]:
    return {
        "apiVersion": f"{_API}/v1",
        "kind": kind,
        "metadata": _metadata(kind, name),
        "roleRef": {"apiGroup": _API, "kind": role_kind, "name": role},
        "subjects": [dict(_GROUP)],
    }
