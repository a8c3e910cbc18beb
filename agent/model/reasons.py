"""Why something is done or refused: one value that the log, Event, metric, plan and page all render."""

from typing import Literal

import msgspec

from agent.model.names import PodKey

ReasonCode = Literal[
    # launching and the life of a node
    "Provisioned",
    "LaunchResumed",
    "InsufficientCapacity",
    "LaunchFailed",
    "LaunchTimeout",
    "RegistrationTimeout",
    "NodeClassNotReady",
    "Registered",
    "Initialized",
    "InstanceGone",
    "ClaimDeleted",
    "NodeDeleted",
    "Adopted",
    "Orphaned",
    # disruption
    "Empty",
    "Underutilized",
    "Drifted",
    "Expired",
    "Interrupted",
    "Unhealthy",
    "Static",
    # refusals
    "FailedScheduling",
    "NoCompatibleInstanceTypes",
    "UnsupportedConstraint",
    "LimitExceeded",
    "ReservationsFull",
    "MaxNodes",
    "MaxPricePerHour",
    "LaunchRate",
    "ProtectedMode",
    "NodePoolNotReady",
    "NodeOverlayNotReady",
    "Paused",
    "DisruptionBlocked",
    "SweepBrake",
    "FailedDraining",
    "UnregisteredTaintMissing",
    "MultipleNodesFound",
    "NodeImpersonation",
    # admission
    "CertificateApproved",
    "CertificateDenied",
    # upkeep
    "StatusChanged",
    "Unused",
]


class Reason(msgspec.Struct, frozen=True, gc=False):
    """A stable code, for machines, and one sentence that a person can act on."""

    code: ReasonCode
    message: str

    def __str__(self) -> str:
        """The sentence."""
        return self.message


class Refusal(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why one pod gets no node: one reason per pool that was asked, in the order asked."""

    pod: PodKey
    reasons: tuple[tuple[str, Reason], ...]
    """(NodePool name, reason); the name is empty for a reason that no pool can change."""


class Blocked(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A node that its pool's policy would let go, and what holds it."""

    node: str
    reason: ReasonCode
    """Why it would go."""
    blocker: str
    """Who holds it, by kind and name."""
    message: str
