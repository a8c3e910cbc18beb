"""Pods on the wire: what they ask, where they may run, and which of their constraints the engine knows."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from agent.kube.wire.affinity import NO_AFFINITY, NO_TERMS, Affinity, PodLabels, Spread
from agent.kube.wire.objects import Quantities, Texts, WireCondition, WireMeta, texts
from agent.kube.wire.requests import Container, ContainerStatus, Given, Needs, pod_requests
from agent.model import names
from agent.model.constraints import HostPort
from agent.model.kubernetes import RESOURCE_CLAIMS, Pod, Toleration
from agent.model.names import NodeName

KEPT_ANNOTATIONS = frozenset({names.DO_NOT_DISRUPT, names.DELETION_COST})
"""Annotations of pods that decisions read; others may be large and are dropped."""
_EVERY_ADDRESS = frozenset({None, "", "0.0.0.0", "::"})  # noqa: S104 - what a manifest may say, not what is bound to


class _There(msgspec.Struct, gc=False):
    """Something of which only the presence matters."""


class _Claim(msgspec.Struct, gc=False, rename="camel"):
    claim_name: str | None = None


class _Volume(msgspec.Struct, gc=False, rename="camel"):
    name: str | None = None
    persistent_volume_claim: _Claim | None = None
    ephemeral: _There | None = None
    aws_elastic_block_store: _There | None = None


class _Toleration(msgspec.Struct, gc=False):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None

    def model(self) -> Toleration:
        return Toleration(self.key or "", self.operator or "Equal", self.value or "", self.effect or "")


class WirePodSpec(msgspec.Struct, gc=False, rename="camel"):
    """``spec`` of a pod or of a pod template."""

    node_name: str | None = None
    host_network: bool | None = None
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    overhead: Quantities | None = None
    resources: Needs | None = None
    node_selector: Texts | None = None
    affinity: Affinity | None = None
    tolerations: tuple[_Toleration, ...] | None = None
    topology_spread_constraints: tuple[Spread, ...] | None = None
    volumes: tuple[_Volume, ...] | None = None
    resource_claims: tuple[msgspec.Raw, ...] | None = None
    scheduling_gates: tuple[msgspec.Raw, ...] | None = None
    priority: int | None = None
    priority_class_name: str | None = None
    termination_grace_period_seconds: int | None = None

    def unsupported(self, pod: PodLabels) -> Iterator[str]:
        """Field paths of hard constraints that the engine does not know, each once."""
        if self.affinity is not None:
            yield from self.affinity.unsupported(pod)
        if any(s.hard and s.model(pod) is None for s in self.topology_spread_constraints or ()):
            yield "spec.topologySpreadConstraints[].labelSelector"
        if self.resource_claims or any(c.resources is not None and c.resources.claims for c in self._all()):
            yield RESOURCE_CLAIMS
        if any(v.aws_elastic_block_store is not None for v in self.volumes or ()):
            yield "spec.volumes[].awsElasticBlockStore (its zone is not known; use a PersistentVolumeClaim)"

    def claims(self, pod: str) -> Iterator[str]:
        """Names of the PersistentVolumeClaims; one that is made for the pod is called after it and the volume."""
        for volume in self.volumes or ():
            if volume.persistent_volume_claim is not None and volume.persistent_volume_claim.claim_name:
                yield volume.persistent_volume_claim.claim_name
            elif volume.ephemeral is not None:
                yield f"{pod}-{volume.name}"

    def host_ports(self) -> tuple[HostPort, ...]:
        """Ports taken on the node, each once: of all that runs together, start-up steps aside, as the scheduler counts.

        With the host's network every container port is one, which the API server fills in.
        """
        if not any(c.ports for c in self._all()):
            return ()
        sidecars = (c for c in self.init_containers or () if c.restart_policy == "Always")
        found = {
            HostPort(number, port.protocol or "TCP", "" if port.host_ip in _EVERY_ADDRESS else port.host_ip or "")
            for container in (*sidecars, *(self.containers or ()))
            for port in container.ports or ()
            if (number := port.host_port or (self.host_network and port.container_port) or 0)
        }
        return tuple(sorted(found, key=lambda p: (p.port, p.protocol, p.address)))

    def _all(self) -> tuple[Container, ...]:
        return (*(self.init_containers or ()), *(self.containers or ()))


class _Status(msgspec.Struct, gc=False, rename="camel"):
    phase: str | None = None
    conditions: tuple[WireCondition, ...] | None = None
    nominated_node_name: str | None = None
    start_time: datetime | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None

    def condition(self, kind: str) -> WireCondition | None:
        return next((c for c in self.conditions or () if c.type == kind), None)

    def given(self) -> Given | None:
        """What the containers have been given; None before anything runs."""
        if not self.container_statuses and not self.init_container_statuses:
            return None
        statuses = (*(self.init_container_statuses or ()), *(self.container_statuses or ()))
        resize = self.condition("PodResizePending")
        refused = resize is not None and resize.status == "True" and resize.reason == "Infeasible"
        return Given({s.name or "": s for s in statuses}, refused)


class WirePod(msgspec.Struct, gc=False):
    """A pod."""

    metadata: WireMeta
    spec: WirePodSpec | None = None
    status: _Status | None = None


def pod_model(wire: WirePod) -> Pod:
    """As the engine has it.

    Raises:
        WireFault: a quantity cannot be read.
    """
    spec, status = wire.spec or WirePodSpec(), wire.status or _Status()
    owner = wire.metadata.controller
    scheduled, ready = status.condition("PodScheduled"), status.condition("Ready")
    meta = wire.metadata.model(KEPT_ANNOTATIONS)
    given = status.given()
    labels = PodLabels(meta.namespace, meta.labels)
    affinity, spread = spec.affinity or NO_AFFINITY, spec.topology_spread_constraints or ()
    near, apart = affinity.pod_affinity or NO_TERMS, affinity.pod_anti_affinity or NO_TERMS
    return Pod(
        meta=meta,
        requests=pod_requests(spec.init_containers or (), spec.containers or (), spec.resources, spec.overhead, given),
        phase=status.phase or "Pending",
        node_name=NodeName(spec.node_name) if spec.node_name else None,
        nominated_node=NodeName(status.nominated_node_name) if status.nominated_node_name else None,
        unschedulable=scheduled is not None and scheduled.reason == "Unschedulable" and not spec.scheduling_gates,
        ready=ready is not None and ready.status == "True",
        owner_kind=(owner is not None and owner.kind) or "",
        owner_uid=(owner is not None and owner.uid) or "",
        node_selector=texts(spec.node_selector),
        affinity_terms=affinity.required_nodes(),
        preferred_terms=affinity.preferred_nodes(),
        affinity=near.hard(labels),
        anti_affinity=apart.hard(labels),
        preferred_affinity=near.soft(labels),
        preferred_anti_affinity=apart.soft(labels),
        spread=tuple(found for s in spread if (found := s.model(labels)) is not None),
        host_ports=spec.host_ports(),
        tolerations=tuple(t.model() for t in spec.tolerations or ()),
        unsupported=tuple(spec.unsupported(labels)),
        priority=spec.priority or 0,
        priority_class=spec.priority_class_name or "",
        termination_grace_seconds=spec.termination_grace_period_seconds,
        claims=tuple(spec.claims(meta.name)),
        started_at=status.start_time,
    )
