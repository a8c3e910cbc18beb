"""Policies as IAM reads them: rendered from the modules' documents, and asked whether they allow a request."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "terraform/modules"
Statement = dict[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One question that IAM is asked."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource} {dict(self.context)}"


def rendered(path: str, values: Mapping[str, object]) -> Document:
    """A document of the modules, as Terraform's templatefile renders it."""

    def value(match: re.Match[str]) -> str:
        encoded, plain = match.groups()
        return json.dumps(values[encoded]) if encoded else str(values[plain])

    text = (MODULES / path).read_text("utf-8")
    document: Document = json.loads(re.sub(r"\$\{(?:jsonencode\((\w+)\)|(\w+))\}", value, text))
    return document


def several(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allows(documents: Sequence[Document], request: Request) -> bool:
    """An Allow that matches, and no Deny that does."""
    statements = [s for document in documents for s in document["Statement"] if _matches(s, request)]
    return any(s["Effect"] == "Allow" for s in statements) and not any(s["Effect"] == "Deny" for s in statements)


def _matches(statement: Statement, request: Request) -> bool:
    return (
        any(_like(request.action, pattern) for pattern in several(statement["Action"]))
        and any(_like(request.resource, pattern) for pattern in several(statement.get("Resource", "*")))
        and all(
            _holds(operator, key, several(wanted), request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _like(value: str, pattern: str) -> bool:
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def _holds(operator: str, key: str, wanted: list[str], context: Mapping[str, str]) -> bool:
    found = context.get(key)
    if operator == "Null":
        return (found is None) == (wanted == ["true"])
    if found is None:
        return False
    if operator in {"StringEquals", "Bool"}:
        return found in wanted
    if operator in {"StringLike", "ArnEquals", "ArnLike"}:
        return any(_like(found, pattern) for pattern in wanted)
    raise AssertionError(f"the condition operator {operator} is not known to these tests")
