"""Laws of packing, over questions with every kind of constraint at once."""

from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.inputs import PackingInput, PackingResult, Pair
from agent.core.nodeaffinity import alternatives
from agent.core.packing import pack
from agent.core.taints import untolerated
from agent.model import names
from agent.model.actions import Launch
from agent.model.ec2 import InstanceType
from agent.model.kubernetes import NodeClaim, Pod
from agent.model.names import ClassName, InstanceTypeName, ProviderId
from agent.model.plan import Limits
from agent.model.resources import Resources
from tests.build import NOW, TYPES, instance_type, meta, node_class, pod, pool
from tests.strategies import packing_inputs

LAWS = settings(max_examples=120, deadline=None)


def question(*pods: Pod, **fields: object) -> PackingInput:
    about: dict[str, object] = {
        "now": NOW,
        "pods": pods,
        "pools": (pool(),),
        "classes": (node_class(),),
        "instance_types": {ClassName("default"): TYPES},
        "limits": Limits(launches_per_minute=1000, max_nodes=1000),
    }
    return PackingInput(**(about | fields))  # type: ignore[arg-type]


def as_claim(launch: Launch, **fields: object) -> Pair:
    """The claim of a launch, as it is before EC2 has answered."""
    about: dict[str, object] = {
        "meta": meta(f"claim-{launch.id}", labels=launch.draft.labels, annotations=launch.draft.annotations),
        "node_class": launch.draft.node_class,
        "requirements": launch.draft.requirements,
        "requests": launch.draft.requests,
        "taints": launch.draft.taints,
        "startup_taints": launch.draft.startup_taints,
        "pool": launch.draft.pool,
    }
    return Pair(None, NodeClaim(**(about | fields)))  # type: ignore[arg-type]


def with_claims(asked: PackingInput, result: PackingResult) -> PackingInput:
    return msgspec.structs.replace(asked, pairs=(*asked.pairs, *(as_claim(x) for x in result.launches)), launches=())


@LAWS
@given(packing_inputs())
def test_every_answer_passes_the_verifier_and_answers_each_pod_once(asked: PackingInput) -> None:
    result = pack(asked)
    answered = Counter([p.pod for p in result.placements] + [r.pod for r in result.refusals])
    assert answered == Counter(p.key for p in asked.pods)


@LAWS
@given(packing_inputs())
def test_what_is_in_flight_is_never_bought_again(asked: PackingInput) -> None:
    first = pack(asked)
    second = pack(with_claims(asked, first))
    again = {key for launch in second.launches for key in launch.pods}
    assert again & {key for launch in first.launches for key in launch.pods} == set()


@LAWS
@given(packing_inputs(), st.randoms(use_true_random=False))
def test_the_answer_does_not_depend_on_the_order_of_the_question(asked: PackingInput, random: object) -> None:
    def mixed(values: tuple[object, ...]) -> tuple[object, ...]:
        listed = list(values)
        random.shuffle(listed)  # type: ignore[attr-defined]
        return tuple(listed)

    other = msgspec.structs.replace(
        asked,
        pods=mixed(asked.pods),
        pools=mixed(asked.pools),
        pairs=mixed(asked.pairs),
        daemonsets=mixed(asked.daemonsets),
        instance_types={name: mixed(kinds) for name, kinds in asked.instance_types.items()},
    )
    assert msgspec.json.encode(pack(asked)) == msgspec.json.encode(pack(other))


@LAWS
@given(packing_inputs())
def test_a_launch_may_be_any_of_its_types_and_holds_its_pods_on_each(asked: PackingInput) -> None:
    """Once more by hand, from nothing but the input and what the claim says."""
    pods = {p.key: p for p in asked.pods}
    kinds = {t.name: t for t in asked.instance_types[ClassName("default")]}
    for launch in pack(asked).launches:
        needed = sum((pods[k].requests for k in launch.pods), start=Resources())
        for name in launch.instance_types:
            assert needed.fits_in(kinds[name].allocatable)
        for key in launch.pods:
            assert untolerated(pods[key].tolerations, launch.draft.taints) is None
            assert any(a.admits(labels) for a in alternatives(pods[key]) for labels in _nodes(launch, kinds))
        written = {r.key: r.values for r in launch.draft.requirements if r.operator == "In"}
        assert written[names.INSTANCE_TYPE] == launch.instance_types
        assert launch.instance_type == launch.instance_types[0]
        assert launch.capacity_type in written[names.CAPACITY_TYPE]
        assert launch.price_nano_usd == min(
            o.price_nano_usd
            for o in kinds[launch.instance_type].offerings
            if o.available
            and o.capacity_type in written[names.CAPACITY_TYPE]
            and o.zone in written.get(names.ZONE, (o.zone,))
        )


