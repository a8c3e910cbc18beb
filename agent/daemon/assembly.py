"""Puts the daemon together from its settings, runs it, and takes it apart again within five seconds."""

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType

import structlog

from agent.aws.classes import Resolver
from agent.aws.ec2 import Ec2
from agent.aws.session import AwsSession
from agent.aws.ssm import Ssm
from agent.aws.templates import Templates
from agent.daemon.act import Actor, Fenced, Hands
from agent.daemon.admitting import Admission
from agent.daemon.batch import BatchWindow
from agent.daemon.chores import Chores, token_rotation
from agent.daemon.classes import Classes
from agent.daemon.jobs import Jobs
from agent.daemon.kinds import CLASSES, kinds
from agent.daemon.leadership import Leadership
from agent.daemon.loop import Loop, Wakeup
from agent.daemon.machines import Machines
from agent.daemon.market import Market
from agent.daemon.observe import Observer
from agent.daemon.systemd import Notifier
from agent.daemon.upkeep import Upkeep
from agent.join.userdata import RenderOptions, supported_families
from agent.kube import paths, wire
from agent.kube.api import KubeApi
from agent.kube.cache import Cache
from agent.kube.events import EventRecorder
from agent.kube.install import karpenter_running
from agent.kube.lease import LeaseLock
from agent.kube.times import utc_now
from agent.model.plan import Cluster, Lesson
from agent.report.journal import Journal, Publisher
from agent.report.observing import Observing
from agent.settings import Settings

log = structlog.get_logger(__name__)

CLASSES_SECONDS = 5.0
MARKET_SECONDS = 60.0
FACTS_SECONDS = 300.0
TOKEN_SECONDS = 60.0
TEMPLATES_SECONDS = 600.0
IDENTITY_SECONDS = 600.0
STOP_SECONDS = 4.0
LEASE_NAME = "joinery"


class Refused(Exception):  # noqa: N818 - said to a person, not handled
    """The daemon must not start here, and why."""


@dataclass(frozen=True, slots=True)
class Options:
    """How this run differs from the usual."""

    dry_run: bool = False
    once: bool = False
    checkpoint: Callable[[str, str], None] = lambda _name, _moment: None


