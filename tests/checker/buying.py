"""What is bought: offerings, prices, fallbacks, what the claim gives its node, limits and brakes, and refusals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.checker.binding import Cluster, spreads
from tests.checker.quantities import Amounts, amounts, largest, plus, requests, short_of
from tests.checker.selecting import holds, may_run, repelling, unmet
from tests.checker.volumes import volume_fault
from tests.checker.worlds import (
    CAPACITY_TYPE,
    HOSTNAME,
    POOL,
    RESERVATION,
    TYPE,
    ZONE,
    Host,
    World,
    condition,
    marks,
    reservation_of,
    reserved_by,
)

if TYPE_CHECKING:
    from tests.checker.judging import Case

Json = dict[str, Any]


def bought(world: World, case: Case, launch: Json, variants: Sequence[Host]) -> Iterator[str]:
    """Whether one launch can be had as it is described."""
    name, pool = f"launch {launch['id']}", world.pools.get(launch["nodePool"])
    if pool is None:
        yield f"{name} is of a NodePool that does not exist"
        return
    yield from _of_pool(world, launch, pool)
    cheapest: dict[str, float] = {}
    for host in variants:
        cheapest[host.kind] = min(cheapest.get(host.kind, host.price), host.price)
        entry = unmet(pool["spec"]["template"]["spec"].get("requirements") or (), host.labels)
        if entry is not None:
            yield f"{name} as {host.kind} does not have the {entry} that NodePool {launch['nodePool']} requires"
    for kind in launch["instanceTypes"]:
        if kind not in cheapest:
            yield f"{name}: {kind} has no offering that is available and allowed"
    if len(set(launch["instanceTypes"])) != len(launch["instanceTypes"]):
        yield f"{name} lists a type twice"
    listed = [cheapest.get(kind, 0.0) for kind in launch["instanceTypes"]]
    if listed != sorted(listed):
        yield f"{name} does not list the cheapest type first"
    capacity_types = {v for e in launch["requirements"] if e["key"] == CAPACITY_TYPE for v in e["values"]}
    pins = reserved_by(launch["requirements"])
    if pins and (len(pins) > 1 or capacity_types != {"reserved"}):
        yield f"{name} is for a capacity reservation and may become something else"
    yield from _expected(launch, variants, min(cheapest.values(), default=0.0))
    yield from _diverse(world, case, launch, pool)
    needed = plus(*(requests(world.pods[k]["spec"]) for k in launch["pods"] if k in world.pods))
    if (short := short_of(needed, amounts(launch["requests"]))) is not None:
        yield f"{name} requests less {short} than its pods"


def _expected(launch: Json, variants: Sequence[Host], cheapest: float) -> Iterator[str]:
    name = f"launch {launch['id']}"
    wanted = (launch["instanceType"], launch["zone"], launch["capacityType"])
    found = [h for h in variants if (h.kind, h.labels[ZONE], h.labels[CAPACITY_TYPE]) == wanted]
    if not found:
        yield f"{name}: there is no offering {' '.join(wanted)} that is available and allowed"
    elif launch["price"] not in {h.price for h in found}:
        yield f"{name} is priced {launch['price']}, its offering costs {found[0].price}"
    elif launch["price"] != cheapest:
        yield f"{name} expects to pay {launch['price']} although it may pay {cheapest}"


def _of_pool(world: World, launch: Json, pool: Json) -> Iterator[str]:
    """The claim is what the pool's template says, and the pool may buy at all."""
    name, template = f"launch {launch['id']}", pool["spec"]["template"]
    for ours, theirs in (("taints", "taints"), ("startupTaints", "startupTaints")):
        if _taints(launch[ours]) != _taints(template["spec"].get(theirs) or ()):
            yield f"{name} does not have the {ours} of its NodePool"
    for label, value in marks(pool).labels.items():
        if launch["labels"].get(label) != value:
            yield f"{name} lacks the label {label}={value} of its NodePool"
    for entry in launch["requirements"]:
        value = launch["labels"].get(entry["key"])
        if value is not None and not holds(entry, value):
            yield f"{name} gives its node a {entry['key']} that it forbids itself"
    if launch["nodeClass"] != template["spec"]["nodeClassRef"]["name"]:
        yield f"{name} is not of its NodePool's class"
    if not usable(world, pool) or (pool["spec"].get("replicas") is not None and launch["reason"] != "Static"):
        yield f"{name} is of NodePool {launch['nodePool']}, which buys nothing for pending pods"


