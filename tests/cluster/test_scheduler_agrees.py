"""The real kube-scheduler, with its own filters, binds every pod where a plan placed it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import pytest

from tests.checker.binding import Cluster
from tests.checker.judging import arranged
from tests.checker.worlds import HOSTNAME, Host
from tests.cluster.scheduler import Stage, control_plane
from tests.worlds import objects, seeded
from tests.worlds.planning import case

Json = dict[str, Any]
BATCHES, BATCH = 10, 20
LEAST = 3
"""Pods that a batch of worlds must at least have on average, or it says little."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with control_plane(tmp_path_factory.mktemp("scheduler")) as running:
        ready = Stage(running)
        ready.prepare()
        yield ready


def any_node(draw: random.Random, launch: Json, variants: Sequence[Host]) -> Host:
    """The node that a launch turns out to be: the expected one, or any that it may fall back to."""
    expected = [h for h in variants if h.kind == launch["instanceType"] and h.price == launch["price"]]
    return draw.choice([draw.choice(expected), draw.choice(list(variants))])


@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_scheduler_binds_every_pod_where_the_plan_placed_it(stage: Stage, batch: int) -> None:
    bound = 0
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        found = case(seeded(seed))
        draw = random.Random(seed)
        cluster, wanted = arranged(found, lambda launch, variants, draw=draw: any_node(draw, launch, variants))  # type: ignore[misc]
        volumes = [o for o in found.objects if o["kind"] == "PersistentVolume"]
        assert stage.play(cluster, wanted, volumes) == [], f"seed {seed}"
        bound += len(wanted)
    assert bound >= LEAST * BATCH


def test_a_pod_that_its_node_cannot_hold_is_told(stage: Stage) -> None:
    pods = [objects.pod(name, "shop", objects.containers({"cpu": "800m"}), {}) for name in ("one", "two")]
    small, other = (
        Host(("node", name), name, {HOSTNAME: name}, (), {"cpu": Fraction(1), "pods": Fraction(9)}) for name in "ab"
    )
    cluster = Cluster({small.where: small, other.where: other}, {}, [])
    wrong = stage.play(cluster, [(pod, small.where) for pod in pods])
    assert [text.partition(" to ")[0] for text in wrong] == ["shop/two is bound"]
    wrong = stage.play(Cluster({small.where: small}, {}, []), [(pod, small.where) for pod in pods])
    assert [text.partition(": ")[0].partition(" to ")[0] for text in wrong] == ["shop/two is not bound"]
    assert "Insufficient cpu" in wrong[0]
