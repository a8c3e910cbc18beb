"""A whole cluster in virtual time: a control plane, fixed nodes, EC2, people, and one daemon or several.

with World(seed=7) as world:
    world.start("one")
    world.land.deploy("scan", 3)
    world.settle()
    assert not world.violations()
"""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Callable, MutableMapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import structlog
import yaml

from agent.aws.classes import ResolvedClass
from agent.aws.shipped import shipped_catalog
from agent.core.catalog import Market as Offers
from agent.core.catalog import instance_types
from agent.join.facts import JoinFacts
from agent.model import names
from agent.model.ec2 import Image, InstanceType, NodeClass, Subnet
from agent.model.kubernetes import Condition
from agent.model.names import ClassName, InstanceTypeName, Zone
from agent.model.plan import Cluster as Identity
from agent.settings import Settings, parse
from tests.virtual.cloud import REGION, SUBNETS, TYPES, ZONES, Cloud, nano_usd
from tests.virtual.fibers import Fibers
from tests.virtual.history import Quiet, TokenDead
from tests.virtual.invariants import Bounds, Violation, violations
from tests.virtual.kubelink import Weather
from tests.virtual.kubernetes import CLAIMS, CLASSES, NODES, PODS, POOLS, Cluster, Json
from tests.virtual.land import Land
from tests.virtual.process import Process
from tests.virtual.record import Recorder, accounts

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/worker-scalable.yaml"
POOL, CLASS = "worker-scalable", "default"
CALM_SECONDS = 600.0
"""Without a write for this long, the world is at rest."""
LONGEST_SETTLE = 3 * 3600.0
RESTART_SECONDS = 2.0


class Still(AssertionError):  # noqa: N818 - a state
    """The agent did not come to rest."""


class Resolver:
    """What the class means in AWS, without asking it."""

    def __init__(self) -> None:
        self.fault: Condition | None = None

    def resolve(self, *_: object) -> ResolvedClass:
        if self.fault is not None:
            return ResolvedClass(conditions=(self.fault,))
        return ResolvedClass(
            subnets=tuple(Subnet(s, Zone(z), free_addresses=100) for s, z in SUBNETS.items()),
            security_groups=("sg-1",),
            security_group_names={"sg-1": "nodes"},
            images=(Image("ami-1", "ubuntu"),),
            instance_profile="nodes",
            conditions=(Condition("Ready", "True", "Ready"),),
        )


class Market:
    """The catalogue, read once."""

    def __init__(self) -> None:
        names_of = [InstanceTypeName(t) for t in TYPES]
        self.offers = Offers(
            zones={t: tuple(map(Zone, ZONES)) for t in names_of},
            on_demand={t: nano_usd(t, "on-demand") for t in names_of},
            spot={(t, Zone(z)): nano_usd(t, "spot") for t in names_of for z in ZONES},
            region=REGION,
        )
        self._made: dict[object, tuple[InstanceType, ...]] = {}

    def ready(self) -> bool:
        return True

    def instance_types(self, classes: tuple[NodeClass, ...]) -> dict[ClassName, tuple[InstanceType, ...]]:
        return {c.name: self._of(c) for c in classes}

    def _of(self, node_class: NodeClass) -> tuple[InstanceType, ...]:
        key = (node_class.subnets, node_class.images, node_class.kubelet, node_class.root_volume_bytes)
        if key not in self._made:
            self._made[key] = instance_types(_facts(), self.offers, node_class)
        return self._made[key]


@cache
def _facts() -> tuple[Any, ...]:
    return tuple(t for t in shipped_catalog().types if t.name in TYPES)


@cache
def _example() -> bytes:
    """The example's pool and class, parsed once."""
    return msgspec.json.encode(list(yaml.safe_load_all(EXAMPLE.read_text())))


