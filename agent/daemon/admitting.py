"""The evidence for one certificate request: EC2 asked afresh, the rest from the caches."""

from collections.abc import Callable
from datetime import datetime

from agent.aws.ec2 import Ec2
from agent.core.admission import Evidence, Verdict, asked_name, review
from agent.kube.cache import Cache
from agent.model.ec2 import Machine
from agent.model.kubernetes import CertificateRequest
from agent.model.plan import Cluster


class Admission:
    """Reviews requests; raises ``AwsError`` when EC2 does not answer, so that the request is looked at again."""

    def __init__(self, cache: Cache, ec2: Ec2, cluster: Cluster, node_name: str, clock: Callable[[], datetime]) -> None:
        self._cache = cache
        self._ec2 = ec2
        self._cluster = cluster
        self._node_name = node_name
        self._clock = clock

    def __call__(self, request: CertificateRequest) -> Verdict:
        """Approve, deny or leave alone."""
        return review(
            request,
            Evidence(
                now=self._clock(),
                cluster=self._cluster,
                token_ids=frozenset(t.id for t in self._cache.items("tokens")),
                machine=self._machine(asked_name(request)),
                nodes=self._cache.items("nodes"),
                requests=self._cache.items("certificatesigningrequests"),
                node_name=self._node_name,
            ),
        )

    def _machine(self, name: str) -> Machine | None:
        if name.startswith("i-"):
            return self._ec2.machine(name)
        if self._node_name == "private-dns" and name:
            return next((m for m in self._ec2.machines() if m.private_dns == name), None)
        return None
