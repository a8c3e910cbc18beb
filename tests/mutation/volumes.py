"""Volumes and host ports without one of the rules (section 11)."""

from __future__ import annotations

from typing import Final

from tests.mutation import Mutant, Mutants

ATTACHING: Final = "agent/core/attaching.py"
ENGINE: Final = "agent/core/volumes.py"
SELECTORS: Final = "agent/core/topology/selectors.py"

VOLUMES: Final[Mutants] = {
    "11.1": (
        # Ephemeral volumes have no claims.
        Mutant("agent/kube/filled.py", 'ephemeral = volume.get("ephemeral")', 'ephemeral = volume.get("")'),
        Mutant("agent/kube/wire/pods.py", "elif volume.ephemeral is not None:", "elif False:"),
    ),
    "11.2": (
        # A claim that does not exist holds nothing up.
        Mutant(
            ENGINE,
            '            raise Obstacle(f"its PersistentVolumeClaim {key} does not',
            '            return ANYWHERE\n            raise Obstacle(f"its PersistentVolumeClaim {key} does not',
        ),
        # Nor one that is being deleted,
        Mutant(ENGINE, "if claim.meta.deleted_at is not None:", "if False:"),
        # nor one whose volume is,
        Mutant(ENGINE, "if volume is None or volume.meta.deleted_at is not None:", "if volume is None:"),
        # nor one that is not bound to its volume yet,
        Mutant(ENGINE, "if claim.is_binding:", "if False:"),
        # nor one that has lost it,
        Mutant(ENGINE, 'if claim.phase == "Lost":', "if False:"),
        # nor one that nothing will bind.
        Mutant(
            ENGINE,
            "return self._of_volume(key, claim) if claim.volume else self._of_class(key, claim)",
            "return self._of_volume(key, claim) if claim.volume else ANYWHERE",
        ),
        Mutant(ENGINE, "if not found.late:", "if False:"),
    ),
    "11.3": (
        # A bound volume can be attached anywhere.
        Mutant(ENGINE, "return volume.terms or ANYWHERE", "return ANYWHERE"),
        # A class allows every place.
        Mutant(ENGINE, "return found.topologies or ANYWHERE", "return ANYWHERE"),
        # Of several volumes the first decides.
        Mutant(ENGINE, "for chosen in product(*listed))", "for chosen in product(*listed[:1]))"),
        # Of a class that nothing makes volumes of any volume will do, as in Karpenter any node.
        Mutant(ENGINE, "for volume in free if _suits(volume, claim))", "for volume in free)"),
        # A free volume is for all claims that it suits.
        Mutant(ENGINE, "            free.remove(found[key][0])", "            pass"),
        # What a volume is kept for is not read.
        Mutant(ENGINE, "if key in self.kept:", "if False:"),
    ),
    "11.4": (
        # There is the first alternative only.
        Mutant(
            ENGINE,
            "if any(not term for term in possible) else possible",
            "if any(not term for term in possible) else possible[:1]",
        ),
        # The last is tried first.
        Mutant(
            ENGINE,
            "if any(not term for term in possible) else possible",
            "if any(not term for term in possible) else possible[::-1]",
        ),
    ),
    "11.5": (
        # The host's name is dropped, as in Karpenter.
        Mutant(
            ENGINE,
            "return volume.terms or ANYWHERE",
            'kept = (tuple(r for r in term if r.key != "kubernetes.io/hostname") for term in volume.terms)\n'
            "        return tuple(kept) or ANYWHERE",
        ),
    ),
    "11.6": (
        # What the node's CSINode says is not read.
        Mutant(ATTACHING, "stated, used = self.limits.get(node.name, {}),", "stated, used = dict[str, int](),"),
        # What is attached already does not count.
        Mutant(ATTACHING, "self.used.get(node.name, {})\n", "dict[str, int]()\n"),
        # Nor what is left over of pods that are gone.
        Mutant(ENGINE, "for attachment in snapshot.attachments:", "for attachment in snapshot.attachments[:0]:"),
        # A volume counts for each of its pods.
        Mutant(
            ENGINE,
            "volume is not None and volume.handle else key))",
            'volume is not None and volume.handle and not pod.node_name else f"{key} {pod.key}"))',
        ),
        # New nodes attach as many as one likes, as in Karpenter.
        Mutant(ATTACHING, "if kind.ebs_attachments is not None else {}", "if kind.ebs_attachments == 0 else {}"),
    ),
    "11.7": (
        # A volume of the old kind has a driver of its own.
        Mutant("agent/kube/wire/storage.py", "elif spec.aws_elastic_block_store is not None:", "elif False:"),
        # A class of the old kind does.
        Mutant("agent/kube/wire/storage.py", "IN_TREE.get(provisioner, provisioner)", "provisioner"),
    ),
    "11.8": (
        # Ports forbid nothing.
        Mutant(
            "agent/core/shapes.py",
            "caps, ports = selectors.ports(example.host_ports)",
            "caps, ports = selectors.ports(())",
        ),
        # Those of running pods do not.
        Mutant(
            "agent/core/topology/scene.py",
            "caps, ports = selectors.ports(pod.host_ports)",
            "caps, ports = selectors.ports(())",
        ),
        # A port is taken for every protocol.
        Mutant(SELECTORS, "self._named((port.protocol, port.port, what))", "self._named((port.port, what))"),
        # It is taken for every address.
        Mutant(SELECTORS, "every = port.address in _ANYWHERE", "every = True"),
        # All addresses are one of many.
        Mutant(SELECTORS, "every = port.address in _ANYWHERE", "every = False"),
        # Those of DaemonSets forbid nothing.
        Mutant(
            "agent/core/topology/scene.py",
            "selectors), selectors) for pod in daemons)",
            "selectors), selectors) for pod in daemons[:0])",
        ),
    ),
}