def _nodes(launch: Launch, kinds: dict[InstanceTypeName, InstanceType]) -> list[dict[str, str]]:
    """Labels of the nodes that the launch may become; of a label with several values, each."""
    allowed = {r.key: r.values for r in launch.draft.requirements if r.operator == "In"}
    found = []
    for name in launch.instance_types:
        own = {r.key: r.values for r in kinds[name].requirements}
        for os in allowed.get(names.OS, own[names.OS]):
            for offering in kinds[name].offerings:
                labels = {k: v[0] for k, v in own.items()} | launch.draft.labels
                bought = {
                    names.OS: os,
                    names.INSTANCE_TYPE: str(name),
                    names.ZONE: str(offering.zone),
                    names.CAPACITY_TYPE: offering.capacity_type,
                }
                found.append(labels | bought)
    return found


@LAWS
@given(packing_inputs(), st.integers(1, 8))
def test_limits_hold_over_several_decisions_whatever_ec2_returns(asked: PackingInput, cores: int) -> None:
    """Each launch becomes the largest type that it may; then what could not be bought is asked for again."""
    kinds = {t.name: t for t in asked.instance_types[ClassName("default")]}
    limited = tuple(msgspec.structs.replace(own, limits=own.limits | {"cpu": cores * 1000}) for own in asked.pools)
    current = msgspec.structs.replace(asked, pools=limited)
    for _ in range(3):
        result = pack(current)
        claims = []
        for launch in result.launches:
            largest = max((kinds[n] for n in launch.instance_types), key=lambda t: (t.capacity.cpu_milli, t.name))
            claims.append(
                as_claim(
                    launch,
                    meta=meta(f"c-{len(current.pairs)}-{launch.id}", labels=launch.draft.labels),
                    provider_id=ProviderId(f"aws:///z/i-{len(current.pairs)}-{launch.id}"),
                    capacity=largest.capacity,
                    allocatable=largest.allocatable,
                )
            )
        current = msgspec.structs.replace(current, pairs=(*current.pairs, *claims))
    for own in limited:
        held = [p.claim for p in current.pairs if p.claim is not None and p.claim.pool == own.name]
        assert sum(c.capacity.cpu_milli for c in held) <= cores * 1000
        assert len(held) <= own.limits.get("nodes", 1 << 60)
    assert sum(p.claim is not None for p in current.pairs) <= asked.limits.max_nodes


SIZES = st.lists(
    st.tuples(st.integers(100, 4000), st.integers(100, 15_000), st.integers(1, 6)), min_size=1, max_size=8, unique=True
)
SHELF = (
    *TYPES,
    instance_type("c6i.xlarge", 4, 8, 0.17),
    instance_type("r6i.large", 2, 16, 0.126),
    instance_type("m6i.2xlarge", 8, 32, 0.384),
)


@settings(max_examples=150, deadline=None)
@given(SIZES)
def test_a_plan_is_never_dearer_than_first_fit_decreasing(sizes: list[tuple[int, int, int]]) -> None:
    pods = [(c, m << 20) for c, m, count in sizes for _ in range(count)]
    named = tuple(pod(f"p{n}", requests=Resources(cpu, memory, 1)) for n, (cpu, memory) in enumerate(pods))
    result = pack(question(*named, instance_types={ClassName("default"): SHELF}))
    assert not result.refusals
    assert result.price_nano_usd <= _first_fit(pods)


def _first_fit(pods: list[tuple[int, int]]) -> int:
    """As Karpenter narrows a claim: a node keeps every type that still holds it, and in the end is the cheapest."""
    bins: list[list[tuple[int, int]]] = []
    for one in sorted(pods, reverse=True):
        held = next((b for b in bins if _cheapest([*b, one]) is not None), None)
        if held is None:
            bins.append([one])
        else:
            held.append(one)
    return sum(_cheapest(b) or 0 for b in bins)


def _cheapest(content: list[tuple[int, int]]) -> int | None:
    needed = Resources(sum(c for c, _ in content), sum(m for _, m in content), len(content))
    return min((t.offerings[0].price_nano_usd for t in SHELF if needed.fits_in(t.allocatable)), default=None)


def test_where_few_nodes_may_be_bought_they_are_large_rather_than_pods_without_any() -> None:
    """The cheapest plan has a node for each pod, and maxNodes allows four."""
    kinds = (instance_type("t3.nano", 2, 1, 0.005), instance_type("m5.2xlarge", 8, 32, 0.4))
    pods = [pod(f"p{n}", cpu="500m", memory="400Mi") for n in range(40)]
    types = {ClassName("default"): kinds}
    free = pack(question(*pods, instance_types=types))
    assert {launch.instance_type for launch in free.launches} == {"t3.nano"}
    bound = pack(question(*pods, instance_types=types, limits=Limits(launches_per_minute=1000, max_nodes=4)))
    assert not bound.refusals
    assert len(bound.launches) <= 4
