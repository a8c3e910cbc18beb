"""Who asks: a client certificate, a ServiceAccount's token, a bootstrap token, or nobody.

Sources: kubernetes.io/docs/reference/access-authn-authz/authentication and .../bootstrap-tokens.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Any, Final

import msgspec

from agent.kube.timestamps import parse_time
from agent.sim.apiserver.messages import AUTHENTICATED, Clock, Request, User
from agent.sim.apiserver.refusals import unauthorized
from agent.sim.apiserver.resources import Object
from agent.sim.apiserver.store import Store

ANONYMOUS: Final = User("system:anonymous", ("system:unauthenticated",))
ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
BOOTSTRAP_TYPE: Final = "bootstrap.kubernetes.io/token"
_BOOTSTRAP: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_BOOTSTRAPPERS: Final = "system:bootstrappers"


class _Ref(msgspec.Struct):
    name: str = ""
    uid: str = ""


class _Kubernetes(msgspec.Struct):
    namespace: str = ""
    serviceaccount: _Ref = msgspec.field(default_factory=_Ref)


class _Claims(msgspec.Struct):
    exp: int
    kubernetes: _Kubernetes = msgspec.field(name="kubernetes.io")


class Authenticator:
    """Finds out who asks, and issues the tokens of ServiceAccounts."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def user(self, request: Request) -> User:
        """Who asks. Raises a refusal (401) for a token that nobody has."""
        if request.user is not None:
            return request.user
        scheme, _, token = request.authorization.partition(" ")
        if not token.strip():
            return ANONYMOUS
        found = self._bearer(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise unauthorized()
        return found

    def issue(self, account: Object, audiences: list[str], seconds: int) -> tuple[str, datetime]:
        """A token of a ServiceAccount, and when it ends."""
        now = int(self._clock().timestamp())
        meta = account["metadata"]
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": audiences or [ISSUER],
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "jti": secrets.token_hex(8),
            "kubernetes.io": {
                "namespace": meta["namespace"],
                "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
            },
        }
        head = msgspec.json.encode({"alg": "HS256", "typ": "JWT"})
        signed = f"{_encoded(head)}.{_encoded(msgspec.json.encode(claims))}"
        ends = datetime.fromtimestamp(now + seconds, self._clock().tzinfo)
        return f"{signed}.{self._signature(signed)}", ends

    def _signature(self, text: str) -> str:
        return _encoded(hmac.digest(self._key, text.encode(), hashlib.sha256))

    def _bearer(self, token: str) -> User | None:
        if match := _BOOTSTRAP.fullmatch(token):
            return self._bootstrap(match[1], match[2])
        signed, _, signature = token.rpartition(".")
        if not signed or not hmac.compare_digest(self._signature(signed).encode(), signature.encode()):
            return None
        claims = msgspec.json.decode(_decoded(signed.partition(".")[2]), type=_Claims)
        if claims.exp <= self._clock().timestamp():
            return None
        namespace, ref = claims.kubernetes.namespace, claims.kubernetes.serviceaccount
        account = self._store.get("serviceaccounts", (namespace, ref.name))
        if account is None or account.object["metadata"]["uid"] != ref.uid:
            return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        return User(f"system:serviceaccount:{namespace}:{ref.name}", groups, ref.uid)

    def _bootstrap(self, token_id: str, secret: str) -> User | None:
        stored = self._store.get("secrets", ("kube-system", f"bootstrap-token-{token_id}"))
        if stored is None or stored.object.get("type") != BOOTSTRAP_TYPE:
            return None
        data = secret_data(stored.object)
        good = (
            "deletionTimestamp" not in stored.object["metadata"]
            and data.get("token-id") == token_id
            and hmac.compare_digest(data.get("token-secret", "").encode(), secret.encode())
            and data.get("usage-bootstrap-authentication") == "true"
            and not self._over(data.get("expiration"))
        )
        extra = [g for g in data.get("auth-extra-groups", "").split(",") if g]
        if not good or any(not g.startswith(f"{_BOOTSTRAPPERS}:") for g in extra):
            return None
        return User(f"system:bootstrap:{token_id}", (_BOOTSTRAPPERS, *extra, AUTHENTICATED))

    def _over(self, expiration: str | None) -> bool:
        if not expiration:
            return False
        end = parse_time(expiration)
        return end is None or end <= self._clock()


def secret_data(secret: Object) -> dict[str, str]:
    """The data of a Secret as text; what is no base64 of text is left out."""
    found = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found


def signature(token_id: str, secret: str, content: str) -> str:
    """A detached JWS (RFC 7515, HS256) of cluster-info by a bootstrap token, as kubeadm's discovery checks it."""
    header = _encoded(msgspec.json.encode({"alg": "HS256", "kid": token_id}))
    digest = hmac.digest(secret.encode(), f"{header}.{_encoded(content.encode())}".encode(), hashlib.sha256)
    return f"{header}..{_encoded(digest)}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
