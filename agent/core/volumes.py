"""Where a pod's volumes let it run, what they take of a node, and why they keep it from any node at all.

Sources: kubernetes.io/docs/concepts/storage/persistent-volumes, .../storage-classes, .../storage-limits, and
Karpenter's rules 11.1 to 11.7.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

import msgspec

from agent.core.requirements import Requirements, value_set
from agent.model.constraints import Requirement
from agent.model.kubernetes import Pod
from agent.model.names import NodeName, PodKey
from agent.model.plan import Snapshot
from agent.model.reasons import Reason
from agent.model.resources import Resources
from agent.model.volumes import StorageClass, Volume, VolumeClaim

ATTACHABLE: Final = "attachable-volumes-"
"""Before a CSI driver's name: so many volumes of it a node attaches. Kubernetes called in-tree limits like this."""
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
Terms = tuple[tuple[Requirement, ...], ...]
Attached = frozenset[tuple[str, str]]
"""Driver and handle of each volume; of a volume that is not made yet the claim stands for it."""
ANYWHERE: Final[Terms] = ((),)


class Obstacle(Exception):  # noqa: N818 - a state of the cluster, not a fault
    """Why a pod's volumes keep it from any node, as a sentence a person can act on."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Volumes, claims and classes of a snapshot, by name."""

    volumes: dict[str, Volume]
    claims: dict[str, VolumeClaim]
    """By ``namespace/name``."""
    classes: dict[str, StorageClass]
    users: dict[str, PodKey]
    """Of each claim that one pod alone may use (ReadWriteOncePod): the pod that does."""
    kept: dict[str, str]
    """By claim: the volume that is kept for it, whatever the claim itself says."""
    offered: dict[str, tuple[Volume, ...]]
    """For each claim that nothing makes a volume for: the free volumes that may become its, the smallest first."""

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Storage":
        """Index a snapshot."""
        claims = {f"{c.meta.namespace}/{c.meta.name}": c for c in snapshot.volume_claims}
        classes = {c.meta.name: c for c in snapshot.storage_classes}
        users: dict[str, PodKey] = {}
        # Those that run hold it; of those that wait the first by name will.
        single = {key for key, claim in claims.items() if claim.single_pod}
        made = {name for name, found in classes.items() if found.provisioner != NO_PROVISIONER}
        asked = {key for key, c in claims.items() if not c.volume and c.storage_class and c.storage_class not in made}
        mounting = [p for p in snapshot.pods if p.claims and not p.is_finished] if single or asked else []
        mounting.sort(key=lambda p: (p.node_name is None, p.key))
        for pod in mounting:
            for key in single.intersection(_keys(pod)):
                users.setdefault(key, pod.key)
        return cls(
            {v.meta.name: v for v in snapshot.volumes},
            claims,
            classes,
            users,
            {v.claim: v.meta.name for v in snapshot.volumes if (c := claims.get(v.claim)) and _is_kept(v, c)},
            _offered(snapshot, {key: claims[key] for pod in mounting for key in _keys(pod) if key in asked}),
        )

    def situated(self, pods: Iterable[Pod]) -> tuple[tuple[Pod, ...], dict[PodKey, Reason]]:
        """The pods with where their volumes can be attached and how many they attach; those that cannot be, and why."""
        found, obstacles = [], {}
        for pod in pods:
            if not pod.claims:
                found.append(pod)
                continue
            try:
                terms, attached = self._terms(pod), self.attached([pod])
            except Obstacle as why:
                obstacles[pod.key] = Reason("FailedScheduling", str(why))
                found.append(pod)
                continue
            counts = Resources.of({ATTACHABLE + driver: number for driver, number in _counted(attached).items()})
            found.append(msgspec.structs.replace(pod, volume_terms=terms, requests=pod.requests + counts))
        return tuple(found), obstacles

    def attached(self, pods: Iterable[Pod]) -> Attached:
        """The volumes that these pods have attached on their node; one that several of them use counts once."""
        found = set()
        for pod in pods:
            for key in _keys(pod):
                claim = self.claims.get(key)
                if claim is None:
                    continue
                volume = self.volumes.get(claim.volume or self.kept.get(key, ""))
                driver = volume.driver if volume is not None else self._provisioner(claim)
                if driver:
                    found.add((driver, volume.handle if volume is not None and volume.handle else key))
        return frozenset(found)

    def handle(self, volume: str) -> tuple[str, str] | None:
        """Driver and handle of a PersistentVolume; None when nothing attaches it."""
        known = self.volumes.get(volume)
        return (known.driver, known.handle or known.meta.name) if known is not None and known.driver else None

    def _terms(self, pod: Pod) -> Terms:
        """Alternatives of all its volumes together (rules 11.3, 11.4); none when they leave each choice open."""
        listed = [terms for key in dict.fromkeys(_keys(pod)) if (terms := self._places(pod, key)) != ANYWHERE]
        if not listed:
            return ()
        together = (tuple(r for term in chosen for r in term) for chosen in product(*listed))
        possible = tuple(dict.fromkeys(t for t in together if Requirements.of(t).conflict is None))
        if not possible:
            names = ", ".join(pod.claims)
            raise Obstacle(f"its volumes ({names}) can be attached to no node together: they are in different places")
        return () if any(not term for term in possible) else possible

    def _places(self, pod: Pod, key: str) -> Terms:
        claim = self.claims.get(key)
        if claim is None:
            raise Obstacle(f"its PersistentVolumeClaim {key} does not exist; create it, or mend the pod's volumes")
        if claim.meta.deleted_at is not None:
            raise Obstacle(f"its PersistentVolumeClaim {key} is being deleted; wait for that, then create it anew")
        holder = self.users.get(key)
        if holder is not None and holder != pod.key:
            sentence = f"its PersistentVolumeClaim {key} is ReadWriteOncePod and the pod {holder} uses it"
            raise Obstacle(f"{sentence}; no further node would help")
        return self._of_volume(key, claim) if claim.volume else self._of_class(key, claim)

    def _of_volume(self, key: str, claim: VolumeClaim) -> Terms:
        volume = self.volumes.get(claim.volume)
        if volume is None or volume.meta.deleted_at is not None:
            state = "does not exist" if volume is None else "is being deleted"
            raise Obstacle(f"the PersistentVolume {claim.volume} of its claim {key} {state}")
        if claim.phase == "Lost":
            sentence = f"its PersistentVolumeClaim {key} has lost the PersistentVolume {claim.volume}"
            raise Obstacle(f"{sentence}; create the claim anew")
        if claim.is_binding:
            sentence = f"its PersistentVolumeClaim {key} is not bound to the PersistentVolume {claim.volume} yet"
            raise Obstacle(f"{sentence}; if that lasts, look at the claim's Events for what is wrong between them")
        return volume.terms or ANYWHERE

    def _of_class(self, key: str, claim: VolumeClaim) -> Terms:
        """Of a volume that is made once the pod has its node: the driver's choice, within the class."""
        found = self._class(claim)
        if found is None and not claim.storage_class:
            raise Obstacle(f"its PersistentVolumeClaim {key} is not bound and has no StorageClass that would make it")
        if found is None:
            raise Obstacle(f"the StorageClass {claim.storage_class} of its PersistentVolumeClaim {key} does not exist")
        if not found.late:
            sentence = f"its PersistentVolumeClaim {key} is not bound yet and its StorageClass {found.meta.name} binds"
            raise Obstacle(f"{sentence} at once; look at the claim's Events for why no volume was made")
        if key in self.kept:
            return self._of_volume(key, msgspec.structs.replace(claim, volume=self.kept[key]))
        if found.provisioner == NO_PROVISIONER:
            if not (offered := self.offered.get(key)):
                sentence = f"its PersistentVolumeClaim {key} waits for a PersistentVolume of the class"
                what = "which nothing makes, and none is free that has what it asks; a new node would bring none"
                raise Obstacle(f"{sentence} {found.meta.name}, {what}")
            return tuple(dict.fromkeys(term for volume in offered for term in volume.terms or ANYWHERE))
        return found.topologies or ANYWHERE

    def _class(self, claim: VolumeClaim) -> StorageClass | None:
        """The class named, or the cluster's default; of several defaults the youngest, as in Kubernetes."""
        if claim.storage_class is not None:
            return self.classes.get(claim.storage_class)
        defaults = sorted((c for c in self.classes.values() if c.is_default), key=lambda c: c.meta.name)
        return max(defaults, key=lambda c: c.meta.created_at.timestamp() if c.meta.created_at else 0.0, default=None)

    def _provisioner(self, claim: VolumeClaim) -> str:
        found = self._class(claim)
        return found.provisioner if found is not None and found.provisioner != NO_PROVISIONER else ""


