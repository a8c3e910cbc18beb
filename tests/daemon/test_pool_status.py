"""What is written of a pool."""

from dataclasses import dataclass, field
from typing import Any, cast

from agent.core.world import target
from agent.daemon.act.registry import Hands
from agent.daemon.act.status import write_pool_status
from agent.model.actions import WritePoolStatus
from agent.model.kubernetes import NodePool
from agent.model.reasons import Reason
from agent.model.resources import ZERO, Resources
from tests.build import NOW, pool


@dataclass
class Cluster:
    """Hands that hold one pool and keep what is written."""

    pool: NodePool
    written: list[Any] = field(default_factory=list)

    @property
    def api(self) -> "Cluster":
        return self

    @property
    def cache(self) -> "Cluster":
        return self

    def get(self, _kind: str, _name: str) -> NodePool:
        return self.pool

    def merge_patch(self, _path: str, body: Any) -> bytes:
        self.written.append(body)
        return b""

    def wrote(self, _kind: str, _raw: bytes) -> None:
        return None

    def clock(self) -> object:
        return NOW

    def fence(self) -> None:
        return None

    def checkpoint(self, _name: str, _moment: str) -> None:
        return None


def resources(before: Resources, now: Resources, nodes: int) -> dict[str, str | None]:
    held = Cluster(pool(resources=before))
    action = WritePoolStatus(
        reason=Reason("StatusChanged", "a test"),
        pool=target(held.pool.meta),
        node_count=nodes,
        resources=now,
    )
    write_pool_status(cast("Hands", held), action)
    (body,) = held.written
    found: dict[str, str | None] = body["status"]["resources"]
    return found


def test_rule_19_4_what_a_pool_has_none_of_is_nothing_and_not_left_out() -> None:
    nothing: dict[str, str | None] = {"cpu": "0", "memory": "0", "pods": "0", "ephemeral-storage": "0", "nodes": "0"}
    assert resources(ZERO, ZERO, 0) == nothing
    gpu = Resources(4000, 1 << 30, 110, 1 << 30, (("nvidia.com/gpu", 1),))
    full = {"cpu": "4", "memory": "1Gi", "pods": "110", "ephemeral-storage": "1Gi", "nvidia.com/gpu": "1", "nodes": "1"}
    assert resources(ZERO, gpu, 1) == full
    # A merge patch keeps what it does not name.
    assert resources(gpu, ZERO, 0) == nothing | {"nvidia.com/gpu": None}
