"""What the Eviction API's answers mean (kubernetes.io/docs/concepts/scheduling-eviction/api-eviction)."""

from typing import Literal

import msgspec

from agent.kube.api import KubeApi
from agent.kube.errors import (
    AlreadyExists,
    BudgetExhausted,
    Conflict,
    Denied,
    KubeError,
    NotFound,
    Retryable,
    Throttled,
)
from agent.model.actions import Target

BUDGET_RETRY_SECONDS = 5.0
"""A budget that allows nothing now may allow something as soon as another pod is ready; nothing tells when."""
SLOW_RETRY_SECONDS = 30.0
"""For what a person has to mend."""


Outcome = Literal["evicted", "gone", "blocked", "several-budgets", "denied", "throttled"]


class EvictionAnswer(msgspec.Struct, frozen=True):
    """``done``: the pod goes or is gone. Otherwise why not, and when to ask again."""

    done: bool
    message: str = ""
    retry_after_seconds: float | None = None
    outcome: Outcome = "evicted"


def evict(api: KubeApi, pod: Target) -> EvictionAnswer:
    """Ask once.

    Raises:
        KubeError: the server did not answer the question (no connection, a time-out, …).
    """
    try:
        api.evict(pod.namespace, pod.name, pod.uid)
    except (NotFound, Conflict, AlreadyExists):
        # Gone, or another pod of the same name: the UID is a precondition.
        return EvictionAnswer(done=True, outcome="gone")
    except BudgetExhausted as error:
        return _later(error, str(error), "blocked", BUDGET_RETRY_SECONDS)
    except Throttled as error:
        return _later(error, str(error), "throttled", BUDGET_RETRY_SECONDS)
    except Denied as error:
        return _later(error, f"may not be evicted: {error}", "denied", SLOW_RETRY_SECONDS)
    except Retryable as error:
        if not _several_budgets(error):
            raise
        sentence = "more than one PodDisruptionBudget selects it, which the Eviction API refuses for ever"
        return _later(error, sentence, "several-budgets", SLOW_RETRY_SECONDS)
    return EvictionAnswer(done=True)


def _later(error: KubeError, message: str, outcome: Outcome, pause: float) -> EvictionAnswer:
    asked = error.retry_after_seconds if isinstance(error, Retryable) else None
    return EvictionAnswer(done=False, message=message, retry_after_seconds=asked or pause, outcome=outcome)


def _several_budgets(error: KubeError) -> bool:
    """The API server has no code for this, only a text, and answers 500."""
    return "more than one PodDisruptionBudget" in str(error)
