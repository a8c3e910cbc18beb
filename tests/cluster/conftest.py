"""Fixtures of the tests that run against a real control plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster import build
from tests.cluster.controlplane import ControlPlane
from tests.cluster.instance import Instance, InstanceFacts

MakeInstance = Callable[..., Instance]


def pytest_collection_modifyitems(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Builds before the first test, whose time is limited; a build that fails is the failure of each test."""
    here = Path(__file__).parent
    if not config.option.collectonly and any(item.path.is_relative_to(here) for item in items):
        with suppress(build.BuildError):
            build.ensure()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane on 127.0.0.1:6443, which a user's script may name; each test uses names of its own."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), port=6443) as running:
        yield running


@pytest.fixture
def make_instance(tmp_path: Path) -> Iterator[MakeInstance]:
    """Boots instances from facts and user data, and terminates them after the test."""
    booted: list[Instance] = []

    def make(facts: InstanceFacts, user_data: str, **options: object) -> Instance:
        instance = Instance(facts, user_data.encode(), tmp_path / facts.instance_id, **options)  # type: ignore[arg-type]
        booted.append(instance)
        instance.boot()
        return instance

    yield make
    for instance in booted:
        instance.terminate()
