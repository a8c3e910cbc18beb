"""Short stories, each with an end that does not depend on what goes wrong on the way.

Together they make the agent do everything that it can do to the world; the crash matrix disturbs each of those steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agent.model import names
from tests.virtual.kubernetes import CLAIMS, CLASSES, NODES, OVERLAYS, Json
from tests.virtual.land import Joining
from tests.virtual.world import CLASS, World

HOUR = 3600.0
OVERLAY: Json = {
    "apiVersion": "karpenter.sh/v1alpha1",
    "kind": "NodeOverlay",
    "metadata": {"name": "fuse"},
    "spec": {"requirements": [], "capacity": {"example.com/fuse": "1"}},
}
"""A device that no pod asks for."""


@dataclass(frozen=True)
class Scenario:
    """What happens, and the settings under which it does."""

    play: Callable[[World], None]
    settings: dict[str, Any] = field(default_factory=dict)
    rest_seconds: float = 600.0


def grown_and_shrunk(world: World) -> None:
    """Pods come and two of three go: nodes are bought, join, and the empty ones leave; an overlay has no part in it."""
    world.cluster.put(f"/{OVERLAYS}/fuse", OVERLAY)
    world.template(terminationGracePeriod="10m")
    world.run(30)
    world.land.deploy("scan", 3, cpu="1500m")
    world.run(200)
    world.land.deploy("scan", 1)


def drained(world: World) -> None:
    """Somebody deletes the claim of a node with pods behind a budget: they move before it goes."""
    world.run(20)
    world.land.deploy("web", 2, cpu="1500m")
    budget(world, "web", 1)
    world.run(150)
    _delete_claim(world)


def overdue(world: World) -> None:
    """A budget that allows nothing, and a deadline that ends it."""
    world.template(terminationGracePeriod="3m")
    world.run(20)
    world.land.deploy("web", 1)
    budget(world, "web", 0)
    world.run(150)
    _delete_claim(world)


def marked(world: World) -> None:
    """A node carries the taint of a disruption that nobody remembers: it is given back."""
    world.run(20)
    world.land.deploy("web", 1)
    world.run(150)
    node = _first_node(world)
    if node is not None:
        taint = {"key": names.DISRUPTED_TAINT, "effect": "NoSchedule"}
        world.cluster.change(f"/{NODES}/{node['metadata']['name']}", {"spec": {"taints": [*_taints(node), taint]}})


def protected(world: World) -> None:
    """Machines do not join for an hour, then they do again."""
    heals = world.fibers.now + HOUR
    world.land.joining = lambda _: Joining(boot_seconds=None if world.fibers.now < heals else 40.0)
    world.run(20)
    world.land.deploy("web", 4, cpu="1500m")
    world.run(HOUR)


def rewritten(world: World) -> None:
    """The class gets another script: its old launch template is used by nothing any more."""
    world.run(20)
    world.land.deploy("web", 1)
    world.run(120)
    held = world.cluster.get(f"/{CLASSES}/{CLASS}")
    assert held is not None
    spec = held["spec"] | {"userData": held["spec"]["userData"] + "echo changed\n"}
    world.cluster.put(f"/{CLASSES}/{CLASS}", {"spec": spec})
    world.land.deploy("web", 0)
    world.run(HOUR)
    world.land.deploy("web", 1)
    world.run(120)


def forgotten(world: World) -> None:
    """A claim vanishes although its node is there (its finalizer was taken off by hand): it is rebuilt."""
    world.run(20)
    world.land.deploy("web", 2, cpu="1500m")
    world.run(150)
    if world.claims():
        world.cluster.remove(f"/{CLAIMS}/{world.claims()[0]['metadata']['name']}")


def rotated(world: World) -> None:
    """The token is due twice."""
    world.run(2.2 * HOUR)


SCENARIOS: dict[str, Scenario] = {
    "grown_and_shrunk": Scenario(grown_and_shrunk),
    "drained": Scenario(drained),
    "overdue": Scenario(overdue),
    "marked": Scenario(marked),
    "protected": Scenario(protected, {"registrationTimeoutSeconds": 60}),
    "rewritten": Scenario(rewritten),
    "forgotten": Scenario(forgotten),
    "rotated": Scenario(rotated),
}


def budget(world: World, app: str, unavailable: int) -> None:
    """A PodDisruptionBudget over the pods of a Deployment."""
    spec = {"selector": {"matchLabels": {"app": app}}, "maxUnavailable": unavailable}
    path = f"/apis/policy/v1/namespaces/default/poddisruptionbudgets/{app}"
    world.cluster.put(path, {"metadata": {}, "spec": spec, "status": {"disruptionsAllowed": 0}})
    world.land.soon()


def _delete_claim(world: World) -> None:
    """kubectl delete nodeclaim, of the first that has a node."""
    node = _first_node(world)
    if node is not None:
        for claim in world.claims():
            if claim.get("status", {}).get("providerID", "").endswith(node["metadata"]["name"]):
                world.cluster.answer("DELETE", f"/{CLAIMS}/{claim['metadata']['name']}", msgspec.json.encode({}))


def _first_node(world: World) -> Json | None:
    ours = (n for n in world.cluster.items(NODES) if names.REGISTERED in n["metadata"].get("labels", {}))
    return next(ours, None)


def _taints(node: Json) -> list[Json]:
    return list(node["spec"].get("taints", []))
