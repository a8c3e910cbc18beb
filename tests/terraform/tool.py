"""Terraform on a copy of the modules: no state, lock or plugin is left in the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

TREE = Path(__file__).resolve().parents[2] / "terraform"
MIRROR = "TERRAFORM_MIRROR"
"""Environment variable: folder of a provider mirror. Unset, Terraform asks the registry of providers."""


class Terraform:
    """The modules and examples in a folder of their own; ``run`` is the command line there."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "terraform"
        shutil.copytree(TREE, self.tree, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        program = shutil.which("terraform")
        if program is None:
            pytest.fail("terraform is missing; these tests need version 1.9 or newer")
        self._program = program
        mirror = os.environ.get(MIRROR)
        direct = f'filesystem_mirror {{\n    path = "{mirror}"\n  }}' if mirror else "direct {}"
        self._settings = folder / "terraform.rc"
        self._settings.write_text(f"disable_checkpoint = true\nprovider_installation {{\n  {direct}\n}}\n")

    def run(self, where: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "AWS_"))}
        return subprocess.run(
            [self._program, *arguments],
            cwd=self.tree / where,
            env=kept | {"TF_CLI_CONFIG_FILE": str(self._settings), "TF_IN_AUTOMATION": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )

    def ready(self, where: str) -> None:
        """Find the provider."""
        done = self.run(where, "init", "-no-color", "-input=false", "-backend=false")
        assert done.returncode == 0, done.stdout + done.stderr

    def tested(self, where: str) -> list[dict[str, Any]]:
        """Run the tests of a folder; every message that they gave, with the states that they came to."""
        self.ready(where)
        done = self.run(where, "test", "-json", "-verbose")
        messages = [json.loads(line) for line in done.stdout.splitlines()]
        faults = [m["@message"] for m in messages if m["@level"] == "error"]
        assert (done.returncode, faults) == (0, []), done.stderr
        return messages


def resources(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Every resource of a kind in the state that a test came to."""
    [state] = [m["test_state"] for m in messages if m["type"] == "test_state"]
    found: list[dict[str, Any]] = []
    modules = [state["root_module"]]
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", [])
        found += [r for r in module.get("resources", []) if r["type"] == kind and r["mode"] == "managed"]
    return found


def outputs(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The outputs of the state that a test came to."""
    [state] = [m["test_state"] for m in messages if m["type"] == "test_state"]
    return {name: output["value"] for name, output in state["outputs"].items()}