class World:
    """Everything there is. ``settings`` are the agent's, as in its file."""

    def __init__(self, seed: int = 0, *, idle_seconds: float = 60.0, **settings: Any) -> None:
        self.seed = seed
        self.idle_seconds = idle_seconds
        self.random = random.Random(seed)
        # A longer Lease than the default, because its renewals would be most of what a long run does.
        about: dict[str, Any] = {"clusterName": "team", "region": REGION, "leaseDurationSeconds": 60}
        self.settings: Settings = parse(about | settings, "the test's settings")
        self.fibers = Fibers()
        self.cluster = Cluster(self.fibers)
        self.cloud = Cloud(self.fibers)
        self.weather = Weather()
        self.resolver = Resolver()
        self.market = Market()
        self.processes: list[Process] = []
        self._prepare()
        self.land = Land(self.fibers, self.cluster, self.cloud, self.settings.token_parameter, self.types)
        self.record = Recorder(self.fibers, self.cluster, self.cloud, (self.identity.name, self.identity.uid))
        self.foreign = self._fixed()

    # Its beginning and its end.

    def __enter__(self) -> Self:
        self._logging = structlog.get_config()
        structlog.configure(processors=[self._log], cache_logger_on_first_use=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.line.alive = False
        self.fibers.close()
        structlog.configure(**self._logging)

    def start(self, name: str, prepare: Callable[[Process], object] = lambda _: None) -> Process:
        """Start a daemon, prepared before it runs."""
        process = Process(self, name)
        prepare(process)
        self.processes.append(process)
        process.start()
        return process

    def supervise(self, name: str, prepare: Callable[[Process], object] = lambda _: None) -> None:
        """Start a daemon, and again two seconds after each of its deaths, as systemd does."""

        def again() -> None:
            number = sum(1 for p in self.processes if p.name.partition("#")[0] == name)
            process = self.start(f"{name}#{number + 1}", prepare)
            process.line.died = lambda: self.fibers.after(RESTART_SECONDS, again)

        again()

    def run(self, seconds: float) -> None:
        self.fibers.run(self.fibers.now + seconds)

    def until(self, condition: Callable[[], bool], seconds: float = 600.0, step: float = 1.0) -> None:
        """Run until something is so."""
        end = self.fibers.now + seconds
        while not condition():
            if self.fibers.now >= end:
                raise Still(f"not within {seconds:.0f} s")
            self.run(step)

    def settle(self, rest_seconds: float = 600.0) -> None:
        """Run to the fixed point, then on for a while in which nothing may be written, and close the history."""
        end = self.fibers.now + LONGEST_SETTLE
        began = self.fibers.now
        while self.fibers.now - max(self.record.last_write, began) < CALM_SECONDS or self._tries_later():
            if self.fibers.now > end:
                last = [r for r in self.record.history[-400:] if type(r).__name__ == "Write"][-12:]
                raise Still(f"it does not come to rest within {LONGEST_SETTLE:.0f} s; last writes: {last}")
            self.run(30.0)
        self.record.add(Quiet(at=self.fibers.now))
        self.run(rest_seconds)
        self.close()

    def _tries_later(self) -> bool:
        """A pool in protected mode for which pods wait will have its trial, and an orphan its end."""
        pool = self.cluster.get(f"/{POOLS}/{POOL}")
        held = pool is not None and names.PROTECTED in pool["metadata"].get("annotations", {})
        lost = any(self.record.ours(i) and not any(accounts(c, i) for c in self.claims()) for i in self.cloud.alive())
        return lost or (held and bool(self.pending()))

    def expect_token_after(self, seconds: float) -> None:
        """From then on, look each minute whether machines could join, and record for how long they could not."""
        dead: list[float] = []

        def look() -> None:
            published = self.cloud.parameters.get(self.settings.token_parameter, [""])[-1]
            if self.cluster.user(published) is None:
                dead.append(self.fibers.now)
                self.record.add(TokenDead(at=self.fibers.now, seconds=self.fibers.now - dead[0]))
            else:
                dead.clear()
            self.fibers.after(60.0, look)

        self.fibers.after(seconds, look)

    def close(self) -> None:
        """End the history."""
        for process in self.processes:
            decided = process.journal.last()
            if decided is not None:
                self.record.said("snapshot", msgspec.json.encode(decided).decode())
        self.record.close(self.pending())

    def violations(self) -> list[Violation]:
        return violations(self.record.history, self.bounds())

    # What there is.

    def pool(self, **spec: Any) -> None:
        """Change the pool's spec at its top level."""
        held = self.cluster.get(f"/{POOLS}/{POOL}")
        assert held is not None
        self.cluster.put(f"/{POOLS}/{POOL}", {"spec": held["spec"] | spec})

    def template(self, **spec: Any) -> None:
        """Change ``spec.template.spec`` of the pool."""
        held = self.cluster.get(f"/{POOLS}/{POOL}")
        assert held is not None
        template = held["spec"]["template"]
        self.pool(template=template | {"spec": template["spec"] | spec})

    def types(self) -> dict[str, InstanceType]:
        made = next(iter(self.market._made.values()), ())
        return {t.name: t for t in made}

    def pending(self) -> tuple[str, ...]:
        return tuple(str(p["metadata"]["name"]) for p in self.cluster.items(PODS) if "nodeName" not in p["spec"])

    def claims(self) -> list[Json]:
        return self.cluster.items(CLAIMS)

    def bounds(self) -> Bounds:
        limits = self.settings.limits
        pools = {}
        for pool in self.cluster.items(POOLS):
            written = pool["spec"].get("limits", {})
            pools[pool["metadata"]["name"]] = {k: _amount(k, v) for k, v in written.items()}
        return Bounds(
            pools=pools,
            max_nodes=limits.max_nodes,
            launches_per_minute=limits.launches_per_minute,
            max_nano_usd=limits.max_price_nano_usd,
        )

    def fleet(self) -> Counter[tuple[str, str, str]]:
        """Live instances of ours by type, zone and capacity type, for comparing two runs."""
        live = (i for i in self.cloud.alive() if self.record.ours(i))
        return Counter((i.kind, i.zone, i.capacity_type) for i in live)

    def _prepare(self) -> None:
        system = self.cluster.put("/api/v1/namespaces/kube-system", {"metadata": {}})
        self.identity = Identity(self.settings.cluster_name, system["metadata"]["uid"], REGION)
        self.facts = JoinFacts(
            cluster=self.identity.name,
            region=REGION,
            endpoint="10.0.0.10:6443",
            ca_cert_hashes=("sha256:" + "a" * 64,),
            token_parameter=self.settings.token_parameter,
            kubernetes_version="v1.36.3",
        )
        pool, node_class = msgspec.json.decode(_example())
        for path, body in ((f"/{POOLS}/{POOL}", pool), (f"/{CLASSES}/{CLASS}", node_class)):
            self.cluster.put(path, body)

    def _fixed(self) -> list[str]:
        """The control plane, a base node, and instances that look much like ours and are not."""
        cluster, uid = names.TAG_CLUSTER, names.TAG_CLUSTER_UID
        tagged = [
            {cluster: "team", names.TAG_ROLE: "control-plane"},
            {cluster: "team", names.TAG_ROLE: "base"},
            {cluster: "team", uid: "of-another-cluster", names.TAG_MANAGED: "true", names.TAG_CLAIM_UID: "x"},
            {cluster: "team", uid: self.identity.uid},
        ]
        made = [self.cloud.start("t3.medium", ZONES[0], tags) for tags in tagged]
        for instance, role in zip(made, ("control-plane", "base"), strict=False):
            key = {names.CONTROL_PLANE: ""} if role == "control-plane" else {}
            taints = [{"key": "domain", "value": role, "effect": "NoSchedule"}]
            spec = {"providerID": f"aws:///{instance.zone}/{instance.id}", "taints": taints}
            amounts = {"cpu": "2", "memory": "4Gi", "pods": "110"}
            conditions = [{"type": "Ready", "status": "True"}]
            status = {"capacity": amounts, "allocatable": amounts, "conditions": conditions}
            labels = {names.ZONE: instance.zone} | key
            self.cluster.put(
                f"/{NODES}/{instance.id}", {"metadata": {"labels": labels}, "spec": spec, "status": status}
            )
        return [i.id for i in made]

    def _log(self, _: object, __: str, event: MutableMapping[str, Any]) -> Any:
        trace = traceback.format_exc() if event.get("exc_info") else ""
        self.record.said("log", " ".join(map(str, event.values())) + trace)
        raise structlog.DropEvent


def _amount(name: str, written: Any) -> int:
    from agent.core.quantity import parse_resources  # noqa: PLC0415

    return parse_resources({name: written}).amount(name)
