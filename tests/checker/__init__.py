"""An independent judge of plans, written from the documentation of Kubernetes and of the plan's format.

It imports nothing of the agent. Objects, catalogue and plan are plain dicts, as JSON holds them.
"""

from tests.checker.judging import Case, faults

__all__ = ["Case", "faults"]
