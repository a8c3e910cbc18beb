"""`joinery install`, `uninstall` and `credentials`: what an administrator does once, and the unit before each start."""

import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import click
import yaml

from agent.cli.administrator import ADMIN_CONF, admin_kubeconfig, kubeconfig_option
from agent.join.tokens import bootstrap_rbac
from agent.kube import rbac
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError
from agent.kube.identity import IdentityError, Target, ensure
from agent.kube.install import InstallError
from agent.kube.install import install as install_objects
from agent.kube.kinds import Manifest
from agent.kube.private_file import Owner
from agent.kube.uninstall import uninstall as remove_objects
from agent.model import names

_NAMESPACE = click.option(
    "--namespace", default=names.NAMESPACE, show_default=True, help="Where the ServiceAccount and the Lease live."
)


def crd_manifests() -> list[Manifest]:
    """The CRDs that this version speaks, from the package's own files."""
    folder = resources.files("agent") / "crds"
    return [
        document
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if file.name.endswith(".yaml")
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if document
    ]


def installation(namespace: str) -> list[Manifest]:
    """Every object that `joinery install` sees to."""
    return [*crd_manifests(), *rbac.objects(namespace), *bootstrap_rbac()]


@click.command(name="install")
@kubeconfig_option
@_NAMESPACE
@click.option("--adopt-crds", is_flag=True, help="Take over Karpenter's CRDs that exist already, with their objects.")
def install(kubeconfig: str | None, namespace: str, adopt_crds: bool) -> None:
    """Put the CRDs, the daemon's identity and its rights into the cluster.

    May be repeated; run it again after each upgrade. Refuses to touch CRDs that came from elsewhere.
    """
    with _administrator(kubeconfig) as api:
        _tell(install_objects(api, installation(namespace), adopt_crds=adopt_crds))
    click.echo("Next, on each control-plane node: systemctl enable --now joinery", err=True)


@click.command(name="uninstall")
@kubeconfig_option
@click.option(
    "--delete-crd",
    "delete_crds",
    multiple=True,
    metavar="NAME",
    help="Also delete this CRD and with it every object of it, for example nodepools.karpenter.sh. May be repeated.",
)
@click.option("--force", is_flag=True, help="Go on although instances of Joinery's run; they run on, and are listed.")
def uninstall(kubeconfig: str | None, delete_crds: tuple[str, ...], force: bool) -> None:
    """Take the daemon's identity and rights out of the cluster; CRDs and their objects stay unless named."""
    with _administrator(kubeconfig) as api:
        _tell(remove_objects(api, delete_crds=delete_crds, force=force))


@click.group(name="credentials")
def credentials() -> None:
    """See to the credential with which the daemon talks to the API server."""


@credentials.command(name="ensure")
@click.option("--admin-kubeconfig", default=ADMIN_CONF, show_default=True, type=click.Path(path_type=Path))
@click.option("--out", default="/etc/joinery/kubeconfig", show_default=True, type=click.Path(path_type=Path))
@click.option("--token-file", default="/var/lib/joinery/token", show_default=True, type=click.Path(path_type=Path))
@click.option("--user", default="joinery", show_default=True, help="Who owns both files.")
@_NAMESPACE
def ensure_credentials(admin_kubeconfig: Path, out: Path, token_file: Path, user: str, namespace: str) -> None:
    """Write the daemon's token and kubeconfig when they are missing, expired or refused.

    Needs root, for admin.conf. The daemon renews the token by itself; this is for the first start and for one after a
    long stop, and the unit runs it before each start.
    """
    target = Target(out.absolute(), token_file.absolute(), _owner(user), namespace)
    try:
        click.echo(ensure(admin_kubeconfig, target, datetime.now(UTC)))
    except IdentityError as error:
        raise click.ClickException(str(error)) from error


def _owner(user: str) -> Owner:
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise click.ClickException(
            f"there is no user {user}; make it with: "
            f"useradd --system --user-group --home-dir /var/lib/joinery --shell /usr/sbin/nologin {user}"
        ) from error
    return Owner(entry.pw_uid, entry.pw_gid)


@contextmanager
def _administrator(kubeconfig: str | None) -> Iterator[KubeApi]:
    """An administrator's connection; what goes wrong on it ends the command with a sentence."""
    try:
        with KubeApi.from_kubeconfig(admin_kubeconfig(kubeconfig)) as api:
            yield api
    except (InstallError, KubeError) as error:
        raise click.ClickException(str(error)) from error


def _tell(lines: list[str]) -> None:
    for line in lines:
        click.echo(line)
