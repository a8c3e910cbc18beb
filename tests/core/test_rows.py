"""Rows of room: the same places as looking at every one, while room shrinks."""

from hypothesis import given
from hypothesis import strategies as st

from agent.core.hosts import EMPTY
from agent.core.placing import Place
from agent.core.requirements import Requirements
from agent.core.rooms import Room
from agent.core.topology.rows import Row
from agent.model.resources import Resources

AMOUNTS = st.builds(
    lambda cpu, memory, gpus: Resources(cpu, memory, 1, 0, (("example.com/gpu", gpus),) if gpus else ()),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 2),
)


def _place(number: int, free: Resources) -> Place:
    room = Room(f"node-{number}", True, True, Requirements(), (), free)
    return Place(room, free, EMPTY)


@given(st.lists(AMOUNTS, max_size=70), st.lists(AMOUNTS, max_size=12))
def test_a_row_finds_all_that_holds_so_much(rooms: list[Resources], asked: list[Resources]) -> None:
    places = [_place(number, free) for number, free in enumerate(rooms)]
    row = Row.of(places)
    for requests in (*asked, *asked):
        holding = [place for place in places if requests.fits_in(place.free)]
        assert row.holding(requests) == holding
        if holding:
            holding[0].free = holding[0].free - requests