class Daemon:
    """One process: caches, jobs, leadership and the loop."""

    def __init__(self, settings: Settings, api: KubeApi, session: AwsSession, options: Options) -> None:
        self.settings = settings
        self.options = options
        self.api = api
        self.notifier = Notifier.from_environment(os.environ)
        self.wakeup = Wakeup()
        self.cluster = _cluster(api, settings)
        self.jobs = Jobs()
        self.cache = Cache(api, kinds(settings.namespace), wake=self._wake)
        ec2 = Ec2(session, settings.cluster_name, self.cluster.uid)
        self.machines = Machines(ec2, utc_now, self.wakeup)
        self.market = Market(session, utc_now)
        self.classes = Classes(
            Resolver(session, supported_families()),
            lambda: self.cache.items(CLASSES),
            RenderOptions(
                node_name=settings.node_name,
                templates=Path(settings.userdata_templates) if settings.userdata_templates else None,
            ),
            utc_now,
        )
        identity = f"{socket.gethostname()}_{os.getpid()}"
        lease = LeaseLock(
            api, settings.namespace, LEASE_NAME, identity, duration_seconds=settings.lease_duration_seconds
        )
        self.leadership = Leadership(lease, self._leads_or_not)
        self.rotation = token_rotation(api, Ssm(session), settings, identity, options.checkpoint)
        self.events = EventRecorder(api, utc_now, socket.gethostname())
        templates = Templates(session, settings.cluster_name, self.cluster.uid)
        self.upkeep = Upkeep(self.classes, templates, utc_now)
        self.chores = Chores(settings, api, self.classes, self.upkeep)
        actor = None if options.dry_run else self._actor(ec2, templates)
        self.journal = Journal(None if options.dry_run else self.events)
        self.loop = Loop(
            observer=Observer(
                cache=self.cache,
                machines=self.machines,
                market=self.market,
                classes=self.classes,
                cluster=self.cluster,
                limits=settings.limits,
                busy=actor.busy if actor is not None else tuple,
                drafts=actor.drafts if actor is not None else tuple,
            ),
            actor=actor,
            machines=self.machines,
            batch=BatchWindow(
                timedelta(seconds=settings.batch_idle_seconds), timedelta(seconds=settings.batch_max_seconds)
            ),
            publisher=self._publisher(),
            leading=self.leadership.leading,
            upkeep=self.upkeep.actions,
            clock=utc_now,
            progress=self._progress,
            wakeup=self.wakeup,
            health=self._dead_thread,
        )
        self._ready = False

    def _publisher(self) -> Publisher:
        """Who only observes keeps what it would have done."""
        return Observing(self.journal, Path(self.settings.observe_record)) if self.options.dry_run else self.journal

    def _actor(self, ec2: Ec2, templates: Templates) -> Actor:
        hands = Hands(
            api=self.api,
            ec2=ec2,
            templates=templates,
            cache=self.cache,
            machines=self.machines,
            events=self.events,
            cluster=self.cluster,
            blueprint=self.classes.blueprint,
            review=Admission(self.cache, ec2, self.cluster, self.settings.node_name, utc_now),
            clock=utc_now,
            fence=self._fence,
            learn=self._learn,
            capacity_error_seconds=self.settings.capacity_error_seconds,
            checkpoint=self.options.checkpoint,
            random=random.Random(),  # noqa: S311 - jitter, not a secret
        )
        return Actor(hands, self.wakeup)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, or with ``once`` until the first decision is carried out."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._start()
        try:
            if self.options.once:
                self._once()
            else:
                self.loop.run()
        finally:
            self._end()

    def _start(self) -> None:
        self.cache.start()
        self.machines.start()
        if not self.options.dry_run:
            self.events.start()
            self.leadership.start()
        self.jobs.every(FACTS_SECONDS, "facts", self._read_facts)
        self.jobs.every(MARKET_SECONDS, "market", lambda: self._changed(self.market.refresh()))
        self.jobs.every(CLASSES_SECONDS, "classes", lambda: self._changed(self.classes.refresh()))
        if not self.options.dry_run:
            self.jobs.every(TOKEN_SECONDS, "token", self._tend_token)
            self.jobs.every(TEMPLATES_SECONDS, "templates", self.chores.list_templates)
        # Also of who only observes: the credential lives a day, and a record is to last for weeks. Nothing is stored in
        # the cluster for it.
        self.jobs.every(IDENTITY_SECONDS, "identity", self.chores.renew_identity)
        self.jobs.start()

    def _end(self) -> None:
        """Hand over and leave; whatever is still under way is continued by the next process."""
        self.notifier.stopping()
        threading.Thread(target=_exit_later, args=(STOP_SECONDS,), daemon=True).start()
        self.jobs.stop()
        if self.loop.actor is not None:
            self.loop.actor.close()
        if not self.options.dry_run:
            self.leadership.stop()
            self.events.stop()
        self.machines.stop()
        self.cache.stop()
        log.info("stopped")

    def _once(self) -> None:
        """Cycle until a decision was made on a whole view, then carry it out and leave."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not self.loop.stopping.is_set():
            sleep = self.loop.cycle()
            decided = self.journal.last()
            whole = decided is not None and decided[0].machines is not None and decided[0].provision
            if whole and self.market.ready() and (self.loop.actor is None or self.leadership.leading()):
                break
            self.wakeup.wait(min(0.5, max(0.05, sleep.total_seconds())))
        if self.loop.actor is not None:
            self.loop.actor.settle(30.0)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        self.loop.stopping.set()
        self.wakeup()

    def _wake(self) -> None:
        self.wakeup()
        if self.classes.outdated():
            self.jobs.soon("classes")

    def _leads_or_not(self) -> None:
        self.wakeup()
        self._look_at_token()

    def _look_at_token(self) -> None:
        if self.leadership.leading():
            self.jobs.soon("token")

    def _changed(self, changed: object) -> None:
        if changed:
            self.wakeup()

    def _learn(self, lesson: Lesson) -> None:
        self.loop.learn(lesson)

    def _fence(self) -> None:
        if self.loop.stopping.is_set():
            raise Fenced("the daemon is stopping")
        self.leadership.fence()

    def _progress(self, sentence: str) -> None:
        if not self._ready and self.cache.synced():
            self._ready = True
            self.notifier.ready(sentence)
        self.notifier.watchdog()
        self.notifier.status(sentence)

    def _read_facts(self) -> None:
        if self.chores.read_facts():
            self.jobs.soon("classes")
            # The first rotation may have come before the facts, which it publishes beside the token.
            self._look_at_token()

    def _tend_token(self) -> None:
        self.chores.tend_token(self.rotation, self.leadership.leading)

    def _dead_thread(self) -> BaseException | None:
        return self.cache.failed or self.machines.failed or self.leadership.failed or self.events.failed


def refuse_beside_karpenter(api: KubeApi) -> None:
    """Raises ``Refused`` while a Karpenter renews its Lease: two autoscalers would undo each other's work."""
    holder = karpenter_running(api)
    if holder is not None:
        raise Refused(
            f"Karpenter is running in this cluster ({holder}); stop it first, both would buy for the same pods"
        )


def _cluster(api: KubeApi, settings: Settings) -> Cluster:
    return Cluster(settings.cluster_name, wire.uid(api.get(paths.namespaces("kube-system"))), settings.region)


def _exit_later(seconds: float) -> None:
    """A call that hangs must not keep the process beyond its time; nothing is lost, as after any crash."""
    time.sleep(seconds)
    with contextlib.suppress(Exception):
        log.warning("stopped.late", seconds=seconds)
    os._exit(0)
