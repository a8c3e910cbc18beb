"""What every machine of a sandbox has around it, and how fast things happen there."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from agent.kube.cache import Cache, Kind
from agent.kube.paths import nodes, pods
from agent.kube.times import utc_now
from agent.sim.embedded import Steering

PODS, NODES = "pods", "nodes"


class Pace(msgspec.Struct, frozen=True):
    """Seconds."""

    phase: float = 0.4
    """How long each phase of a script takes that does nothing here, such as installing packages."""
    retry: float = 2.0
    """The pause between two tries of something."""
    token_wait: float = 600.0
    """How long a machine asks for a token; then it powers itself off."""
    certificate_wait: float = 60.0
    """How long one try of joining waits for its certificate."""
    join_wait: float = 780.0
    """How long joining is tried; then the machine powers itself off."""
    pod_start: float = 0.6
    pod_stop: float = 0.6
    heartbeat: float = 10.0
    """Between two renewals of a node's Lease, as kubelet does it."""
    look: float = 0.5
    """Between two looks at what EC2 runs."""
    tick: float = 0.1
    """Between two looks at what is due."""


class World(msgspec.Struct):
    """Handed to every machine."""

    ec2: Steering
    ssm_endpoint: str
    folder: Path
    """Where machines keep their kubeconfigs."""
    seen: Cache
    """Pods and nodes as they are. What a machine writes, it writes as itself."""
    pace: Pace = Pace()
    clock: Callable[[], datetime] = utc_now


def _manifest(raw: bytes | msgspec.Raw) -> dict[str, Any]:
    return msgspec.json.decode(raw, type=dict[str, Any])


def kind(name: str, path: str, params: dict[str, str] | None = None) -> Kind:
    """A kind whose objects are kept as they are."""
    return Kind(name, path, _manifest, params or {})


def machine_kinds() -> tuple[Kind, ...]:
    """What machines look at."""
    return (kind(PODS, pods()), kind(NODES, nodes()))
