"""From a kubeconfig file to a connection pool and an identity.

``kubernetes.config`` does the reading: contexts, merged files, exec plugins. Three things are done here because it
does them otherwise than a daemon needs: a token file is read anew when it changes (it caches the first), keys do
not stay behind as temporary files, and one TLS context serves all connections. A proxy is used only when the
kubeconfig says so (``proxy-url``): an HTTPS_PROXY meant for EC2 must not carry the traffic of the control plane.
"""

import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import urllib3
import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import load_kube_config
from urllib3.connection import HTTPConnection

from agent.kube.errors import KubeError

CANDIDATES = ("/etc/joinery/kubeconfig", "~/.kube/config", "/etc/kubernetes/admin.conf")
"""Looked at in this order when neither the caller nor $KUBECONFIG names a file."""

_POOL_SIZE = 32
"""Idle connections kept: a watch for each kind and the workers that carry out effects."""


class Access:
    """One API server as one identity. ``pool`` and ``authorization`` may be used from any thread."""

    def __init__(
        self,
        server: str,
        new_pool: Callable[[ssl.SSLContext | None], urllib3.PoolManager],
        trust: Callable[[], ssl.SSLContext] | None,
        identity: "Identity",
    ) -> None:
        self.server = server
        self._new_pool = new_pool
        self._trust = trust
        self._identity = identity
        context = trust() if trust else None
        if context is not None:
            identity.present(context)
        self.pool = new_pool(context)

    def authorization(self) -> str | None:
        """Value of the Authorization header for the next request; None without a token."""
        return self._identity.header()

    def with_identity(self, identity: "Identity") -> "Access":
        """The same server, trusted in the same way, as somebody else."""
        return Access(self.server, self._new_pool, self._trust, identity)


class Identity:
    """Who asks: a client certificate, a bearer token that is looked up for each request, or both."""

    def __init__(
        self,
        token: Callable[[], str | None] = lambda: None,
        certificate: tuple[str, str | None] | None = None,
    ) -> None:
        self._token = token
        self._certificate = certificate

    def header(self) -> str | None:
        """The Authorization header."""
        return self._token()

    def present(self, context: ssl.SSLContext) -> None:
        """Load the client certificate, if there is one, into a TLS context."""
        if self._certificate is not None:
            context.load_cert_chain(*self._certificate)


class TokenFile:
    """A bearer token in a file that somebody replaces before it expires."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._header = ""

    def __call__(self) -> str:
        """The header for the token that is in the file now; the last good one while it cannot be read."""
        with self._lock:
            try:
                stat = self._path.stat()
                stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if stamp != self._stamp:
                    text = self._path.read_text().strip()
                    # A file caught half written is empty; its token comes with the next look.
                    if text:
                        self._header, self._stamp = f"Bearer {text}", stamp
            except (OSError, UnicodeDecodeError) as error:
                if not self._header:
                    raise KubeError(f"the token file {self._path} cannot be read: {error}") from error
            if not self._header:
                raise KubeError(f"the token file {self._path} is empty")
            return self._header


def default_path() -> str:
    """$KUBECONFIG, else the first of ``CANDIDATES`` that is there, else the first of them."""
    if named := os.environ.get("KUBECONFIG"):
        return named
    found = (c for c in CANDIDATES if Path(c).expanduser().is_file())
    return next(found, CANDIDATES[0])


def load(path: str | None) -> Access:
    """Open a kubeconfig. Raises KubeError with the file's name when it cannot be used."""
    path = path or default_path()
    try:
        return _load(path)
    except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        # The loader answers a malformed file with whatever its first wrong step raises.
        there = any(Path(one).expanduser().exists() for one in path.split(os.pathsep) if one)
        why = " ".join(str(error).split()).rstrip(".") if there else "there is no such file"
        raise KubeError(f"kubeconfig {path} cannot be used: {why}") from error


def _load(path: str) -> Access:
    configuration = Configuration()
    configuration.proxy = ""
    with tempfile.TemporaryDirectory(prefix="joinery-") as scratch:
        load_kube_config(path, client_configuration=configuration, persist_config=False, temp_file_path=scratch)  # type: ignore[no-untyped-call]
        authority = Path(configuration.ssl_ca_cert).read_text() if configuration.ssl_ca_cert else None
        server = str(configuration.host)
        certificate = (configuration.cert_file, configuration.key_file) if configuration.cert_file else None
        identity = Identity(_token_source(path, configuration), certificate)
        tls = server.startswith("https://")
        return Access(server, _pool_maker(configuration), _trust(configuration, authority) if tls else None, identity)


def _token_source(path: str, configuration: Configuration) -> Callable[[], str | None]:
    file = token_file(path)
    if file is not None:
        return TokenFile(file)
    lock = threading.Lock()

    def current() -> str | None:
        with lock:
            renew: Callable[[Configuration], None] | None = getattr(configuration, "refresh_api_key_hook", None)
            if renew is not None:
                renew(configuration)
            # The key's name changed with version 37 of the package.
            keys: dict[str, str] = configuration.api_key
            return keys.get("BearerToken") or keys.get("authorization")

    return current


def token_file(path: str) -> Path | None:
    """The current user's ``tokenFile``, which wins over ``token`` as in client-go."""
    documents = [(file, yaml.safe_load(file.read_text()) or {}) for file in _files(path)]
    current = next((d["current-context"] for _, d in documents if d.get("current-context")), None)
    contexts = (e for _, d in documents for e in d.get("contexts") or ())
    user = next((e["context"].get("user") for e in contexts if e["name"] == current), None)
    for file, document in documents:
        for entry in document.get("users") or ():
            if entry["name"] == user:
                named = (entry.get("user") or {}).get("tokenFile")
                return file.parent / str(named) if named else None
    return None


def _files(path: str) -> Iterator[Path]:
    for part in path.split(os.pathsep):
        file = Path(part).expanduser()
        if part and file.is_file():
            yield file


def _trust(configuration: Configuration, authority: str | None) -> Callable[[], ssl.SSLContext]:
    verify = bool(configuration.verify_ssl)

    def context() -> ssl.SSLContext:
        made = ssl.create_default_context(cadata=authority)
        if not verify:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        return made

    return context


def _pool_maker(configuration: Configuration) -> Callable[[ssl.SSLContext | None], urllib3.PoolManager]:
    proxy, server_name = configuration.proxy, configuration.tls_server_name
    options = [*HTTPConnection.default_socket_options, *_keepalive()]

    def pool(context: ssl.SSLContext | None) -> urllib3.PoolManager:
        arguments: dict[str, object] = {"maxsize": _POOL_SIZE, "socket_options": options}
        if context is not None:
            arguments["ssl_context"] = context
        if server_name:
            arguments["server_hostname"] = server_name
        if proxy:
            return urllib3.ProxyManager(proxy, **arguments)  # type: ignore[arg-type]
        return urllib3.PoolManager(**arguments)  # type: ignore[arg-type]

    return pool


def _keepalive() -> Iterator[tuple[int, int, int]]:
    """A peer that vanished without a word is noticed within 50 s, as client-go does for its watches."""
    yield (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    yield (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)
    yield (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    yield (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
