"""What can go wrong in a random history, one function each; each is numbered, most of them after a known fault.

Whatever lasts is undone after a while.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from agent.model import names
from tests.virtual.cloud import TYPES, ZONES
from tests.virtual.kubernetes import CLAIMS, NODES, PODS, SECRETS
from tests.virtual.land import Joining
from tests.virtual.line import Mishap

if TYPE_CHECKING:
    from tests.virtual.chaos import Chaos

Event = Callable[["Chaos"], None]
EVENTS: list[Event] = []


def event(function: Event) -> Event:
    EVENTS.append(function)
    return function


def _calls(chaos: Chaos, rate: float, *kinds: Mishap) -> None:
    def undo() -> None:
        chaos.rate = 0.0

    chaos.rate, chaos.kinds = rate, kinds
    chaos.for_a_while(undo, f"calls go wrong at {rate}: {kinds}")


@event
def answers_are_lost(chaos: Chaos) -> None:
    """1, 2."""
    _calls(chaos, chaos.random.choice((0.02, 0.1, 0.4)), Mishap("lost", seconds=chaos.random.choice((1.0, 10.0))))


@event
def launches_are_lost(chaos: Chaos) -> None:
    """1, 2, 17: EC2 is overloaded; it answers late, and does not show what it has started."""
    cloud = chaos.world.cloud
    cloud.hidden_seconds = 30.0

    def undo() -> None:
        cloud.hidden_seconds = chaos.rate = 0.0

    chaos.rate, chaos.kinds = 0.5, (Mishap("lost", seconds=3.0),)
    chaos.for_a_while(undo, "EC2 is overloaded")


@event
def processes_die_with_an_answer_under_way(chaos: Chaos) -> None:
    """1, 34, 55, 56."""
    _calls(chaos, 0.02, Mishap("cut"))


@event
def calls_never_arrive(chaos: Chaos) -> None:
    """89."""
    _calls(chaos, chaos.random.choice((0.1, 0.5, 1.0)), Mishap("unreachable", seconds=5.0))


@event
def calls_are_slow(chaos: Chaos) -> None:
    _calls(chaos, 0.3, Mishap("slow", seconds=chaos.random.uniform(0.5, 8.0)))


@event
def servers_fail(chaos: Chaos) -> None:
    """12, 13, 57, 62, 64: for AWS the code is one that it does not know, which counts as a server's fault."""
    codes = chaos.random.sample(("500", "503", "429", "409", "403"), 2)
    _calls(chaos, chaos.random.choice((0.05, 0.3)), *(Mishap("refuse", code) for code in codes))


@event
def capacity_runs_out(chaos: Chaos) -> None:
    """7, 8, 9, 10, 11."""
    cloud = chaos.world.cloud
    kind = chaos.random.choice((*TYPES, "*"))
    zone = chaos.random.choice((*ZONES, "*"))
    code: int | str = chaos.random.choice((0, 0, 1, "VcpuLimitExceeded", "InsufficientFreeAddressesInSubnet"))
    cloud.capacity[kind, zone, "*"] = code
    chaos.for_a_while(lambda: cloud.capacity.pop((kind, zone, "*"), None), f"capacity {kind} {zone}: {code}")


@event
def instances_are_stillborn(chaos: Chaos) -> None:
    """15."""
    cloud = chaos.world.cloud
    cloud.stillborn = lambda _: "Client.InternalError"

    def undo() -> None:
        cloud.stillborn = lambda _: ""

    chaos.for_a_while(undo, "instances end while they are pending")


@event
def ec2_lags(chaos: Chaos) -> None:
    """17, 18."""
    cloud = chaos.world.cloud
    cloud.hidden_seconds, cloud.lag_seconds = chaos.random.choice(((30.0, 0.0), (0.0, 20.0), (10.0, 10.0)))

    def undo() -> None:
        cloud.hidden_seconds = cloud.lag_seconds = 0.0

    chaos.for_a_while(undo, f"EC2 hides {cloud.hidden_seconds} s and lags {cloud.lag_seconds} s")


@event
def nothing_joins(chaos: Chaos) -> None:
    """40, 41."""
    chaos.world.land.joining = lambda _: Joining(boot_seconds=None)

    def undo() -> None:
        chaos.world.land.joining = lambda _: Joining()

    chaos.for_a_while(undo, "nothing joins")


@event
def machines_boot_slowly(chaos: Chaos) -> None:
    """31, 47."""
    seconds = chaos.random.uniform(60, 260)
    chaos.world.land.joining = lambda _: Joining(boot_seconds=seconds)

    def undo() -> None:
        chaos.world.land.joining = lambda _: Joining()

    chaos.for_a_while(undo, f"machines take {seconds:.0f} s to boot")


@event
def token_is_deleted(chaos: Chaos) -> None:
    """32."""
    for key in list(chaos.world.cluster.objects[SECRETS]):
        chaos.world.cluster.remove(f"/api/v1/namespaces/kube-system/secrets/{key.partition('/')[2]}")
    chaos.tell("every token is deleted")


@event
def clock_steps(chaos: Chaos) -> None:
    """36."""
    process = chaos.world.processes[-1]
    step = timedelta(seconds=chaos.random.choice((-240, -60, 60, 240)))
    process.clock_offset = step
    chaos.world.record.skew = max(chaos.world.record.skew, step)

    def undo() -> None:
        process.clock_offset = timedelta(0)

    chaos.for_a_while(undo, f"the clock steps by {step}")


