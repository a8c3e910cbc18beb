"""Volumes: where they can be attached, and how many a node takes.

Sources: kubernetes.io/docs/concepts/storage/persistent-volumes (node affinity, binding), .../storage-classes (volume
binding mode, allowed topologies), .../storage-limits and .../ephemeral-volumes (names of claims).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.checker.binding import namespace
from tests.checker.quantities import amount
from tests.checker.selecting import label_of, term_holds
from tests.checker.worlds import HOSTNAME, Host, World

Json = dict[str, Any]
EBS = "ebs.csi.aws.com"
IN_TREE = {"kubernetes.io/aws-ebs": EBS}
BOUND = "pv.kubernetes.io/bind-completed"
NOBODY = "kubernetes.io/no-provisioner"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def claim_names(pod: Json) -> Iterator[str]:
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield volume["persistentVolumeClaim"]["claimName"]
        elif volume.get("ephemeral"):
            yield f"{pod['metadata']['name']}-{volume['name']}"


def volume_fault(world: World, pod: Json, host: Host) -> str | None:
    """Why one of the pod's volumes keeps it off the host."""
    for name in claim_names(pod):
        claim = world.named("PersistentVolumeClaim", name, namespace(pod))
        if claim is None:
            return f"there is no PersistentVolumeClaim {name}"
        word = _claim_fault(world, claim, host)
        if word is not None:
            return f"PersistentVolumeClaim {name} {word}"
    return None


def _claim_fault(world: World, claim: Json, host: Host) -> str | None:
    bound_to = claim["spec"].get("volumeName")
    if bound_to:
        volume = world.named("PersistentVolume", bound_to)
        if volume is None:
            return "is bound to a volume that is not there"
        phase = (claim.get("status") or {}).get("phase")
        if phase == "Lost":
            return "has lost its volume"
        # A file that nobody's cluster has seen says neither.
        if phase == "Pending" and BOUND not in (claim["metadata"].get("annotations") or {}):
            return "is not bound to its volume yet"
        return None if _goes(volume, host) else "is bound to a volume that cannot be attached there"
    storage = _class_of(world, claim)
    if storage is None:
        return "has no StorageClass"
    if (storage.get("volumeBindingMode") or "Immediate") != "WaitForFirstConsumer":
        return "is not bound yet"
    kept = _kept_for(world, claim)
    if kept is not None:
        return None if _goes(kept, host) else "is to be bound to a volume that cannot be attached there"
    if storage["provisioner"] == NOBODY and not any(_goes(v, host) for v in _free(world, claim)):
        return "waits for a volume that nothing makes there"
    allowed = storage.get("allowedTopologies") or ()
    if allowed and not any(_in_topology(term, host) for term in allowed):
        return "may not be made there by its StorageClass"
    return None


def _kept_for(world: World, claim: Json) -> Json | None:
    """The volume whose claimRef names the claim."""
    for volume in world.all("PersistentVolume"):
        kept = volume["spec"].get("claimRef") or {}
        own = (claim["metadata"]["name"], namespace(claim))
        if (kept.get("name"), kept.get("namespace")) == own and kept.get("uid") in {None, claim["metadata"].get("uid")}:
            return volume
    return None


def _free(world: World, claim: Json) -> Iterator[Json]:
    """Volumes that nobody has, of the claim's class and as large; what else it asks is not looked at."""
    wanted = amount(claim["spec"]["resources"]["requests"]["storage"])
    for volume in world.all("PersistentVolume"):
        spec = volume["spec"]
        same = spec.get("storageClassName") == claim["spec"].get("storageClassName")
        if same and not spec.get("claimRef") and amount(spec["capacity"]["storage"]) >= wanted:
            yield volume


def _goes(volume: Json, host: Host) -> bool:
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    labels = {k: v for k, v in host.labels.items() if k != HOSTNAME or host.where[0] == "node"}
    return not required or any(term_holds(t, labels, host.name) for t in required["nodeSelectorTerms"])


def _in_topology(term: Json, host: Host) -> bool:
    entries = term.get("matchLabelExpressions") or ()
    return all(label_of(host.labels, entry["key"]) in entry["values"] for entry in entries)


def _class_of(world: World, claim: Json) -> Json | None:
    name = claim["spec"].get("storageClassName")
    if name:
        return world.named("StorageClass", name)
    if name == "":
        return None
    defaults = [
        s for s in world.all("StorageClass") if (s["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
    ]
    return defaults[0] if defaults else None


def attached(world: World, host: Host, pods: Sequence[Json]) -> Iterator[str]:
    """Whether the host takes so many volumes. One that several pods of it use is attached once."""
    handles: dict[str, set[str]] = {}
    for pod in pods:
        for name in claim_names(pod):
            claim = world.named("PersistentVolumeClaim", name, namespace(pod))
            if claim is None:
                continue
            driver, handle = _attachment(world, claim)
            if driver:
                handles.setdefault(driver, set()).add(handle)
    for driver, found in handles.items():
        most = _most(world, host, driver)
        if most is not None and len(found) > most:
            yield f"{host.where[0]} {host.where[1]} takes {most} volumes of {driver}, not {len(found)}"


def _attachment(world: World, claim: Json) -> tuple[str, str]:
    volume = world.named("PersistentVolume", claim["spec"].get("volumeName") or "")
    own = f"{namespace(claim)}/{claim['metadata']['name']}"
    if volume is not None:
        spec = volume["spec"]
        if "csi" in spec:
            return spec["csi"]["driver"], spec["csi"].get("volumeHandle") or own
        return (EBS, spec["awsElasticBlockStore"]["volumeID"]) if "awsElasticBlockStore" in spec else ("", own)
    storage = _class_of(world, claim)
    provisioner = storage["provisioner"] if storage is not None else ""
    return IN_TREE.get(provisioner, provisioner), own


def _most(world: World, host: Host, driver: str) -> int | None:
    """A node's limit from its CSINode, a launch's from the catalogue where it states one."""
    if host.where[0] == "node":
        csi = world.named("CSINode", host.where[1]) or {"spec": {}}
        drivers = {d["name"]: d.get("allocatable") or {} for d in csi["spec"].get("drivers") or ()}
        count = drivers.get(driver, {}).get("count")
        return None if count is None else int(count)
    stated = world.types.get(host.kind, {}).get("capacity", {}).get(f"attachable-volumes-{driver}")
    return None if stated is None else int(amount(stated))
