"""An exact check of every answer before it leaves, written without the structures that made it."""

from agent.core.inputs import PackingInput, PackingResult
from agent.core.verifying.faults import PlanInvalid
from agent.core.verifying.neighbours import check_neighbours
from agent.core.verifying.nodes import check_nodes
from agent.core.verifying.spending import check_spending

__all__ = ["PlanInvalid", "verify"]


def verify(asked: PackingInput, result: PackingResult) -> None:
    """Check that every pod is answered once and may be where it is sent, beside all others, and that limits hold.

    Raises:
        PlanInvalid: naming the pod, launch or limit.
    """
    pods = {pod.key: pod for pod in asked.pods}
    check_nodes(asked, result, pods)
    check_neighbours(asked, result, pods)
    check_spending(asked, result)
