"""Pods with rules about each other, and what a plan made of them."""

from collections import Counter, defaultdict
from typing import Any

from agent.core.inputs import PackingInput, PackingResult, Pair
from agent.core.packing import pack
from agent.model import names
from agent.model.constraints import PodAffinityTerm, Requirement, Selector, TopologySpread
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import Node, Pod
from agent.model.names import ClassName, NodeName, Zone
from agent.model.plan import Limits
from agent.model.resources import Resources
from tests.build import GIB, NOW, ZONE_A, ZONE_C, instance_type, meta, node_class, pod, pool

ZONE_B = Zone("ap-northeast-2b")
ZONES = (ZONE_A, ZONE_B, ZONE_C)
TYPES = (
    instance_type("t3.medium", 2, 4, 0.052, ZONES),
    instance_type("t3.large", 2, 8, 0.104, ZONES),
    instance_type("t3.xlarge", 4, 16, 0.208, ZONES),
)
RACK = "example.com/rack"


def selects(**labels: str) -> Selector:
    return tuple(Requirement(key, "In", (value,)) for key, value in labels.items())


def term(key: str = names.ZONE, weight: int = 0, **labels: str) -> PodAffinityTerm:
    return PodAffinityTerm(key, selects(**(labels or {"app": "web"})), weight=weight)


def spread(key: str = names.ZONE, max_skew: int = 1, **fields: Any) -> TopologySpread:
    about: dict[str, Any] = {"selector": selects(app="web")}
    return TopologySpread(key, max_skew, **(about | fields))


def app(count: int, name: str = "web", *, namespace: str = "default", **fields: Any) -> tuple[Pod, ...]:
    """Pods labelled ``app=<name>``."""
    labels = fields.pop("labels", {"app": name})
    return tuple(pod(f"{name}-{n}", **(_about(f"{name}-{n}", namespace, labels) | fields)) for n in range(count))


def _about(name: str, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"meta": meta(name, namespace=namespace, labels=labels), "memory": "256Mi"}


def running(on: str, name: str = "web", number: int = 0, **fields: Any) -> Pod:
    """A pod labelled ``app=<name>`` that runs on a node."""
    about: dict[str, Any] = {"meta": meta(f"{on}-{name}-{number}", namespace="default", labels={"app": name})}
    return pod(**({"node": on, "cpu": "100m", "memory": "64Mi"} | about | fields))


def fixed(name: str, zone: str = ZONE_A, *, cpu: int = 4000, **fields: Any) -> Pair:
    """A node that is not ours, with room."""
    labels = {names.ZONE: zone, names.HOSTNAME: name} | fields.pop("labels", {})
    about: dict[str, Any] = {
        "meta": meta(name, labels={k: v for k, v in labels.items() if v}),
        "allocatable": Resources(cpu, 16 * GIB, 50, 40 * GIB),
        "ready": "True",
    }
    return Pair(Node(**(about | fields)))


def question(*pods: Pod, **fields: Any) -> PackingInput:
    about: dict[str, Any] = {
        "now": NOW,
        "pods": pods,
        "pools": (pool(),),
        "classes": (node_class(),),
        "instance_types": {ClassName("default"): TYPES},
        "limits": Limits(launches_per_minute=1000, max_nodes=1000),
    }
    return PackingInput(**(about | fields))


def planned(*pods: Pod, **fields: Any) -> PackingResult:
    """The verified plan for pods and whatever else there is."""
    return pack(question(*pods, **fields))


def types(*listed: InstanceType) -> dict[ClassName, tuple[InstanceType, ...]]:
    return {ClassName("default"): listed}


def domains(asked: PackingInput, plan: PackingResult, key: str = names.ZONE) -> Counter[str]:
    """How many of the placed pods are in each domain."""
    found: Counter[str] = Counter()
    for value, pods in where(asked, plan, key).items():
        found[value] += len(pods)
    return found


def where(asked: PackingInput, plan: PackingResult, key: str = names.ZONE) -> dict[str, list[str]]:
    """The names of placed pods by domain; a launch is in a domain once its claim asks for no other."""
    labels = {p.node.name: p.node.meta.labels for p in asked.pairs if p.node is not None}
    found: defaultdict[str, list[str]] = defaultdict(list)
    for placement in plan.placements:
        name = placement.pod.partition("/")[2]
        if placement.launch is None:
            found[labels[NodeName(placement.node or "")].get(key, "")].append(name)
            continue
        launch = next(x for x in plan.launches if x.id == placement.launch)
        if key == names.HOSTNAME:
            found[f"launch-{launch.id}"].append(name)
            continue
        values = {r.key: r.values for r in launch.draft.requirements}.get(key, ())
        found[values[0] if len(values) == 1 else launch.draft.labels.get(key, "")].append(name)
    return {value: sorted(pods) for value, pods in found.items()}


def hosts(plan: PackingResult) -> list[list[str]]:
    """The names of pods that share a node, sorted."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for placement in plan.placements:
        found[f"{placement.node or placement.claim or placement.launch}"].append(placement.pod.partition("/")[2])
    return sorted(sorted(pods) for pods in found.values())


def refused(plan: PackingResult) -> list[str]:
    """The names of refused pods."""
    return sorted(r.pod.partition("/")[2] for r in plan.refusals)


def why(plan: PackingResult) -> str:
    """The first reason of the first refusal."""
    return plan.refusals[0].reasons[0][1].message
