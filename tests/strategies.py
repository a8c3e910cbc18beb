"""Hypothesis strategies for the values that decisions are made of."""

from typing import Any

from hypothesis import strategies as st

from agent.core.inputs import PackingInput, Pair
from agent.core.requirements import ABSENT, ANYTHING, ValueSet, value_set
from agent.model import names
from agent.model.constraints import Operator, Requirement
from agent.model.ec2 import InstanceType, Offering
from agent.model.kubernetes import DaemonSet, NodePool, Pod, Taint, Toleration
from agent.model.names import ClassName, InstanceTypeName
from agent.model.plan import Limits
from agent.model.resources import Resources
from tests.build import GIB, NOW, ZONE_A, ZONE_C, machine, meta, node, node_class, pod, pool

WORDS = ("a", "b", "c", "1", "2", "3", "7", "05")
TEAMS = ("red", "blue")
ARCHITECTURES = ("amd64", "arm64")
WORKLOAD = Taint("workload", "NoSchedule", "ai")
MIB = 1 << 20


def requirements(key: str = "k") -> st.SearchStrategy[Requirement]:
    listed: tuple[Operator, ...] = ("In", "NotIn")
    bare: tuple[Operator, ...] = ("Exists", "DoesNotExist")
    bounds: tuple[Operator, ...] = ("Gt", "Lt", "Gte", "Lte")
    least = st.one_of(st.none(), st.integers(1, 3))
    return st.one_of(
        st.builds(
            Requirement,
            st.just(key),
            st.sampled_from(listed),
            st.lists(st.sampled_from(WORDS), min_size=1, max_size=4, unique=True).map(tuple),
            least,
        ),
        st.builds(Requirement, st.just(key), st.sampled_from(bare), st.just(()), least),
        st.builds(
            Requirement, st.just(key), st.sampled_from(bounds), st.integers(0, 8).map(lambda n: (str(n),)), least
        ),
    )


def value_sets() -> st.SearchStrategy[ValueSet]:
    """What entries of a manifest, and intersections of them, can describe."""
    single = st.one_of(requirements().map(value_set), st.sampled_from((ANYTHING, ABSENT)))
    return st.lists(single, min_size=1, max_size=3).map(_together)


def _together(sets: list[ValueSet]) -> ValueSet:
    found = sets[0]
    for other in sets[1:]:
        found = found & other
    return found


def types() -> st.SearchStrategy[tuple[InstanceType, ...]]:
    """A few instance types of either architecture, some with devices, with offerings of any price."""
    offering = st.builds(
        Offering,
        st.sampled_from((ZONE_A, ZONE_C)),
        st.sampled_from(("on-demand", "spot")),
        st.integers(10, 900).map(lambda n: n * 1_000_000),
        available=st.sampled_from((True, True, True, False)),
    )
    offerings = st.lists(offering, min_size=1, max_size=4, unique_by=lambda o: (o.zone, o.capacity_type))
    one = st.tuples(
        st.sampled_from((1, 2, 4, 8)),
        st.sampled_from((2, 4, 16)),
        st.sampled_from(ARCHITECTURES),
        st.integers(0, 2),
        offerings,
    )
    return st.lists(one, min_size=1, max_size=6).map(lambda rows: tuple(_type(n, row) for n, row in enumerate(rows)))


def _type(number: int, row: tuple[int, int, str, int, list[Offering]]) -> InstanceType:
    cpu, gib, arch, gpus, offerings = row
    return InstanceType(
        name=InstanceTypeName(f"t{number}.{cpu}x{gib}"),
        capacity=Resources(cpu * 1000, gib * GIB, 12, 40 * GIB, (("nvidia.com/gpu", gpus),) if gpus else ()),
        overhead=Resources(100, 100 * MIB),
        requirements=(
            Requirement(names.ARCH, "In", (arch,)),
            # As in Karpenter's test catalogue: a label of which the type leaves several values open.
            Requirement(names.OS, "In", ("linux", "windows")),
            *((Requirement("example.com/size", "In", (str(cpu),)),) if cpu > 1 else ()),
        ),
        offerings=tuple(offerings),
    )


def selectors() -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries(
        {},
        optional={
            names.ARCH: st.sampled_from(ARCHITECTURES),
            names.OS: st.sampled_from(("linux", "windows")),
            names.ZONE: st.sampled_from((ZONE_A, ZONE_C)),
            names.CAPACITY_TYPE: st.sampled_from(("on-demand", "spot")),
            "example.com/team": st.sampled_from(TEAMS),
            "example.com/size": st.sampled_from(("2", "4")),
        },
    )


