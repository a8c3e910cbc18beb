"""What each EC2NodeClass means in AWS now: its terms resolved, its userData rendered, its conditions.

Resolved by a job, not in a cycle, because it takes several calls to AWS; a cycle uses the last result. A change of
the class is taken in at once, otherwise each minute.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog

from agent.aws.classes import ResolvedClass, Resolver
from agent.aws.errors import Invalid
from agent.aws.templates import TemplateContent, template_content
from agent.join.errors import TemplateFault
from agent.join.facts import JoinFacts
from agent.join.userdata import RenderOptions, render
from agent.kube.wire import conditions, with_condition
from agent.manifests import NodeClassManifest, kubelet_settings
from agent.manifests.disks import root_volume_bytes, volumes
from agent.model import names
from agent.model.actions import Action, Target, WriteClassStatus
from agent.model.ec2 import CapacityReservation, KubeletSettings, NodeClass
from agent.model.kubernetes import Condition
from agent.model.names import ClassName
from agent.model.reasons import Reason

log = structlog.get_logger(__name__)

RESOLVE_EVERY = timedelta(minutes=1)


class Held(msgspec.Struct, frozen=True):
    """One class as last resolved."""

    manifest: NodeClassManifest
    resolved: ResolvedClass
    content: TemplateContent | None
    at: datetime


class Classes:
    """Keeps every class resolved. ``manifests`` hands out the classes as cached; ``facts`` the public join facts."""

    def __init__(
        self,
        resolver: Resolver,
        manifests: Callable[[], tuple[NodeClassManifest, ...]],
        options: RenderOptions,
        clock: Callable[[], datetime],
    ) -> None:
        self._resolver = resolver
        self._manifests = manifests
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[ClassName, Held] = {}
        self._told: dict[str, str] = {}
        self.facts: JoinFacts | None = None
        """None: not yet read from the cluster; no class is ready without them."""
        self.kubelet = KubeletSettings()
        """The cluster's own kubelet configuration."""

    def refresh(self) -> bool:
        """Resolve what is new, changed or a minute old. Returns whether anything came out differently."""
        now = self._clock()
        manifests = {ClassName(m.meta.name): m for m in self._manifests()}
        changed = False
        for name, manifest in manifests.items():
            held = self._held.get(name)
            if held is not None and not self._is_due(held, manifest, now):
                continue
            fresh = self._resolve(manifest, held, now)
            if held is None or (held.resolved, held.content) != (fresh.resolved, fresh.content):
                changed = True
            with self._lock:
                self._held[name] = fresh
        with self._lock:
            gone = self._held.keys() - manifests.keys()
            self._held = {n: h for n, h in self._held.items() if n not in gone}
        return changed or bool(gone)

    def resolved(self) -> bool:
        """Whether every class there is has been resolved at least once."""
        known = dict(self._held)
        return all(ClassName(m.meta.name) in known for m in self._manifests())

    def outdated(self) -> bool:
        """Whether a class was made or changed since it was last resolved."""
        known = {n: (h.manifest.meta.uid, h.manifest.meta.generation) for n, h in dict(self._held).items()}
        return known != {ClassName(m.meta.name): (m.meta.uid, m.meta.generation) for m in self._manifests()}

    def blueprint(self, node_class: ClassName, reservation: str) -> TemplateContent:
        """What an instance of the class is launched with now, into a capacity reservation if one is named.

        Raises:
            Invalid: it cannot be said.
        """
        with self._lock:
            held = self._held.get(node_class)
        if held is None or held.content is None:
            message = f"EC2NodeClass {node_class} is not resolved; its conditions say why"
            raise Invalid(message, code="NodeClassNotReady", operation="ec2:CreateLaunchTemplate")
        return _into(held.content, reservation)

    def reservations_at(self) -> datetime | None:
        """When EC2 was asked of the class longest ago how much room capacity reservations have; None: of none."""
        with self._lock:
            held = list(self._held.values())
        asked = (h.at for h in held if h.manifest.spec and h.manifest.spec.capacity_reservation_selector_terms)
        return min(asked, default=None)

    def contents(self) -> frozenset[str]:
        """Hashes of the templates that classes use now."""
        with self._lock:
            held = [(h.content, h.resolved.reservations) for h in self._held.values() if h.content is not None]
        own = {content.hash for content, _ in held}
        return frozenset(own | {_into(content, r.id).hash for content, found in held for r in found if r.usable})

    def models(self) -> tuple[NodeClass, ...]:
        """Every class, by name; one that was never resolved is not ready."""
        with self._lock:
            held = dict(self._held)
        found = []
        for manifest in sorted(self._manifests(), key=lambda m: m.meta.name):
            known = held.get(ClassName(manifest.meta.name))
            found.append(self._model(manifest, known.resolved if known is not None else ResolvedClass()))
        return tuple(found)

    def statuses(self) -> tuple[Action, ...]:
        """Status writes for classes whose status is not what was resolved."""
        with self._lock:
            held = list(self._held.values())
        current = {m.meta.name: m for m in self._manifests()}
        actions = []
        for known in held:
            manifest = current.get(known.manifest.meta.name)
            if manifest is None or manifest.meta.deleted_at is not None:
                continue
            status = self._status(manifest, known.resolved)
            stamped = manifest.meta.annotations.get(names.NODECLASS_HASH) == manifest.hash
            if _differs(manifest.status, status) or not stamped:
                actions.append(
                    WriteClassStatus(
                        reason=Reason("StatusChanged", f"EC2NodeClass {manifest.meta.name} was resolved"),
                        node_class=Target(manifest.meta.name, manifest.meta.uid, manifest.meta.resource_version),
                        status=status,
                        hash="" if stamped else manifest.hash,
                        hash_version=manifest.hash_version,
                    )
                )
        return tuple(actions)

    def _is_due(self, held: Held, manifest: NodeClassManifest, now: datetime) -> bool:
        same = held.manifest.meta.generation == manifest.meta.generation and held.manifest.meta.uid == manifest.meta.uid
        retried = not held.resolved.ready and now - held.at >= timedelta(seconds=5)
        return not same or retried or now - held.at >= RESOLVE_EVERY

    def _resolve(self, manifest: NodeClassManifest, held: Held | None, now: datetime) -> Held:
        same = held is not None and held.manifest.meta.generation == manifest.meta.generation
        previous = held.resolved if held is not None and same else None
        resolved = self._resolver.resolve(manifest.spec, manifest.pinned, manifest.faults, previous)
        content, fault = self._content(manifest, resolved)
        if fault is not None:
            resolved = _unready(resolved, fault)
        self._tell(manifest.meta.name, resolved)
        return Held(manifest, resolved, content, now)

    def _tell(self, name: str, resolved: ResolvedClass) -> None:
        """Say once that a class is not ready, and why."""
        cause = next((c for c in resolved.conditions if c.type == "Ready" and c.status != "True"), None)
        sentence = cause.message if cause is not None else ""
        if sentence and self._told.get(name) != sentence:
            log.warning("class.not_ready", node_class=name, why=sentence)
        self._told[name] = sentence

    def _content(
        self, manifest: NodeClassManifest, resolved: ResolvedClass
    ) -> tuple[TemplateContent | None, Condition | None]:
        if manifest.spec is None or not resolved.ready:
            return None, None
        if self.facts is None:
            message = "the cluster's join facts (kube-public/cluster-info) are not read yet"
            return None, Condition("ValidationSucceeded", "Unknown", "JoinFactsUnknown", message)
        name = ClassName(manifest.meta.name)
        try:
            user_data = render(manifest.spec, self.facts, manifest.meta.annotations, self._options)
            return template_content(manifest.spec, resolved, name, user_data), None
        except (TemplateFault, Invalid) as error:
            return None, Condition("ValidationSucceeded", "False", "UserDataInvalid", str(error))

    def _model(self, manifest: NodeClassManifest, resolved: ResolvedClass) -> NodeClass:
        spec = manifest.spec
        return NodeClass(
            meta=manifest.meta,
            ami_family=spec.family if spec is not None else "",
            subnets=resolved.subnets,
            security_groups=resolved.security_groups,
            images=resolved.images,
            reservations=resolved.reservations,
            instance_profile=resolved.instance_profile,
            tags=dict(spec.tags) if spec is not None else {},
            kubelet=kubelet_settings(self.kubelet, spec.kubelet) if spec is not None else self.kubelet,
            root_volume_bytes=root_volume_bytes(spec) if spec is not None else 0,
            volumes=volumes(spec) if spec is not None else 1,
            hash=manifest.hash,
            hash_version=manifest.hash_version,
            conditions=resolved.conditions,
            faults=manifest.faults,
            notes=manifest.notes,
        )

    def _status(self, manifest: NodeClassManifest, resolved: ResolvedClass) -> dict[str, object]:
        merged = manifest.conditions
        for condition in resolved.conditions:
            merged = with_condition(merged, condition, self._clock())
        order = {c.type: n for n, c in enumerate(resolved.conditions)}
        ranked = tuple(sorted(merged, key=lambda c: (order.get(c.type, len(order)), c.type)))
        return {
            "subnets": [{"id": s.id, "zone": s.zone, "zoneID": s.zone_id} for s in resolved.subnets],
            "securityGroups": [{"id": g, "name": n} for g, n in sorted(resolved.security_group_names.items())],
            "amis": [
                {
                    "id": i.id,
                    "name": i.name,
                    "deprecated": i.deprecated,
                    "requirements": [
                        {"key": r.key, "operator": r.operator, "values": list(r.values)} for r in i.requirements
                    ],
                }
                for i in resolved.images
            ],
            "capacityReservations": [_reservation_status(r) for r in resolved.reservations],
            "instanceProfile": resolved.instance_profile,
            "conditions": conditions(ranked),
        }


