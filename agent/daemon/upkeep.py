"""What is written for tidiness: statuses of classes, and launch templates that nothing uses any more."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from agent.aws.templates import ListedTemplate, Templates
from agent.core.lifecycle import intent_of
from agent.daemon.classes import Classes
from agent.model.actions import Action, DeleteTemplate
from agent.model.plan import Snapshot
from agent.model.reasons import Reason

log = structlog.get_logger(__name__)

UNUSED_FOR = timedelta(minutes=30)
"""A young template may belong to a launch that is about to name it."""


class Upkeep:
    """Decides on upkeep from the last lists that the jobs read."""

    def __init__(self, classes: Classes, templates: Templates, clock: Callable[[], datetime]) -> None:
        self._classes = classes
        self._templates = templates
        self._clock = clock
        self._listed: tuple[ListedTemplate, ...] = ()

    def list_templates(self) -> None:
        """Read the cluster's launch templates; a job. Raises ``AwsError``."""
        self._listed = self._templates.listed()

    def actions(self, snapshot: Snapshot) -> tuple[Action, ...]:
        """Statuses to write and templates to delete."""
        return (*self._classes.statuses(), *self._unused(snapshot))

    def _unused(self, snapshot: Snapshot) -> tuple[Action, ...]:
        used = self._classes.contents()
        named = {request.template_id for c in snapshot.claims if (request := intent_of(c)) is not None}
        old = self._clock() - UNUSED_FOR
        doomed = [t for t in self._listed if t.hash not in used and t.id not in named and t.created_at < old]
        self._listed = tuple(t for t in self._listed if t not in doomed)
        return tuple(
            DeleteTemplate(reason=Reason("Unused", f"launch template {t.id} is used by no class"), template_id=t.id)
            for t in doomed
        )
