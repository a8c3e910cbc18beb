"""What `joinery plan` and `joinery explain` are asked about: objects of files or of the live cluster."""

import functools
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from agent.aws.offline import Shipped, shipped, zones
from agent.cli.administrator import admin_kubeconfig, kubeconfig_option
from agent.cli.files import named, read_documents
from agent.core.decide import decide
from agent.core.overlays import overlaid
from agent.core.verifying import PlanInvalid
from agent.kube.errors import KubeError
from agent.kube.live import SOURCE, live_documents
from agent.kube.offline import Objects, objects
from agent.kube.times import utc_now
from agent.kube.timestamps import parse_time
from agent.manifests import Document, check_documents
from agent.manifests.catalog import parse_catalog
from agent.model.ec2 import InstanceType, NodeClass
from agent.model.kubernetes import Meta
from agent.model.names import ClassName
from agent.model.plan import Cluster, Limits, Plan, Snapshot
from agent.report import plan_notes, saved
from agent.settings import DEFAULT_PATH, Settings, SettingsError, defaults, load, override

NO_BRAKE = 1_000_000_000
"""More nodes than any plan has."""
SEED = "plan"
POLICY = "spec.disruption.consolidationPolicy"
F = TypeVar("F", bound=Callable[..., None])


class Question(msgspec.Struct, frozen=True):
    """What the options that both commands have say."""

    files: tuple[str, ...]
    """None at all: the live cluster."""
    catalog: str | None
    now: datetime | None
    settings: tuple[str, ...]
    """KEY=VALUE."""
    kubeconfig: str | None
    snapshot: str | None
    """A saved snapshot instead of all of the above."""


class Answer(msgspec.Struct, frozen=True):
    """The snapshot and its plan, and the shipped table where no catalogue was given."""

    snapshot: Snapshot
    plan: Plan
    brakes: Limits
    """Those that the daemon would have."""
    provided: Shipped | None


