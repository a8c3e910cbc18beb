"""When a pod that counts last came to a node or left it, from which consolidateAfter is measured.

The time is kept on the claim, so that a new leader does not begin to count anew; the comparison is with what this
process saw last, so that its first look at a node is no event (Karpenter's rule 18.15 without its restart effect).
"""

import hashlib
from datetime import timedelta

from agent.core.pods import is_active, is_reschedulable
from agent.core.world import World, target
from agent.model.actions import RecordPodEvent
from agent.model.names import ClaimUid
from agent.model.reasons import Reason

NOT_OFTENER_THAN = timedelta(seconds=10)


def pod_events(world: World) -> tuple[tuple[RecordPodEvent, ...], dict[ClaimUid, str]]:
    """Claims whose pods changed since the last look, and the digests to compare the next look with."""
    now, known = world.snapshot.now, world.snapshot.memory.pods
    actions, digests = [], {}
    for claim in world.snapshot.claims:
        node = world.node_of(claim)
        if node is None or not claim.uid or claim.meta.deleted_at is not None:
            continue
        uids = sorted(p.meta.uid for p in world.pods_on.get(node.name, ()) if is_reschedulable(p) and is_active(p))
        digest = hashlib.sha256(" ".join(uids).encode()).hexdigest()[:16]
        last = claim.last_pod_event_at
        if known.get(claim.uid, digest) == digest or claim.name in world.snapshot.busy:
            digests[claim.uid] = known.get(claim.uid, digest)
        elif last is not None and now - last < NOT_OFTENER_THAN and uids:
            digests[claim.uid] = known[claim.uid]
        else:
            digests[claim.uid] = digest
            reason = Reason("StatusChanged", f"{len(uids)} pods count on node {node.name} now")
            actions.append(RecordPodEvent(reason=reason, claim=target(claim.meta), at=now))
    return tuple(actions), digests
