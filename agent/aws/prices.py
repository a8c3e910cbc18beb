"""Prices per hour in nano-dollars: on-demand from the Pricing API, spot from EC2, shipped ones before either answers.

A price that is absent, zero, negative or no number is refused: a type that looks free would win every decision.
What was learnt once is kept when a later answer fails or lacks it.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from agent.aws.errors import Retryable, mapped
from agent.aws.session import AwsSession
from agent.aws.shipped import PriceTable, price_table
from agent.model.names import InstanceTypeName, Zone

NANO: Final = 1_000_000_000
_TOO_DEAR: Final = 100_000 * NANO
"""More per hour than any instance costs; EC2's largest are below 1,000 dollars."""
_SPOT_PRODUCTS: Final = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"]


def nano_dollars(text: str) -> int | None:
    """A decimal dollar amount as nano-dollars; None unless it is a positive and believable number."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    if not amount.is_finite():
        return None
    nano = int((amount * NANO).to_integral_value()) if abs(amount) < _TOO_DEAR else 0
    return nano if 0 < nano < _TOO_DEAR else None


class Prices:
    """The best prices known for a session's region. Refreshing replaces the table as a whole; readers keep theirs."""

    def __init__(self, session: AwsSession, clock: Callable[[], datetime] | None = None) -> None:
        self._session = session
        self._clock = clock or (lambda: datetime.now(UTC))
        self._table = price_table(session.region)

    def table(self) -> PriceTable:
        """The prices as last learnt."""
        return self._table

    def refresh_on_demand(self) -> PriceTable:
        """Read the region's on-demand prices (Linux, shared tenancy; dedicated for bare metal).

        Raises:
            AwsError: nothing was learnt, and the table stays as it was.
        """
        found: dict[InstanceTypeName, int] = {}
        for tenancy, family in (("Shared", "Compute Instance"), ("Dedicated", "Compute Instance (bare metal)")):
            for text in self._products(tenancy, family):
                for name, price in _product_price(text):
                    found.setdefault(name, price)
        if not found:
            region = self._session.region
            raise Retryable(
                f"pricing:GetProducts: no usable on-demand price for {region}; the last known prices stay in use",
                code="NoPrices",
                operation="pricing:GetProducts",
            )
        now, old = self._clock(), self._table
        kept = old.on_demand if old.on_demand_at is not None or old.exact else {}
        self._table = msgspec.structs.replace(
            old,
            date=now.date().isoformat(),
            source="AWS Price List, Linux, on-demand",
            exact=True,
            on_demand=kept | found,
            on_demand_at=now,
        )
        return self._table

    def refresh_spot(self) -> PriceTable:
        """Read the current spot price of every type and zone; the newest of each counts.

        Raises:
            AwsError: nothing was learnt, and the table stays as it was.
        """
        now = self._clock()
        newest: dict[tuple[InstanceTypeName, Zone], tuple[datetime, int]] = {}
        with mapped("ec2:DescribeSpotPriceHistory"):
            pages = self._session.client("ec2").get_paginator("describe_spot_price_history")
            for page in pages.paginate(
                StartTime=now, ProductDescriptions=_SPOT_PRODUCTS, PaginationConfig={"PageSize": 1000}
            ):
                for entry in page["SpotPriceHistory"]:
                    key = (InstanceTypeName(entry.get("InstanceType", "")), Zone(entry.get("AvailabilityZone", "")))
                    at = entry.get("Timestamp", now)
                    price = nano_dollars(entry.get("SpotPrice", ""))
                    if price is not None and (key not in newest or newest[key][0] < at):
                        newest[key] = (at, price)
        if not newest:
            raise Retryable(
                f"ec2:DescribeSpotPriceHistory: no usable spot price in {self._session.region}; "
                "the last known prices stay in use",
                code="NoPrices",
                operation="ec2:DescribeSpotPriceHistory",
            )
        spot = self._table.spot | {key: price for key, (_, price) in newest.items()}
        self._table = msgspec.structs.replace(self._table, spot=spot, spot_at=now)
        return self._table

    def _products(self, tenancy: str, family: str) -> Iterator[str]:
        terms = {
            "regionCode": self._session.region,
            "serviceCode": "AmazonEC2",
            "preInstalledSw": "NA",
            "operatingSystem": "Linux",
            "capacitystatus": "Used",
            "marketoption": "OnDemand",
            "tenancy": tenancy,
            "productFamily": family,
        }
        with mapped("pricing:GetProducts"):
            pages = (
                self._session.client("pricing")
                .get_paginator("get_products")
                .paginate(
                    ServiceCode="AmazonEC2",
                    Filters=[{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in terms.items()],
                    PaginationConfig={"PageSize": 100},
                )
            )
            for page in pages:
                yield from page["PriceList"]


class _Dimension(msgspec.Struct, rename="camel"):
    price_per_unit: dict[str, str] = {}
    unit: str = "Hrs"


class _Term(msgspec.Struct, rename="camel"):
    price_dimensions: dict[str, _Dimension] = {}


class _Terms(msgspec.Struct):
    on_demand: dict[str, _Term] = msgspec.field(default_factory=dict, name="OnDemand")


class _Attributes(msgspec.Struct, rename="camel"):
    instance_type: str = ""


class _Described(msgspec.Struct):
    attributes: _Attributes = msgspec.field(default_factory=_Attributes)


class _Product(msgspec.Struct):
    product: _Described = msgspec.field(default_factory=_Described)
    terms: _Terms = msgspec.field(default_factory=_Terms)


def _product_price(text: str) -> Iterable[tuple[InstanceTypeName, int]]:
    """Type and price of one product; nothing when the entry is not what it should be."""
    try:
        product = msgspec.json.decode(text, type=_Product)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    name = product.product.attributes.instance_type
    for term in product.terms.on_demand.values():
        for dimension in term.price_dimensions.values():
            price = nano_dollars(dimension.price_per_unit.get("USD", ""))
            if name and price is not None:
                yield InstanceTypeName(name), price
