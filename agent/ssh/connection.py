"""One machine over SSH, by paramiko: host keys are known or the machine is refused, and root is had by sudo alone."""

import logging
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import paramiko
from paramiko.hostkeys import InvalidHostKey

from agent.ssh.errors import Broken, ChangedHost, LoginRefused, NotRoot, SshError, UnknownHost, Unreachable

CONNECT_SECONDS = 15
SILENT_SECONDS = 900.0
"""Longest time without a word from a command: packages may be long in coming."""


class Address(msgspec.Struct, frozen=True):
    """Where a machine is, and as whom to come."""

    host: str
    port: int = 22
    user: str | None = None
    """None: as ssh does, the one who runs the command."""

    def __str__(self) -> str:
        """As ssh's user writes it."""
        user = f"{self.user}@" if self.user else ""
        return f"{user}{self.host}" + (f":{self.port}" if self.port != 22 else "")  # noqa: PLR2004 - SSH's own port

    @classmethod
    def parse(cls, text: str) -> "Address":
        """``[USER@]HOST[:PORT]``, an IPv6 address in brackets when a port follows. Raises ``ValueError``."""
        user, _, place = text.rpartition("@")
        if place.startswith("["):
            host, _, rest = place[1:].partition("]")
            port = rest.removeprefix(":")
        elif place.count(":") == 1:
            host, _, port = place.partition(":")
        else:
            host, port = place, ""
        if not host or (port and not port.isdigit()):
            raise ValueError(f"{text!r} is not [USER@]HOST[:PORT]")
        return cls(host, int(port) if port else 22, user or None)


class Keys(msgspec.Struct, frozen=True):
    """What proves who is who."""

    known_hosts: Path
    identity_file: Path | None = None
    """None: the agent's keys and those of ~/.ssh."""


class Finished(msgspec.Struct, frozen=True):
    """How a command ended."""

    status: int
    output: str


class Machine:
    """A connection to one machine, made by ``connected``."""

    def __init__(self, client: paramiko.SSHClient, address: Address) -> None:
        self._client = client
        self.address = address
        self._sudo = ""

    def become_root(self) -> None:
        """See to it that commands run as root. Raises ``NotRoot``."""
        if self.run("id -u").output.split()[-1:] == ["0"]:
            return
        if self.run("sudo -n true").status != 0:
            raise NotRoot(
                f"{self.address}: the user may not use sudo without a password; log in as one who may (--user), "
                "or allow it in /etc/sudoers.d"
            )
        self._sudo = "sudo -n "

    def run(self, command: str, text: str = "", told: Callable[[str], object] = lambda _: None) -> Finished:
        """Run a command, give it ``text`` to read, and hand on its lines as they come.

        Raises:
            Broken: the connection ended before the command did.
        """
        try:
            return self._run(command, text, told)
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Broken(f"{self.address}: the connection broke: {_said(error)}; run the command again") from error

    def as_root(self, *command: str, text: str = "", told: Callable[[str], object] = lambda _: None) -> Finished:
        """Run a command as root; the words are quoted."""
        return self.run(self._sudo + shlex.join(command), text, told)

    def push(self, path: str, text: str, mode: str = "0600") -> None:
        """Write a file that is root's. Raises ``SshError`` when that cannot be done."""
        done = self.as_root("install", "-D", "-m", mode, "/dev/stdin", path, text=text)
        if done.status != 0:
            raise SshError(f"{self.address}: {path} cannot be written: {done.output.strip()[-200:]}")

    def _run(self, command: str, text: str, told: Callable[[str], object]) -> Finished:
        transport = self._client.get_transport()
        if transport is None:
            raise paramiko.SSHException("there is no connection any more")
        channel = transport.open_session(timeout=CONNECT_SECONDS)
        with channel:
            channel.settimeout(SILENT_SECONDS)
            channel.set_combine_stderr(True)
            channel.exec_command(command)
            channel.sendall(text.encode())
            channel.shutdown_write()
            lines = []
            for line in _lines(channel):
                lines.append(line)
                told(line)
            status = channel.recv_exit_status()
        if status < 0:
            raise paramiko.SSHException("the command did not end by itself")
        return Finished(status, "".join(f"{line}\n" for line in lines))