def _is_kept(volume: Volume, claim: VolumeClaim) -> bool:
    return volume.claim_uid in {"", claim.meta.uid}


def _offered(snapshot: Snapshot, waiting: Mapping[str, VolumeClaim]) -> dict[str, tuple[Volume, ...]]:
    """The free volumes that suit each claim, without those that an earlier claim will most likely have."""
    free = [v for v in snapshot.volumes if not v.claim and v.meta.deleted_at is None] if waiting else []
    free.sort(key=lambda v: (v.traits.size_bytes, v.meta.name))
    found: dict[str, tuple[Volume, ...]] = {}
    for key, claim in waiting.items():
        found[key] = tuple(volume for volume in free if _suits(volume, claim))
        if found[key]:
            free.remove(found[key][0])
    return found


def _suits(volume: Volume, claim: VolumeClaim) -> bool:
    """Whether Kubernetes would bind the two (kubernetes.io, Persistent Volumes, Binding)."""
    has, asked = volume.traits, claim.traits
    return (
        volume.storage_class == claim.storage_class
        and has.size_bytes >= asked.size_bytes
        and has.is_block == asked.is_block
        and set(asked.access_modes) <= set(has.access_modes)
        and all(value_set(entry).allows(volume.meta.labels.get(entry.key)) for entry in claim.selector)
    )


def attached_on(snapshot: Snapshot, storage: Storage) -> dict[NodeName, dict[str, int]]:
    """Per node and driver: how many volumes are attached, or will be for pods that are bound there."""
    found: defaultdict[NodeName, set[tuple[str, str]]] = defaultdict(set)
    for pod in snapshot.pods:
        if pod.claims and pod.node_name is not None and not pod.is_finished:
            found[pod.node_name] |= storage.attached([pod])
    for attachment in snapshot.attachments:
        handle = storage.handle(attachment.volume)
        if handle is not None:
            found[attachment.node_name].add(handle)
    return {node: _counted(frozenset(attached)) for node, attached in found.items()}


def without_volumes(requests: Resources) -> Resources:
    """What is asked of the node itself: no node reports attachable volumes among its resources."""
    kept = tuple(entry for entry in requests.extended if not entry[0].startswith(ATTACHABLE))
    return msgspec.structs.replace(requests, extended=kept) if kept != requests.extended else requests


def _keys(pod: Pod) -> Iterator[str]:
    return (f"{pod.meta.namespace}/{name}" for name in pod.claims)


def _counted(attached: Attached) -> dict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for driver, _ in attached:
        counts[driver] += 1
    return dict(counts)
