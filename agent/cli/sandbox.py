"""`joinery sandbox` and `joinery demo`: all of it on one machine, with neither AWS nor a cluster."""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import NoReturn

import click

MISSING = (
    "the sandbox is not installed: it needs the extra `sandbox`; in a clone run `make setup`, elsewhere install "
    "joinery-agent[sandbox]"
)


@click.command(name="sandbox")
@click.option("--no-daemon", is_flag=True, help="Start no `joinery run`; start your own against it.")
@click.option("--no-fixed-nodes", is_flag=True, help="An empty cluster instead of one with eighteen fixed nodes.")
def sandbox(no_daemon: bool, no_fixed_nodes: bool) -> None:
    """Run a whole cluster on this machine until Ctrl-C: EC2, Kubernetes API, machines and the real daemon.

    Listens on loopback only, on free ports. Needs no root, and leaves nothing behind.

    Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 cannot start or a part of it died, 64 wrong usage.
    """
    serving = _serving()
    with _folder() as folder:
        try:
            serving.serve(folder, daemon=not no_daemon, fixed=not no_fixed_nodes, say=click.echo)
        except serving.SandboxFailed as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("\nending")


@click.command(name="demo")
def demo() -> None:
    """Tell the story of a queue that fills and empties, on the sandbox, in a minute and a half.

    Exit codes: 0 the cluster ended as it began, 1 it did not, or something could not start.
    """
    serving = _serving()
    with _folder() as folder:
        try:
            told = serving.demonstrate(folder)
        except serving.SandboxFailed as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            raise click.Abort from None
    sys.exit(0 if told else 1)


def _serving() -> ModuleType:
    """The sandbox, which is no part of what a control-plane node installs."""
    try:
        import moto  # noqa: F401, PLC0415 - the extra `sandbox`; needed by a process that serving starts

        from agent.sim import serving  # noqa: PLC0415 - the daemon must not load it
    except ImportError as error:
        raise click.ClickException(MISSING) from error
    return serving


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is gone afterwards, also when the process is told to end."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    # A shell starts what runs in the background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    with tempfile.TemporaryDirectory(prefix="joinery-sandbox-") as folder:
        yield Path(folder)
