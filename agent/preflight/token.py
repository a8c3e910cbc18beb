"""Whether machines can join with what is published, and how old it is."""

from collections.abc import Iterator

from agent.aws.ssm import Ssm
from agent.join.published import PublishedToken, TokenPolicy
from agent.preflight.finding import Finding
from agent.preflight.site import Site
from agent.preflight.statements import statements_for


def published(site: Site) -> Iterator[Finding]:
    """The published token by the API server's own word, and the join facts beside it, which base workers read."""
    policy = TokenPolicy.of(site.settings)
    ssm = Ssm(site.session)
    reader = PublishedToken(site.api, ssm, policy, site.clock)
    state = reader.verify()
    if state.faults or state.published is None or state.current is None or state.current.expires_at is None:
        yield Finding("token", "fail", "; ".join(state.faults) or "no token is published", "joinery token rotate")
        return
    minutes = int((state.current.expires_at - site.clock()).total_seconds()) // 60
    sentence = f"{state.published.id} in {policy.parameter}, accepted by the API server, {minutes} min left"
    if reader.due(state):
        fix = "start the daemon or joinery token rotate; if that is denied: " + statements_for("ssm:PutParameter", site)
        yield Finding("token", "warn", f"{sentence}; it should have been rotated by now", fix)
    else:
        yield Finding("token", "ok", sentence)
    facts = ssm.get(policy.facts_parameter)
    if facts is None:
        message = f"{policy.facts_parameter} is not there: base workers cannot join"
        yield Finding("token", "fail", message, "joinery token rotate, which writes both")
    elif facts.value != site.facts.text():
        message = f"{policy.facts_parameter} says something else than the cluster does now"
        yield Finding("token", "warn", message, "start the daemon, or joinery token rotate")
    else:
        yield Finding("token", "ok", f"{policy.facts_parameter} says what the cluster does")
