"""What the daemon says while the story goes on: its own log, told with its own reasons."""

from typing import Any, Final

from agent.sim.demo.terminal import Terminal
from agent.sim.sandbox import Sandbox

Event = dict[str, Any]
_LAST: Final = 3


class Journal:
    """Reads on where it stopped."""

    def __init__(self, sandbox: Sandbox, terminal: Terminal) -> None:
        self._sandbox = sandbox
        self._terminal = terminal
        self._read = 0
        self._reasons: dict[str, str] = {}
        """Why a claim was launched, by its name."""
        self._told: set[str] = set()
        self._blocked: dict[str, str] = {}

    def events(self, name: str = "") -> list[Event]:
        """All that was said, or all of one name."""
        return self._sandbox.daemon.events(name) if self._sandbox.daemon is not None else []

    def tell(self) -> None:
        """Tell what is new."""
        events = self.events()
        for event in events[self._read :]:
            self._one(event)
        self._read = len(events)

    def kept(self) -> str:
        """What keeps empty nodes, as the daemon put it last."""
        return next(reversed(self._blocked.values()), "")

    def last_words(self) -> str:
        """The last lines of the log, for a story that does not go on."""
        said = [f"{e.get('event')} {e.get('why') or e.get('error') or ''}".strip() for e in self.events()[-_LAST:]]
        return "; joinery said last: " + " | ".join(said) if said else ""

    def _one(self, event: Event) -> None:
        match event.get("event"):
            case "action":
                self._action(event)
            case "launch":
                reason = self._reasons.get(str(event["claim"]), "")
                self._terminal.say(f"joinery buys {event['offering']}: {reason}", "money")
            case "disruption.blocked":
                self._blocked[str(event["node"])] = str(event["why"])
            case "refused" | "notice":
                self._terminal.say(f"joinery: {event['why']}", "bad")

    def _action(self, event: Event) -> None:
        about, why = str(event["object"]), str(event["why"])
        match event["action"]:
            case "Launch":
                self._reasons[about] = why
            case "InitializeNode" | "DisruptNode" as action if f"{action} {about}" not in self._told:
                self._told.add(f"{action} {about}")
                self._blocked.pop(about, None)
                self._terminal.say(f"joinery drains: {why}" if action == "DisruptNode" else f"joinery: {why}")
