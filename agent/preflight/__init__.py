"""What an installation needs, looked at one question after the other: the live half of `joinery check`.

A question is a function of the site in a module of its own; it only reads, or asks EC2 with DryRun. One that cannot be
answered is told as unknown, with what kept it from being answered, and never stops the others.
"""

from collections.abc import Callable, Iterable, Iterator

from agent.aws.errors import AwsError, Denied
from agent.join.errors import JoinError
from agent.kube.errors import KubeError
from agent.preflight import (
    cluster,
    credential,
    launching,
    neighbours,
    network,
    pools,
    quotas,
    reaching,
    simulated,
    token,
)
from agent.preflight.finding import Finding, Level
from agent.preflight.site import Site
from agent.preflight.statements import fix_for

__all__ = ["QUESTIONS", "Finding", "Level", "Site", "look"]

QUESTIONS: tuple[tuple[str, Callable[[Site], Iterable[Finding]]], ...] = (
    ("api-server", cluster.answers),
    ("crds", cluster.kinds),
    ("rights", cluster.rights),
    ("credential", credential.life),
    ("endpoint", reaching.endpoint),
    ("aws", reaching.account),
    ("token", token.published),
    ("token-rights", simulated.writing),
    ("nodeclass", launching.classes),
    ("node-role", simulated.nodes),
    ("launch", launching.rights),
    ("nodepool", pools.usable),
    ("quota", quotas.enough),
    ("network", network.plugin),
    ("cloud-provider", network.cloud_provider),
    ("neighbours", neighbours.others),
)
"""Every question by its name, in the order in which a later one builds on the earlier."""


def look(site: Site) -> Iterator[Finding]:
    """Ask every question."""
    for name, question in QUESTIONS:
        try:
            yield from question(site)
        except (KubeError, AwsError, JoinError) as error:
            fix = fix_for(error, site) if isinstance(error, Denied) else ""
            yield Finding(name, "unknown", f"could not be looked at: {error}", fix)
