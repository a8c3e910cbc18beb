"""The suite against the real kube-apiserver: where the two differ, this one is right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.conformance.cluster import Cluster
from tests.conformance.custom import *  # noqa: F403 - the suite
from tests.conformance.fixtures import *  # noqa: F403 - its fixtures
from tests.conformance.identity import *  # noqa: F403 - the suite
from tests.conformance.lists import *  # noqa: F403 - the suite
from tests.conformance.objects import *  # noqa: F403 - the suite
from tests.conformance.pods import *  # noqa: F403 - the suite


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One of its own: what other tests have seen must not be forgotten under them."""
    with ControlPlane(tmp_path_factory.mktemp("conformance")) as running:

        def forget() -> None:
            running.compact()
            running.restart_apiserver()

        made = Cluster(running.kubeconfig, forget)
        yield made
        made.close()
