"""The IAM statement that a missing right needs, for the instance role of the control-plane nodes.

The same statements as the policy in docs/security.md; what a statement is for stands there.
"""

from typing import Any, Final

import msgspec

from agent.model.names import TAG_CLUSTER, TAG_MANAGED
from agent.preflight.site import Site

_LAUNCHES: Final = frozenset({"ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateLaunchTemplate"})
_RETURNS: Final = frozenset({"ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"})


def statement_for(action: str, site: Site) -> str:
    """One statement, as JSON, that allows the action and no more of it than Joinery needs."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": "*"}
    cluster = site.settings.cluster_name
    if action in _LAUNCHES:
        # EC2 also checks images, subnets and the like, which carry no tag of ours: those statements stand in the docs.
        statement["Condition"] = {"StringEquals": {f"aws:RequestTag/{TAG_CLUSTER}": cluster}}
    elif action in _RETURNS:
        tags = {f"aws:ResourceTag/{TAG_CLUSTER}": cluster, f"aws:ResourceTag/{TAG_MANAGED}": "true"}
        statement["Condition"] = {"StringEquals": tags}
    elif action == "iam:PassRole":
        statement["Resource"] = "arn:aws:iam::*:role/NODE-ROLE"
        statement["Condition"] = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    elif action in {"ssm:GetParameter", "ssm:PutParameter"}:
        folder = site.settings.token_parameter.rpartition("/")[0]
        statement["Resource"] = f"arn:aws:ssm:{site.settings.region}:*:parameter{folder}/*"
    return msgspec.json.encode(statement).decode()