@event
def instance_ends_by_itself(chaos: Chaos) -> None:
    """65, 81."""
    world = chaos.world
    live = [i for i in world.cloud.alive() if world.record.ours(i)]
    if live:
        found = chaos.random.choice(live)
        end = chaos.random.choice((world.cloud.end, world.cloud.stop))
        end(found)
        chaos.tell(f"{end.__name__} {found.id}")


@event
def claim_is_deleted(chaos: Chaos) -> None:
    claims = chaos.world.claims()
    if claims:
        name = chaos.random.choice(claims)["metadata"]["name"]
        chaos.world.cluster.answer("DELETE", f"/{CLAIMS}/{name}", msgspec.json.encode({}))
        chaos.tell(f"kubectl delete nodeclaim {name}")


@event
def claim_vanishes(chaos: Chaos) -> None:
    """61: somebody took its finalizer off."""
    claims = chaos.world.claims()
    if claims:
        name = chaos.random.choice(claims)["metadata"]["name"]
        chaos.world.cluster.remove(f"/{CLAIMS}/{name}")
        chaos.tell(f"claim {name} vanishes")


@event
def every_claim_vanishes(chaos: Chaos) -> None:
    """86: an etcd that was restored, a CRD that was deleted. It happens seldom."""
    if chaos.random.random() < 0.15:
        for claim in chaos.world.claims():
            chaos.world.cluster.remove(f"/{CLAIMS}/{claim['metadata']['name']}")
        chaos.tell("every claim vanishes")


@event
def node_is_deleted(chaos: Chaos) -> None:
    """46."""
    nodes = [n for n in chaos.world.cluster.items(NODES) if names.REGISTERED in n["metadata"].get("labels", {})]
    if nodes:
        name = chaos.random.choice(nodes)["metadata"]["name"]
        chaos.world.cluster.answer("DELETE", f"/{NODES}/{name}", msgspec.json.encode({}))
        chaos.tell(f"kubectl delete node {name}")


@event
def node_is_cordoned(chaos: Chaos) -> None:
    """67."""
    nodes = [n for n in chaos.world.cluster.items(NODES) if names.REGISTERED in n["metadata"].get("labels", {})]
    if nodes:
        path = f"/{NODES}/{chaos.random.choice(nodes)['metadata']['name']}"
        chaos.world.cluster.change(path, {"spec": {"unschedulable": True}})
        undo = {"spec": {"unschedulable": None}}
        chaos.for_a_while(lambda: chaos.world.cluster.change(path, undo), f"cordoned {path}")


@event
def node_is_silent(chaos: Chaos) -> None:
    """83, 84."""
    nodes = [n for n in chaos.world.cluster.items(NODES) if names.REGISTERED in n["metadata"].get("labels", {})]
    if nodes:
        name = str(chaos.random.choice(nodes)["metadata"]["name"])
        chaos.world.land.make_unready(name)
        chaos.for_a_while(lambda: chaos.world.land.make_ready(name), f"{name} is not Ready")


@event
def pod_is_stuck(chaos: Chaos) -> None:
    """52."""
    pods = [p for p in chaos.world.cluster.items(PODS) if "nodeName" in p["spec"]]
    if pods:
        meta = chaos.random.choice(pods)["metadata"]
        chaos.world.land.stuck.add(f"{meta['namespace']}/{meta['name']}")
        chaos.tell(f"pod {meta['name']} will not end")


@event
def watches_lag(chaos: Chaos) -> None:
    """53, 54, 85."""
    lag = chaos.world.weather.lag
    kind = chaos.random.choice(("*", "pods", "nodes", "nodeclaims"))
    lag[kind] = chaos.random.choice((0.5, 2.0, 8.0))
    chaos.for_a_while(lambda: lag.pop(kind, None), f"{kind} come {lag[kind]} s late")


@event
def watches_stall(chaos: Chaos) -> None:
    """85."""
    kind = chaos.random.choice(("pods", "nodes", "nodeclaims", "nodepools"))
    stalled = chaos.world.weather.stalled
    stalled.add(kind)
    chaos.for_a_while(lambda: stalled.discard(kind), f"the watch of {kind} says nothing")


@event
def history_is_compacted(chaos: Chaos) -> None:
    """86."""
    chaos.world.cluster.compact()
    chaos.tell("history is compacted")


@event
def process_is_killed(chaos: Chaos) -> None:
    """88, 90."""
    chaos.world.processes[-1].kill()
    chaos.tell("kill -9")


@event
def process_is_stopped(chaos: Chaos) -> None:
    """88: shorter than the third of the Lease that an effect has once it has passed the fence."""
    seconds = chaos.random.uniform(1, 15)
    chaos.world.fibers.freeze(chaos.world.processes[-1].name, seconds)
    chaos.tell(f"SIGSTOP for {seconds:.0f} s")


@event
def pool_is_edited(chaos: Chaos) -> None:
    """76."""
    world = chaos.world
    after = chaos.random.choice(("0s", "30s", "2m"))
    nodes = chaos.random.choice(("10%", "1", "100%"))
    world.pool(
        disruption={"consolidationPolicy": "WhenEmpty", "consolidateAfter": after, "budgets": [{"nodes": nodes}]}
    )
    chaos.tell(f"the pool is edited: {after}, {nodes}")
