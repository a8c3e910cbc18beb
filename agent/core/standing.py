"""Pods that are on nodes already, sorted once for as long as they are the same."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from agent.model.kubernetes import Pod


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """All that use room; those that are finished do not."""

    running: tuple[Pod, ...]
    """By key."""
    ruled: tuple[Pod, ...]
    """Those of them that keep others out, by their anti-affinity or their host ports."""
    on: Mapping[str, tuple[Pod, ...]]
    """Per node."""
    namespaces: tuple[str, ...]
    """In which there are any."""

    @classmethod
    def of(cls, bound: tuple[Pod, ...]) -> "Standing":
        """Sort the pods that are on nodes."""
        running = sorted((p for p in bound if p.node_name is not None and not p.is_finished), key=lambda p: p.key)
        on = defaultdict[str, list[Pod]](list)
        for pod in running:
            on[pod.node_name or ""].append(pod)
        return cls(
            tuple(running),
            tuple(p for p in running if p.anti_affinity or p.host_ports),
            {node: tuple(pods) for node, pods in on.items()},
            tuple(dict.fromkeys(p.meta.namespace for p in running)),
        )
