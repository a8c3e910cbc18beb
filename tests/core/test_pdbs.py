"""How many pods of a PodDisruptionBudget may go: examples by name, and laws."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.pdbs import disruptions_allowed
from agent.model.constraints import PodCount, Requirement
from agent.model.kubernetes import Meta, Pod, PodDisruptionBudget
from tests.build import NOW, meta, pod

WEB = (Requirement("app", "In", ("web",)),)


def budget(**fields: Any) -> PodDisruptionBudget:
    about: dict[str, Any] = {"meta": Meta("pdb", "default"), "selector": WEB}
    return PodDisruptionBudget(**(about | fields))


def share(text: int | str) -> PodCount:
    return PodCount(text) if isinstance(text, int) else PodCount(int(text.removesuffix("%")), is_percent=True)


def web(name: str = "web", *, ready: bool = True, **fields: Any) -> Pod:
    about = fields.pop("meta", None) or meta(name, namespace="default", labels={"app": "web"})
    return pod(name, node="n-1", ready=ready, meta=about, **fields)


def webs(healthy: int, unready: int = 0) -> list[Pod]:
    return [web(f"web-{n}", ready=n < healthy) for n in range(healthy + unready)]


@pytest.mark.parametrize(
    ("written", "healthy", "unready", "allowed"),
    [
        ({"min_available": 2}, 3, 0, 1),
        ({"min_available": 2}, 2, 0, 0),
        ({"min_available": 2}, 1, 0, 0),
        ({"min_available": 0}, 3, 0, 3),
        # The documentation's example: of 7 pods half must stay, which are 4.
        ({"min_available": "50%"}, 7, 0, 3),
        ({"min_available": "50%"}, 5, 2, 1),
        ({"min_available": "100%"}, 3, 0, 0),
        ({"min_available": "0%"}, 3, 0, 3),
        ({"max_unavailable": 1}, 3, 0, 1),
        ({"max_unavailable": 1}, 2, 1, 0),
        ({"max_unavailable": 0}, 3, 0, 0),
        ({"max_unavailable": 5}, 3, 0, 3),
        # The documentation's example: of 7 pods 30 % may be missing, which are 3.
        ({"max_unavailable": "30%"}, 7, 0, 3),
        ({"max_unavailable": "30%"}, 6, 1, 2),
        ({"max_unavailable": "0%"}, 7, 0, 0),
        ({"max_unavailable": 1, "min_available": 0}, 3, 0, 1),
        ({}, 3, 0, 0),
        ({"min_available": 0}, 0, 0, 0),
    ],
)
def test_healthy_pods_beyond_those_that_must_stay_may_go(
    written: dict[str, int | str], healthy: int, unready: int, allowed: int
) -> None:
    found = budget(**{name: share(text) for name, text in written.items()})
    assert disruptions_allowed(found, webs(healthy, unready)) == allowed


@pytest.mark.parametrize(
    ("other", "one_missing", "one_stays"),
    [
        (web("other"), 1, 2),
        (web("finished", phase="Succeeded"), 1, 1),
        (web("failed", phase="Failed"), 1, 1),
        (web("going", meta=meta("going", namespace="default", labels={"app": "web"}, deleted_at=NOW)), 0, 1),
        (web("unready", ready=False), 0, 1),
        (web("elsewhere", meta=meta("elsewhere", namespace="lab", labels={"app": "web"})), 1, 1),
        (web("stranger", meta=meta("stranger", namespace="default", labels={"app": "db"})), 1, 1),
    ],
)
def test_an_unfinished_pod_is_expected_and_one_that_is_going_or_not_ready_is_missing(
    other: Pod, one_missing: int, one_stays: int
) -> None:
    """Beside two healthy ones; one may be missing, or one must stay."""
    assert disruptions_allowed(budget(max_unavailable=PodCount(1)), [*webs(2), other]) == one_missing
    assert disruptions_allowed(budget(min_available=PodCount(1)), [*webs(2), other]) == one_stays


def test_an_empty_selector_means_all_pods_of_the_namespace_and_none_means_no_pod() -> None:
    others = [web("x", meta=meta("x", namespace="default")), web("y", meta=meta("y", namespace="lab"))]
    every = budget(selector=(), min_available=PodCount(1))
    assert disruptions_allowed(every, [*webs(2), *others]) == 2
    assert disruptions_allowed(msgspec.structs.replace(every, selector=None), [*webs(2), *others]) == 0


@pytest.mark.parametrize("always", [False, True])
def test_the_policy_for_unhealthy_pods_does_not_change_the_count(always: bool) -> None:
    found = budget(max_unavailable=PodCount(2), always_allow_unhealthy=always)
    assert disruptions_allowed(found, webs(3, 1)) == 1


counts = st.builds(PodCount, st.integers(0, 12)) | st.builds(PodCount, st.integers(0, 100), st.just(True))
pods = st.lists(
    st.builds(
        lambda ready, deleted, phase, labels: web(
            ready=ready, phase=phase, meta=meta("p", namespace="default", labels=labels, deleted_at=deleted)
        ),
        st.booleans(),
        st.sampled_from((None, None, NOW)),
        st.sampled_from(("Running", "Running", "Pending", "Failed")),
        st.sampled_from(({"app": "web"}, {"app": "web"}, {})),
    ),
    max_size=12,
)


def expected(listed: Sequence[Pod]) -> list[Pod]:
    return [p for p in listed if p.meta.labels and not p.is_finished]


@given(counts, pods, st.booleans(), st.randoms(use_true_random=False))
def test_it_is_never_below_nothing_nor_above_the_healthy_and_no_order_matters(
    count: PodCount, listed: list[Pod], least: bool, draw: Any
) -> None:
    found = budget(min_available=count) if least else budget(max_unavailable=count)
    allowed = disruptions_allowed(found, listed)
    assert 0 <= allowed <= sum(p.ready and p.meta.deleted_at is None for p in expected(listed))
    shuffled = list(listed)
    draw.shuffle(shuffled)
    assert disruptions_allowed(found, shuffled) == allowed


@given(counts, pods, st.booleans())
def test_once_so_many_have_gone_what_must_stay_is_there(count: PodCount, listed: list[Pod], least: bool) -> None:
    """In the integers of the rule: healthy less allowed is at least a share of the expected, where it was before."""
    found = budget(min_available=count) if least else budget(max_unavailable=count)
    allowed, there = disruptions_allowed(found, listed), len(expected(listed))
    staying = sum(p.ready and p.meta.deleted_at is None for p in expected(listed)) - allowed
    if allowed and least:
        assert staying * 100 >= there * count.amount if count.is_percent else staying >= count.amount
    elif allowed:
        gone = there - staying
        # Rounded up: less than one pod more than the share.
        assert (gone - 1) * 100 < there * count.amount if count.is_percent else gone <= count.amount


@given(pods, st.integers(0, 12))
def test_a_number_that_may_be_missing_is_the_rest_of_the_number_that_must_stay(listed: list[Pod], number: int) -> None:
    there = len(expected(listed))
    missing = disruptions_allowed(budget(max_unavailable=PodCount(number)), listed)
    assert missing == disruptions_allowed(budget(min_available=PodCount(max(0, there - number))), listed)
