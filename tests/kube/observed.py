"""A cache of nodes and pods, as its tests look at it."""

from __future__ import annotations

from collections.abc import Callable

from agent.kube import paths, wire
from agent.kube.cache import Cache, Fault, Kind
from tests.kube.apiserver import ApiServer

NODES = Kind("nodes", paths.nodes(), wire.node)
PODS = Kind("pods", paths.pods(), wire.pod)
Wait = Callable[[Callable[[], bool]], None]
"""Waits until something holds."""


class Owner:
    def __init__(self) -> None:
        self.wakes = 0
        self.faults: list[Fault] = []

    def wake(self) -> None:
        self.wakes += 1


def names(cache: Cache, kind: str = "nodes") -> list[str]:
    return [o.meta.name for o in cache.items(kind)]


def lists(server: ApiServer, part: str = "/nodes") -> int:
    return server.count("GET", part) - server.count("GET", part, watch="true")
