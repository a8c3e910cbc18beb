from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.cache import Cache
from tests.kube.apiserver import ApiServer
from tests.kube.observed import NODES, PODS, Owner, Wait


@pytest.fixture
def server() -> Iterator[ApiServer]:
    running = ApiServer()
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def api(server: ApiServer, tmp_path: Path) -> Iterator[KubeApi]:
    with KubeApi.from_kubeconfig(server.kubeconfig(tmp_path), timeout_seconds=3.0) as made:
        yield made


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "it never came about"
            time.sleep(0.01)

    return wait


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def cache(api: KubeApi, owner: Owner) -> Iterator[Cache]:
    made = Cache(api, (NODES, PODS), wake=owner.wake, on_fault=owner.faults.append)
    yield made
    made.stop()


@pytest.fixture
def synced(cache: Cache, server: ApiServer, eventually: Wait) -> Cache:
    """Two nodes listed and both kinds watched."""
    server.put(paths.nodes("a"), {})
    server.put(paths.nodes("b"), {})
    cache.start()
    eventually(lambda: cache.synced() and server.count("GET", "/", watch="true") >= 2)
    return cache
