"""The suite against the sandbox's embedded API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.sim.apiserver import ApiServer
from tests.conformance.cluster import Cluster
from tests.conformance.custom import *  # noqa: F403 - the suite
from tests.conformance.fixtures import *  # noqa: F403 - its fixtures
from tests.conformance.identity import *  # noqa: F403 - the suite
from tests.conformance.lists import *  # noqa: F403 - the suite
from tests.conformance.objects import *  # noqa: F403 - the suite
from tests.conformance.pods import *  # noqa: F403 - the suite


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("embedded")
    with ApiServer(folder) as server:
        made = Cluster(server.write_kubeconfig(folder / "admin.conf"), server.api.store.compact)
        yield made
        made.close()
