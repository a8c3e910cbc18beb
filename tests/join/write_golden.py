"""Writes the golden files anew, for a wanted change of a template: `python -m tests.join.write_golden`."""

from __future__ import annotations

from pathlib import Path

from tests.join.classes import variants


def main() -> None:
    folder = Path(__file__).parent / "golden"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in variants().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
