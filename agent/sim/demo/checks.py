"""What must be so at the end of the story. Each is a sentence that is true or not; one that is not fails the demo."""

import re
from typing import Any, Final

import msgspec

from agent.model import names
from agent.sim.embedded import Listed
from agent.sim.sandbox import is_ours

TOKEN: Final = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
"""What a bootstrap token looks like."""


class Seen(msgspec.Struct, frozen=True):
    """The world before the story and after it."""

    workers: int
    """Scan workers that were asked for."""
    ran: frozenset[str]
    """Names of the nodes that scan workers ran on, one entry for each node."""
    ran_count: int
    """Scan workers that ran at the same time."""
    fixed_before: dict[str, tuple[str, tuple[str, ...]]]
    """Of each fixed node its UID and taints."""
    fixed_after: dict[str, tuple[str, tuple[str, ...]]]
    instances: tuple[Listed, ...]
    """Every instance that EC2 knows, the terminated ones included."""
    fixed_instances: frozenset[str]
    claims: tuple[str, ...]
    nodes: frozenset[str]
    pending: tuple[str, ...]


class Check(msgspec.Struct, frozen=True):
    """One sentence, whether it holds, and what was found when it does not."""

    sentence: str
    holds: bool
    found: str = ""


def checks(seen: Seen) -> tuple[Check, ...]:
    """All of them."""
    ours = [i for i in seen.instances if is_ours(i.tags)]
    alive = [i.id for i in ours if i.alive]
    bought = {i.id for i in ours}
    strangers = [i.id for i in seen.instances if i.id not in seen.fixed_instances and i.id not in bought]
    touched = sorted(n for n, was in seen.fixed_before.items() if seen.fixed_after.get(n) != was)
    stopped = [i.id for i in seen.instances if i.id in seen.fixed_instances and i.state != "running"]
    leaked = [i.id for i in ours if TOKEN.search(i.user_data)]
    return (
        Check(
            f"{seen.workers} of {seen.workers} scan workers ran, on nodes that Joinery bought",
            seen.ran_count == seen.workers and bool(seen.ran) and seen.ran <= bought,
            f"{seen.ran_count} ran, on {', '.join(sorted(seen.ran)) or 'no node'}",
        ),
        Check("no user data held a bootstrap token", bool(ours) and not leaked, ", ".join(leaked) or "no instance"),
        Check("0 instances of Joinery's are left", bool(ours) and not alive, ", ".join(alive) or "none was bought"),
        Check("0 NodeClaims and none of their nodes are left", not _left(seen, bought), ", ".join(_left(seen, bought))),
        Check("0 pods are pending", not seen.pending, ", ".join(seen.pending)),
        Check(
            f"{len(seen.fixed_before)} fixed nodes are the same, with the same taints",
            bool(seen.fixed_before) and not touched,
            ", ".join(touched) or "there were none",
        ),
        Check(
            f"{len(seen.fixed_instances)} fixed instances run, and EC2 has no other",
            bool(seen.fixed_instances) and not stopped and not strangers,
            ", ".join([*stopped, *strangers]) or "there were none",
        ),
    )


def _left(seen: Seen, bought: set[str]) -> list[str]:
    return [*seen.claims, *sorted(seen.nodes & bought)]


def fixed_nodes(nodes: tuple[dict[str, Any], ...], fixed: frozenset[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """UID and taints of the fixed nodes that are there; a mark of Joinery's on one counts as a taint."""
    found = {}
    for node in nodes:
        metadata, spec = node["metadata"], node.get("spec") or {}
        if metadata["name"] in fixed:
            marks = [t["key"] + t.get("value", "") + t["effect"] for t in spec.get("taints") or ()]
            marks += [label for label in metadata.get("labels") or {} if label.startswith(names.KARPENTER_GROUP)]
            marks += ["unschedulable"] if spec.get("unschedulable") else []
            found[metadata["name"]] = (str(metadata["uid"]), tuple(sorted(marks)))
    return found
