"""The judge accepts what is sound, and reads amounts as Kubernetes does."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.checker import Case, binding
from tests.checker.judging import arranged
from tests.checker.quantities import amount, requests
from tests.checker.scene import A, B, Scene, affinity, needs, spread
from tests.checker.worlds import Host, Where, key
from tests.worlds import objects
from tests.worlds.objects import HOSTNAME, ZONE

Json = dict[str, Any]


def order(scene: Scene) -> list[tuple[str, Where]]:
    found = arranged(Case(scene.objects, scene.catalogue, scene.plan), lambda _, variants: variants[0])[1]
    return [(key(pod), where) for pod, where in found]


def test_a_sound_plan_has_no_fault() -> None:
    scene = Scene()
    assert scene.faults() == []
    assert sorted(order(scene)) == [
        ("shop/web-0", ("node", "n-a")),
        ("shop/web-1", ("launch", "0")),
        ("shop/web-2", ("launch", "0")),
    ]


def test_rules_that_hold_are_no_fault() -> None:
    scene = Scene()
    for n, zone in enumerate((A, B, B)):
        scene.spec(f"web-{n}")["topologySpreadConstraints"] = [spread(ZONE), spread(HOSTNAME, 2)]
        scene.spec(f"web-{n}")["affinity"] = needs(ZONE, "In", A, zone) | affinity("podAntiAffinity", "none", ZONE)
    scene.fix_zone(B)
    scene.mount("data", "web-0", A)
    scene.named("NodePool", "default")["spec"]["limits"] = {"cpu": "4", "nodes": "1"}
    assert scene.faults() == []


def test_a_spread_binds_in_the_order_in_which_each_pod_passes() -> None:
    scene = Scene()
    scene.spec("web-2")["topologySpreadConstraints"] = [spread(ZONE)]
    scene.spec("web-1")["topologySpreadConstraints"] = [spread(ZONE, 1, minDomains=3)]
    scene.fix_zone(B)
    assert [pod for pod, _ in order(scene)] == ["shop/web-1", "shop/web-0", "shop/web-2"]


def test_what_a_spread_merely_counts_is_bound_after_what_keeps_to_it_whatever_else_waits() -> None:
    """There is an order, and it is found among those of a dozen pods that have nothing to do with it."""
    hosts = {("node", zone): Host(("node", zone), zone, {ZONE: zone, HOSTNAME: zone}) for zone in (A, B)}
    alone = {"topologySpreadConstraints": [spread(HOSTNAME, 9, labelSelector={"matchLabels": {"app": "alone"}})]}
    even = {"topologySpreadConstraints": [spread(ZONE)]}
    wanted = [(objects.pod(f"counted-{n}", "shop", alone, {"app": "web", "n": str(n)}), B) for n in range(3)]
    wanted += [(objects.pod(f"other-{n}", "shop", alone, {"app": f"other-{n}"}), A) for n in range(12)]
    wanted += [(objects.pod(f"even-{n}", "shop", even, {"app": "web"}), zone) for n, zone in enumerate((A, B, B))]
    found = binding.order(binding.Cluster(hosts, {}), [(pod, ("node", zone)) for pod, zone in wanted])
    names = [pod["metadata"]["name"] for pod, _ in found]
    assert len(names) == len(wanted)
    assert max(names.index(f"even-{n}") for n in range(3)) < min(names.index(f"counted-{n}") for n in range(3))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1500m", Fraction(3, 2)),
        ("1.5Gi", 1610612736),
        ("2e3", 2000),
        ("5E-1", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("1E", 10**18),
        ("1Ei", 1 << 60),
        ("7n", Fraction(7, 10**9)),
        (3, 3),
        ("-1k", -1000),
    ],
)
def test_quantities_are_exact(text: str, value: Fraction) -> None:
    assert amount(text) == value


@pytest.mark.parametrize("text", ["", "1 Gi", "1GiB", "m", "1e", "0x1", "1_000"])
def test_what_is_no_quantity_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        amount(text)


def test_init_containers_after_a_sidecar_run_beside_it() -> None:
    def container(cpu: str, **more: Any) -> Json:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "initContainers": [container("3"), container("1", restartPolicy="Always"), container("2500m")],
        "containers": [container("1"), {"name": "d", "resources": {"limits": {"cpu": "500m"}}}],
        "overhead": {"cpu": "100m"},
    }
    assert requests(spec) == {"cpu": Fraction("3.6"), "pods": 1}
    assert requests(spec | {"resources": {"requests": {"cpu": "2"}}})["cpu"] == Fraction("2.1")
