"""`joinery run`: the daemon."""

import logging
import sys

import click
import structlog

from agent.aws.errors import AwsError
from agent.aws.session import AwsSession
from agent.daemon.assembly import Daemon, Options, Refused, refuse_beside_karpenter
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError
from agent.settings import DEFAULT_PATH, Settings, SettingsError, load


@click.command(name="run")
@click.option("--settings", default=DEFAULT_PATH, show_default=True, metavar="FILE", help="The daemon's settings.")
@click.option("--kubeconfig", metavar="FILE", help="Kubeconfig to use.  [default: as the settings say]")
@click.option("--dry-run", is_flag=True, help="Observe, decide and say what would be done; write nothing.")
@click.option("--once", is_flag=True, help="One decision, carried out, then leave.")
def run(settings: str, kubeconfig: str | None, dry_run: bool, once: bool) -> None:
    """Run the autoscaler until it is told to stop (SIGTERM).

    Exit codes: 0 stopped as told, 1 cannot start or a part of it died, 64 wrong usage.
    """
    try:
        loaded = load(settings)
    except SettingsError as error:
        raise click.ClickException(f"the settings cannot be used:\n{error}") from error
    log_to_stdout(loaded)
    daemon = _assembled(loaded, kubeconfig, Options(dry_run=dry_run, once=once))
    daemon.run()


def _assembled(settings: Settings, kubeconfig: str | None, options: Options) -> Daemon:
    """Everything that must hold before the first cycle; systemd starts us again when it does not."""
    try:
        api = KubeApi.from_kubeconfig(kubeconfig or settings.kubeconfig)
        refuse_beside_karpenter(api)
        return Daemon(settings, api, AwsSession(settings.region), options)
    except (KubeError, AwsError, Refused) as error:
        raise click.ClickException(str(error)) from error


def log_to_stdout(settings: Settings) -> None:
    """Key=value events: readable on a terminal, JSON for machines."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stdout.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty()) if console else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
