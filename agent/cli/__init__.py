"""The command line: parses, calls, prints. Every command is a thin file; what it does lives in the layers below."""

import sys

import click

from agent import __version__
from agent.cli.check import check
from agent.cli.explain import explain
from agent.cli.install import credentials, install, uninstall
from agent.cli.operate import adopt, pause, resume, sweep
from agent.cli.plan import plan
from agent.cli.run import run
from agent.cli.sandbox import demo, sandbox
from agent.cli.token import token
from agent.cli.userdata import userdata

USAGE = 64
"""Exit code of a wrong command line (sysexits.h EX_USAGE); click's own 2 would mean "something to do"."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="joinery")
def root() -> None:
    """Node autoscaling for self-managed kubeadm clusters on EC2."""


for command in (
    *(run, plan, explain, check, install, uninstall, credentials, token, userdata, pause, resume, adopt, sweep),
    *(sandbox, demo),
):
    root.add_command(command)


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