def _lines(channel: paramiko.Channel) -> Iterator[str]:
    rest = b""
    while data := channel.recv(32_768):
        *whole, rest = (rest + data).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


@contextmanager
def connected(address: Address, keys: Keys, bastion: Address | None = None) -> Iterator[Machine]:
    """Connect, by way of another machine if one is named.

    Raises:
        SshError: as its subclasses say. A host key that is not known is never accepted.
    """
    with ExitStack() as stack:
        way: paramiko.Channel | None = None
        if bastion is not None:
            first = stack.enter_context(_client(bastion, keys, None))
            transport = first.get_transport()
            assert transport is not None, "connect leaves one"
            try:
                way = transport.open_channel("direct-tcpip", (address.host, address.port), ("", 0), CONNECT_SECONDS)
            except (paramiko.SSHException, OSError) as error:
                raise Unreachable(f"{bastion} cannot reach {address}: {_said(error)}") from error
        yield Machine(stack.enter_context(_client(address, keys, way)), address)


@contextmanager
def _client(address: Address, keys: Keys, way: paramiko.Channel | None) -> Iterator[paramiko.SSHClient]:
    # Its threads log tracebacks to standard error when nobody takes them; every failure is raised here as well.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        _know(client, keys.known_hosts)
        _connect(client, address, keys, way)
        yield client
    finally:
        client.close()


def _know(client: paramiko.SSHClient, known_hosts: Path) -> None:
    try:
        if known_hosts.exists():
            client.load_host_keys(str(known_hosts))
    except (OSError, UnicodeDecodeError, InvalidHostKey) as error:
        raise SshError(f"{known_hosts} cannot be read as a file of host keys: {_said(error)}") from error


def _connect(client: paramiko.SSHClient, address: Address, keys: Keys, way: paramiko.Channel | None) -> None:
    own = keys.identity_file
    try:
        client.connect(
            address.host,
            port=address.port,
            username=address.user,
            key_filename=str(own) if own is not None else None,
            allow_agent=own is None,
            look_for_keys=own is None,
            timeout=CONNECT_SECONDS,
            banner_timeout=CONNECT_SECONDS,
            auth_timeout=CONNECT_SECONDS,
            sock=way,
        )
    except paramiko.BadHostKeyException as error:
        raise ChangedHost(
            f"{address}: its host key is not the one in {keys.known_hosts}: somebody else may be answering. If the "
            f"machine was made anew, take the old key out: ssh-keygen -R '{_listed(address)}' -f {keys.known_hosts}"
        ) from error
    except paramiko.PasswordRequiredException as error:
        raise LoginRefused(
            f"{address}: the key {own} has a passphrase; hand it to the agent (ssh-add) and leave --identity-file out"
        ) from error
    except paramiko.AuthenticationException as error:
        tried = f"the key {own}" if own is not None else "no key of the agent or of ~/.ssh"
        verdict = "is not accepted" if own is not None else "is accepted"
        raise LoginRefused(
            f"{address}: {tried} {verdict}; name the user and the key: --user, --identity-file"
        ) from error
    except paramiko.SSHException as error:
        if "not found in known_hosts" in str(error):
            raise UnknownHost(
                f"{address}: its host key is not in {keys.known_hosts}; compare it with what the machine's console "
                f"shows, and add it: ssh-keyscan -p {address.port} {address.host} >> {keys.known_hosts}"
            ) from error
        if "private key" in str(error):
            raise LoginRefused(f"{address}: {own} holds no private key: {_said(error)}") from error
        raise Unreachable(f"{address} does not answer as an SSH server: {_said(error)}") from error
    except OSError as error:
        if error.filename is not None:
            raise LoginRefused(f"{address}: the key {own} cannot be read: {error.strerror}") from error
        raise Unreachable(f"{address} cannot be reached: {_said(error)}") from error


def _listed(address: Address) -> str:
    return address.host if address.port == 22 else f"[{address.host}]:{address.port}"  # noqa: PLR2004 - SSH's own port


def _said(error: BaseException) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