def usable(world: World, pool: Json) -> bool:
    """Not on its way out, and it and its class not said to be unready."""
    reference = pool["spec"]["template"]["spec"]["nodeClassRef"]["name"]
    objects = (pool, world.named("EC2NodeClass", reference) or {"metadata": {}})
    return not any(o["metadata"].get("deletionTimestamp") for o in objects) and not any(
        condition(o, "Ready").get("status", "True") != "True" for o in objects
    )


def _taints(listed: Iterable[Json]) -> set[tuple[str, str, str]]:
    return {(t["key"], t.get("value") or "", t["effect"]) for t in listed}


def _diverse(world: World, case: Case, launch: Json, pool: Json) -> Iterator[str]:
    if case.settings.get("minValuesPolicy") == "BestEffort":
        return
    kinds = [world.types[t] for t in launch["instanceTypes"] if t in world.types]
    for entry in pool["spec"]["template"]["spec"].get("requirements") or ():
        least, label = entry.get("minValues"), entry["key"]
        if not least:
            continue
        if label == TYPE:
            there = {t["name"] for t in kinds}
        elif label in {ZONE, CAPACITY_TYPE}:
            field = "zone" if label == ZONE else "capacityType"
            allowed = [e for e in launch["requirements"] if e["key"] == label]
            there = {o[field] for t in kinds for o in t["offerings"] if all(holds(e, o[field]) for e in allowed)}
        else:
            there = {v for t in kinds for e in t.get("requirements", ()) if e["key"] == label for v in e["values"]}
        if len(there) < least:
            yield f"launch {launch['id']} has {len(there)} values of {label}, its NodePool wants {least}"


def limits(world: World, case: Case, launches: Iterable[Json]) -> Iterator[str]:
    """Limits of pools with every launch as the largest type that it may become, and the brakes over all of them."""
    listed = list(launches)
    gone = {n for a in case.plan["actions"] if a["action"] == "disrupt" for n in a["nodeClaims"]}
    for name, pool in world.pools.items():
        own = [launch for launch in listed if launch["nodePool"] == name]
        used = plus(*(_largest(world, launch["instanceTypes"]) for launch in own))
        held = plus(*(_held(world, c) for n, c in world.claims.items() if n not in gone and _pool_of(c) == name))
        for resource, limit in amounts(pool["spec"].get("limits")).items():
            if own and used.get(resource) and used[resource] + held.get(resource, Fraction(0)) > limit:
                yield f"NodePool {name} would have more {resource} than its limit"
    for name, places in world.places(listed).items():
        if places < 0 and any(name in reserved_by(launch["requirements"]) for launch in listed):
            yield f"{-places} more launches into capacity reservation {name} than it has room for"
    settings = case.settings
    # Brakes that nobody set do not hold in a what-if.
    if listed and "maxNodes" in settings and len(world.claims) + len(listed) > int(settings["maxNodes"]):
        yield "more nodes than maxNodes"
    if "launchesPerMinute" in settings and len(listed) > int(settings["launchesPerMinute"]):
        yield "more launches than launchesPerMinute"
    most = settings.get("maxPricePerHour")
    if most is not None and listed and case.plan["pricePerHour"]["after"] > float(most):
        yield "dearer than maxPricePerHour"
    yield from _priced(world, case, listed)


def _priced(world: World, case: Case, launches: Sequence[Json]) -> Iterator[str]:
    before = sum(_price_of(world, c) for c in world.claims.values() if not c["metadata"].get("deletionTimestamp"))
    told = case.plan["pricePerHour"]
    if abs(told["before"] - before) > 1e-9:
        yield f"the nodes cost {before} now, not {told['before']}"
    saved = sum(
        _price_of(world, world.claims[n])
        for a in case.plan["actions"]
        if a["action"] == "disrupt"
        for n in a["nodeClaims"]
        if n in world.claims
    )
    after = before + sum(launch["price"] for launch in launches) - saved
    if abs(told["after"] - after) > 1e-9:
        yield f"the nodes will cost {after}, not {told['after']}"
    if told["lowerBound"] is not None and told["lowerBound"] > told["after"] + 1e-9:
        yield "the lower bound is above the price"


