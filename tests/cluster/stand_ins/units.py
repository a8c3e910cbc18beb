"""Reads systemd unit files with their drop-ins as systemd does, as far as services of a node need it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

# In the order of precedence: of two files with one name the first folder's is read.
FOLDERS = [Path(folder) / "systemd/system" for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib")]


@dataclass
class Unit:
    """The [Service] settings of one unit. A setting may be given several times; an empty value clears it."""

    name: str
    settings: dict[str, list[str]] = field(default_factory=dict)

    def all(self, key: str) -> list[str]:
        """Every value of a setting, in order."""
        return self.settings.get(key, [])

    def last(self, key: str, default: str = "") -> str:
        """The value of a setting that takes one."""
        return (self.all(key) or [default])[-1]

    def environment(self) -> dict[str, str]:
        """Variables of the service. Files win over `Environment=` wherever the two are written (systemd.exec(5))."""
        variables: dict[str, str] = {}
        for value in self.all("Environment"):
            variables |= dict(item.split("=", 1) for item in shlex.split(value) if "=" in item)
        for value in self.all("EnvironmentFile"):
            variables |= _environment_file(value)
        return variables

    def commands(self, key: str) -> list[list[str]]:
        """The command lines of `ExecStart=` and its kind, with variables filled in."""
        return [_expand(value, self.environment()) for value in self.all(key)]


def load(name: str) -> Unit | None:
    """The unit with all drop-ins, or None where there is no unit file."""
    fragment = next((folder / name for folder in FOLDERS if (folder / name).is_file()), None)
    if fragment is None:
        return None
    drop_ins: dict[str, Path] = {}
    for directory in (f"{name}.d", "service.d"):
        for folder in FOLDERS:
            for path in (folder / directory).glob("*.conf"):
                drop_ins.setdefault(path.name, path)
    unit = Unit(name)
    for path in [fragment, *(drop_ins[key] for key in sorted(drop_ins))]:
        _read(unit, path)
    return unit


def _read(unit: Unit, path: Path) -> None:
    section = ""
    text = re.sub(r"\\\n\s*", " ", path.read_text())
    for line in (raw.strip() for raw in text.splitlines()):
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and line[0] not in "#;":
            key, value = (part.strip() for part in line.split("=", 1))
            if value:
                unit.settings.setdefault(key, []).append(value)
            else:
                unit.settings.pop(key, None)


def _environment_file(value: str) -> dict[str, str]:
    path = Path(value.removeprefix("-"))
    if not path.exists():
        if value.startswith("-"):
            return {}
        raise FileNotFoundError(path)
    variables = {}
    for line in (raw.strip() for raw in path.read_text().splitlines()):
        if "=" in line and line[0] not in "#;":
            key, text = line.split("=", 1)
            variables[key.strip()] = " ".join(shlex.split(text)) if text[:1] in "\"'" else text.strip()
    return variables


def _expand(command: str, variables: dict[str, str]) -> list[str]:
    """A lone `$NAME` becomes as many words as it holds; `${NAME}` stays within its word."""
    words: list[str] = []
    for word in shlex.split(command.lstrip("-@:+!")):
        if re.fullmatch(r"\$\w+", word):
            words += shlex.split(variables.get(word[1:], ""))
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda found: variables.get(found[1], ""), word))
    return words
