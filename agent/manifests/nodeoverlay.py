"""NodeOverlay, karpenter.sh/v1alpha1: what prices and capacities of instance types really are."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from agent.core.quantity import parse_amount
from agent.manifests.examine import examine, read
from agent.manifests.objects import CONDITION_LIST, Conditions, ObjectMeta
from agent.manifests.parsing import conditions_of, fault_lines, meta_of
from agent.manifests.scalars import Between, Matching, Quantity, Whole
from agent.manifests.scheduling import ALIASES, Requirement
from agent.manifests.written import Observed, Rule, Written
from agent.model import constraints, resources
from agent.model.overlays import NodeOverlay

PRICE: Final = "[0-9]+(\\.[0-9]+)?"
ADJUSTMENT: Final = (
    "[+-]([0-9]+(\\.[0-9]+)?|\\.[0-9]+)|\\+([0-9]+(\\.[0-9]+)?|\\.[0-9]+)%|-([0-9]{1,2}(\\.[0-9]+)?|100)%"
)
_OWN: Final = (resources.CPU, resources.MEMORY, resources.EPHEMERAL_STORAGE, resources.PODS)
"""Resources that follow from the type and the class, which no overlay may change."""


class OverlayRequirement(Requirement):
    """One condition on a label of the nodes; all conditions of the list hold together."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        *Requirement.RULES,
        Rule(
            "an overlay has no minValues: it launches nothing",
            holds=lambda r: r.min_values is None,
            reads=("minValues",),
            at="minValues",
            cel="!has(self.minValues)",
        ),
    )


class NodeOverlaySpec(Written):
    """Which types and offerings are meant, and what is true of them."""

    requirements: tuple[OverlayRequirement, ...] = Field(max_length=100)
    """Which types and offerings are meant, by label: instance types, zones, capacity types, the pool and its labels;
    required, but the list may be empty: all are meant. What neither the type nor the pool has satisfies only NotIn
    and DoesNotExist."""
    price: Annotated[str, Matching(PRICE, "a price in US dollars per hour such as 0.05")] | None = None
    """US dollars per hour, in place of the list price."""
    price_adjustment: (
        Annotated[str, Matching(ADJUSTMENT, "a change of the price such as -0.01, +0.01, -10% or +10%")] | None
    ) = None
    """What is added to the list price: dollars per hour with a sign, or a percentage with a sign, down to -100%."""
    capacity: dict[str, Quantity] = Field(default_factory=dict)
    """Extended resources that the nodes will have, such as those of a device plugin of your own."""
    weight: Annotated[Whole, Between(1, 10000)] | None = Field(None, json_schema_extra={"format": "int32"})
    """Of the overlays about the same thing the heaviest counts. Unset: 0. Two of equal weight are a conflict: the one
    whose name comes first in the alphabet then counts for nothing."""

    RULES = (
        Rule(
            "price and priceAdjustment exclude each other",
            holds=lambda spec: spec.price is None or spec.price_adjustment is None,
            reads=("price", "priceAdjustment"),
            at="priceAdjustment",
            cel="!has(self.price) || !has(self.priceAdjustment)",
        ),
        Rule(
            "cpu, memory, ephemeral-storage and pods follow from the type and the class and cannot be overlaid",
            holds=lambda spec: not set(spec.capacity) & set(_OWN),
            reads=("capacity",),
            at="capacity",
            cel="!has(self.capacity) || self.capacity.all(name, !(name in "
            "['cpu', 'memory', 'ephemeral-storage', 'pods']))",
        ),
    )


class NodeOverlayStatus(Observed):
    """What is known of the overlay."""

    conditions: Conditions = CONDITION_LIST
    """ValidationSucceeded, which names the fault or the overlay that it conflicts with, and Ready."""


class NodeOverlayManifest(Written):
    """A NodeOverlay corrects prices and capacities of instance types: discounts, devices that EC2 does not know of."""

    api_version: Literal["karpenter.sh/v1alpha1"]
    """karpenter.sh/v1alpha1."""
    kind: Literal["NodeOverlay"]
    """NodeOverlay."""
    metadata: ObjectMeta
    """Name, labels, annotations."""
    spec: NodeOverlaySpec
    """Which types and offerings are meant, and what is true of them."""
    status: NodeOverlayStatus = NodeOverlayStatus()
    """What is known of it."""


def parse_node_overlay(obj: Mapping[str, Any]) -> NodeOverlay:
    """A NodeOverlay; one with faults keeps nothing but them and its conditions."""
    examined = read(NodeOverlayManifest, obj)
    meta, faults = meta_of(obj), fault_lines(examined.faults)
    # However little of the rest can be read: what is not known to be written would be written again and again.
    status = examine(NodeOverlayStatus, obj.get("status") or {}).value
    conditions = conditions_of(status.conditions) if status is not None else ()
    if examined.value is None or faults:
        return NodeOverlay(meta, faults=faults or ("it cannot be read",), conditions=conditions)
    spec = examined.value.spec
    change = spec.price_adjustment
    percent = change is not None and change.endswith("%")
    return NodeOverlay(
        meta=meta,
        conditions=conditions,
        requirements=tuple(
            constraints.Requirement(ALIASES.get(r.key, r.key), r.operator, r.values) for r in spec.requirements
        ),
        weight=spec.weight or 0,
        price_nano_usd=_scaled(spec.price, 9) if spec.price is not None else None,
        price_change_nano_usd=_scaled(change, 9) if change is not None and not percent else None,
        price_change_ppm=_scaled(change.removesuffix("%"), 4) if change is not None and percent else None,
        capacity=resources.Resources.of({name: parse_amount(amount) for name, amount in spec.capacity.items()}),
    )


def _scaled(number: str, digits: int) -> int:
    return int(Decimal(number).scaleb(digits).to_integral_value())
