"""Files that a person names on the command line."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from agent.manifests import Documents, load_documents

STDIN: Final = "-"
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


def named(files: Iterable[str], *more: str | None) -> tuple[str, ...]:
    """The files to read, each folder standing for the manifests in it, as with kubectl; ``more`` are read elsewhere.

    Raises:
        click.UsageError: standard input is named twice, or a name is empty.
    """
    listed = tuple(files)
    if "" in (*listed, *more):
        raise click.UsageError("the name of a file is empty")
    if (*listed, *more).count(STDIN) > 1:
        raise click.UsageError("standard input (-) can be read only once; write one of the two to a file")
    return tuple(name for file in listed for name in _inside(file))


def _inside(file: str) -> list[str]:
    """The manifests of a folder; a folder without any stays, and is told as what it is when it is read."""
    if file == STDIN or not Path(file).is_dir():
        return [file]
    return sorted(str(path) for path in Path(file).iterdir() if path.suffix in _SUFFIXES and path.is_file()) or [file]


def read_documents(file: str) -> Documents:
    """Read and take apart one file; ``-`` is standard input.

    Raises:
        click.ClickException: it is not there or cannot be read.
    """
    try:
        return load_documents(_text(file), file)
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file}: is not UTF-8 text") from error


def _text(file: str) -> str:
    raw = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    return raw.decode("utf-8-sig")
