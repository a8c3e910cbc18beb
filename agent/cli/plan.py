"""`joinery plan`: what one cycle of the daemon would do with these objects or with the live cluster."""

import os
import sys
from pathlib import Path

import click

from agent.cli import whatif
from agent.cli.whatif import Question
from agent.model.plan import Plan, Snapshot
from agent.report import plan_json, plan_text, saved

SOMETHING_TO_DO = 2
EXAMPLES = """\b
Examples:
  joinery plan
  joinery plan -f examples/worker-scalable.yaml -f examples/five-scan-workers.yaml
  kubectl get nodepools,nodeclaims,nodes,pods -A -o json | joinery plan -f - -o json
"""


@click.command(name="plan", epilog=EXAMPLES)
@whatif.options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--what", type=click.Choice(["provision", "disrupt", "all"]), default="all", show_default=True)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to do.")
@click.option("--save", metavar="FILE", help="Write what was planned from, for a bug report; see --snapshot.")
def plan(*, question: Question, output: str, what: str, detailed_exitcode: bool, save: str | None) -> None:
    """Say what one cycle would launch and disrupt, where pods would go, and why others get no node.

    Exit codes: 0; with --detailed-exitcode 0 nothing to do, 2 something to do; 1 faults, 64 wrong usage.
    """
    found = whatif.answer(question, provision=what != "disrupt", disrupt=what != "provision")
    if save is not None:
        _save(found.snapshot, save)
    whatif.notes(found)
    _show(found.snapshot, found.plan, output)
    if detailed_exitcode and (found.plan.launches or plan_json.disruptions(found.plan)):
        raise click.exceptions.Exit(SOMETHING_TO_DO)


def _save(snapshot: Snapshot, file: str) -> None:
    try:
        Path(file).write_bytes(saved.encode(snapshot))
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be written: {(error.strerror or str(error)).lower()}") from error


def _show(snapshot: Snapshot, decided: Plan, output: str) -> None:
    if output == "json":
        click.echo(plan_json.encode(decided).decode())
        return
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    click.echo(plan_text.render(snapshot, decided, colour=colour), nl=False, color=colour)
