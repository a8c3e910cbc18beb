"""From power-on to a node of the cluster, in the steps and with the console lines of the real script."""

import time
from base64 import b64decode, b64encode
from collections.abc import Generator
from contextlib import suppress
from typing import Any, Final

import msgspec

from agent.join.errors import FactsUnavailable, TokenMalformed
from agent.join.facts import JoinFacts
from agent.join.tokens import BootstrapToken
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.errors import AlreadyExists, KubeError
from agent.sim.embedded import Listed
from agent.sim.machines.hardware import node_manifest, node_status
from agent.sim.machines.identity import (
    JoinFailed,
    NodeKey,
    discover,
    read_parameter,
    write_kubeconfig,
)
from agent.sim.machines.script import BootScript, read_script
from agent.sim.machines.world import World

Pauses = Generator[float, None, None]
"""A step of a machine: each value is for how many seconds it has nothing to do."""
CERTIFICATE_POLL_SECONDS: Final = 0.2


class BootFailed(Exception):  # noqa: N818 - what happened, in one sentence
    """The script gives up, which powers the machine off."""


class Joined(msgspec.Struct):
    """A machine that has become a node."""

    script: BootScript
    api: KubeApi
    """The API server, as the node itself."""


class Boot:
    """One machine's way into the cluster. ``run`` is stepped through by whoever keeps the time."""

    def __init__(self, machine: Listed, world: World) -> None:
        self._machine = machine
        self._world = world
        self._lines: list[str] = []
        self.phase = "begin"
        self.joined: Joined | None = None

    def run(self) -> Pauses:
        """Boot. Ends with ``joined`` set.

        Raises:
            BootFailed: what the real script would have powered the machine off for.
        """
        yield from self._enter("begin")
        try:
            script = read_script(self._machine)
        except FactsUnavailable as error:
            raise BootFailed(str(error)) from error
        for phase in script.before_token:
            yield from self._enter(phase)
            if phase == "identity":
                zone, dns = self._machine.zone, self._machine.private_dns
                self.say(f"node={script.node_name} zone={zone} dns={dns}")
        api = yield from self._join(script)
        yield from self._register(script, api)
        self.joined = Joined(script, api)
        yield from self._enter("joined")

    @property
    def console(self) -> str:
        """What the machine's console says."""
        return "".join(self._lines)

    def say(self, line: str) -> None:
        """Write a line to the console that EC2 shows."""
        self._lines.append(f"joinery: {line}\n")
        # While EC2 does not answer nothing is shown; the next line brings this one along.
        with suppress(OSError):
            self._world.ec2.by_hand("console", self._machine.id, text=self.console)

    def _enter(self, phase: str) -> Pauses:
        self.phase = phase
        self.say(f"phase={phase}")
        yield self._world.pace.phase

    def _join(self, script: BootScript) -> Generator[float, None, KubeApi]:
        """Token and kubeadm join until it works, or once for a script of a user's own."""
        key = NodeKey(script.node_name)
        end = time.monotonic() + self._world.pace.join_wait
        while True:
            yield from self._enter("token")
            token = yield from self._token(script.facts)
            yield from self._enter("join" if script.patient else "user-script")
            try:
                return (yield from self._certified(script.facts, token, key))
            except (JoinFailed, KubeError, FactsUnavailable) as error:
                if not script.patient:
                    self.say(f"log: {error}")
                    raise BootFailed("the user's script ended with status 1") from error
                if time.monotonic() >= end:
                    raise BootFailed(f"kubeadm join failed until its time was over: {error}") from error
                self.say(f"kubeadm join failed and is tried again: {error}")
            yield self._world.pace.retry

    def _token(self, facts: JoinFacts) -> Generator[float, None, BootstrapToken]:
        """What the parameter holds, asked for until it holds a token or the time is over."""
        end, said = time.monotonic() + self._world.pace.token_wait, ""
        while True:
            try:
                return BootstrapToken.parse(read_parameter(facts, self._world.ssm_endpoint, self._machine.id))
            except (JoinFailed, TokenMalformed) as error:
                why = str(error)
            if why != said:
                self.say(f"waiting for {facts.token_parameter}: {why}")
                said = why
            if time.monotonic() >= end:
                raise BootFailed("no bootstrap token")
            yield self._world.pace.retry

    def _certified(self, facts: JoinFacts, token: BootstrapToken, key: NodeKey) -> Generator[float, None, KubeApi]:
        """Discovery, then a certificate for the machine's own key, asked for with the token."""
        authority = discover(facts)
        folder = self._world.folder / self._machine.id
        folder.mkdir(parents=True, exist_ok=True)
        bootstrap = write_kubeconfig(folder / "bootstrap-kubelet.conf", facts, authority, {"token": token.text})
        try:
            with KubeApi.from_kubeconfig(str(bootstrap)) as bearer:
                certificate = yield from self._certificate(bearer, key)
        finally:
            bootstrap.unlink()
        user = {"client-certificate-data": certificate, "client-key-data": b64encode(key.pem.encode()).decode()}
        return KubeApi.from_kubeconfig(str(write_kubeconfig(folder / "kubelet.conf", facts, authority, user)))

    def _certificate(self, bearer: KubeApi, key: NodeKey) -> Generator[float, None, str]:
        """The issued certificate, in base64 of PEM."""
        try:
            bearer.create(paths.csrs(), key.request())
        except AlreadyExists:
            self.say(f"certificate request {key.request_name} exists already; waiting for it")
        end = time.monotonic() + self._world.pace.certificate_wait
        while time.monotonic() < end:
            yield CERTIFICATE_POLL_SECONDS
            request: dict[str, Any] = msgspec.json.decode(bearer.get(paths.csrs(key.request_name)))
            status = request.get("status") or {}
            if status.get("certificate"):
                b64decode(status["certificate"], validate=True)
                return str(status["certificate"])
            for condition in status.get("conditions") or ():
                if condition["type"] in {"Denied", "Failed"}:
                    raise JoinFailed(f"certificate request {condition['type'].lower()}: {condition.get('message', '')}")
        raise JoinFailed("nobody approved the certificate request in time")

    def _register(self, script: BootScript, api: KubeApi) -> Pauses:
        """Create the Node and say that it is ready, repeated as kubelet does until the API server takes it."""
        while True:
            try:
                try:
                    api.create(paths.nodes(), node_manifest(self._machine, script))
                except AlreadyExists:
                    self.say(f"node {script.node_name} is registered already")
                status = {"status": node_status(self._machine, script, self._world.clock())}
                api.merge_patch(paths.status(paths.nodes(script.node_name)), status)
            except KubeError as error:
                self.say(f"log: the node cannot be registered: {error}")
                yield self._world.pace.retry
            else:
                return
