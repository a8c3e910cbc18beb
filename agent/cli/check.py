"""`joinery check -f`: every fault of manifest files at once, without cluster or AWS."""

import sys
from pathlib import Path

import click
import msgspec

from agent.manifests import Checked, Documents, check_documents, load_documents
from agent.manifests.faults import Fault, Note


@click.command(name="check")
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE", help="A file; - is stdin.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(files: tuple[str, ...], output: str) -> None:
    """Check NodePools, EC2NodeClasses and NodeClaims in files.

    Faults go to standard error as FILE: KIND/NAME: path: message. Exit codes: 0 no faults, 1 faults, 64 wrong usage.
    """
    loaded = [read_documents(file) for file in files]
    checked = [check_documents(found.documents) for found in loaded]
    faults = [f for found, one in zip(loaded, checked, strict=True) for f in (*found.faults, *one.faults)]
    empty = [f for f, found in zip(files, loaded, strict=True) if not (found.documents or found.faults)]
    faults += [Fault(file, "", "", "", "holds no object") for file in empty]
    notes = [n for found, one in zip(loaded, checked, strict=True) for n in (*_unread(found, one), *one.notes)]
    count = sum(document.model is not None for found in loaded for document in found.documents)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    for fault in faults:
        click.echo(str(fault), err=True)
    if output == "json":
        body = {
            "apiVersion": "joinery.sh/v1alpha1",
            "kind": "Check",
            "objects": count,
            "faults": faults,
            "notes": notes,
        }
        click.echo(msgspec.json.format(msgspec.json.encode(body), indent=2).decode())
    elif not faults:
        click.echo(f"{count} object{'s' if count != 1 else ''}, no faults")
    if faults:
        raise click.exceptions.Exit(1)


def _unread(found: Documents, checked: Checked) -> list[Note]:
    """Objects that are passed over, so that nobody takes silence for approval."""
    faulty = {(f.kind, f.name) for f in checked.faults}
    return [
        Note(d.source, d.kind, d.name, "", "is not checked: people write other kinds than this for Joinery")
        for d in found.documents
        if d.model is None and (d.kind, d.name) not in faulty
    ]


def read_documents(file: str) -> Documents:
    """Read and take apart one file; ``-`` is standard input.

    Raises:
        click.ClickException: it is not there or cannot be read.
    """
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return load_documents(raw.decode("utf-8-sig"), file)
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file}: is not UTF-8 text") from error


__all__ = ["Checked", "check", "read_documents"]
