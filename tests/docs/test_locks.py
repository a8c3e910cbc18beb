"""The lock that a control-plane node installs from: the tested versions, and nothing that only the tests need."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", re.MULTILINE)


def _pinned(name: str) -> dict[str, str]:
    return {_normal(found[1]): found[2] for found in PINNED.finditer((ROOT / name).read_text())}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _named(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[\[<>=!~ ;]", r, maxsplit=1)[0]) for r in requirements}


def test_the_runtime_lock_pins_what_the_daemon_needs_at_the_versions_that_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tested, installed = _pinned("requirements.lock"), _pinned("requirements-runtime.lock")
    assert _named(project["dependencies"]) <= installed.keys()
    assert installed.items() <= tested.items()
    extras = {n for listed in project["optional-dependencies"].values() for n in _named(listed)}
    assert not extras & installed.keys()


def test_the_locks_have_a_hash_for_everything_and_name_no_index() -> None:
    for name in ("requirements.lock", "requirements-runtime.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()))
