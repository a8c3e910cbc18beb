"""The account's limits on vCPUs against what pools may buy."""

from collections.abc import Iterator, Sequence
from typing import Final

from agent.aws.errors import Denied, Gone, mapped
from agent.aws.session import AwsSession
from agent.model import names
from agent.model.kubernetes import NodePool
from agent.model.resources import CPU
from agent.preflight.finding import Finding
from agent.preflight.site import Site
from agent.preflight.statements import QUOTA, statements_for

STANDARD: Final[dict[str, str]] = {"on-demand": "L-1216C47A", "spot": "L-34B43A08"}
"""Service Quotas of EC2 in vCPUs: running on-demand, and all spot, instances of the families A, C, D, H, I, M, R, T, Z.

Source: docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-quotas.html.
"""


def enough(site: Site) -> Iterator[Finding]:
    """Per capacity type: the quota, and the sum of what pools that may buy it are limited to."""
    for capacity_type, code in STANDARD.items():
        pools = [pool for pool in site.pools if _may_buy(pool, capacity_type)]
        if not pools:
            continue
        try:
            quota = vcpus(site.session, code)
        except (Denied, Gone) as error:
            fix = f"to have it looked at, allow {statements_for(QUOTA, site)}"
            yield Finding("quota", "unknown", f"vCPUs of {capacity_type} instances: {error}", fix)
            continue
        yield compared(capacity_type, quota, pools)


def compared(capacity_type: str, quota: int, pools: Sequence[NodePool]) -> Finding:
    """What these pools may buy together against a quota, in vCPUs."""
    limits = [pool.limits[CPU] for pool in pools if CPU in pool.limits]
    wanted = sum(limits) // 1000
    sentence = f"{quota} vCPUs of {capacity_type} instances; pools are limited to {wanted}"
    if len(limits) < len(pools):
        sentence += ", and some have no limit"
    if wanted > quota:
        return Finding("quota", "warn", sentence, "raise it in Service Quotas, or lower the pools' limits")
    return Finding("quota", "ok", sentence)


def _may_buy(pool: NodePool, capacity_type: str) -> bool:
    asked = [r for r in pool.requirements if r.key == names.CAPACITY_TYPE]
    if not asked:
        return capacity_type == "on-demand"
    return all((capacity_type in r.values) == (r.operator == "In") for r in asked if r.operator in {"In", "NotIn"})


def vcpus(session: AwsSession, code: str) -> int:
    """A quota of EC2 by its code. Raises ``AwsError``."""
    with mapped(QUOTA):
        answer = session.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=code)
    return int(answer["Quota"]["Value"])
