"""What can go wrong while machines are let in, one sentence each; edges' own errors stay beside them as causes."""
# ruff: noqa: N818 - the names say what happened, which a suffix would only blur


class JoinError(Exception):
    """Something about tokens, join facts or userData cannot be done; the text says what to do."""


class LockHeld(JoinError):
    """Another process is changing tokens right now; ``holder`` is who."""

    def __init__(self, holder: str, waited_seconds: float) -> None:
        who = holder or "somebody else"
        super().__init__(
            f"{who} is changing the tokens and did not finish within {waited_seconds:.0f} s; try again later"
        )
        self.holder = holder


class LockLost(JoinError):
    """The lease ran out in the middle; the next rotation or repair continues from what is there."""


class TokenMalformed(JoinError):
    """A text is no bootstrap token. The text itself is not repeated: it may be most of one."""


class TokenRejected(JoinError):
    """A new token was made but the cluster does not accept it as meant; the old one stays published."""


class PublishFailed(JoinError):
    """Parameter Store does not give back what was written to it."""


class NotOurToken(JoinError):
    """A token that Joinery did not make is never changed by Joinery."""


class FactsUnavailable(JoinError):
    """The cluster does not say what a joining machine must know."""


class TemplateFault(JoinError):
    """A userData template or a user's own script cannot be rendered into something EC2 and bash would take."""
