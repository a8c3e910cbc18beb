"""The IAM statements that a missing right needs, for the instance role of the control-plane nodes.

They are cut out of the policy that Terraform's module iam gives that role, so none allows more than the policy does.
``policy.json`` is the module's own document, ``policies/agent.json.tftpl``; docs/security.md says what each is for.
"""

import re
from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import Any, Final

import msgspec

from agent.aws.errors import Denied, NoCredentials, NotOurs
from agent.preflight.site import Site

QUOTA: Final = "servicequotas:GetServiceQuota"
SIMULATE: Final = "iam:SimulatePrincipalPolicy"
_ONLY_TO_LOOK: Final = frozenset({QUOTA, SIMULATE})
"""What this command alone would ask, and the policy does not have. Both only read."""
_DENIAL: Final = re.compile(r"not allowed: ([a-z0-9-]+:\w+)(?: on (\S+))?")
_KIND: Final = re.compile(r"^arn:[^:]*:[^:]*:[^:]*:[^:]*:([a-z-]+)/")


def fix_for(error: Denied, site: Site) -> str:
    """What to do about a denial: the statements to add, or that another one stands in the way."""
    if isinstance(error, NoCredentials | NotOurs):
        return ""
    if "explicit deny" in str(error):
        return "a policy denies it by name, and no other can allow it then: change that one"
    found = _DENIAL.search(str(error))
    action, resource = (found[1], found[2] or "") if found is not None else (error.operation, "")
    return f"add to the role of this machine: {statements_for(action, site, resource)}"


def statements_for(action: str, site: Site, resource: str = "") -> str:
    """Statements, as a JSON array, that allow an action: all that the policy has for it, or those for one resource.

    What the policy does not have is what only this command asks.
    """
    if action in _ONLY_TO_LOOK:
        return allowing(action, ["*"])
    every = [s for s in _policy(site) if action in _several(s["Action"])]
    kind = _KIND.match(resource)
    named = [s for s in every if kind is not None and any(f":{kind[1]}/" in r for r in _several(s["Resource"]))]
    return _text([{**s, "Action": action} for s in named or every])


def allowing(action: str, resources: Sequence[str]) -> str:
    """One statement, as a JSON array, that allows an action on some resources."""
    return _text([{"Effect": "Allow", "Action": action, "Resource": resources}])


def _policy(site: Site) -> list[dict[str, Any]]:
    """The policy for this cluster; what cannot be known here is a word in capitals for a person to replace."""
    values = {
        "partition": site.partition,
        "suffix": "amazonaws.com.cn" if site.partition == "aws-cn" else "amazonaws.com",
        "account": site.account or "ACCOUNT",
        "region": site.settings.region,
        "prefix": site.settings.parameter_prefix,
        "cluster": site.settings.cluster_name,
        "discovery": "DISCOVERY-TAG",
        "node_role": next(iter(sorted(site.node_roles.values())), "arn:aws:iam::ACCOUNT:role/NODE-ROLE"),
    }
    text = resources.files("agent.preflight").joinpath("policy.json").read_text("utf-8")
    statements: list[dict[str, Any]] = msgspec.json.decode(Template(text).substitute(values))["Statement"]
    return statements


def _several(value: Any) -> list[str]:  # noqa: ANN401 - a policy has one text or a list of them
    return [value] if isinstance(value, str) else value


def _text(statements: Sequence[dict[str, Any]]) -> str:
    return msgspec.json.encode(statements).decode()
