"""Whether machines can join with what is published, and how old it is."""

from collections.abc import Iterator

from agent.aws.ssm import Ssm
from agent.join.published import PublishedToken, TokenPolicy
from agent.preflight.finding import Finding
from agent.preflight.site import Site
from agent.preflight.statements import statement_for


def published(site: Site) -> Iterator[Finding]:
    """The published token by the API server's own word.

    That the parameter may be written cannot be asked without writing it: Parameter Store has no dry run. A token that
    is not overdue was written by somebody who may.
    """
    policy = TokenPolicy.of(site.settings)
    reader = PublishedToken(site.api, Ssm(site.session), policy, site.clock)
    state = reader.verify()
    if state.faults or state.published is None or state.current is None or state.current.expires_at is None:
        yield Finding("token", "fail", "; ".join(state.faults) or "no token is published", "joinery token rotate")
        return
    minutes = int((state.current.expires_at - site.clock()).total_seconds()) // 60
    sentence = f"{state.published.id} in {policy.parameter}, accepted by the API server, {minutes} min left"
    if reader.due(state):
        fix = "start the daemon or joinery token rotate; if that is denied: " + statement_for("ssm:PutParameter", site)
        yield Finding("token", "warn", f"{sentence}; it should have been rotated by now", fix)
    else:
        yield Finding("token", "ok", sentence)
