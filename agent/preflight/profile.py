"""Whether machines may read what they join with: IAM is asked what the role of the instance profile allows."""

from collections.abc import Iterator
from typing import Final

import msgspec

from agent.aws.errors import Denied, mapped
from agent.aws.session import AwsSession
from agent.preflight.finding import Finding
from agent.preflight.launching import resolved_class
from agent.preflight.site import Site

READ: Final = "ssm:GetParameter"
_ASK: Final = "iam:SimulatePrincipalPolicy"


def reads_token(site: Site) -> Iterator[Finding]:
    """Of each profile that a class names: may its role read the two parameters."""
    names = {c.instance_profile for m in site.classes if (c := resolved_class(site, m)).instance_profile}
    for name in sorted(names):
        role = role_of(site.session, name)
        try:
            missing = denied(site.session, role, parameters(role, site))
        except Denied as error:
            fix = f"only this command needs that right; else try one: {_how(role, site)}"
            yield Finding("profile", "unknown", f"{name}: what its role allows cannot be asked: {error}", fix)
            continue
        if missing:
            statement = {"Effect": "Allow", "Action": READ, "Resource": list(missing)}
            fix = f"add to the role {role.rpartition('/')[2]}: {msgspec.json.encode(statement).decode()}"
            yield Finding("profile", "fail", f"{name}: its role may not read {', '.join(missing)}", fix)
        else:
            yield Finding("profile", "ok", f"{name}: its role may read the token and the join facts")


def parameters(role: str, site: Site) -> tuple[str, ...]:
    """ARNs of the two parameters, in the account and the partition of the role."""
    _, partition, _, _, account, _ = role.split(":", 5)
    place = f"arn:{partition}:ssm:{site.settings.region}:{account}:parameter"
    return (place + site.settings.token_parameter, place + site.settings.facts_parameter)


def role_of(session: AwsSession, profile: str) -> str:
    """The ARN of a profile's role. Raises ``AwsError``."""
    with mapped("iam:GetInstanceProfile"):
        found = session.client("iam").get_instance_profile(InstanceProfileName=profile)
    return found["InstanceProfile"]["Roles"][0]["Arn"]


def denied(session: AwsSession, role: str, resources: tuple[str, ...]) -> tuple[str, ...]:
    """Of these parameters, those that the role may not read. Raises ``AwsError``."""
    missing = []
    for resource in resources:
        with mapped(_ASK):
            answer = session.client("iam").simulate_principal_policy(
                PolicySourceArn=role, ActionNames=[READ], ResourceArns=[resource]
            )
        if any(found["EvalDecision"] != "allowed" for found in answer["EvaluationResults"]):
            missing.append(resource)
    return tuple(missing)


def _how(role: str, site: Site) -> str:
    resource = parameters(role, site)[0]
    return (
        f"aws iam simulate-principal-policy --policy-source-arn {role} --action-names {READ} --resource-arns {resource}"
    )
