"""What moto does not sell: prices, spot prices, and the public parameters that name images.

Prices are those of the product's shipped table (us-east-1, on-demand Linux). For ap-northeast-2 they are multiplied by
1.25, which is what t3 costs there; for every other region they are us-east-1's. Spot costs 35 % of on-demand, with a
little difference between zones.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from agent.aws.shipped import shipped_catalog
from agent.sim.query import Answer, Call, document, element, json_answer, json_error

REGION_FACTORS: Final = {"ap-northeast-2": 1.25}
SPOT_SHARE: Final = 0.35

COMMON_FAMILIES: Final = ("t3", "t3a", "t4g", "m5", "m6i", "m7g", "c5", "c6i", "c7g", "r5", "r6i", "r7g", "g4dn", "g5")
COMMON_SIZES: Final = ("nano", "micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge")

IMAGES: Final = (
    ("ami-0000000000ubu24ol", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260901", "x86_64"),
    ("ami-0000000000ubu2404", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20261101", "x86_64"),
    ("ami-0000000000ubu24a4", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20261101", "arm64"),
    ("ami-0000000000ubu2204", "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20261001", "x86_64"),
    ("ami-0000000000ubu22a4", "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-arm64-server-20261001", "arm64"),
    ("ami-0000000000al2023x", "al2023-ami-2023.9.20261101.0-kernel-6.1-x86_64", "x86_64"),
    ("ami-0000000000al2023a", "al2023-ami-2023.9.20261101.0-kernel-6.1-arm64", "arm64"),
)
_UBUNTU: Final = "/aws/service/canonical/ubuntu/server"
PUBLIC_PARAMETERS: Final = {
    f"{_UBUNTU}/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id": "ami-0000000000ubu2404",
    f"{_UBUNTU}/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id": "ami-0000000000ubu24a4",
    f"{_UBUNTU}/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id": "ami-0000000000ubu2204",
    f"{_UBUNTU}/22.04/stable/current/arm64/hvm/ebs-gp2/ami-id": "ami-0000000000ubu22a4",
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64": "ami-0000000000al2023x",
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64": "ami-0000000000al2023a",
}


def ami_file() -> bytes:
    """Moto's MOTO_AMIS_PATH file with the images above."""
    return msgspec.json.encode(
        [
            {
                "ami_id": image_id,
                "name": name,
                "description": name,
                "architecture": architecture,
                "owner_id": "099720109477" if name.startswith("ubuntu") else "137112412989",
                "image_type": "machine",
                "platform": "Linux/UNIX",
                "root_device_name": "/dev/sda1" if name.startswith("ubuntu") else "/dev/xvda",
                "root_device_type": "ebs",
                "state": "available",
                "virtualization_type": "hvm",
                "hypervisor": "xen",
                "sriov": "simple",
                "public": True,
                "creation_date": _date(name),
                "image_location": name,
            }
            for image_id, name, architecture in IMAGES
        ]
    )


def _date(name: str) -> str:
    """The day in an image's name, as DescribeImages says it."""
    day = next(word for word in name.replace(".", "-").split("-") if len(word) == len("20260101") and word.isdigit())
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T00:00:00.000Z"


@lru_cache(maxsize=8)
def on_demand(region: str) -> dict[str, int]:
    """Nano-dollars per hour by type."""
    factor = REGION_FACTORS.get(region, 1.0)
    return {str(k): round(v * factor) for k, v in shipped_catalog().prices_nano_usd.items()}


def price(region: str, instance_type: str, zone: str, capacity_type: str) -> int:
    """Nano-dollars per hour; a type without a price is the dearest."""
    listed = on_demand(region).get(instance_type, 10**15)
    if capacity_type != "spot":
        return listed
    return round(listed * (SPOT_SHARE + 0.01 * (ord(zone[-1:] or "a") - ord("a"))))


class Written(msgspec.Struct):
    """Prices written by hand, by type or ``*``, in dollars as AWS's text has them, so that nonsense can be written."""

    on_demand: dict[str, str] = {}
    spot: dict[str, str] = {}


_TERMS: Final = {
    "operatingSystem": "Linux",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
}
_PAGE: Final = 100


class Market:
    """Answers about prices."""

    def __init__(self, region: str) -> None:
        self._region = region
        self.written = Written()

    def products(self, call: Call) -> Answer:
        """Pricing GetProducts: one page of 100 per token."""
        filters = {f["Field"]: f["Value"] for f in call.json.get("Filters", [])}
        region = filters.get("regionCode", "us-east-1")
        metal = "bare metal" in filters.get("productFamily", "")
        prices = on_demand(region)
        listed = [(t, self._dollars(self.written.on_demand, t, prices[t])) for t in sorted(prices)]
        listed = [(t, p) for t, p in listed if (".metal" in t) == metal]
        if any(filters.get(k) != v for k, v in _TERMS.items()):
            # Without these terms the list also has Windows, licences and reserved capacity; the first is the wrong one.
            listed = [x for t, p in listed for x in ((t, "0.0000000001"), (t, p))]
        start = int(call.json.get("NextToken") or 0)
        page = [_product(t, p) for t, p in listed[start : start + _PAGE]]
        answer: dict[str, Any] = {"FormatVersion": "aws_v1", "PriceList": page}
        if start + _PAGE < len(listed):
            answer["NextToken"] = str(start + _PAGE)
        return json_answer(answer)

    def spot_history(self, offered: dict[str, set[str]], types: list[str]) -> Answer:
        """DescribeSpotPriceHistory: the price of now, one row per type and zone that offers it."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        rows = [
            element(
                "item",
                element("instanceType", text=t),
                element("productDescription", text="Linux/UNIX"),
                element("spotPrice", text=self._dollars(self.written.spot, t, price(self._region, t, z, "spot"))),
                element("timestamp", text=now),
                element("availabilityZone", text=z),
            )
            for t in types
            for z in sorted(offered.get(t, ()))
        ]
        history = element("spotPriceHistorySet", *rows)
        return document("DescribeSpotPriceHistory", history, element("nextToken", text=""))

    def _dollars(self, written: dict[str, str], instance_type: str, nano: int) -> str:
        return written.get(instance_type) or written.get("*") or f"{nano / 1e9:.10f}"


def _product(instance_type: str, dollars: str) -> str:
    dimension = {"unit": "Hrs", "pricePerUnit": {"USD": dollars}}
    return msgspec.json.encode(
        {
            "product": {"attributes": {"instanceType": instance_type}},
            "terms": {"OnDemand": {"a": {"priceDimensions": {"b": dimension}}}},
        }
    ).decode()


def public_parameter(name: str) -> Answer | None:
    """GetParameter of a public parameter; None when it is not one of ours."""
    value = PUBLIC_PARAMETERS.get(name)
    if value is None:
        return json_error("ParameterNotFound", "") if name.startswith("/aws/service/") else None
    parameter = {"Name": name, "Type": "String", "Value": value, "Version": 1, "DataType": "text"}
    return json_answer({"Parameter": parameter | {"LastModifiedDate": 1_761_955_200.0}})
