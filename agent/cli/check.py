"""`joinery check -f`: every fault of manifest files at once, without cluster or AWS."""

import sys
from pathlib import Path

import click
import msgspec

from agent.manifests import Checked, Documents, check_documents, load_documents


@click.command(name="check")
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE", help="A file; - is stdin.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(files: tuple[str, ...], output: str) -> None:
    """Check NodePools, EC2NodeClasses and NodeClaims in files.

    Faults go to standard error as FILE: KIND/NAME: path: message. Exit codes: 0 no faults, 1 faults, 64 wrong usage.
    """
    loaded = [read_documents(file) for file in files]
    checked = [check_documents(found.documents) for found in loaded]
    faults = [f for found in loaded for f in found.faults] + [f for c in checked for f in c.faults]
    notes = [n for c in checked for n in c.notes]
    count = sum(len(found.documents) for found in loaded)
    if output == "json":
        body = {"objects": count, "faults": faults, "notes": notes}
        click.echo(msgspec.json.format(msgspec.json.encode(body), indent=2).decode())
    else:
        for note in notes:
            click.echo(f"note: {note}", err=True)
        for fault in faults:
            click.echo(str(fault), err=True)
        if not faults:
            click.echo(f"{count} object{'s' if count != 1 else ''}, no faults")
    if faults:
        raise click.exceptions.Exit(1)


def read_documents(file: str) -> Documents:
    """Read and take apart one file.

    Raises:
        click.ClickException: it is not there or cannot be read.
    """
    if file == "-":
        return load_documents(sys.stdin.read(), "-")
    try:
        text = Path(file).read_text("utf-8")
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file}: is not UTF-8 text") from error
    return load_documents(text, file)


__all__ = ["Checked", "check", "read_documents"]
