"""Laws of plans for pods with rules about each other; ``pack`` raises when its own verifier objects."""

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.inputs import PackingInput
from agent.core.packing import pack
from agent.model import names
from agent.model.constraints import HostPort, PreferredTerm, Requirement
from agent.model.ec2 import Offering
from agent.model.kubernetes import NodePool, Pod, Taint
from agent.model.plan import Limits
from tests.build import pool
from tests.core.neighbours import RACK, TYPES, ZONES, app, fixed, question, running, spread, term, types
from tests.core.test_packing import with_claims

LAWS = settings(max_examples=150, deadline=None)
APPS = ("web", "db", "ui")
KEYS = st.sampled_from((names.ZONE, names.ZONE, names.HOSTNAME, names.HOSTNAME, names.CAPACITY_TYPE, RACK))
TERMS = st.builds(lambda key, name: term(key, app=name), KEYS, st.sampled_from(APPS))
LIKED = st.builds(lambda key, name, n: term(key, n, app=name), KEYS, st.sampled_from(APPS), st.integers(1, 9))
SPREADS = st.builds(
    lambda key, skew, name, about: spread(key, skew, selector=(Requirement("app", "In", (name,)),), **about),
    KEYS,
    st.integers(1, 2),
    st.sampled_from(APPS),
    st.fixed_dictionaries(
        {},
        optional={
            "hard": st.booleans(),
            "min_domains": st.integers(1, 4),
            "honor_affinity": st.booleans(),
            "honor_taints": st.booleans(),
        },
    ),
)
RULES = st.fixed_dictionaries(
    {"cpu": st.sampled_from(("100m", "600m", "1500m"))},
    optional={
        "affinity": TERMS.map(lambda t: (t,)),
        "anti_affinity": TERMS.map(lambda t: (t,)),
        "spread": st.lists(SPREADS, min_size=1, max_size=2, unique_by=lambda s: s.topology_key).map(tuple),
        "preferred_affinity": LIKED.map(lambda t: (t,)),
        "preferred_anti_affinity": LIKED.map(lambda t: (t,)),
        "preferred_terms": st.sampled_from(ZONES).map(
            lambda z: (PreferredTerm(1, (Requirement(names.ZONE, "In", (z,)),)),)
        ),
        "node_selector": st.sampled_from(ZONES).map(lambda z: {names.ZONE: str(z)}),
        "host_ports": st.sampled_from(("", "10.0.0.1")).map(lambda a: (HostPort(80, address=a),)),
    },
)


@st.composite
def worlds(draw: st.DrawFn) -> PackingInput:
    """A few apps with up to two rules each, nodes in zones, pods that run, pools with racks, limits and taints."""
    groups = draw(st.lists(st.tuples(st.sampled_from(APPS), RULES, st.integers(1, 5)), min_size=1, max_size=4))
    pods: list[Pod] = []
    for n, (name, rules, count) in enumerate(groups):
        kept: dict[str, Any] = dict(list(rules.items())[:4])
        pods += app(count, f"{name}-{n}", labels={"app": name}, **kept)
    nodes = draw(st.lists(st.tuples(st.sampled_from(("", *ZONES)), st.integers(0, 4)), max_size=3))
    pairs = tuple(fixed(f"n{i}", zone, cpu=cpu * 500) for i, (zone, cpu) in enumerate(nodes))
    there = draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(APPS), st.booleans()), max_size=4))
    bound = tuple(
        running(f"n{on}", name, n, **({"anti_affinity": (draw(TERMS),)} if shy else {}))
        for n, (on, name, shy) in enumerate(there)
        if on < len(nodes)
    )
    limits = draw(st.sampled_from((1000, 1000, 1, 3)))
    return question(
        *pods,
        pairs=pairs,
        bound=bound,
        pools=draw(st.lists(pools(), max_size=2, unique_by=lambda p: p.name)),
        instance_types=types(*(msgspec.structs.replace(t, offerings=draw(OFFERINGS)) for t in TYPES)),
        limits=Limits(
            launches_per_minute=limits, max_nodes=1000, preference_policy=draw(st.sampled_from(("Respect", "Ignore")))
        ),
    )


OFFERINGS = st.lists(
    st.builds(
        Offering,
        st.sampled_from(ZONES),
        st.sampled_from(("on-demand", "spot")),
        st.integers(10, 40).map(lambda n: n * 10**7),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda o: (o.zone, o.capacity_type),
).map(tuple)


def pools() -> st.SearchStrategy[NodePool]:
    return st.builds(
        lambda name, weight, racks, limits, taints: pool(
            name, weight=weight, requirements=racks, limits=limits, taints=taints
        ),
        st.sampled_from(("one", "two")),
        st.integers(0, 1),
        st.sampled_from(((), (Requirement(RACK, "In", ("r1", "r2")),))),
        st.sampled_from(({}, {}, {"nodes": 2}, {"cpu": 4000})),
        st.sampled_from(((), (), (Taint("a", "PreferNoSchedule"),), (Taint("a", "NoSchedule"),))),
    )


@LAWS
@given(worlds())
def test_every_pod_is_answered_and_the_verifier_finds_nothing(asked: PackingInput) -> None:
    plan = pack(asked)
    assert Counter([p.pod for p in plan.placements] + [r.pod for r in plan.refusals]) == Counter(
        p.key for p in asked.pods
    )
    assert all(reason.message for refusal in plan.refusals for _, reason in refusal.reasons)


@LAWS
@given(worlds(), st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_of_anything(asked: PackingInput, random: Any) -> None:
    def mixed(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.sample(values, len(values)))

    other = msgspec.structs.replace(
        asked,
        pods=mixed(asked.pods),
        bound=mixed(asked.bound),
        pairs=mixed(asked.pairs),
        pools=mixed(tuple(asked.pools)),
    )
    assert pack(other) == pack(asked)


@LAWS
@given(worlds())
def test_what_a_plan_buys_is_not_bought_again_while_it_is_on_its_way(asked: PackingInput) -> None:
    plan = pack(asked)
    again = pack(with_claims(asked, plan))
    promised = {key for launch in plan.launches for key in launch.pods}
    assert not promised & {key for launch in again.launches for key in launch.pods}


@LAWS
@given(worlds())
def test_pods_in_a_namespace_that_no_rule_is_about_change_nothing_for_others(asked: PackingInput) -> None:
    plan = pack(asked)
    stranger = app(1, "stranger", namespace="elsewhere", cpu="500")
    other = pack(msgspec.structs.replace(asked, pods=(*asked.pods, *stranger)))
    assert other.placements == plan.placements
