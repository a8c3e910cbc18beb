"""The story itself: what is done, what is waited for, and what is told of it."""

import textwrap
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from agent.kube.api import KubeApi
from agent.model import names
from agent.sim.controllers.view import Manifest, is_true
from agent.sim.demo.bill import HOURS_PER_MONTH, Bill, dollars
from agent.sim.demo.checks import Seen, checks, fixed_nodes
from agent.sim.demo.journal import Journal
from agent.sim.demo.terminal import Terminal
from agent.sim.embedded import REGION, Listed
from agent.sim.machines.hardware import vcpus_and_memory
from agent.sim.machines.world import NODES, PODS
from agent.sim.market import price
from agent.sim.sandbox import Sandbox, SandboxFailed, apply, claims, is_ours

DEPLOYMENT: Final = "/apis/apps/v1/namespaces/default/deployments/scan-worker"
LOOK_SECONDS: Final = 0.2
_GIB: Final = 1024
_WIDTH: Final = 100
_NAMED: Final = 5
"""Nodes of a type that are called by name; the rest is counted."""


class Script(msgspec.Struct, frozen=True):
    """What is applied, and how long a step may take, in seconds."""

    pool: list[Manifest]
    work: list[Manifest]
    patience: float = 120.0

    @property
    def workers(self) -> int:
        """How many scan workers the queue asks for."""
        return int(self.work[0]["spec"]["replicas"])

    @property
    def node_pool(self) -> Manifest:
        """The NodePool."""
        return next(m for m in self.pool if m["kind"] == "NodePool")

    @property
    def idle_seconds(self) -> str:
        """How long the pool keeps an empty node, as its manifest says."""
        return str(self.node_pool["spec"]["disruption"]["consolidateAfter"])


