"""What a check is made of: the settings, the daemon's access to the cluster, and AWS."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from agent.aws.classes import ResolvedClass, Resolver
from agent.aws.errors import AwsError, mapped
from agent.aws.session import AwsSession
from agent.join.facts import JoinFacts, facts_for
from agent.join.userdata import supported_families
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.manifests import NodeClassManifest, parse_node_class, parse_node_pool
from agent.model.kubernetes import NodePool
from agent.settings import Settings

if TYPE_CHECKING:
    from types_boto3_sts.type_defs import GetCallerIdentityResponseTypeDef


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

    @cached_property
    def resolved(self) -> tuple[tuple[NodeClassManifest, ResolvedClass], ...]:
        """Every EC2NodeClass with what its terms mean now."""
        resolver = Resolver(self.session, supported_families())
        return tuple((m, resolver.resolve(m.spec, m.pinned, m.faults)) for m in self.classes)

    @cached_property
    def caller(self) -> "GetCallerIdentityResponseTypeDef":
        """Who this machine is to AWS, by AWS' answer. Raises ``AwsError``."""
        with mapped("sts:GetCallerIdentity"):
            return self.session.client("sts").get_caller_identity()

    @property
    def partition(self) -> str:
        """Of AWS: ``aws`` when AWS does not answer."""
        return self._identified("aws", 1)

    @property
    def account(self) -> str:
        """Of AWS; empty when AWS does not answer."""
        return self._identified("", 4)

    @cached_property
    def node_roles(self) -> dict[str, str]:
        """ARN of the machines' role by the name of their EC2NodeClass; without classes that do not tell."""
        found = {}
        for manifest, resolved in self.resolved:
            if not resolved.instance_profile:
                continue
            try:
                with mapped("iam:GetInstanceProfile"):
                    answer = self.session.client("iam").get_instance_profile(
                        InstanceProfileName=resolved.instance_profile
                    )
            except AwsError:
                continue  # whether the profile can be used is a question of its own
            for role in answer["InstanceProfile"]["Roles"]:
                found[manifest.meta.name] = role["Arn"]
        return found

    def _identified(self, unknown: str, part: int) -> str:
        try:
            return self.caller["Arn"].split(":")[part]
        except AwsError:
            return unknown

    def listed(self, path: str, selector: str = "") -> list[dict[str, Any]]:
        """Objects as the API server has them. Raises ``KubeError``."""
        params = {"labelSelector": selector} if selector else None
        return [item for page in self.api.pages(path, params) for item in msgspec.json.decode(page)["items"]]
