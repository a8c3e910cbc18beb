"""Fixtures of the suite; whoever runs it brings the fixture `cluster`."""

from __future__ import annotations

import pytest

from agent.kube import paths
from tests.conformance.cluster import Cluster


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A namespace of the test's own."""
    name = cluster.name("conformance")
    cluster.create(paths.namespaces(), {"metadata": {"name": name}})
    return name