class Story:
    """Told on a running sandbox. ``tell`` is the whole of it."""

    def __init__(self, sandbox: Sandbox, script: Script, terminal: Terminal) -> None:
        self._sandbox = sandbox
        self._script = script
        self._terminal = terminal
        self._journal = Journal(sandbox, terminal)
        self._bill = Bill()
        self._fixed: frozenset[str] = frozenset(m.name for m in sandbox.fixed)
        self._fixed_before: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._ran: list[str] = []

    def tell(self) -> bool:
        """All of it; whether it ended as it should."""
        try:
            self._cluster()
            self._pool()
            self._queue_fills()
            self._queue_empties()
        except SandboxFailed as error:
            self._terminal.say(str(error), "bad")
        self._costs()
        return self._ends_well()

    def _cluster(self) -> None:
        count = len(self._fixed)
        self._wait(f"{count} fixed machines join", lambda: self._sandbox.fixed_ready() == count)
        self._fixed_before = self._fixed_nodes()
        self._terminal.say(f"a small team's cluster: {count} fixed nodes, tainted domain=<name> but for two workers")
        by_type: dict[str, list[str]] = {}
        for machine in self._sandbox.fixed:
            by_type.setdefault(machine.instance_type, []).append(machine.name)
        rows: list[tuple[str, ...]] = [("TYPE", "VCPU", "GIB", "EACH", "NODES")]
        total = 0
        for kind, listed in sorted(by_type.items(), key=lambda k: -price(REGION, k[0], "", "on-demand")):
            vcpus, memory = vcpus_and_memory(kind)
            each = price(REGION, kind, "", "on-demand")
            total += each * len(listed)
            more = len(listed) - _NAMED
            shown = ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")
            rows.append((kind, str(vcpus), str(memory // _GIB), f"{dollars(each)}/h", shown))
        self._terminal.table(rows)
        self._terminal.note(f"together {dollars(total)} an hour, queue or no queue")

    def _pool(self) -> None:
        self._terminal.command("joinery run", "the real daemon: its own process, its own rights, AWS and API over HTTP")
        self._sandbox.start_daemon()
        self._terminal.command("kubectl apply -f examples/worker-scalable.yaml", "what it may buy")
        apply(self._sandbox.api, self._script.pool)
        name = self._script.node_pool["metadata"]["name"]
        self._wait(f"NodePool {name} gets ready", lambda: is_true(self._pool_object(name), "Ready"))
        limits = self._script.node_pool["spec"].get("limits") or {}
        said = " and ".join(f"{amount} {what}" for what, amount in sorted(limits.items()))
        self._terminal.say(f"NodePool {name} is ready; it may grow to {said or 'any size'}")
        self._wait("a bootstrap token is published", lambda: bool(self._journal.events("token.rotated")))
        self._terminal.say("a bootstrap token for new machines is in SSM Parameter Store")

    def _queue_fills(self) -> None:
        workers = self._script.workers
        self._terminal.command("kubectl apply -f examples/scan-workers.yaml", "the queue fills")
        apply(self._sandbox.api, self._script.work)
        self._wait("the scheduler looks for nodes", lambda: len(self._pending()) == workers)
        self._terminal.say(f"{workers} scan workers of 1 CPU and 2 GiB find no node")
        message = self._pending()[0]["status"]["conditions"][-1]["message"]
        for line in textwrap.wrap(f"scheduler: {message}", _WIDTH):
            self._terminal.note(line)
        self._wait("joinery collects pending pods for a second, then buys", self._all_launched)
        self._wait("machines boot and join: ", lambda: len(self._running()) == workers, self._phases)
        self._ran = [str(p["spec"]["nodeName"]) for p in self._running()]
        nodes = len(set(self._ran))
        self._terminal.say(f"{workers} of {workers} scan workers run, on {nodes} new nodes", "good")
        self._terminal.table(self._bought_rows())
        hourly = self._bill.hourly_nano
        self._terminal.note(f"together {dollars(hourly)} an hour, {dollars(hourly // workers)} for each pod")

    def _queue_empties(self) -> None:
        self._terminal.command("kubectl scale deployment scan-worker --replicas=0", "the queue is empty")
        self._sandbox.api.merge_patch(DEPLOYMENT, {"spec": {"replicas": 0}})
        self._wait("pods end", lambda: not self._workers())
        idle = self._script.idle_seconds
        self._terminal.say(f"no pod is left; the pool keeps empty nodes for {idle}, should the queue fill again")
        self._terminal.note(f"(consolidateAfter: {idle}; then one node at a time, as its budget says)")
        self._console()
        self._wait("", self._all_gone, self._countdown)
        self._terminal.say("drained, terminated, forgotten: the cluster is as it was", "good")

    def _console(self) -> None:
        """Something to read while nodes are kept: how one of them joined."""
        entry = next(iter(self._bill.entries.values()))
        self._terminal.line()
        self._terminal.note(
            f"Meanwhile: the console of {entry.instance.id}, as EC2 shows it. Its user data holds no secret;"
        )
        self._terminal.note("it reads the token from SSM when it boots, and joinery approves its certificate.")
        for line in self._sandbox.console(entry.instance.id).splitlines():
            self._terminal.note(f"  {line}")
        self._terminal.line()

    def _costs(self) -> None:
        now = time.monotonic()
        if not self._bill.entries:
            return
        self._terminal.heading("The bill")
        rows: list[tuple[str, ...]] = [("TYPE", "INSTANCE", "PAID FOR", "PRICE", "COST")]
        for entry in self._bill.entries.values():
            paid = f"{entry.seconds(now):.0f} s"
            each = f"{dollars(entry.hourly_nano)}/h"
            rows.append((entry.instance.type, entry.instance.id, paid, each, dollars(entry.nano(now), 5)))
        self._terminal.table(rows)
        spent, hourly = self._bill.nano(now), self._bill.hourly_nano
        self._terminal.note(f"this queue: {dollars(spent)} (EC2 bills by the second, a minute at least)", "money")
        month = dollars(hourly * HOURS_PER_MONTH, 2)
        self._terminal.note(f"the same nodes kept: {dollars(hourly)} an hour, {month} a month, busy or idle", "money")

    def _ends_well(self) -> bool:
        self._terminal.heading("Is all as it should be?")
        found = checks(self._seen())
        for check in found:
            mark = self._terminal.paint("ok", "good") if check.holds else self._terminal.paint("NOT SO", "bad")
            self._terminal.line(f"  {mark}  {check.sentence}" + ("" if check.holds else f": {check.found}"))
        return all(check.holds for check in found)

    def _seen(self) -> Seen:
        instances = tuple(self._sandbox.ec2.listed())
        cache = self._sandbox.controllers.cache
        tags = {m.name for m in self._sandbox.fixed}
        fixed = [i.id for i in instances if i.tags.get(names.TAG_NAME) in tags and not is_ours(i.tags)]
        return Seen(
            workers=self._script.workers,
            ran=frozenset(self._ran),
            ran_count=len(self._ran),
            fixed_before=self._fixed_before,
            fixed_after=self._fixed_nodes(),
            instances=instances,
            fixed_instances=frozenset(fixed),
            claims=tuple(str(c["metadata"]["name"]) for c in claims(self._sandbox.api)),
            nodes=frozenset(str(n["metadata"]["name"]) for n in cache.items(NODES)),
            pending=tuple(str(p["metadata"]["name"]) for p in cache.items(PODS) if not p["spec"].get("nodeName")),
        )

    def _wait(self, what: str, until: Callable[[], bool], progress: Callable[[], str] = lambda: "") -> None:
        """Look until it is so. Raises ``SandboxFailed`` when that takes too long, with the daemon's last words."""
        end = time.monotonic() + self._script.patience
        while True:
            self._sandbox.check()
            self._journal.tell()
            for entry in self._bill.look(self._bought(), time.monotonic()):
                self._terminal.say(f"{entry.instance.id} ({entry.instance.type}) shuts down; EC2 bills it no more")
            if until():
                self._journal.tell()
                return
            if time.monotonic() >= end:
                why = self._journal.last_words() + self._unread()
                raise SandboxFailed(f"after {self._script.patience:.0f} s still waiting: {what or 'nodes to go'}{why}")
            self._terminal.progress(what + progress())
            time.sleep(LOOK_SECONDS)

    def _unread(self) -> str:
        fault = self._sandbox.controllers.fault
        return f"; the sandbox could not read {fault}" if fault else ""

    def _bought(self) -> list[Listed]:
        return [i for i in self._sandbox.ec2.listed() if is_ours(i.tags)]

    def _workers(self) -> list[Manifest]:
        app = self._script.work[0]["metadata"]["name"]
        cache = self._sandbox.controllers.cache
        return [p for p in cache.items(PODS) if (p["metadata"].get("labels") or {}).get("app") == app]

    def _pending(self) -> list[Manifest]:
        return [p for p in self._workers() if p.get("status", {}).get("conditions") and not p["spec"].get("nodeName")]

    def _running(self) -> list[Manifest]:
        return [p for p in self._workers() if is_true(p, "Ready")]

    def _all_launched(self) -> bool:
        held = claims(self._sandbox.api)
        return bool(held) and all((c.get("status") or {}).get("providerID") for c in held)

    def _all_gone(self) -> bool:
        return not any(i.alive for i in self._bought()) and not claims(self._sandbox.api)

    def _phases(self) -> str:
        """Where each machine is that was bought."""
        bought = {i.id: i for i in self._bought()}
        machines = {k: m for k, m in self._sandbox.room.machines.items() if k in bought}
        said = [f"{bought[k].type} {m.boot.phase}" for k, m in sorted(machines.items())]
        said += [f"{i.type} {i.state}" for k, i in sorted(bought.items()) if k not in machines]
        return ", ".join(said) + f"; {len(self._running())} pods run"

    def _countdown(self) -> str:
        """What keeps nodes now, by the daemon's own words, and what was paid so far."""
        alive = sum(i.alive for i in self._bought())
        kept = self._journal.kept()
        paid = dollars(self._bill.nano(time.monotonic()))
        return f"{alive} empty nodes, {paid} so far; {kept or 'waiting for joinery'}"

    def _pool_object(self, name: str) -> dict[str, Any]:
        return read(self._sandbox.api, f"/apis/karpenter.sh/v1/nodepools/{name}")

    def _fixed_nodes(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        return fixed_nodes(self._sandbox.controllers.cache.items(NODES), self._fixed)

    def _bought_rows(self) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = [("TYPE", "VCPU", "GIB", "PRICE", "PODS", "NODE")]
        for entry in self._bill.entries.values():
            vcpus, memory = vcpus_and_memory(entry.instance.type)
            pods = self._ran.count(entry.instance.id)
            each = f"{dollars(entry.hourly_nano)}/h"
            rows.append((entry.instance.type, str(vcpus), str(memory // _GIB), each, str(pods), entry.instance.id))
        return rows


def read(api: KubeApi, path: str) -> dict[str, Any]:
    """One object."""
    found: dict[str, Any] = msgspec.json.decode(api.get(path))
    return found
