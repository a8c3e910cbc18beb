"""What an operator tells the daemon: pause, resume, adopt, sweep. Kept in the cluster, so the daemon may be down.

Of adopt and sweep the last word counts: each takes back what the other had allowed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta

import click

from agent.aws.ec2 import Ec2
from agent.aws.errors import AwsError
from agent.aws.session import AwsSession
from agent.cli.administrator import admin_kubeconfig, kubeconfig_option
from agent.core.orphans import homeless
from agent.core.world import World
from agent.kube import paths, wire
from agent.kube.api import KubeApi
from agent.kube.approvals import allow
from agent.kube.errors import KubeError, NotFound
from agent.kube.times import utc_now
from agent.model import names
from agent.model.ec2 import Machine
from agent.model.plan import Cluster, Snapshot
from agent.settings import DEFAULT_PATH, Settings, SettingsError, load

ALLOWED_FOR = timedelta(minutes=10)

_SETTINGS = click.option("--settings", default=DEFAULT_PATH, show_default=True, metavar="FILE")


@click.command(name="pause")
@_SETTINGS
@kubeconfig_option
def pause(settings: str, kubeconfig: str | None) -> None:
    """Launch and disrupt nothing new until `joinery resume`; what was begun is finished."""
    with _cluster(settings, kubeconfig) as (loaded, api):
        allow(api, {"paused": "true"}, loaded.namespace)
    click.echo("paused: nothing new is launched or disrupted; go on with: joinery resume")


@click.command(name="resume")
@click.argument("pools", metavar="[NODEPOOL]...", nargs=-1)
@_SETTINGS
@kubeconfig_option
def resume(pools: tuple[str, ...], settings: str, kubeconfig: str | None) -> None:
    """End `joinery pause`, and the protected mode of the pools named."""
    with _cluster(settings, kubeconfig) as (loaded, api):
        allow(api, {"paused": None}, loaded.namespace)
        for pool in pools:
            try:
                api.merge_patch(paths.node_pools(pool), {"metadata": {"annotations": {names.PROTECTED: None}}})
            except NotFound as error:
                raise click.ClickException(f"there is no NodePool {pool}") from error
            click.echo(f"nodepool/{pool} resumed")
    click.echo("resumed")


@click.command(name="adopt")
@_SETTINGS
@kubeconfig_option
def adopt(settings: str, kubeconfig: str | None) -> None:
    """Give every instance of ours without a NodeClaim one, rebuilt from its tags, within the next ten minutes."""
    with _cluster(settings, kubeconfig) as (loaded, api):
        homeless = _homeless(api, loaded)
        _print(homeless, "to be adopted")
        if homeless:
            allow(api, {"adoptUntil": _until(), "sweepUntil": None}, loaded.namespace)
            click.echo("allowed for ten minutes; the daemon writes the NodeClaims")


@click.command(name="sweep")
@click.option("--yes", is_flag=True, help="Terminate them; without it they are only listed.")
@_SETTINGS
@kubeconfig_option
def sweep(yes: bool, settings: str, kubeconfig: str | None) -> None:
    """List instances of ours without a NodeClaim; with --yes, terminate them within the next ten minutes."""
    with _cluster(settings, kubeconfig) as (loaded, api):
        homeless = _homeless(api, loaded)
        _print(homeless, "to be terminated" if yes else "without a NodeClaim")
        if homeless and yes:
            allow(api, {"sweepUntil": _until(), "adoptUntil": None}, loaded.namespace)
            click.echo("allowed for ten minutes; the daemon terminates them")
        elif homeless:
            click.echo("terminate them with: joinery sweep --yes; keep them with: joinery adopt")


@contextmanager
def _cluster(settings: str, kubeconfig: str | None) -> Iterator[tuple[Settings, KubeApi]]:
    try:
        loaded = load(settings)
        with KubeApi.from_kubeconfig(admin_kubeconfig(kubeconfig)) as api:
            yield loaded, api
    except (SettingsError, KubeError, AwsError) as error:
        raise click.ClickException(str(error)) from error


def _homeless(api: KubeApi, settings: Settings) -> tuple[Machine, ...]:
    """What the daemon would adopt or terminate, by its own rule."""
    cluster = Cluster(settings.cluster_name, wire.uid(api.get(paths.namespaces("kube-system"))), settings.region)
    claims = tuple(claim for page in api.pages(paths.node_claims()) for claim in wire.node_claims(page))
    session = AwsSession(settings.region)
    try:
        machines = Ec2(session, cluster.name, cluster.uid).machines()
    finally:
        session.close()
    return homeless(World.of(Snapshot(utc_now(), cluster, settings.limits, claims=claims, machines=machines)))


def _print(machines: tuple[Machine, ...], what: str) -> None:
    if not machines:
        click.echo("every instance of ours has a NodeClaim")
        return
    for machine in machines:
        since = machine.launched_at.astimezone(UTC)
        click.echo(
            f"{machine.id}  {machine.instance_type}  {machine.zone}  {machine.pool or '-'}  since {since:%F %T} UTC"
        )
    click.echo(f"{len(machines)} {what}")


def _until() -> str:
    return (utc_now() + ALLOWED_FOR).replace(microsecond=0).isoformat()
