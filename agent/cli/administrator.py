"""With whose rights a person's command talks to the cluster: an administrator's, never the daemon's."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

ADMIN_CONF: Final = "/etc/kubernetes/admin.conf"
"""kubeadm's kubeconfig of the cluster's administrators, on every control-plane node."""

kubeconfig_option = click.option(
    "--kubeconfig",
    metavar="FILE",
    help=f"An administrator's kubeconfig.  [default: $KUBECONFIG, ~/.kube/config, {ADMIN_CONF}]",
)


def admin_kubeconfig(named: str | None, exists: Callable[[Path], bool] = Path.is_file) -> str:
    """The kubeconfig to use: what was named, else where an administrator keeps one.

    Never the daemon's own, which the settings name and which has no right to install, pause or allow anything.
    """
    if chosen := named or os.environ.get("KUBECONFIG"):
        return chosen
    own = Path("~/.kube/config").expanduser()
    return str(own) if exists(own) else ADMIN_CONF
