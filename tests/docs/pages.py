"""The documentation as data: its pages, links, fenced blocks, and the commands that it shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from agent.cli import root

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
SHELL = {"sh", "bash", "console", ""}


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> list[str]:
        found = []
        for match in _FENCE.finditer(self.text):
            if match["language"] in languages:
                width = len(match["indent"])
                found.append("".join(line[width:] for line in match["body"].splitlines(keepends=True)))
        return found

    def links(self) -> list[str]:
        return [link for link in _LINK.findall(self.prose) if not re.match(r"[a-z]+:", link)]

    def anchors(self) -> set[str]:
        """As the hosting sites make them: lower case, spaces to dashes, punctuation dropped."""
        return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in _HEADING.findall(self.prose)}

    def shell_commands(self) -> Iterator[list[str]]:
        """Every command of the shell blocks, each part of a pipe by itself."""
        for block in self.blocks(*SHELL):
            for line in block.replace("\\\n", " ").splitlines():
                yield from _split(line)

    def joinery_commands(self) -> Iterator[list[str]]:
        """Every `joinery …` of shell blocks and of inline code, without the program."""
        for words in self.shell_commands():
            if words[0].rpartition("/")[2] == "joinery":
                yield words[1:]
        for code in _INLINE.findall(self.prose):
            for words in _split(code):
                if words[0] == "joinery" and len(words) > 1:
                    yield words[1:]

    def make_targets(self) -> set[str]:
        inline = (words for code in _INLINE.findall(self.prose) for words in _split(code))
        return {words[1] for words in (*self.shell_commands(), *inline) if words[0] == "make" and len(words) > 1}


def pages() -> list[Page]:
    top = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    return [Page(path) for path in (*top, *sorted((ROOT / "docs").rglob("*.md")))]


def resolve(words: list[str]) -> tuple[str, click.Command, list[str]]:
    """The command that the words name, its path, and what is left for its options.

    Raises:
        click.UsageError: there is no such command.
    """
    command: click.Command = root
    path: list[str] = []
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        context = click.Context(command)
        found = command.get_command(context, rest[0])
        if found is None:
            raise click.UsageError(f"joinery {' '.join((*path, rest[0]))} does not exist")
        command, path, rest = found, [*path, rest[0]], rest[1:]
    return " ".join(path), command, rest


def _split(line: str) -> Iterator[list[str]]:
    for part in re.split(r"\s\|\s|\s&&\s", line):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            continue  # prose in backquotes, such as `don't`
        if words:
            yield words
