"""`joinery userdata render`: exactly the bytes that an instance of a class gets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from agent.join.errors import JoinError, TemplateFault
from agent.join.facts import JoinFacts, facts_for, parse_facts
from agent.join.userdata import RenderOptions, render
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError, NotFound
from agent.manifests.documents import load_documents
from agent.manifests.parsing import NodeClassManifest, parse_node_class
from agent.settings import DEFAULT_PATH, SettingsError, load

_KIND = "EC2NodeClass"


@click.group(name="userdata")
def userdata() -> None:
    """See what makes an instance a node."""


@userdata.command(name="render")
@click.argument("name", metavar="[NODECLASS]", required=False)
@click.option("-f", "--filename", type=click.Path(path_type=Path), help="Read the class from a manifest instead.")
@click.option("--facts", "facts_file", type=click.Path(path_type=Path), help="Join facts as JSON: no cluster is asked.")
@click.option("--settings", default=DEFAULT_PATH, show_default=True, metavar="FILE", help="The daemon's settings.")
@click.option("--kubeconfig", metavar="FILE", help="Kubeconfig to use.  [default: as the settings say]")
def render_command(
    name: str | None, filename: Path | None, facts_file: Path | None, settings: str, kubeconfig: str | None
) -> None:
    """Print the userData of a class, byte for byte. Nothing in it is secret.

    The class comes from the cluster, or from a file with -f; with --facts as well, nothing but the files is read.
    Exit codes: 0 printed, 1 cannot be rendered, 64 wrong usage.
    """
    if name is None and filename is None:
        raise click.UsageError("name an EC2NodeClass of the cluster, or a manifest with -f")
    with _sentences():
        loaded = None if filename is not None and facts_file is not None else load(settings)
        facts = parse_facts(_text(facts_file)) if facts_file is not None else None
        if filename is not None and facts is not None:
            click.echo(_rendered(_from_file(filename, name), facts, _options(settings)), nl=False)
            return
        assert loaded is not None  # only the branch above does without settings
        with KubeApi.from_kubeconfig(kubeconfig or loaded.kubeconfig) as api:
            found = _from_file(filename, name) if filename is not None else _from_cluster(api, name or "")
            text = _rendered(found, facts or facts_for(api, loaded), _options(settings))
        click.echo(text, nl=False)


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except (JoinError, KubeError, SettingsError) as error:
        raise click.ClickException(str(error)) from error


def _options(settings: str) -> RenderOptions:
    """What the settings say of userData; without a settings file the defaults."""
    if not Path(settings).exists():
        return RenderOptions()
    loaded = load(settings)
    folder = Path(loaded.userdata_templates) if loaded.userdata_templates else None
    return RenderOptions(node_name=loaded.node_name, templates=folder)


def _from_cluster(api: KubeApi, name: str) -> NodeClassManifest:
    try:
        raw = api.get(paths.node_classes(name))
    except NotFound as error:
        raise TemplateFault(f"the cluster has no {_KIND} {name}") from error
    return parse_node_class(msgspec.json.decode(raw))


def _from_file(path: Path, name: str | None) -> NodeClassManifest:
    documents = load_documents(_text(path), str(path))
    if documents.faults:
        raise TemplateFault("\n".join(str(fault) for fault in documents.faults))
    classes = [parse_node_class(d.obj) for d in documents.documents if d.obj.get("kind") == _KIND]
    chosen = [c for c in classes if name is None or c.meta.name == name]
    if len(chosen) != 1:
        there = ", ".join(c.meta.name for c in classes) or "none"
        raise TemplateFault(f"{path} must hold exactly one {_KIND}{f' {name}' if name else ''}; it holds: {there}")
    return chosen[0]


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateFault(f"{path} cannot be read: {error}") from error


def _rendered(found: NodeClassManifest, facts: JoinFacts, options: RenderOptions) -> str:
    if found.spec is None or found.faults:
        raise TemplateFault("\n".join(found.faults))
    return render(found.spec, facts, found.meta.annotations, options)
