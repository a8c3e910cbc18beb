"""Files that a person names on the command line."""

import sys
from pathlib import Path

import click

from agent.manifests import Documents, load_documents


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
    raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    return raw.decode("utf-8-sig")
