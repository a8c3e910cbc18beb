"""`joinery plan -f`: what one cycle of the daemon would do with these objects, without cluster or AWS."""

import os
import sys
from collections.abc import Iterable
from datetime import datetime

import click
import msgspec

from agent.aws.offline import Shipped, shipped, zones
from agent.cli.check import read_documents
from agent.core.decide import decide
from agent.core.overlays import overlaid
from agent.core.verifying import PlanInvalid
from agent.kube.offline import Objects, objects
from agent.kube.times import utc_now
from agent.kube.timestamps import parse_time
from agent.manifests import Document, check_documents
from agent.manifests.catalog import parse_catalog
from agent.model.ec2 import InstanceType, NodeClass
from agent.model.kubernetes import Meta
from agent.model.names import ClassName
from agent.model.plan import Cluster, Limits, Plan, Snapshot
from agent.report import plan_json, plan_notes, plan_text
from agent.settings import Settings, SettingsError, defaults, override

SOMETHING_TO_DO = 2
NO_BRAKE = 1_000_000_000
"""More nodes than any plan has."""
SEED = "plan"
EXAMPLES = """\b
Examples:
  joinery plan -f examples/worker-scalable.yaml -f examples/five-scan-workers.yaml
  kubectl get nodepools,nodeclaims,nodes,pods -A -o yaml | joinery plan -f - -o json
"""
POLICY = "spec.disruption.consolidationPolicy"


def _time(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    found = parse_time(text)
    if found is None:
        raise click.BadParameter(f'"{text}" is not a time such as 2026-11-20T12:00:00Z')
    return found


def _settings(_context: click.Context, _parameter: click.Parameter, assignments: tuple[str, ...]) -> Settings:
    try:
        return override(defaults(), assignments)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


@click.command(name="plan", epilog=EXAMPLES)
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE", help="A file; - is stdin.")
@click.option("--catalog", metavar="FILE", help="An InstanceTypeCatalog.  [default: the table that is shipped]")
@click.option("--now", metavar="RFC3339", callback=_time, help="Time of the plan.  [default: the newest in the files]")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--what", type=click.Choice(["provision", "disrupt", "all"]), default="all", show_default=True)
@click.option(
    "--set",
    "settings",
    multiple=True,
    callback=_settings,
    metavar="KEY=VALUE",
    help="Set a field of the settings file.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to do.")
def plan(  # noqa: PLR0913 - one argument per option
    *,
    files: tuple[str, ...],
    catalog: str | None,
    now: datetime | None,
    output: str,
    what: str,
    settings: Settings,
    detailed_exitcode: bool,
) -> None:
    """Say what one cycle would launch and disrupt, where pods would go, and why others get no node.

    Exit codes: 0; with --detailed-exitcode 0 nothing to do, 2 something to do; 1 faults, 64 wrong usage.
    """
    read, types = _read(files, catalog)
    provided = shipped(zones(read.pools, read.classes, read.nodes, read.claims), settings.region)
    snapshot = _snapshot(read, types if types is not None else provided, settings, now or read.newest or utc_now())
    snapshot = msgspec.structs.replace(snapshot, provision=what != "disrupt", disrupt=what != "provision")
    try:
        decided = decide(snapshot)
    except PlanInvalid as error:
        raise click.ClickException(f"the plan contradicts itself, which is a fault of Joinery: {error}") from error
    _say(
        [*(plan_notes.prices(provided) if types is None else ()), *plan_notes.notes(snapshot, decided, settings.limits)]
    )
    _show(snapshot, decided, output)
    busy = decided.launches or plan_json.disruptions(decided)
    if detailed_exitcode and busy:
        raise click.exceptions.Exit(SOMETHING_TO_DO)


def _read(files: tuple[str, ...], catalog: str | None) -> tuple[Objects, tuple[InstanceType, ...] | None]:
    """Objects and types; every fault of every file is said before it ends with 1."""
    documents: list[Document] = []
    faults: list[str] = []
    for file in files:
        try:
            found = read_documents(file)
        except click.ClickException as error:
            faults.append(error.message)
            continue
        faults += [str(fault) for fault in found.faults]
        if not (found.documents or found.faults):
            faults.append(f"{file}: holds no object")
        documents += found.documents
    checked = check_documents(tuple(documents))
    read = objects(documents, checked.faults)
    faults += [str(fault) for fault in (*checked.faults, *read.faults)]
    types: tuple[InstanceType, ...] | None = None
    if catalog is not None:
        try:
            listed = parse_catalog(read_documents(catalog), catalog)
        except click.ClickException as error:
            faults.append(error.message)
        else:
            types = listed.types
            faults += [str(fault) for fault in listed.faults]
    # What of a pool's policy is not planned is said once, of all pools together.
    kept = [note for note in checked.notes if note.path != POLICY]
    _say(str(note) for note in (*kept, *read.notes))
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        raise click.exceptions.Exit(1)
    return read, types


def _snapshot(read: Objects, types: Shipped | tuple[InstanceType, ...], settings: Settings, now: datetime) -> Snapshot:
    known = {c.name: c for c in read.classes}
    wanted = sorted({p.node_class for p in read.pools} | {c.node_class for c in read.claims} | known.keys())
    made: dict[ClassName, tuple[InstanceType, ...]] = {}
    for name in wanted:
        node_class = known.get(name) or NodeClass(Meta(name), "")
        made[name] = types.instance_types(node_class) if isinstance(types, Shipped) else types
    corrected = overlaid(made, read.pools, read.overlays)
    return Snapshot(
        now=now,
        cluster=Cluster(settings.cluster_name, "", settings.region),
        limits=_limits(settings),
        seed=SEED,
        pods=read.pods,
        nodes=read.nodes,
        claims=read.claims,
        pools=read.pools,
        classes=read.classes,
        instance_types=corrected.instance_types,
        overlays=corrected.overlays,
        machines=(),
        machines_at=now,
        pdbs=read.pdbs,
        daemonsets=read.daemonsets,
        attachments=read.attachments,
        volumes=read.volumes,
        volume_claims=read.volume_claims,
        storage_classes=read.storage_classes,
        attach_limits=read.attach_limits,
        namespaces=read.namespaces,
    )


def _limits(settings: Settings) -> Limits:
    """What was set; a what-if is answered whole, so the daemon's brakes hold only where they were asked for.

    Files prove the identity of no node; which belongs to which claim was settled when they were read.
    """
    free = {name: NO_BRAKE for name in ("max_nodes", "launches_per_minute") if name not in settings.model_fields_set}
    return msgspec.structs.replace(settings.limits, node_name="private-dns", **free)


def _say(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _show(snapshot: Snapshot, decided: Plan, output: str) -> None:
    if output == "json":
        click.echo(plan_json.encode(decided).decode())
        return
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    click.echo(plan_text.render(snapshot, decided, colour=colour), nl=False, color=colour)
