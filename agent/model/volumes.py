"""Volumes as scheduling sees them: where they can be attached, and how many a node takes."""

import msgspec

from agent.model.constraints import Requirement, Selector
from agent.model.kubernetes import Meta
from agent.model.names import NodeName


class Traits(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a volume is like, and what a claim asks of one."""

    size_bytes: int = 0
    access_modes: tuple[str, ...] = ()
    is_block: bool = False
    """Without a file system."""


class Volume(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A PersistentVolume."""

    meta: Meta
    driver: str = ""
    """The CSI driver that attaches it, also for in-tree EBS volumes; empty: none does."""
    handle: str = ""
    """The driver's name of it: what a node attaches once, however many pods of it use it."""
    terms: tuple[tuple[Requirement, ...], ...] = ()
    """Node affinity: the terms are alternatives. Empty: any node."""
    storage_class: str = ""
    claim: str = ""
    """The claim that it is bound to or kept for, as ``namespace/name``; empty: it is free, and has its labels here."""
    claim_uid: str = ""
    """Of the claim that it was bound to: one made later under the same name is another. Empty: whichever it is."""
    traits: Traits = Traits()


class VolumeClaim(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A PersistentVolumeClaim."""

    meta: Meta
    volume: str = ""
    """The name of the PersistentVolume that it is bound to, or asks for; empty: any will do, and it has none yet."""
    storage_class: str | None = None
    """None: the cluster's default class; empty: none."""
    single_pod: bool = False
    """Access mode ReadWriteOncePod: only one pod may use it at a time."""
    is_binding: bool = False
    """It asks for its volume by name, and Kubernetes has not bound the two yet."""
    traits: Traits = Traits()
    selector: Selector = ()
    """Labels of the volumes that will do."""
    phase: str = ""
    """``Pending``, ``Bound`` or ``Lost``, which is bound to a volume that is gone or another's; empty: nobody says."""


class StorageClass(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A StorageClass."""

    meta: Meta
    provisioner: str = ""
    topologies: tuple[tuple[Requirement, ...], ...] = ()
    """``allowedTopologies``: alternatives. Empty: anywhere."""
    late: bool = False
    """``volumeBindingMode: WaitForFirstConsumer``; an immediate claim that is unbound keeps its pod from any node."""
    is_default: bool = False


class AttachLimits(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A node's CSINode: how many volumes of each driver it takes; a driver without a number takes any."""

    meta: Meta
    node_name: NodeName
    limits: dict[str, int] = {}
