"""`joinery plan` of a world, in this process, and the world that its plan would make."""

from __future__ import annotations

import copy
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.cli.whatif import Question, answer
from agent.kube.timestamps import parse_time
from agent.model.plan import Snapshot
from tests.checker import Case
from tests.checker.quantities import amounts
from tests.checker.worlds import JOINED, reservation_of, reserved_by
from tests.checker.worlds import World as Indexed
from tests.report.plans import run, written
from tests.worlds import World, objects
from tests.worlds.objects import CAPACITY_TYPE, NOW, ZONE

Json = dict[str, Any]
STAGES = ("joined", "launched", "asked")
"""How far the launches of a plan have come."""


def planned(
    listed: Sequence[Json], catalogue: Json, settings: Mapping[str, Any] | None = None, what: str = "all"
) -> Json:
    """The plan as JSON. It must be planned without any complaint about the objects."""
    flags = [part for name, value in (settings or {}).items() for part in ("--set", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        items = {"apiVersion": "v1", "kind": "List", "items": list(listed)}
        files = ["-f", written(place, "objects.json", items), "--catalog", written(place, "catalog.json", catalogue)]
        done = run(*files, "-o", "json", "--now", NOW, "--what", what, *flags)
    assert done.exit_code == 0, done.stderr
    body: Json = json.loads(done.stdout)
    return body


def asked(listed: Sequence[Json], catalogue: Json) -> Snapshot:
    """What a plan of these objects is decided on."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        items = written(place, "objects.json", {"apiVersion": "v1", "kind": "List", "items": list(listed)})
        question = Question(
            files=(items,),
            catalog=written(place, "catalog.json", catalogue),
            now=parse_time(NOW),
            settings=(),
            kubeconfig=None,
            snapshot=None,
        )
        return answer(question).snapshot


def case(world: World, settings: Mapping[str, Any] | None = None, what: str = "all") -> Case:
    """The world with its plan."""
    plan = planned(world.objects, world.catalogue, settings, what)
    return Case(world.objects, world.catalogue, plan, settings or {}, what)


def after(found: Case, stage: str = "joined") -> list[Json]:
    """The objects once the plan's launches are made: ``joined`` as nodes, ``launched`` or ``asked`` on their way.

    Pods that have room on nodes are bound to them in both cases: kube-scheduler waits for nobody.
    """
    world = Indexed(found.objects, found.catalogue)
    listed = copy.deepcopy(list(found.objects))
    hosts: dict[str, str] = {}
    for launch in found.plan["actions"]:
        if launch["action"] == "launch":
            made = launched(world, launch, stage)
            hosts[str(launch["id"])] = made[-1]["metadata"]["name"] if stage == "joined" else ""
            listed += made
    place = {k: d.get("node") or hosts.get(str(d.get("launch"))) for k, d in found.plan["placements"].items()}
    for number, obj in enumerate(listed):
        if obj["kind"] == "Pod":
            meta = obj["metadata"]
            node = place.get(f"{meta['namespace']}/{meta['name']}")
            if node:
                listed[number] = objects.running(obj, node)
    return listed


def counted(found: Case) -> Json:
    """The catalogue once EC2 counts the plan's launches as instances of their capacity reservations."""
    catalogue: Json = copy.deepcopy(found.catalogue)
    launches = [a for a in found.plan["actions"] if a["action"] == "launch"]
    taken = Counter(name for launch in launches for name in reserved_by(launch["requirements"]))
    for offering in (o for t in catalogue["instanceTypes"] for o in t["offerings"]):
        if "reservationCapacity" in offering:
            left = offering["reservationCapacity"] - taken[reservation_of(offering) or ""]
            offering["reservationCapacity"] = max(left, 0)
    return catalogue


def launched(world: Indexed, launch: Json, stage: str) -> list[Json]:
    """The NodeClaim of a launch, and its node when it has joined: the expected type and offering.

    Of one that EC2 has only been asked for nothing is known but what it was asked for.
    """
    name = f"new-{launch['id']}"
    host = next(
        h
        for h in world.variants(launch, world.pools[launch["nodePool"]])
        if (h.kind, h.labels[ZONE], h.labels[CAPACITY_TYPE])
        == (launch["instanceType"], launch["zone"], launch["capacityType"])
    )
    kind = world.types[host.kind]
    labels = {k: v for k, v in host.labels.items() if k not in {objects.HOSTNAME, *JOINED}}
    capacity, overhead = amounts(kind["capacity"]), amounts(kind.get("overhead"))
    room = {n: f"{int((v - overhead.get(n, 0)) * 1000)}m" for n, v in capacity.items()}
    made = objects.claim(name, labels, kind, room, f"i-{name}" if stage == "joined" else "")
    made["spec"] |= {
        "requirements": launch["requirements"],
        "taints": launch["taints"],
        "startupTaints": launch["startupTaints"],
        "resources": {"requests": launch["requests"]},
    }
    made["metadata"]["annotations"] = launch["annotations"]
    if stage == "asked":
        made["metadata"]["labels"] = launch["labels"]
        made["status"] = {}
    if stage != "joined":
        return [made]
    return [made, objects.node(f"i-{name}", labels | JOINED, room, launch["taints"], made["status"]["providerID"])]