def _time(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    if text is None:
        return None
    found = parse_time(text)
    if found is None:
        raise click.BadParameter(f'"{text}" is not a time such as 2026-11-20T12:00:00Z')
    return found


def options(command: F) -> F:
    """Add the options that a ``Question`` is made of; they arrive as one argument, ``question``."""

    @functools.wraps(command)
    def asked(*args: object, **given: object) -> None:
        own = {name: given.pop(name) for name in Question.__struct_fields__}
        command(*args, question=msgspec.convert(own, Question), **given)

    for option in reversed(
        (
            click.option(
                "-f",
                "--filename",
                "files",
                multiple=True,
                metavar="FILE",
                help="A file or folder of objects; - is stdin.  [default: the live cluster, as an administrator]",
            ),
            click.option(
                "--catalog", metavar="FILE", help="An InstanceTypeCatalog.  [default: the table that is shipped]"
            ),
            click.option(
                "--now", metavar="RFC3339", callback=_time, help="Time of the plan.  [default: the newest in the files]"
            ),
            click.option(
                "--set",
                "settings",
                multiple=True,
                callback=_valid,
                metavar="KEY=VALUE",
                help="Set a field of the settings file.",
            ),
            kubeconfig_option,
            click.option(
                "--snapshot", metavar="FILE", help="Decide again from a snapshot that `joinery plan --save` wrote."
            ),
        )
    ):
        asked = option(asked)
    return asked  # type: ignore[return-value]


def _valid(_context: click.Context, _parameter: click.Parameter, assignments: tuple[str, ...]) -> tuple[str, ...]:
    try:
        override(defaults(), assignments)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    return assignments


def answer(question: Question, *, provision: bool = True, disrupt: bool = True) -> Answer:
    """Read everything and decide; every fault of the input is said before it ends with 1."""
    if question.snapshot is not None:
        return _replayed(question, question.snapshot, provision=provision, disrupt=disrupt)
    settings = _settings(question)
    # What was read stays in no variable: the text of files is larger than all that is made of it.
    read, types = _read(*_documents(question), question.catalog)
    provided = shipped(zones(read.pools, read.classes, (*read.nodes, *read.claims), read.volumes), settings.region)
    now = question.now or (read.newest if question.files else None) or utc_now()
    snapshot = _snapshot(read, types if types is not None else provided, settings, now)
    if not question.files:
        # One cycle of the daemon, with the brakes that it has; what a node is called proves nothing here either.
        snapshot = msgspec.structs.replace(
            snapshot, limits=msgspec.structs.replace(settings.limits, node_name="private-dns")
        )
    snapshot = msgspec.structs.replace(snapshot, provision=provision, disrupt=disrupt)
    return Answer(snapshot, _decided(snapshot), settings.limits, provided if types is None else None)


def _decided(snapshot: Snapshot) -> Plan:
    try:
        return decide(snapshot)
    except PlanInvalid as error:
        raise click.ClickException(f"the plan contradicts itself, which is a fault of Joinery: {error}") from error


def _replayed(question: Question, file: str, *, provision: bool, disrupt: bool) -> Answer:
    """The decision of a saved snapshot, made again as it was, or a part of it: nothing else of it can be set."""
    given = {"-f": question.files, "--catalog": question.catalog, "--now": question.now, "--set": question.settings}
    if also := [option for option, value in given.items() if value]:
        raise click.UsageError(f"--snapshot holds everything already; leave out {', '.join(also)}")
    try:
        snapshot = saved.decode(Path(file).read_bytes())
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    except saved.Unreadable as error:
        raise click.ClickException(f"{file}: {error}") from error
    snapshot = msgspec.structs.replace(
        snapshot, provision=snapshot.provision and provision, disrupt=snapshot.disrupt and disrupt
    )
    return Answer(snapshot, _decided(snapshot), snapshot.limits, None)


def notes(found: Answer) -> None:
    """Say beside the answer whose prices it counts with, and what it leaves out."""
    prices = plan_notes.prices(found.provided, found.snapshot.pools) if found.provided is not None else ()
    say([*prices, *plan_notes.notes(found.snapshot, found.plan, found.brakes)])


def _settings(question: Question) -> Settings:
    """Those of the daemon for the live cluster, where it has any; defaults for files."""
    try:
        base = load(DEFAULT_PATH) if not question.files and Path(DEFAULT_PATH).is_file() else defaults()
        return override(base, question.settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def _documents(question: Question) -> tuple[list[Document], list[str]]:
    """The objects, and what is wrong with files as such."""
    if not question.files:
        from agent.kube.api import KubeApi  # noqa: PLC0415 - a plan of files need not wait for a client's import

        try:
            with KubeApi.from_kubeconfig(admin_kubeconfig(question.kubeconfig)) as api:
                return list(live_documents(api)), []
        except KubeError as error:
            raise click.ClickException(f"{error}; objects of files are given with -f") from error
    documents: list[Document] = []
    faults: list[str] = []
    for file in named(question.files, question.catalog):
        try:
            found = read_documents(file)
        except click.ClickException as error:
            faults.append(error.message)
            continue
        faults += [str(fault) for fault in found.faults]
        if not (found.documents or found.faults or found.lists):
            faults.append(f"{file}: holds no object")
        documents += found.documents
    return documents, faults


def _read(
    documents: list[Document], faults: list[str], catalog: str | None
) -> tuple[Objects, tuple[InstanceType, ...] | None]:
    """Objects and types; every fault is said before it ends with 1. What is wrong in a cluster stops nothing."""
    checked = check_documents(tuple(documents))
    read = objects(documents, checked.faults)
    wrong = (*checked.faults, *read.faults)
    say(str(fault) for fault in wrong if fault.source == SOURCE)
    faults += [str(fault) for fault in wrong if fault.source != SOURCE]
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
    say(str(note) for note in (*kept, *read.notes))
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


def say(notes: Iterable[str]) -> None:
    """Each note as a line of its own on standard error."""
    for note in notes:
        click.echo(f"note: {note}", err=True)
