"""What happened, as the checker reads it: what was done to the world, and what was true when it was done.

The harness records it as it happens; the test with whole processes makes the same records of what the embedded EC2
and API have noted. Times are seconds since the beginning.
"""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    at: float


class Write(Record, frozen=True):
    """A request that changes something. ``holder``: who has the Lease now, empty for nobody."""

    process: str
    service: str
    action: str
    subject: str
    effect: str
    holder: str


class Launched(Record, frozen=True):
    """An instance began to run."""

    instance: str
    claim_uid: str
    pool: str
    vcpus: int
    memory_bytes: int
    nano_usd: int
    ours: bool = True


class Ended(Record, frozen=True):
    """An instance stopped to cost money, whoever did it."""

    instance: str


class Terminated(Record, frozen=True):
    """The agent terminated an instance."""

    instance: str
    ours: bool
    """By its tags: launched by Joinery for this very cluster."""
    has_claim: bool
    claims: int
    """NodeClaims that there were."""
    alive: int
    """Instances of ours that ran, this one included."""
    approved: bool
    """An operator has allowed any number."""
    undrained: tuple[str, ...] = ()
    """Pods on its ready node that had to be waited for, before any deadline."""


class NodeDeleted(Record, frozen=True):
    """The agent deleted a Node."""

    node: str
    runs: bool
    """Its instance still ran."""
    control_plane: bool = False


class PodDeleted(Record, frozen=True):
    """The agent deleted a pod without the Eviction API."""

    pod: str
    due: bool
    """The termination deadline of its node had come."""


class Evicted(Record, frozen=True):
    """The agent had a pod evicted."""

    pod: str
    pinned: bool
    """It is annotated karpenter.sh/do-not-disrupt."""


class Disrupted(Record, frozen=True):
    """The agent began to take a node away of its own accord."""

    claim: str
    pool: str
    going: int
    """Nodes of the pool that were going or not Ready already."""
    allowed: int
    """What its budgets allow at that size."""


class Begun(Record, frozen=True):
    """The agent began to carry a decision out."""

    process: str
    action: str
    synced: bool
    """Every cache had been listed and was not in doubt."""


class Said(Record, frozen=True):
    """Text that left the agent. ``where``: log, tags, userData, Event, snapshot."""

    where: str
    text: str


class Secret(Record, frozen=True):
    """From now on this text must not be said anywhere."""

    text: str


class Braked(Record, frozen=True):
    """The agent said that it holds back and asks."""


class Quiet(Record, frozen=True):
    """Faults and changes are over, and what they began has come to its end."""


class Closed(Record, frozen=True):
    """The end of the history: what there is."""

    instances: tuple[tuple[str, str], ...]
    """Live instances of ours, and the UID of the claim that accounts for each; empty for none."""
    pending: tuple[str, ...] = ()
    """Pods that wait although they could be served."""


class TokenDead(Record, frozen=True):
    """Machines could not have joined with the published token, for so long until now."""

    seconds: float
