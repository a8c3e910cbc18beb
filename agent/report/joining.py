"""Why a machine is no node: what its script has said, read into one sentence."""

import re
from typing import Final

import msgspec

REDACTED: Final = "[token]"
_TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
_PHASE = re.compile(r"joinery: phase=(\S+)(?: at=(\S*) status=(\d+) reason=(.*))?")
_WAITING = re.compile(r"joinery: (waiting for .*|no .* within .*|kubeadm join failed and is tried again)")
LINES: Final = 40
"""How many of the last lines are shown."""

PHASES: Final = {
    "begin": "its script has begun",
    "facts": "it asks Parameter Store for the join facts",
    "identity": "it asks the metadata service who it is",
    "reset": "an earlier join is being undone",
    "system": "swap, kernel modules and sysctls are being set",
    "source": "the package source of Kubernetes is being set up",
    "packages": "containerd, kubelet and kubeadm are being installed",
    "containerd": "containerd is being configured",
    "token": "it asks Parameter Store for the bootstrap token",
    "user-script": "the script of the EC2NodeClass runs",
    "join": "kubeadm join runs: it asks the API server, and waits for its certificate to be approved",
    "joined": "it has joined; what is missing is the node's own business (pod network, kubelet)",
}
"""What a machine is about in each phase."""


class Told(msgspec.Struct, frozen=True):
    """What the output of a machine says."""

    sentence: str
    phase: str
    """The last one; empty when the script has said nothing yet."""
    failed: bool
    lines: tuple[str, ...]
    """The last ones, without tokens."""


def read(output: str) -> Told:
    """Find the last phase in what a machine has printed."""
    text = redacted(output)
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    phases = [found for line in lines if (found := _PHASE.search(line))]
    last = lines[-LINES:]
    if not lines:
        return Told("it has printed nothing yet; EC2 shows a console some minutes after the boot", "", False, ())
    if not phases:
        return Told(
            "its script has said nothing: it is still booting, or its userData is not Joinery's", "", False, tuple(last)
        )
    found = phases[-1]
    if found[1] == "failed":
        about = PHASES.get(found[2], "")
        sentence = f"it failed in phase {found[2]} ({about}): {found[4] or 'no reason was given'}"
        return Told(sentence, found[2], True, tuple(last))
    waits = [said[1] for line in lines if (said := _WAITING.search(line)) and line in lines[_at(lines, found[0]) :]]
    sentence = f"it is in phase {found[1]}: {PHASES.get(found[1], 'a phase of a later version')}"
    if waits:
        sentence += f"; it says: {waits[-1]}"
    return Told(sentence, found[1], False, tuple(last))


def redacted(text: str) -> str:
    """The text without anything that looks like a bootstrap token."""
    return _TOKEN.sub(REDACTED, text)


def _at(lines: list[str], phase: str) -> int:
    return max(number for number, line in enumerate(lines) if phase in line)