def _into(content: TemplateContent, reservation: str) -> TemplateContent:
    return msgspec.structs.replace(content, reservation=reservation) if reservation else content


def _reservation_status(found: CapacityReservation) -> dict[str, object]:
    status: dict[str, object] = {
        "id": found.id,
        "availabilityZone": found.zone,
        "instanceType": found.instance_type,
        "instanceMatchCriteria": found.match_criteria,
        "ownerID": found.owner,
        "reservationType": found.kind,
        "state": "active",
        "interruptible": found.interruptible,
    }
    return status | ({"endTime": f"{found.ends_at:%Y-%m-%dT%H:%M:%SZ}"} if found.ends_at is not None else {})


def _differs(held: dict[str, object], wanted: dict[str, object]) -> bool:
    """Whether a status must be written; free addresses order subnets, so their order alone is no difference."""

    def comparable(status: dict[str, object]) -> dict[str, object]:
        subnets = status.get("subnets") or []
        assert isinstance(subnets, list)
        ordered = sorted(subnets, key=lambda s: str(s.get("id")))
        return {k: v for k, v in (status | {"subnets": ordered}).items() if v or k in wanted}

    mine = comparable(held)
    return any(mine.get(k) != v for k, v in comparable(wanted).items())


def _unready(resolved: ResolvedClass, fault: Condition) -> ResolvedClass:
    kept = tuple(c for c in resolved.conditions if c.type not in {fault.type, "Ready"})
    ready = Condition("Ready", fault.status, fault.reason, fault.message)
    return msgspec.structs.replace(resolved, conditions=(*kept, fault, ready))