def terms() -> st.SearchStrategy[tuple[tuple[Requirement, ...], ...]]:
    entry = st.one_of(
        st.builds(Requirement, st.just(names.ZONE), st.sampled_from(("In", "NotIn")), st.just((ZONE_A,))),
        st.builds(Requirement, st.just("example.com/team"), st.sampled_from(("Exists", "DoesNotExist")), st.just(())),
        st.builds(Requirement, st.just("example.com/team"), st.sampled_from(("In", "NotIn")), st.just(("red",))),
        st.builds(Requirement, st.just("example.com/size"), st.sampled_from(("Gt", "Lt")), st.just(("3",))),
        st.just(Requirement(names.HOSTNAME, "NotIn", ("fixed-0",))),
    )
    return st.lists(st.lists(entry, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple)


def pods(most: int = 14) -> st.SearchStrategy[tuple[Pod, ...]]:
    """Pending pods of a few shapes: the more pods share one, the more packing takes them together."""
    plain = st.fixed_dictionaries(
        {
            "cpu": st.sampled_from(("50m", "300m", "700m", "1300m", "3")),
            "memory": st.sampled_from(("64Mi", "500Mi", "1500Mi", "6Gi")),
        }
    )
    picky = st.fixed_dictionaries(
        {
            "cpu": st.sampled_from(("300m", "1")),
            "memory": st.just("256Mi"),
            "node_selector": selectors(),
            "affinity_terms": terms(),
        },
        optional={
            "tolerations": st.just((Toleration("workload", "Exists"),)),
            "requests": st.just(Resources(500, GIB, 1, 0, (("nvidia.com/gpu", 1),))),
        },
    )
    shape = st.one_of(plain, plain, picky)
    groups = st.lists(st.tuples(shape, st.integers(1, 4)), min_size=1, max_size=most // 2)
    return groups.map(_pods)


def _pods(groups: list[tuple[dict[str, Any], int]]) -> tuple[Pod, ...]:
    shapes = [shape for shape, count in groups for _ in range(count)]
    return tuple(pod(f"p{n}", **shape) for n, shape in enumerate(shapes))


def pools() -> st.SearchStrategy[tuple[NodePool, ...]]:
    team = st.sampled_from(
        (
            (),
            (Requirement("example.com/team", "In", TEAMS),),
            (Requirement("example.com/team", "Exists"),),
            (Requirement("example.com/team", "NotIn", ("red",)),),
        )
    )
    fields = st.fixed_dictionaries(
        {"requirements": team, "weight": st.integers(0, 1), "taints": st.sampled_from(((), (), (WORKLOAD,)))},
        optional={
            "limits": st.fixed_dictionaries(
                {},
                optional={
                    "cpu": st.integers(0, 12_000),
                    "memory": st.integers(0, 30).map(lambda n: n * GIB),
                    "nodes": st.integers(0, 4),
                },
            ),
            "labels": st.just({"example.com/team": "blue"}),
        },
    )
    return st.lists(fields, max_size=3).map(lambda rows: tuple(pool(f"pool-{n}", **row) for n, row in enumerate(rows)))


def daemonsets() -> st.SearchStrategy[tuple[DaemonSet, ...]]:
    one = st.builds(
        lambda cpu, selector: pod(
            "daemon", cpu=f"{cpu}m", memory="50Mi", owner_kind="DaemonSet", node_selector=selector
        ),
        st.integers(10, 200),
        st.sampled_from(({}, {names.ARCH: "amd64"}, {names.ARCH: "arm64"}, {names.ZONE: str(ZONE_A)})),
    )
    return st.lists(one, max_size=2).map(
        lambda rows: tuple(DaemonSet(meta(f"ds-{n}", namespace="kube-system"), row) for n, row in enumerate(rows))
    )


def fixed_nodes() -> st.SearchStrategy[tuple[Pair, ...]]:
    """Nodes that are not ours, with room."""
    one = st.tuples(st.integers(0, 4000), st.integers(0, 8), st.sampled_from(((), (WORKLOAD,))))
    return st.lists(one, max_size=3).map(
        lambda rows: tuple(
            Pair(
                node(
                    machine(900 + n),
                    meta=meta(f"fixed-{n}", labels={names.ARCH: "amd64", names.OS: "linux", names.ZONE: str(ZONE_A)}),
                    provider_id=None,
                    taints=taints,
                    allocatable=Resources(cpu, gib * GIB, 8),
                )
            )
            for n, (cpu, gib, taints) in enumerate(rows)
        )
    )


def packing_inputs() -> st.SearchStrategy[PackingInput]:
    """Whole questions, of every kind of constraint at once."""
    return st.builds(
        lambda wanted, kinds, asked, daemons, nodes, brakes: PackingInput(
            now=NOW,
            pods=wanted,
            pairs=nodes,
            pools=asked,
            classes=(node_class(),),
            instance_types={ClassName("default"): kinds},
            daemonsets=daemons,
            limits=brakes,
        ),
        pods(),
        types(),
        pools(),
        daemonsets(),
        fixed_nodes(),
        st.sampled_from(
            (
                Limits(),
                Limits(),
                Limits(max_nodes=2),
                Limits(launches_per_minute=1),
                Limits(max_price_nano_usd=600_000_000),
                Limits(min_values_policy="BestEffort"),
            )
        ),
    )
