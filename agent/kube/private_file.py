"""Files that only their owner may read, written so that a reader sees the old content or the new, never half of it."""

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

_REASONS: Final = {
    errno.ENOSPC: "no space is left on the file system",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission is denied; run it as root",
    errno.EPERM: "the operation is not permitted; run it as root",
    errno.ENOENT: "the folder does not exist",
}


class FileError(Exception):
    """A file could not be read or written; the text says which and why. What was there before is still there."""


class Owner(msgspec.Struct, frozen=True):
    """User and group by number."""

    uid: int
    gid: int


def read_private(path: Path) -> str | None:
    """The content; None when there is no such file.

    A symbolic link is not followed: root reads files in a folder of a less trusted user.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {_reason(error)}") from error
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read()


def write_private(path: Path, text: str, owner: Owner) -> None:
    """Writes a file of mode 0600 beside the old one and renames it; a failure leaves the old one as it was."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(temporary, text, owner)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise FileError(f"{path} could not be written: {_reason(error)}. What was there before is kept") from error


def _write(temporary: Path, text: str, owner: Owner) -> None:
    # O_EXCL refuses a link that somebody put there first (open(2)).
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        # Changing the owner is a privilege that the daemon, which owns its files already, does not have.
        made = os.fstat(file.fileno())
        if (made.st_uid, made.st_gid) != (owner.uid, owner.gid):
            os.fchown(file.fileno(), owner.uid, owner.gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, error.strerror or str(error))
