"""What can go wrong on the way to a machine, one sentence each with what to do about it."""
# ruff: noqa: N818 - the names say what happened, which a suffix would only blur


class SshError(Exception):
    """A machine cannot be talked to, or did not do what was asked."""


class Unreachable(SshError):
    """Nobody answers at that address, or not as an SSH server does."""


class UnknownHost(SshError):
    """The machine's host key is in no known_hosts file: it may be anybody."""


class ChangedHost(SshError):
    """The machine has another host key than the one that is known."""


class LoginRefused(SshError):
    """The machine does not accept the user or the keys."""


class NotRoot(SshError):
    """The user may not become root without being asked for a password."""


class Broken(SshError):
    """The connection ended before the command did; what it did is not known."""