def _price_of(world: World, claim: Json) -> float:
    labels = claim["metadata"].get("labels") or {}
    kind = world.types.get(labels.get(TYPE, ""), {"offerings": []})
    wanted = (labels.get(ZONE), labels.get(CAPACITY_TYPE))
    found = [o for o in kind["offerings"] if (o["zone"], o["capacityType"]) == wanted]
    return next((o["price"] for o in found if reservation_of(o) in {None, labels.get(RESERVATION)}), 0.0)


def _pool_of(claim: Json) -> str | None:
    found: str | None = (claim["metadata"].get("labels") or {}).get(POOL)
    return found


def _held(world: World, claim: Json) -> Mapping[str, Fraction]:
    capacity = amounts((claim.get("status") or {}).get("capacity"))
    if not capacity:
        kinds = [e["values"] for e in claim["spec"].get("requirements") or () if e["key"] == TYPE]
        return _largest(world, kinds[0] if kinds else [])
    return plus(capacity, {"nodes": Fraction(1)})


def _largest(world: World, kinds: Iterable[str]) -> Amounts:
    return largest({"nodes": Fraction(1)}, *(amounts(world.types[k]["capacity"]) for k in kinds if k in world.types))


def refused(world: World, case: Case, cluster: Cluster) -> Iterator[str]:
    """No pod is refused that one more node would serve, where no limit or brake can be the reason.

    ``cluster`` has every pod of the plan bound. A zone where nodes could be bought counts as a domain of a spread for
    the plan, and for the scheduler only once there is a node; pods that are held back by that are not looked at.
    """
    left = world.places(a for a in case.plan["actions"] if a["action"] == "launch")
    full = {name for name, places in left.items() if places < 1}
    if any(case.settings.get(k) is not None for k in ("maxNodes", "launchesPerMinute", "maxPricePerHour")):
        return
    for entry in case.plan["unschedulable"]:
        pod = world.pods.get(entry["pod"])
        if pod is None or any(rule["topologyKey"] != HOSTNAME for rule in spreads(pod)):
            continue
        for pool in world.pools.values():
            spec = pool["spec"]
            if spec.get("limits") or spec.get("replicas") is not None or not usable(world, pool):
                continue
            if any(e.get("minValues") for e in spec["template"]["spec"].get("requirements") or ()):
                continue
            kind = _serves(world, pool, pod, cluster, full)
            if kind is not None:
                yield f"pod {entry['pod']} is refused although NodePool {pool['metadata']['name']} has {kind} for it"
                break


def _chosen(world: World, asked: Sequence[Json], spec: Json) -> dict[str, str]:
    """Values of the pool's own labels, of which a claim chooses one: what the pod selects, else any."""
    known = {e["key"] for t in world.types.values() for e in t.get("requirements", ())}
    known |= {ZONE, TYPE, CAPACITY_TYPE, RESERVATION}
    selector = spec.get("nodeSelector") or {}
    return {
        e["key"]: selector[e["key"]] if selector.get(e["key"]) in e["values"] else e["values"][0]
        for e in asked
        if e["operator"] == "In" and e["key"] not in known
    }


def _serves(world: World, pool: Json, pod: Json, cluster: Cluster, full: set[str]) -> str | None:
    """A type of the pool of which a new node would run the pod, if there is one."""
    spec, template = pod["spec"], pool["spec"]["template"]["spec"]
    asked: list[Json] = [*(template.get("requirements") or ())]
    for kind in world.types.values():
        for offering in kind["offerings"] if repelling(template.get("taints") or (), _tolerations(pod)) is None else ():
            if not offering.get("available", True) or reservation_of(offering) in full:
                continue
            for host in world.as_nodes(kind, offering, asked, marks(pool, _chosen(world, asked, spec))):
                fits = _fits_alone(world, pod, host) and unmet(asked, host.labels) is None
                if fits and cluster.with_host(host).refuses(pod, host.where) is None:
                    return f"{kind['name']} in {offering['zone']}"
    return None


def _tolerations(pod: Json) -> Sequence[Json]:
    return pod["spec"].get("tolerations") or ()


def _fits_alone(world: World, pod: Json, host: Host) -> bool:
    if short_of(requests(pod["spec"]), host.room) is not None or min(host.room.values()) < 0:
        return False
    return may_run(pod["spec"], host.labels, host.name) and volume_fault(world, pod, host) is None
