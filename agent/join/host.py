"""A machine that is there already becomes a node: over SSH, with a token of its own that dies with the command.

The token is made in kubeadm's own group, whose certificate kube-controller-manager approves, because Joinery's
admission is about instances of EC2. It lives for a quarter of an hour at most and is deleted when the command ends.
"""
# ruff: noqa: N818 - the names say what happened, which a suffix would only blur

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Final

import msgspec

from agent.join.errors import FactsUnavailable, JoinError
from agent.join.facts import JoinFacts, ca_hashes
from agent.join.tokens import NAMESPACE, BootstrapToken, kubeadm_secret, secret_name
from agent.kube import paths, wire
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError, NotFound
from agent.ssh.connection import Machine
from agent.ssh.errors import SshError

LIFE: Final = timedelta(minutes=15)
PUSHED: Final = "/run/joinery/pushed"
SCRIPT: Final = "/run/joinery/join.sh"
READY_SECONDS: Final = 180.0
PAUSE_SECONDS: Final = 2.0
_LOOK: Final = """\
echo "joinery: host $(hostname)"
[ ! -e /etc/kubernetes/kubelet.conf ] || echo 'joinery: joined'
sed -n 's/^ *certificate-authority-data: /joinery: authority /p' /etc/kubernetes/kubelet.conf 2>/dev/null || true
[ ! -e /etc/kubernetes/manifests/kube-apiserver.yaml ] || echo 'joinery: control-plane'
"""
"""Marked, because a login shell may say things of its own."""


class HalfJoined(JoinError):
    """The machine has been joined to something before; the text says what and how to go on."""


class NotJoined(JoinError):
    """The script failed on the machine, at a phase that the text names."""


class Found(msgspec.Struct, frozen=True):
    """What is on a machine."""

    hostname: str
    joined: bool
    """There is a kubelet.conf: it is, or was, a node of some cluster."""
    control_plane: bool
    authority: str = ""
    """The CA of the cluster that it joined, PEM in base64."""

    def of(self, facts: JoinFacts) -> bool:
        """Whether it joined this cluster, told by the CA's key."""
        try:
            return not set(ca_hashes(self.authority)).isdisjoint(facts.ca_cert_hashes)
        except FactsUnavailable:
            return False


def look(machine: Machine) -> Found:
    """Look at a machine without changing it. Raises ``SshError``."""
    done = machine.as_root("sh", "-c", _LOOK)
    said = [x.removeprefix("joinery: ") for x in done.output.splitlines() if x.startswith("joinery: ")]
    words = {key: value.strip() for key, _, value in (x.partition(" ") for x in said)}
    if not words.get("host"):
        raise SshError(f"{machine.address}: it cannot be looked at: {done.output.strip()[-200:]}")
    return Found(words["host"].lower(), "joined" in words, "control-plane" in words, words.get("authority", ""))


def standing(api: KubeApi, name: str) -> bool | None:
    """Whether the node is Ready; None when the cluster has none of that name."""
    try:
        return wire.node(msgspec.Raw(api.get(paths.nodes(name)))).ready == "True"
    except NotFound:
        return None


@contextmanager
def single_use_token(api: KubeApi, random: Random, now: datetime) -> Iterator[BootstrapToken]:
    """A token for one machine, that is gone when the block ends, however it ends."""
    token = BootstrapToken.generate(random)
    manifest = kubeadm_secret(token, now + LIFE, "For one machine, by joinery join.")
    path = paths.secrets(NAMESPACE, secret_name(token.id))
    try:
        api.create(paths.secrets(NAMESPACE), manifest)
        yield token
    finally:
        try:
            api.delete(path)
        except NotFound:
            pass
        except KubeError as error:
            raise JoinError(
                f"the token {token.id} cannot be deleted ({error}); it ends by itself within "
                f"{LIFE.seconds // 60} minutes, or at once with: kubeadm token delete {token.id}"
            ) from error


def carry_out(machine: Machine, script: str, token: BootstrapToken, told: Callable[[str], object]) -> None:
    """Push token and script, run the script, and hand on what it says.

    Raises:
        NotJoined: the script failed.
        SshError: the machine could not be talked to.
    """
    try:
        machine.push(PUSHED, token.text + "\n")
        machine.push(SCRIPT, script)
        done = machine.as_root("bash", SCRIPT, told=told)
    finally:
        _clear(machine)
    if done.status != 0:
        last = next((x for x in reversed(done.output.splitlines()) if "phase=failed" in x), done.output.strip()[-300:])
        raise NotJoined(
            f"{machine.address}: {last.removeprefix('joinery: ')}; its log is /var/log/joinery/bootstrap.log"
        )


def _clear(machine: Machine) -> None:
    """Leave no token behind. When the connection is gone, the script's own end does it."""
    try:
        machine.as_root("rm", "-f", PUSHED, SCRIPT)
    except SshError:
        return


def wait_ready(api: KubeApi, name: str, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Whether the node becomes Ready in time; without a pod network it does not."""
    waited = 0.0
    while not standing(api, name):
        if waited >= READY_SECONDS:
            return False
        sleep(PAUSE_SECONDS)
        waited += PAUSE_SECONDS
    return True
