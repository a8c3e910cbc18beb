"""What a pool and a claim say of their nodes' labels and taints."""

import re
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from agent.manifests.scalars import NAME_PART, Between, LabelKey, LabelValue, Matching, Whole, fault
from agent.manifests.written import Rule, Written
from agent.model import names
from agent.model.labels import AWS_LABELS

ALIASES: Final = {
    "failure-domain.beta.kubernetes.io/zone": names.ZONE,
    "failure-domain.beta.kubernetes.io/region": names.REGION,
    "topology.ebs.csi.aws.com/zone": names.ZONE,
    "beta.kubernetes.io/arch": names.ARCH,
    "beta.kubernetes.io/os": names.OS,
    "beta.kubernetes.io/instance-type": names.INSTANCE_TYPE,
}
"""Older names of labels, and what they are called now."""

CAPACITY_TYPES: Final = frozenset({"on-demand", "spot", "reserved"})
COMPARISONS: Final = frozenset({"Gt", "Lt", "Gte", "Lte"})


def restriction(key: str, *, claim: bool = False) -> str | None:
    """Why a pool (or a claim) may not name this label, or None when it may."""
    domain = key.partition("/")[0] if "/" in key else ""
    if key == names.HOSTNAME:
        return f"{key} is restricted: every node has its own"
    if key == names.NODEPOOL:
        return None if claim else f"{key} is restricted: it is set for every node of the pool"
    if domain == "karpenter.k8s.aws" or domain.endswith(".karpenter.k8s.aws"):
        return None if key in AWS_LABELS else f"{key} is not a label of the domain karpenter.k8s.aws"
    if domain == "karpenter.sh" or domain.endswith(".karpenter.sh"):
        return None if key == names.CAPACITY_TYPE else f"{key} is restricted: the domain karpenter.sh is reserved"
    return None


def restricted_keys(variable: str, *, claim: bool = False) -> str:
    """The rule of ``restriction`` in CEL, about the text that ``variable`` names."""
    allowed = [names.CAPACITY_TYPE, *([names.NODEPOOL] if claim else [])]
    core = " || ".join(f"{variable} == '{key}'" for key in allowed)
    aws = "|".join(key.partition("/")[2] for key in AWS_LABELS)
    return (
        f"{variable} != '{names.HOSTNAME}' && "
        f"({core} || !{variable}.matches('^([^/]*[.])?karpenter[.]sh/')) && "
        f"(!{variable}.matches('^([^/]*[.])?karpenter[.]k8s[.]aws/') || "
        f"{variable}.matches('^karpenter[.]k8s[.]aws/({aws})$'))"
    )


def _names_capacity_types(requirement: Any) -> bool:  # noqa: ANN401  a Requirement, which stands below
    if requirement.key != names.CAPACITY_TYPE or requirement.operator != "In" or not requirement.values:
        return True
    return len(CAPACITY_TYPES.intersection(requirement.values)) >= (requirement.min_values or 1)


class Requirement(Written):
    """One condition on a label of the nodes; all conditions of a list hold together."""

    key: LabelKey
    """The label: one that EC2 types, zones and capacity types have, or a label of your own."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Gte", "Lte"]
    """How the label's value is compared. Gt, Lt, Gte and Lte compare integers."""
    values: tuple[LabelValue, ...] = ()
    """What it is compared with: at least one for In, exactly one integer for Gt, Lt, Gte and Lte, none for Exists."""
    min_values: Annotated[Whole, Between(1, 50)] | None = None
    """At least so many different values must stay possible, so that a launch has somewhere to fall back to."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "In needs at least one value",
            holds=lambda r: r.operator != "In" or bool(r.values),
            reads=("operator", "values"),
            at="values",
            cel="self.operator != 'In' || (has(self.values) && self.values.size() > 0)",
        ),
        Rule(
            "Gt, Lt, Gte and Lte need exactly one value, an integer of at least 0",
            holds=lambda r: (
                r.operator not in COMPARISONS
                or (len(r.values) == 1 and re.fullmatch("[0-9]{1,18}", r.values[0]) is not None)
            ),
            reads=("operator", "values"),
            at="values",
            cel="!(self.operator in ['Gt', 'Lt', 'Gte', 'Lte']) || "
            "(has(self.values) && self.values.size() == 1 && self.values[0].matches('^[0-9]{1,18}$'))",
        ),
        Rule(
            "In needs at least as many values as minValues says",
            holds=lambda r: r.operator != "In" or r.min_values is None or len(set(r.values)) >= r.min_values,
            reads=("operator", "values", "minValues"),
            at="minValues",
            cel="self.operator != 'In' || !has(self.minValues) || "
            "(has(self.values) && self.values.size() >= self.minValues)",
        ),
        Rule(
            "capacity types are on-demand, spot and reserved; at least one of them (or minValues of them) must stay",
            holds=_names_capacity_types,
            reads=("key", "operator", "values", "minValues"),
            at="values",
        ),
    )


def _pool_label(key: str) -> str:
    if (why := restriction(key)) is not None:
        raise fault(why)
    return key


def _claim_label(key: str) -> str:
    if (why := restriction(key, claim=True)) is not None:
        raise fault(why)
    return key


PoolLabel = Annotated[LabelKey, AfterValidator(_pool_label)]
ClaimLabel = Annotated[LabelKey, AfterValidator(_claim_label)]
RESTRICTED: Final = "the host name and labels of the domains karpenter.sh and karpenter.k8s.aws are restricted"


class PoolRequirement(Requirement):
    """One condition on a label of the pool's nodes; all conditions of the list hold together."""

    key: PoolLabel
    """The label: one that EC2 types, zones and capacity types have, or a label of your own."""

    RULES: ClassVar[tuple[Rule, ...]] = (*Requirement.RULES, Rule(RESTRICTED, cel=restricted_keys("self.key")))


class ClaimRequirement(Requirement):
    """One condition on a label of the node; all conditions of the list hold together."""

    key: ClaimLabel
    """The label: one that EC2 types, zones and capacity types have, or a label of your own."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        *Requirement.RULES,
        Rule(RESTRICTED, cel=restricted_keys("self.key", claim=True)),
    )


class Taint(Written):
    """A taint of the nodes: pods that do not tolerate it stay away."""

    key: LabelKey
    """The taint's key."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    """What happens to pods that do not tolerate it."""
    value: Annotated[str, Matching(f"({NAME_PART})?", "a taint value", 63)] = ""
    """The taint's value; may be empty."""
    time_added: str | None = Field(None, json_schema_extra={"format": "date-time"})
    """Written by the kubelet and ignored here."""


def distinct_taints(spec: Any) -> bool:  # noqa: ANN401  a pool's template or a claim
    """Whether no key and effect stands twice in taints and startupTaints together (Kubernetes' identity of taints)."""
    keys = [(taint.key, taint.effect) for taint in (*spec.taints, *spec.startup_taints)]
    return len(keys) == len(set(keys))


DISTINCT_TAINTS: Final = Rule(
    "the same key and effect may stand only once in taints and startupTaints together",
    holds=distinct_taints,
    reads=("taints", "startupTaints"),
    at="taints",
)
