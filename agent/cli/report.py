"""`joinery report`: what a daemon that only observes would have bought and removed, and what that costs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from agent.manifests.durations import DurationError, parse_duration
from agent.report import observed_text
from agent.report.observed import account
from agent.report.observing import read
from agent.settings import DEFAULT_PATH, SettingsError, load


class Since(click.ParamType[datetime]):
    """A time as RFC 3339 has it, or a duration back from now."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Take the text apart; anything else is wrong usage."""
        text = str(value)
        try:
            return datetime.now(UTC) - timedelta(seconds=parse_duration(text))
        except DurationError:
            pass
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f'"{text}" is neither a duration such as 24h nor a time such as 2026-03-01T08:00:00Z', param, ctx)
        return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


@click.command(name="report")
@click.option("--since", type=Since(), metavar="TIME|DURATION", help="Leave out what was before, such as 24h.")
@click.option("--settings", default=DEFAULT_PATH, show_default=True, metavar="FILE", help="The daemon's settings.")
@click.option("--record", metavar="FILE", type=click.Path(path_type=Path), help="  [default: as the settings say]")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def report(since: datetime | None, settings: str, record: Path | None, output: str) -> None:
    """Say what `joinery run --dry-run` would have bought and removed, against what the fixed nodes cost.

    Exit codes: 0; 1 there is no record, or it says nothing of that time; 64 wrong usage.
    """
    path = record or _of_settings(settings)
    try:
        lines, torn = read(path)
    except OSError as error:
        raise click.ClickException(
            f"{path}: {error.strerror}; joinery run --dry-run writes it, on the machine where it runs"
        ) from error
    if torn:
        click.echo(f"note: {torn} lines of {path} cannot be read and are left out", err=True)
    found = account(lines, since, datetime.now(UTC))
    if found is None:
        raise click.ClickException(f"{path} says nothing of that time")
    click.echo(observed_text.document(found) if output == "json" else observed_text.text(found))


def _of_settings(settings: str) -> Path:
    try:
        return Path(load(settings).observe_record)
    except SettingsError as error:
        raise click.ClickException(f"the settings cannot be used:\n{error}; or name the file: --record") from error
