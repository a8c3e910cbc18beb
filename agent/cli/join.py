"""`joinery join`: a machine that is there already becomes a fixed node, over SSH."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from agent.cli.administrator import admin_kubeconfig, kubeconfig_option
from agent.cli.reaching import PLACE, Place, Way, way_options
from agent.join.errors import JoinError
from agent.join.facts import JoinFacts, facts_for
from agent.join.host import HalfJoined, carry_out, look, single_use_token, standing, wait_ready
from agent.join.userdata import Host, RenderOptions, render_host
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError
from agent.manifests.examine import read
from agent.manifests.fixed import FixedNode
from agent.manifests.parsing import fault_lines
from agent.settings import DEFAULT_PATH, Settings, SettingsError, load
from agent.ssh.connection import Address, Machine
from agent.ssh.errors import SshError


class Wish(msgspec.Struct, frozen=True):
    """What the machine is to be."""

    node: FixedNode
    reset: bool

    def host(self, name: str) -> Host:
        """The machine as the template takes it."""
        taints = (f"{t.key}={t.value}:{t.effect}" for t in self.node.taints)
        return Host(self.node.name or name, dict(self.node.labels), tuple(taints), self.reset)


@click.command(name="join")
@click.argument("host", type=Place(), metavar=PLACE)
@click.option("--user", help="Log in as this user.  [default: as ssh does]")
@way_options
@click.option("--node-name", help="Name of the node.  [default: the machine's host name]")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Label of the node. May be repeated.")
@click.option("--taint", "taints", multiple=True, metavar="KEY=VALUE:EFFECT", help="Taint. May be repeated.")
@click.option("--reset", is_flag=True, help="Undo an earlier join on the machine first (kubeadm reset).")
@click.option("--dry-run", is_flag=True, help="Print the script; touch neither the machine nor the cluster.")
@click.option("--settings", default=DEFAULT_PATH, show_default=True, metavar="FILE", help="The daemon's settings.")
@kubeconfig_option
def join(  # noqa: PLR0913 - a command's options
    *,
    host: Address,
    user: str | None,
    way: Way,
    node_name: str | None,
    labels: tuple[str, ...],
    taints: tuple[str, ...],
    reset: bool,
    dry_run: bool,
    settings: str,
    kubeconfig: str | None,
) -> None:
    """Make a machine with Ubuntu or Debian a node. It stays yours: Joinery never drains or ends it.

    Exit codes: 0 it is a Ready node (also when it was before), 1 it is not, 64 wrong usage.
    """
    wish = Wish(_node(node_name, labels, taints), reset)
    address = msgspec.structs.replace(host, user=user or host.user)
    with _sentences():
        loaded = load(settings)
        with KubeApi.from_kubeconfig(admin_kubeconfig(kubeconfig)) as api:
            facts = facts_for(api, loaded)
            if dry_run:
                click.echo(_script(wish.host(host.host), facts, loaded), nl=False)
                return
            with way.to(address) as machine:
                _join(machine, api, wish, (facts, loaded))


def _join(machine: Machine, api: KubeApi, wish: Wish, about: tuple[JoinFacts, Settings]) -> None:
    facts, settings = about
    machine.become_root()
    found = look(machine)
    host = wish.host(found.hostname)
    if found.control_plane:
        raise HalfJoined(f"{machine.address} is a control-plane machine; it is left alone")
    ready = standing(api, host.name)
    if found.joined and not wish.reset:
        _joined_before(machine, host.name, ready if found.of(facts) else None)
        return
    if ready and not found.joined:
        raise JoinError(
            f"the cluster has a Ready node {host.name}, and {machine.address} is not it; name it otherwise: --node-name"
        )
    script = _script(host, facts, settings)
    with single_use_token(api, random.SystemRandom(), datetime.now(UTC)) as token:
        carry_out(machine, script, token, _told)
    if not wait_ready(api, host.name):
        raise JoinError(
            f"node {host.name} has joined and is not Ready yet; kubectl describe node {host.name} says what it lacks"
        )
    click.echo(f"{machine.address} is node {host.name}, and Ready")


def _joined_before(machine: Machine, name: str, ready: bool | None) -> None:
    if ready:
        click.echo(f"{machine.address} is node {name} already, and Ready; nothing was done")
        return
    state = "this cluster has no such node" if ready is None else "its node is not Ready"
    raise HalfJoined(
        f"{machine.address} was joined before (/etc/kubernetes/kubelet.conf), and {state} ({name}); see why with "
        f"journalctl -u kubelet on it, or undo that join (kubeadm reset ends its pods) and join again: --reset"
    )


def _script(host: Host, facts: JoinFacts, settings: Settings) -> str:
    folder = Path(settings.userdata_templates) if settings.userdata_templates else None
    return render_host(host, facts, RenderOptions(templates=folder))


def _told(line: str) -> None:
    if line.startswith("joinery: "):
        click.echo(line.removeprefix("joinery: "))


def _node(name: str | None, labels: tuple[str, ...], taints: tuple[str, ...]) -> FixedNode:
    written = {"name": name, "labels": dict(map(_label, labels)), "taints": list(map(_taint, taints))}
    examined = read(FixedNode, written)
    if examined.faults or examined.value is None:
        raise click.UsageError("; ".join(fault_lines(examined.faults)))
    return examined.value


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--label {text}: it is KEY=VALUE")
    return key, value


def _taint(text: str) -> dict[str, str]:
    """As kubelet's flag has it, where the value may be left out."""
    rest, colon, effect = text.rpartition(":")
    if not colon:
        raise click.UsageError(f"--taint {text}: it is KEY=VALUE:EFFECT")
    key, _, value = rest.partition("=")
    return {"key": key, "value": value, "effect": effect}


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except (JoinError, KubeError, SshError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
