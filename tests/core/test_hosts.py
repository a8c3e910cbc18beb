"""How many pods one node bears beside each other, against a count by hand."""

from hypothesis import given
from hypothesis import strategies as st

from agent.core.hosts import EMPTY, HostRule, HostState

SELECTORS = st.integers(0, 3)
RULES = st.builds(
    lambda matches, caps: HostRule(tuple(sorted(matches)), tuple(sorted(caps.items()))),
    st.sets(SELECTORS),
    st.dictionaries(SELECTORS, st.integers(0, 3)),
)


def test_anti_affinity_to_itself_is_a_cap_of_one() -> None:
    alone = HostRule(matches=(0,), caps=((0, 1),))
    assert EMPTY.room(alone, 10) == 1
    assert EMPTY.plus(alone, 1).room(alone, 10) == 0


def test_whoever_came_first_keeps_out_what_it_is_anti_affine_to() -> None:
    guard, guarded = HostRule(caps=((0, 0),)), HostRule(matches=(0,))
    assert EMPTY.plus(guard, 1).room(guarded, 5) == 0
    assert EMPTY.plus(guarded, 1).room(guard, 5) == 0
    assert EMPTY.room(guard, 5) == 5


def test_a_spread_bounds_how_many_counted_pods_there_are() -> None:
    spread = HostRule(matches=(0,), caps=((0, 2),))
    counted = HostRule(matches=(0,))
    assert EMPTY.plus(counted, 1).room(spread, 9) == 1
    assert EMPTY.plus(spread, 1).room(counted, 9) == 1


def test_affinity_waits_for_the_pod_that_it_needs() -> None:
    follower, target = HostRule(needs=(0,)), HostRule(matches=(0,))
    assert EMPTY.room(follower, 3) == 0
    assert EMPTY.plus(target, 1).room(follower, 3) == 3


def test_a_wish_is_looked_at_by_those_who_have_it_only() -> None:
    shy = HostRule(matches=(0,), wishes=((0, 1),))
    counted = HostRule(matches=(0,))
    assert EMPTY.room(shy, 5) == 1
    assert EMPTY.plus(counted, 1).room(shy, 5) == 0
    assert EMPTY.plus(shy, 1).room(counted, 5) == 5


def _holds(pods: list[HostRule]) -> bool:
    """Every cap of every pod, over all pods of the node."""
    return all(sum(selector in other.matches for other in pods) <= cap for pod in pods for selector, cap in pod.caps)


@given(st.lists(RULES, max_size=5), RULES, st.integers(1, 4))
def test_room_is_the_most_that_no_cap_forbids(there: list[HostRule], rule: HostRule, limit: int) -> None:
    state = HostState()
    kept: list[HostRule] = []
    for pod in there:
        if state.room(pod, 1):
            state, kept = state.plus(pod, 1), [*kept, pod]
    most = max((n for n in range(limit + 1) if _holds(kept + [rule] * n)), default=0)
    assert state.room(rule, limit) == most


@given(st.lists(RULES, max_size=4), st.lists(RULES, max_size=4))
def test_two_nodes_bear_each_other_when_every_cap_holds_for_all_their_pods(
    one: list[HostRule], two: list[HostRule]
) -> None:
    (first, left), (second, right) = _filled(one), _filled(two)
    assert first.bears(second) == _holds([*left, *right])


def _filled(pods: list[HostRule]) -> tuple[HostState, list[HostRule]]:
    """A node with those of the pods that it bears."""
    state, kept = HostState(), list[HostRule]()
    for pod in pods:
        if state.room(pod, 1):
            state = state.plus(pod, 1)
            kept.append(pod)
    return state, kept
