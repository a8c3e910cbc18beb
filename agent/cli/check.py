"""`joinery check`: the installation, one question a line; with -f, manifest files without cluster or AWS."""

from typing import Final

import click
import msgspec

from agent import preflight
from agent.aws.errors import AwsError
from agent.aws.session import AwsSession
from agent.cli.files import named, read_documents
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError
from agent.kube.kubeconfig import default_path
from agent.kube.times import utc_now
from agent.manifests import Checked, Documents, check_documents
from agent.manifests.faults import Fault, Note
from agent.settings import DEFAULT_PATH, SettingsError, load

_COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red", "unknown": "magenta"}


@click.command(name="check")
@click.option("-f", "--filename", "files", multiple=True, metavar="FILE", help="A file or folder; - is stdin.")
@click.option("--settings", default=DEFAULT_PATH, show_default=True, metavar="FILE", help="The daemon's settings.")
@click.option("--kubeconfig", metavar="FILE", help="Kubeconfig to use.  [default: as the settings say]")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(files: tuple[str, ...], settings: str, kubeconfig: str | None, output: str) -> None:
    """Check the installation; with -f check NodePools, EC2NodeClasses and NodeClaims in files instead.

    The installation is looked at with the daemon's own rights, and nothing is changed: EC2 is asked with DryRun. Faults
    of files go to standard error as FILE: KIND/NAME: path: message. Exit codes: 0 no faults, 1 faults, 64 wrong usage.
    """
    if files:
        _check_files(named(files), output)
    else:
        _check_site(settings, kubeconfig, output)


def _check_site(settings: str, kubeconfig: str | None, output: str) -> None:
    findings = []
    try:
        loaded = load(settings)
        chosen = kubeconfig or loaded.kubeconfig or default_path()
        session = AwsSession(loaded.region)
        with KubeApi.from_kubeconfig(chosen) as api:
            for finding in preflight.look(preflight.Site(loaded, api, chosen, session, utc_now)):
                findings.append(finding)
                if output == "text":
                    _print(finding)
        session.close()
    except (SettingsError, KubeError, AwsError) as error:
        raise click.ClickException(str(error)) from error
    failed = sum(f.level == "fail" for f in findings)
    if output == "json":
        body = {"apiVersion": "joinery.sh/v1alpha1", "kind": "Check", "findings": findings}
        click.echo(msgspec.json.format(msgspec.json.encode(body), indent=2).decode())
    else:
        click.echo(f"{len(findings)} looked at, {failed} failed")
    if failed:
        raise click.exceptions.Exit(1)


def _print(finding: preflight.Finding) -> None:
    level = click.style(f"{finding.level:8}", fg=_COLOURS[finding.level])
    fix = f"  -> {finding.fix}" if finding.fix else ""
    click.echo(f"{level}{finding.check:16}{finding.message}{fix}")


def _check_files(files: tuple[str, ...], output: str) -> None:
    loaded = [read_documents(file) for file in files]
    checked = [check_documents(found.documents) for found in loaded]
    faults = [f for found, one in zip(loaded, checked, strict=True) for f in (*found.faults, *one.faults)]
    empty = [f for f, found in zip(files, loaded, strict=True) if not (found.documents or found.faults or found.lists)]
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
