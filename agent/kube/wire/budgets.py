"""PodDisruptionBudgets on the wire."""

import re
from typing import Final

import msgspec

from agent.kube.wire.objects import LabelSelector, WireMeta
from agent.model.constraints import PodCount
from agent.model.kubernetes import PodDisruptionBudget

_PERCENTAGE: Final = re.compile("0*([0-9]{1,3})%")


class _BudgetSpec(msgspec.Struct, gc=False, rename="camel"):
    selector: LabelSelector | None = None
    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    unhealthy_pod_eviction_policy: str | None = None


class _BudgetStatus(msgspec.Struct, gc=False, rename="camel"):
    disruptions_allowed: int | None = None
    observed_generation: int | None = None


class WireBudget(msgspec.Struct, gc=False):
    """A PodDisruptionBudget."""

    metadata: WireMeta
    spec: _BudgetSpec | None = None
    status: _BudgetStatus | None = None


def budget_model(wire: WireBudget) -> PodDisruptionBudget:
    """As the engine has it.

    Until the disruption controller has seen the present spec, its count is of another one: none is allowed, which is
    also what the Eviction API answers.
    """
    spec, status = wire.spec or _BudgetSpec(), wire.status or _BudgetStatus()
    meta = wire.metadata.model(frozenset())
    counted = (status.observed_generation or 0) >= meta.generation
    return PodDisruptionBudget(
        meta=meta,
        selector=spec.selector.model() if spec.selector is not None else None,
        min_available=_count(spec.min_available),
        max_unavailable=_count(spec.max_unavailable),
        disruptions_allowed=(status.disruptions_allowed or 0) if counted else 0,
        is_counted=status.disruptions_allowed is not None,
        always_allow_unhealthy=spec.unhealthy_pod_eviction_policy == "AlwaysAllow",
        blocks=spec.max_unavailable in {0, "0", "0%"} or spec.min_available == "100%",
    )


def _count(written: int | str | None) -> PodCount | None:
    """None: there is none, or it is a text that the API server would refuse."""
    if written is None or isinstance(written, int):
        return None if written is None else PodCount(written)
    found = _PERCENTAGE.fullmatch(written)
    return PodCount(int(found[1]), is_percent=True) if found is not None else None
