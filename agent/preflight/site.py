"""What a check is made of: the settings, the daemon's access to the cluster, and AWS."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from agent.aws.session import AwsSession
from agent.join.facts import JoinFacts, facts_for
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.manifests import NodeClassManifest, parse_node_class, parse_node_pool
from agent.model.kubernetes import NodePool
from agent.settings import Settings


@dataclass(frozen=True)
class Site:
    """One cluster in one region; what several questions need is read once."""

    settings: Settings
    api: KubeApi
    """With the daemon's own identity: its rights are what is asked about."""
    kubeconfig: str
    session: AwsSession
    clock: Callable[[], datetime]

    @cached_property
    def facts(self) -> JoinFacts:
        """What nodes are told to join with. Raises ``FactsUnavailable`` or ``KubeError``."""
        return facts_for(self.api, self.settings)

    @cached_property
    def classes(self) -> tuple[NodeClassManifest, ...]:
        """Every EC2NodeClass, by name."""
        return tuple(
            sorted((parse_node_class(o) for o in self.listed(paths.node_classes())), key=lambda m: m.meta.name)
        )

    @cached_property
    def pools(self) -> tuple[NodePool, ...]:
        """Every NodePool, by name."""
        return tuple(sorted((parse_node_pool(o) for o in self.listed(paths.node_pools())), key=lambda p: p.name))

    def listed(self, path: str, selector: str = "") -> list[dict[str, Any]]:
        """Objects as the API server has them. Raises ``KubeError``."""
        params = {"labelSelector": selector} if selector else None
        return [item for page in self.api.pages(path, params) for item in msgspec.json.decode(page)["items"]]
