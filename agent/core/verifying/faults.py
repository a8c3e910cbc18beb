"""What a check raises."""


class PlanInvalid(AssertionError):  # noqa: N818 - it is the plan that is invalid
    """The engine contradicts itself; nothing of the plan may be carried out."""
