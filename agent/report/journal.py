"""What a cycle decided, told once each: in the log, as Events on the objects concerned, and as the last plan.

The sentence is always the decision's own Reason. A refusal that stands is not repeated each cycle.
"""

import threading
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from agent.kube.events import EventRecorder
from agent.model import actions as a
from agent.model.actions import Action
from agent.model.plan import Notice, Plan, Snapshot
from agent.model.reasons import Reason, Refusal

log = structlog.get_logger(__name__)

LOUD = (a.Launch, a.DisruptNode, a.DeleteClaim, a.TerminateMachine, a.RecordLaunch, a.RegisterNode, a.InitializeNode)
"""Actions of which the log tells at level info; the others are steps of these."""


class Publisher(Protocol):
    """Tells people and machines what a cycle decided."""

    def publish(self, snapshot: Snapshot, plan: Plan, started: tuple[Action, ...]) -> None:
        """Log, Events, metrics."""

    def waiting(self, sentence: str) -> None:
        """No decision was possible, and why."""


@dataclass
class Journal:
    """Publishes cycles; holds the last one for whoever asks."""

    events: EventRecorder | None
    """None in a dry run: Events are writes too."""
    _said: dict[str, str] = field(default_factory=dict)
    _owed: set[str] = field(default_factory=set)
    """Refused pods whose Event was dropped, because too many came at once; they are told as there is room."""
    _last: tuple[Snapshot, Plan] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def publish(self, snapshot: Snapshot, plan: Plan, started: tuple[Action, ...]) -> None:
        """Tell of one cycle."""
        with self._lock:
            self._last = (snapshot, plan)
        self._say("cycle", "")
        for action in started if self.events is not None else plan.actions:
            self._action(action)
        uids = {p.key: p.meta.uid for p in snapshot.pods} if plan.refusals else {}
        for refusal in plan.refusals:
            self._refusal(refusal, uids.get(refusal.pod, ""))
        for notice in plan.notices:
            if self._news(_key(notice), notice.reason.message):
                log.warning(
                    "notice", kind=notice.kind, name=notice.name, code=notice.reason.code, why=str(notice.reason)
                )
            self._event(notice.kind, notice.name, notice.reason, namespace=notice.namespace, uid=notice.uid)
        for blocked in plan.blocked:
            if self._news(f"blocked/{blocked.node}", blocked.message):
                log.info("disruption.blocked", node=blocked.node, blocker=blocked.blocker, why=blocked.message)
            self._event("Node", blocked.node, Reason("DisruptionBlocked", blocked.message), warning=False)
        self._forget(plan, snapshot)

    def waiting(self, sentence: str) -> None:
        """Tell that no decision is possible."""
        self._say("cycle", sentence)

    def last(self) -> tuple[Snapshot, Plan] | None:
        """The last cycle's snapshot and plan."""
        with self._lock:
            return self._last

    def _action(self, action: Action) -> None:
        name = type(action).__name__
        tell = log.info if isinstance(action, LOUD) else log.debug
        if self.events is None:
            if not self._news(f"would/{name}/{_about(action)}", str(action.reason)):
                return
            log.info("would", action=name, object=_about(action), code=action.reason.code, why=str(action.reason))
            return
        tell("action", action=name, object=_about(action), code=action.reason.code, why=str(action.reason))
        if isinstance(action, a.Launch):
            self._nominate(action)
        elif isinstance(action, a.DisruptNode) and action.node is not None:
            self._event("Node", action.node.name, action.reason, uid=action.node.uid, warning=False)

    def _nominate(self, action: a.Launch) -> None:
        what = f"{action.instance_type} in {action.zone} ({action.capacity_type}, ${action.price_nano_usd / 1e9:.4f}/h)"
        reason = Reason("Provisioned", f"NodeClaim {action.draft.name} is launched for it: {what}")
        for pod in action.pods:
            namespace, _, name = pod.partition("/")
            self._event("Pod", name, reason, namespace=namespace, warning=False)
        log.info("launch", claim=action.draft.name, pool=action.draft.pool, offering=what, pods=len(action.pods))

    def _refusal(self, refusal: Refusal, uid: str) -> None:
        sentence = "; ".join(f"{pool}: {reason}" if pool else str(reason) for pool, reason in refusal.reasons)
        news = self._news(f"pod/{refusal.pod}", sentence)
        if news:
            code = refusal.reasons[0][1].code if refusal.reasons else "FailedScheduling"
            log.info("refused", pod=refusal.pod, code=code, why=sentence)
        if not news and refusal.pod not in self._owed:
            return
        namespace, _, name = refusal.pod.partition("/")
        if self._event("Pod", name, Reason("FailedScheduling", sentence), namespace=namespace, uid=uid):
            self._owed.discard(refusal.pod)
        else:
            self._owed.add(refusal.pod)

    def _event(  # noqa: PLR0913 - the object of an Event has five parts
        self, kind: str, name: str, reason: Reason, *, namespace: str = "", uid: str = "", warning: bool = True
    ) -> bool:
        """Whether it will be told; in a dry run nothing is, and nothing is owed."""
        if self.events is None:
            return True
        return self.events.publish(kind, name, reason, namespace=namespace, uid=uid, warning=warning)

    def _say(self, topic: str, sentence: str) -> None:
        if self._news(topic, sentence) and sentence:
            log.info("waiting", why=sentence)

    def _news(self, key: str, sentence: str) -> bool:
        if self._said.get(key) == sentence:
            return False
        self._said[key] = sentence
        return True

    def _forget(self, plan: Plan, snapshot: Snapshot) -> None:
        """What is no longer so is news again when it comes back."""
        refused = {f"pod/{r.pod}" for r in plan.refusals} if snapshot.provision else self._said.keys()
        blocked = {f"blocked/{b.node}" for b in plan.blocked}
        noticed = {_key(n) for n in plan.notices}
        alive = {f"pod/{p.key}" for p in snapshot.pods}
        for key in list(self._said):
            gone = key.startswith("pod/") and (key not in refused or key not in alive)
            gone = gone or (key.startswith("blocked/") and key not in blocked)
            if gone:
                self._owed.discard(key.removeprefix("pod/"))
            if gone or (key.startswith("notice/") and key not in noticed):
                del self._said[key]


def _key(notice: Notice) -> str:
    return f"notice/{notice.kind}/{notice.name}/{notice.reason.code}"


def _about(action: Action) -> str:
    for part in ("draft", "node", "claim", "pod", "pool", "node_class", "request"):
        value = getattr(action, part, None)
        if value is not None and hasattr(value, "name"):
            return str(value.name)
    return str(getattr(action, "instance", getattr(action, "template_id", "")))
