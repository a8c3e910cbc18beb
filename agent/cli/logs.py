"""`joinery logs`: why did a machine not become a node."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from agent.aws.ec2 import Ec2
from agent.aws.errors import AwsError
from agent.aws.session import AwsSession
from agent.cli.administrator import admin_kubeconfig, kubeconfig_option
from agent.cli.reaching import PLACE, Place, Way, way_options
from agent.kube import paths, wire
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError
from agent.kube.kinds import items
from agent.report.joining import Told, read, redacted
from agent.settings import DEFAULT_PATH, SettingsError, load
from agent.ssh.connection import Address, Machine
from agent.ssh.errors import SshError

INSTANCE = "i-"
FROM_MACHINE = {
    "/var/log/joinery": "cat /var/log/joinery/*.log",
    "/var/log/cloud-init-output.log": "tail -n 100 /var/log/cloud-init-output.log",
    "journalctl -u kubelet": "journalctl -u kubelet --no-pager -n 60 -o short-iso",
}
"""What is fetched over SSH, and how."""


@click.command(name="logs")
@click.argument("target", metavar="NODE|INSTANCE|NODECLAIM")
@click.option("--ssh", "address", type=Place(), metavar=PLACE, help="Ask the machine itself, by SSH.")
@way_options
@click.option("--settings", default=DEFAULT_PATH, show_default=True, metavar="FILE", help="The daemon's settings.")
@kubeconfig_option
def logs(
    *,
    target: str,
    address: Address | None,
    way: Way,
    settings: str,
    kubeconfig: str | None,
) -> None:
    """Say in which phase of joining a machine is or failed, and show its last lines; tokens are left out.

    From EC2's console output, or with --ssh from the machine: the script's log, cloud-init's, and kubelet's.
    Exit codes: 0 shown, 1 it cannot be had, 64 wrong usage.
    """
    with _sentences():
        if address is not None:
            with way.to(address) as machine:
                _of_machine(machine)
            return
        loaded = load(settings)
        with KubeApi.from_kubeconfig(admin_kubeconfig(kubeconfig)) as api:
            instance = target if target.startswith(INSTANCE) else _instance_of(api, target)
            uid = wire.uid(api.get(paths.namespaces("kube-system")))
        ec2 = Ec2(AwsSession(loaded.region), loaded.cluster_name, uid)
        told = read(ec2.console_output(instance))
    click.echo(f"{instance}: {told.sentence}")
    _show(told)


def _of_machine(machine: Machine) -> None:
    machine.become_root()
    fetched = {name: machine.as_root("sh", "-c", command) for name, command in FROM_MACHINE.items()}
    found = read(next(iter(fetched.values())).output)
    click.echo(f"{machine.address}: {found.sentence}")
    for name, done in fetched.items():
        click.echo(f"\n== {name}")
        click.echo(redacted(done.output).rstrip() or "(nothing)")


def _show(told: Told) -> None:
    if told.lines:
        click.echo()
    for line in told.lines:
        click.echo(f"  {line}")


def _instance_of(api: KubeApi, name: str) -> str:
    """The instance of a NodeClaim or of a node, whichever has that name."""
    for path, field in ((paths.node_claims(), "status"), (paths.nodes(), "spec")):
        for item in items(api, path):
            provider = (item.get(field) or {}).get("providerID", "")
            if item["metadata"]["name"] == name:
                if not provider:
                    raise click.ClickException(
                        f"{name} has no instance yet; kubectl describe nodeclaim {name} says why"
                    )
                return str(provider.rpartition("/")[2])
    raise click.ClickException(
        f"there is no NodeClaim and no Node {name}; of an instance without either name the instance: joinery logs i-…"
    )


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except (AwsError, KubeError, SshError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
