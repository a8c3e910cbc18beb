"""The command line: parses, calls, prints. Every command is a thin file; what it does lives in the layers below."""

import gc
import importlib
import sys
from typing import Final

import click

from agent import __version__

USAGE: Final = 64
"""Exit code of a wrong command line (sysexits.h EX_USAGE); click's own 2 would mean "something to do"."""
MODULES: Final = {
    "run": "run",
    "plan": "plan",
    "explain": "explain",
    "check": "check",
    "install": "install",
    "uninstall": "install",
    "credentials": "install",
    "token": "token",
    "userdata": "userdata",
    "join": "join",
    "logs": "logs",
    "pause": "operate",
    "resume": "operate",
    "adopt": "operate",
    "sweep": "operate",
    "report": "report",
    "sandbox": "sandbox",
    "demo": "sandbox",
}
"""Each command and the module that holds it."""
BRIEF: Final = frozenset({"plan", "explain"})
"""Commands that read much and end soon: to look for garbage in what they read would be a twentieth of their time, of
large YAML most of it, and would find none."""


class Commands(click.Group):
    """Imports a command when it is asked for: all together would be most of the time that `joinery plan` takes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click has it
        """Names, in the order of the help."""
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; None when there is none."""
        module = MODULES.get(cmd_name)
        if module is None:
            return None
        if cmd_name in BRIEF and gc.isenabled():
            gc.disable()
            ctx.call_on_close(gc.enable)
        command: click.Command = getattr(importlib.import_module(f"agent.cli.{module}"), cmd_name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="joinery")
def root() -> None:
    """Node autoscaling for self-managed kubeadm clusters on EC2."""


def main() -> None:
    """Entry point of ``joinery``."""
    try:
        code = root.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(USAGE)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("aborted", err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
