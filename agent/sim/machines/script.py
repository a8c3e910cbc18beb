"""What user data says of the node that a machine will be; the machine reads it and runs none of it."""

import re
from typing import Final

import msgspec

from agent.join.facts import JoinFacts, facts_in
from agent.model.kubernetes import Taint
from agent.sim.embedded import Listed

_PHASE: Final = re.compile(r"^\s*phase ([a-z-]+)$", re.MULTILINE)
_TAINTS: Final = re.compile(r"--register-with-taints=([^\s\"']+)")
_LABELS: Final = re.compile(r"--node-labels=([^\s\"']+)")
_PROVIDER_ID: Final = re.compile(r"--provider-id=aws:///")
_HOST_NAME: Final = re.compile(r"^\s*hostnamectl set-hostname ([a-z0-9.-]+)$", re.MULTILINE)
_PRIVATE_DNS: Final = re.compile(r"^\s*node_name=\$private_dns$", re.MULTILINE)


class BootScript(msgspec.Struct, frozen=True):
    """The parts of a script that the cluster gets to see."""

    facts: JoinFacts
    node_name: str
    before_token: tuple[str, ...]
    """Phases up to the one in which the token is read."""
    patient: bool
    """Whether a join that failed is tried again; a script of a user's own is run once."""
    taints: tuple[Taint, ...] = ()
    labels: dict[str, str] = {}
    provider_id: str = ""


def read_script(machine: Listed) -> BootScript:
    """Read a machine's user data.

    Raises:
        FactsUnavailable: it carries no join facts, so nothing in it could be understood here.
    """
    text = machine.user_data
    phases = _PHASE.findall(text)
    before = phases[: phases.index("token")] if "token" in phases else phases
    return BootScript(
        facts=facts_in(text),
        node_name=_name(text, machine),
        before_token=tuple(before),
        patient="user-script" not in phases,
        taints=tuple(_taint(t) for t in _last(_TAINTS, text).split(",") if t),
        labels=dict(label.partition("=")[::2] for label in _last(_LABELS, text).split(",") if label),
        provider_id=f"aws:///{machine.zone}/{machine.id}" if _PROVIDER_ID.search(text) else "",
    )


def _name(text: str, machine: Listed) -> str:
    written = _HOST_NAME.search(text)
    if written is not None:
        return written[1]
    return machine.private_dns if _PRIVATE_DNS.search(text) else machine.id


def _last(flag: re.Pattern[str], text: str) -> str:
    """A flag given twice counts as given last."""
    found: list[str] = flag.findall(text)
    return found[-1] if found else ""


def _taint(written: str) -> Taint:
    key, _, effect = written.rpartition(":")
    name, _, value = key.partition("=")
    return Taint(name, effect, value)
