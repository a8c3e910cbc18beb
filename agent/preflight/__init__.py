"""What an installation needs, looked at one question after the other: the live half of `joinery check`.

A question is a function of the site in a module of its own; it only reads, or asks EC2 with DryRun. One that cannot be
answered is told as unknown, with what kept it from being answered, and never stops the others.
"""

from collections.abc import Callable, Iterable, Iterator

from agent.aws.errors import AwsError
from agent.join.errors import JoinError
from agent.kube.errors import KubeError
from agent.preflight import cluster, credential, launching, neighbours, network, pools, profile, quotas, reaching, token
from agent.preflight.finding import Finding, Level
from agent.preflight.site import Site

__all__ = ["QUESTIONS", "Finding", "Level", "Site", "look"]

QUESTIONS: tuple[tuple[str, Callable[[Site], Iterable[Finding]]], ...] = (
    ("api-server", cluster.answers),
    ("crds", cluster.kinds),
    ("rights", cluster.rights),
    ("credential", credential.life),
    ("endpoint", reaching.endpoint),
    ("aws", reaching.account),
    ("token", token.published),
    ("nodeclass", launching.classes),
    ("launch", launching.rights),
    ("profile", profile.reads_token),
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
            yield Finding(name, "unknown", f"could not be looked at: {error}")
