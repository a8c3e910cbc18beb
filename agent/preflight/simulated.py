"""What IAM itself says about rights that cannot be tried: another role's, and those whose use would change something.

Parameter Store has no dry run, so IAM is asked to simulate (IAM API reference, SimulatePrincipalPolicy). Whoever may
not ask that is told so, and nothing else is wrong then.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from agent.aws.errors import AwsError, Denied, mapped
from agent.preflight.finding import Finding
from agent.preflight.site import Site
from agent.preflight.statements import SIMULATE, allowing, statements_for

_READ: Final = "ssm:GetParameter"
_WRITE: Final = "ssm:PutParameter"


def nodes(site: Site) -> Iterator[Finding]:
    """Whether the role of each class's machines may read what they join with."""
    if site.classes and not site.node_roles:
        yield Finding("node-role", "unknown", "no EC2NodeClass tells a role: see nodeclass")
    for name, role in site.node_roles.items():
        yield _simulated(site, "node-role", f"machines of {name} ({role})", (role, _READ))
    if site.settings.kms_key_id and site.node_roles:
        message = f"whether they may decrypt with {site.settings.kms_key_id} is not looked at"
        yield Finding("node-role", "unknown", message, "compare its key policy with docs/security.md: kms:Decrypt")


def writing(site: Site) -> Iterator[Finding]:
    """Whether this machine's own role may publish the token, without publishing one."""
    own = _role_of(site.caller["Arn"])
    yield _simulated(site, "token-rights", f"this machine ({own})", (own, _WRITE))


def _simulated(site: Site, check: str, who: str, asked: tuple[str, str]) -> Finding:
    role, action = asked
    parameters = (site.settings.token_parameter, site.settings.facts_parameter)
    try:
        refused = [p for p in parameters if not _allowed(site, asked, p)]
    except Denied as error:
        fix = f"to have it looked at, allow {statements_for(SIMULATE, site)}"
        return Finding(check, "unknown", f"{who}: could not be looked at: {error}", fix)
    except AwsError as error:
        return Finding(check, "unknown", f"{who}: could not be looked at: {error}")
    if refused:
        fix = f"add to {role}: {_missing(site, action, refused)}"
        return Finding(check, "fail", f"{who}: {action} is not allowed on {' and '.join(refused)}", fix)
    return Finding(check, "ok", f"{who}: {action} is allowed on {' and '.join(parameters)}")


def _allowed(site: Site, asked: tuple[str, str], parameter: str) -> bool:
    """One parameter a call, so that the decision is about it alone."""
    role, action = asked
    with mapped(SIMULATE):
        answer = site.session.client("iam").simulate_principal_policy(
            PolicySourceArn=role, ActionNames=[action], ResourceArns=[_arn(site, parameter)]
        )
    return all(result["EvalDecision"] == "allowed" for result in answer["EvaluationResults"])


def _missing(site: Site, action: str, parameters: Sequence[str]) -> str:
    if action == _WRITE:
        return statements_for(action, site)
    return allowing(action, [_arn(site, p) for p in parameters])


def _arn(site: Site, parameter: str) -> str:
    return f"arn:{site.partition}:ssm:{site.settings.region}:{site.account}:parameter{parameter}"


def _role_of(identity: str) -> str:
    """The role of a session, ``arn:aws:sts::1:assumed-role/NAME/session``, which does not tell the role's path."""
    head, _, rest = identity.partition(":assumed-role/")
    if not rest:
        return identity
    return f"{head.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}"
