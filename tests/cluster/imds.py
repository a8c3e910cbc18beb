"""EC2's instance metadata service, version 2 only, on a loopback port; one for each instance."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

from tests.loopback import Loopback

TOKEN_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"
MAX_TTL_SECONDS = 21600


class MetadataServer(Loopback):
    """Serves a tree of documents to whoever holds a session token. `documents` may be changed while it runs."""

    def __init__(self, documents: Mapping[str, str | bytes]) -> None:
        """`documents` maps a path under /latest/, for instance `meta-data/instance-id`, to its text."""
        self.documents = dict(documents)
        self._tokens: dict[str, datetime] = {}
        super().__init__(self._handler())

    @property
    def url(self) -> str:
        """What AWS_EC2_METADATA_SERVICE_ENDPOINT is to be set to."""
        return f"{super().url}/"

    def issue(self, seconds: str | None) -> tuple[HTTPStatus, bytes]:
        """A new session token, as PUT /latest/api/token answers."""
        if seconds is None or not seconds.isdigit() or not 1 <= int(seconds) <= MAX_TTL_SECONDS:
            return HTTPStatus.BAD_REQUEST, b""
        token = secrets.token_urlsafe(40)
        self._tokens[token] = datetime.now(UTC) + timedelta(seconds=int(seconds))
        return HTTPStatus.OK, token.encode()

    def read(self, path: str, token: str | None) -> tuple[HTTPStatus, bytes]:
        """One document, or the listing of a folder of them."""
        if self._tokens.get(token or "", datetime.min.replace(tzinfo=UTC)) < datetime.now(UTC):
            return HTTPStatus.UNAUTHORIZED, b""
        wanted = path.partition("?")[0].removeprefix("/latest/")
        if wanted in self.documents:
            text = self.documents[wanted]
            return HTTPStatus.OK, text if isinstance(text, bytes) else text.encode()
        folder = wanted.rstrip("/") + "/"
        below = (name.removeprefix(folder) for name in self.documents if name.startswith(folder))
        names = sorted({name.partition("/")[0] + ("/" if "/" in name else "") for name in below})
        return (HTTPStatus.OK, "\n".join(names).encode()) if names else (HTTPStatus.NOT_FOUND, b"")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        metadata = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                if self.path == "/latest/api/token":
                    self._answer(*metadata.issue(self.headers.get(TOKEN_TTL_HEADER)))
                else:
                    self._answer(HTTPStatus.NOT_FOUND, b"")

            def do_GET(self) -> None:
                self._answer(*metadata.read(self.path, self.headers.get(TOKEN_HEADER)))

            def _answer(self, status: HTTPStatus, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Keeps requests out of the tests' output."""

        return Handler


def role_credentials(access_key: str, secret_key: str, session_token: str) -> str:
    """The document that the metadata service gives for the credentials of an instance's role."""
    now = datetime.now(UTC)
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Type": "AWS-HMAC",
            "AccessKeyId": access_key,
            "SecretAccessKey": secret_key,
            "Token": session_token,
            "Expiration": (now + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )
