"""How many pods of a PodDisruptionBudget may be evicted now, as the disruption controller counts them.

Source: kubernetes.io/docs/tasks/run-application/configure-pdb. A cluster's controller writes the count into the status;
where there is only the budget and its pods, it is worked out here. Which pods are missing of what their controllers ask
for is not known then: those expected are those there.
"""

from collections.abc import Iterable, Mapping

from agent.core.requirements import value_set
from agent.model.constraints import PodCount, Selector
from agent.model.kubernetes import Pod, PodDisruptionBudget


def disruptions_allowed(budget: PodDisruptionBudget, pods: Iterable[Pod]) -> int:
    """Healthy pods beyond those that must stay, never below nothing; ``pods`` are those of the whole cluster.

    Whether a pod that is not Ready may go beside these (``unhealthyPodEvictionPolicy``) is another question.
    """
    if budget.selector is None:
        return 0
    expected = [
        pod
        for pod in pods
        if pod.meta.namespace == budget.meta.namespace
        and not pod.is_finished
        and _selects(budget.selector, pod.meta.labels)
    ]
    healthy = sum(pod.ready and pod.meta.deleted_at is None for pod in expected)
    desired = _desired(budget, len(expected))
    return max(0, healthy - desired) if expected and desired is not None else 0


def _desired(budget: PodDisruptionBudget, expected: int) -> int | None:
    """So many must stay healthy; None: the budget does not say. maxUnavailable comes first, as in the controller."""
    if budget.max_unavailable is not None:
        return max(0, expected - _number(budget.max_unavailable, expected))
    return None if budget.min_available is None else _number(budget.min_available, expected)


def _number(count: PodCount, expected: int) -> int:
    """Percentages are rounded up, those of maxUnavailable too."""
    return -(-expected * count.amount // 100) if count.is_percent else count.amount


def _selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    return all(value_set(entry).allows(labels.get(entry.key)) for entry in selector)
