"""The embedded API and EC2 as they really are, in the shape in which the recorder of virtual time reads its models."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from agent.kube.times import utc_now
from agent.sim.apiserver import Api
from agent.sim.embedded import Steering
from tests.virtual.cloud import Instance
from tests.virtual.kubernetes import Json

KINDS = {
    "api/v1/pods": "pods",
    "api/v1/nodes": "nodes",
    "api/v1/configmaps": "configmaps",
    "apis/karpenter.sh/v1/nodeclaims": "nodeclaims.karpenter.sh",
    "apis/karpenter.sh/v1/nodepools": "nodepools.karpenter.sh",
}


class Clock:
    """Seconds since the beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def now(self) -> float:
        return time.monotonic() - self._began


class Objects:
    """``objects[collection][key]``, read from the store at that moment."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def __getitem__(self, collection: str) -> dict[str, Json]:
        listed = [stored.copy() for stored in self._api.store.all(KINDS[collection])]
        return {_key(body): body for body in listed}


class KubernetesTruth:
    """What the API server holds."""

    def __init__(self, api: Api) -> None:
        self.objects = Objects(api)
        self.watchers: list[Callable[[str, str, Json], None]] = []
        self.events: list[Json] = []

    def items(self, collection: str) -> list[Json]:
        return list(self.objects[collection].values())

    def now(self) -> datetime:
        return utc_now()


class Ec2Truth:
    """What EC2 runs. ``look`` notices what has begun and ended since the last look."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering
        self.on_launch: Callable[[Instance], None] = lambda _: None
        self.on_end: Callable[[Instance], None] = lambda _: None
        self._alive: dict[str, Instance] = {}

    @property
    def instances(self) -> dict[str, Instance]:
        found = {}
        for i in self._steering.listed():
            made = Instance(i.id, i.type, i.zone, i.capacity_type, 0.0, i.tags, user_data=i.user_data)
            made.states.append((0.0, i.state))
            found[i.id] = made
        return found

    def alive(self) -> list[Instance]:
        return [i for i in self.instances.values() if i.alive]

    def look(self) -> None:
        alive = {i.id: i for i in self.alive()}
        for name in [n for n in alive if n not in self._alive]:
            self.on_launch(alive[name])
        for name in [n for n in self._alive if n not in alive]:
            self.on_end(self._alive[name])
        self._alive = alive


def _key(body: Json) -> str:
    meta = body["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])
