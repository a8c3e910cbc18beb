"""The verifier refuses plans that break a rule about other pods: each plan here is sound until one thing is changed."""

from collections.abc import Callable

import msgspec
import pytest

from agent.core.inputs import PackingInput, PackingResult
from agent.core.packing import pack
from agent.core.verifying import PlanInvalid, verify
from agent.model import names
from agent.model.constraints import HostPort
from agent.model.kubernetes import Pod
from agent.model.names import NodeName, PodKey
from agent.model.plan import Placement
from tests.build import ZONE_A, ZONE_C
from tests.core.neighbours import ZONE_B, app, fixed, question, running, spread, term

HOST = names.HOSTNAME
ROOMS = (fixed("n-a", ZONE_A), fixed("n-b", ZONE_B), fixed("n-c", ZONE_C), fixed("m-a", ZONE_A))


def asked(*pods: Pod, bound: tuple[Pod, ...] = ()) -> PackingInput:
    return question(*pods, pairs=ROOMS, bound=bound, pools=())


def moved(plan: PackingResult, **where: str) -> PackingResult:
    """The plan with pods on other nodes, in the same order; a name's underscores stand for hyphens."""
    to = {PodKey(f"default/{name.replace('_', '-')}"): NodeName(node) for name, node in where.items()}
    return msgspec.structs.replace(
        plan, placements=tuple(Placement(p.pod, node=to.get(p.pod, NodeName(p.node or ""))) for p in plan.placements)
    )


BROKEN: tuple[tuple[str, PackingInput, dict[str, str]], ...] = (
    (
        "topology spread on topology",
        asked(*app(3, spread=(spread(),))),
        {"web_0": "n-a", "web_1": "m-a", "web_2": "n-a"},
    ),
    ("topology spread on kubernetes", asked(*app(2, spread=(spread(HOST),))), {"web_0": "n-a", "web_1": "n-a"}),
    ("anti-affinity", asked(*app(2, anti_affinity=(term(),))), {"web_0": "n-a", "web_1": "m-a"}),
    ("anti-affinity", asked(*app(2, anti_affinity=(term(HOST),))), {"web_0": "n-a", "web_1": "n-a"}),
    (
        "anti-affinity",
        asked(*app(1), bound=(running("n-b", "db", anti_affinity=(term(),)),)),
        {"web_0": "n-b"},
    ),
    ("affinity to", asked(*app(2, affinity=(term(),))), {"web_0": "n-a", "web_1": "n-b"}),
    ("affinity to", asked(*app(1, affinity=(term(app="db"),)), bound=(running("n-b", "db"),)), {"web_0": "n-a"}),
    ("host port 80", asked(*app(2, host_ports=(HostPort(80),))), {"web_0": "n-a", "web_1": "n-a"}),
    (
        "host port 80",
        asked(*app(1, host_ports=(HostPort(80),)), bound=(running("n-b", host_ports=(HostPort(80),)),)),
        {"web_0": "n-b"},
    ),
)


@pytest.mark.parametrize(("sentence", "world", "where"), BROKEN)
def test_a_plan_that_breaks_a_rule_is_refused_by_its_name(
    sentence: str, world: PackingInput, where: dict[str, str]
) -> None:
    plan = pack(world)
    assert len(plan.placements) == len(world.pods)
    verify(world, plan)
    with pytest.raises(PlanInvalid, match=sentence):
        verify(world, moved(plan, **where))


def test_a_follower_must_come_after_whom_it_follows() -> None:
    world = asked(*app(1, affinity=(term(app="db"),)), *app(1, "db"))
    plan = pack(world)
    verify(world, plan)
    assert [p.pod for p in plan.placements] == ["default/db-0", "default/web-0"]
    with pytest.raises(PlanInvalid, match="affinity to"):
        verify(world, msgspec.structs.replace(plan, placements=plan.placements[::-1]))


def test_a_launch_whose_zone_is_open_cannot_hold_pods_that_are_spread_over_zones() -> None:
    world = question(*app(2, spread=(spread(),)))
    plan = pack(world)

    def opened(change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> PackingResult:
        launches = tuple(
            msgspec.structs.replace(
                launch,
                draft=msgspec.structs.replace(
                    launch.draft,
                    requirements=tuple(
                        msgspec.structs.replace(r, values=change(r.values)) if r.key == names.ZONE else r
                        for r in launch.draft.requirements
                    ),
                ),
            )
            for launch in plan.launches
        )
        return msgspec.structs.replace(plan, launches=launches)

    verify(world, opened(lambda values: values))
    with pytest.raises(PlanInvalid, match="no certain"):
        verify(world, opened(lambda _: (str(ZONE_A), str(ZONE_B), str(ZONE_C))))
