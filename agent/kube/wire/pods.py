"""Pods on the wire: what they ask, where they may run, and which of their constraints the engine knows."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from agent.kube.wire.objects import Quantities, Texts, WireCondition, WireFault, WireMeta, WireRequirement, texts
from agent.kube.wire.requests import Container, ContainerStatus, Given, Needs, pod_requests
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.kubernetes import Pod, Toleration
from agent.model.names import NodeName

KEPT_ANNOTATIONS = frozenset({names.DO_NOT_DISRUPT, "controller.kubernetes.io/pod-deletion-cost"})
"""Annotations of pods that decisions read; others may be large and are dropped."""

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


class _Term(msgspec.Struct, gc=False, rename="camel"):
    match_expressions: tuple[WireRequirement, ...] | None = None
    match_fields: tuple[msgspec.Raw, ...] | None = None

    def model(self) -> tuple[Requirement, ...] | None:
        """Its requirements; None when one has an operator that the engine does not know."""
        try:
            return tuple(r.model() for r in self.match_expressions or ())
        except WireFault:
            return None


class _NodeSelector(msgspec.Struct, gc=False, rename="camel"):
    node_selector_terms: tuple[_Term, ...] | None = None

    def unsupported(self, path: str) -> Iterator[str]:
        """What label requirements cannot say: fields, unknown operators, and terms that match no node at all."""
        path = f"{path}.nodeSelectorTerms"
        terms = self.node_selector_terms or ()
        if any(t.match_fields for t in terms):
            yield f"{path}[].matchFields"
        if any(t.model() is None for t in terms):
            yield f"{path}[].matchExpressions[].operator"
        if not any(t.match_expressions or t.match_fields for t in terms):
            yield f"{path} (all empty: they match no node)"


class _NodeAffinity(msgspec.Struct, gc=False):
    required: _NodeSelector | None = msgspec.field(default=None, name=_REQUIRED)
    preferred: tuple[msgspec.Raw, ...] | None = msgspec.field(default=None, name=_PREFERRED)


class _PodAffinity(msgspec.Struct, gc=False):
    required: tuple[msgspec.Raw, ...] | None = msgspec.field(default=None, name=_REQUIRED)
    preferred: tuple[msgspec.Raw, ...] | None = msgspec.field(default=None, name=_PREFERRED)


class _Affinity(msgspec.Struct, gc=False, rename="camel"):
    node_affinity: _NodeAffinity | None = None
    pod_affinity: _PodAffinity | None = None
    pod_anti_affinity: _PodAffinity | None = None

    def unsupported(self) -> Iterator[str]:
        if self.pod_affinity is not None and self.pod_affinity.required:
            yield f"spec.affinity.podAffinity.{_REQUIRED}"
        if self.pod_anti_affinity is not None and self.pod_anti_affinity.required:
            yield f"spec.affinity.podAntiAffinity.{_REQUIRED}"
        if self.node_affinity is not None and self.node_affinity.required is not None:
            yield from self.node_affinity.required.unsupported(f"spec.affinity.nodeAffinity.{_REQUIRED}")

    def preferences(self) -> Iterator[str]:
        if self.node_affinity is not None and self.node_affinity.preferred:
            yield f"spec.affinity.nodeAffinity.{_PREFERRED}"
        if self.pod_affinity is not None and self.pod_affinity.preferred:
            yield f"spec.affinity.podAffinity.{_PREFERRED}"
        if self.pod_anti_affinity is not None and self.pod_anti_affinity.preferred:
            yield f"spec.affinity.podAntiAffinity.{_PREFERRED}"


class _Spread(msgspec.Struct, gc=False, rename="camel"):
    when_unsatisfiable: str | None = None

    @property
    def hard(self) -> bool:
        """Unset means DoNotSchedule; a value that nobody knows yet is no weaker."""
        return self.when_unsatisfiable != "ScheduleAnyway"


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
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    overhead: Quantities | None = None
    resources: Needs | None = None
    node_selector: Texts | None = None
    affinity: _Affinity | None = None
    tolerations: tuple[_Toleration, ...] | None = None
    topology_spread_constraints: tuple[_Spread, ...] | None = None
    volumes: tuple[_Volume, ...] | None = None
    resource_claims: tuple[msgspec.Raw, ...] | None = None
    scheduling_gates: tuple[msgspec.Raw, ...] | None = None
    priority: int | None = None
    priority_class_name: str | None = None
    termination_grace_period_seconds: int | None = None

    def affinity_terms(self) -> tuple[tuple[Requirement, ...], ...]:
        """Required node affinity; a term without any expression matches no node and is left out."""
        node = self.affinity.node_affinity if self.affinity is not None else None
        if node is None or node.required is None:
            return ()
        terms = (t.model() for t in node.required.node_selector_terms or ())
        return tuple(term for term in terms if term)

    def unsupported(self) -> Iterator[str]:
        """Field paths of hard constraints that the engine does not know yet, each once."""
        if self.affinity is not None:
            yield from self.affinity.unsupported()
        if any(s.hard for s in self.topology_spread_constraints or ()):
            yield "spec.topologySpreadConstraints (whenUnsatisfiable: DoNotSchedule)"
        containers = (*(self.containers or ()), *(self.init_containers or ()))
        if any(p.host_port for c in containers for p in c.ports or ()):
            yield "spec.containers[].ports[].hostPort"
        if self.resource_claims or any(c.resources is not None and c.resources.claims for c in containers):
            yield "spec.resourceClaims"
        if self.volumes:
            yield from self._unsupported_volumes()
        if self.scheduling_gates:
            yield "spec.schedulingGates"

    def preferences(self) -> Iterator[str]:
        """Field paths of soft constraints, which are not honoured."""
        if self.affinity is not None:
            yield from self.affinity.preferences()
        if not all(s.hard for s in self.topology_spread_constraints or ()):
            yield "spec.topologySpreadConstraints (whenUnsatisfiable: ScheduleAnyway)"

    def claims(self, pod: str) -> Iterator[str]:
        """Names of the PersistentVolumeClaims; one that is made for the pod is called after it and the volume."""
        for volume in self.volumes or ():
            if volume.persistent_volume_claim is not None and volume.persistent_volume_claim.claim_name:
                yield volume.persistent_volume_claim.claim_name
            elif volume.ephemeral is not None:
                yield f"{pod}-{volume.name}"

    def _unsupported_volumes(self) -> Iterator[str]:
        volumes = self.volumes or ()
        if any(v.persistent_volume_claim is not None for v in volumes):
            yield "spec.volumes[].persistentVolumeClaim"
        if any(v.ephemeral is not None for v in volumes):
            yield "spec.volumes[].ephemeral"
        if any(v.aws_elastic_block_store is not None for v in volumes):
            yield "spec.volumes[].awsElasticBlockStore"


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
    return Pod(
        meta=meta,
        requests=pod_requests(spec.init_containers or (), spec.containers or (), spec.resources, spec.overhead, given),
        phase=status.phase or "Pending",
        node_name=NodeName(spec.node_name) if spec.node_name else None,
        nominated_node=NodeName(status.nominated_node_name) if status.nominated_node_name else None,
        unschedulable=scheduled is not None and scheduled.reason == "Unschedulable",
        ready=ready is not None and ready.status == "True",
        owner_kind=(owner is not None and owner.kind) or "",
        owner_uid=(owner is not None and owner.uid) or "",
        node_selector=texts(spec.node_selector),
        affinity_terms=spec.affinity_terms(),
        tolerations=tuple(t.model() for t in spec.tolerations or ()),
        unsupported=tuple(spec.unsupported()),
        preferences=tuple(spec.preferences()),
        priority=spec.priority or 0,
        priority_class=spec.priority_class_name or "",
        termination_grace_seconds=spec.termination_grace_period_seconds,
        claims=tuple(spec.claims(meta.name)),
        started_at=status.start_time,
    )
