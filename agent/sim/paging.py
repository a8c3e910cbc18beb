"""Pages. Moto returns most lists whole, whatever MaxResults says; here every list is cut as EC2 cuts it."""

import base64
from collections.abc import Callable
from typing import Final
from xml.etree import ElementTree as ET

from agent.sim.query import Answer, Call, Form, element, local_name, query_error

SETS: Final = {
    "DescribeInstances": "reservationSet",
    "DescribeInstanceTypes": "instanceTypeSet",
    "DescribeInstanceTypeOfferings": "instanceTypeOfferingSet",
    "DescribeImages": "imagesSet",
    "DescribeSubnets": "subnetSet",
    "DescribeSecurityGroups": "securityGroupInfo",
    "DescribeLaunchTemplates": "launchTemplates",
    "DescribeCapacityReservations": "capacityReservationSet",
    "DescribeSpotPriceHistory": "spotPriceHistorySet",
}
"""The element of the answer whose children are counted."""
OK = 200
_ALL: Final = "100000"


def paged(call: Call, limit: int, whole: Callable[[Form], Answer]) -> Answer:
    """One page of the list that ``whole`` answers.

    ``limit`` holds pages smaller than what was asked for (0: as asked), because a caller that reads only the first
    page is found out by small pages alone.
    """
    form = {k: v for k, v in call.form.items() if k not in {"MaxResults", "NextToken"}}
    by_id = any(k.startswith("InstanceId.") for k in form)
    if call.action == "DescribeInstances" and not by_id:
        form["MaxResults"] = _ALL  # moto's own default is a page of 100
    answer = whole(form)
    if answer.status != OK or by_id:
        return answer
    asked = int(call.form.get("MaxResults") or 0)
    size = min(s for s in (asked or int(_ALL), limit or int(_ALL)))
    token = call.form.get("NextToken", "")
    start = _offset(token) if token else 0
    if start is None:
        return query_error("InvalidNextToken", f"The token {token} is not valid")
    return _cut(answer, SETS[call.action], start, size)


def _cut(answer: Answer, name: str, start: int, size: int) -> Answer:
    root = ET.fromstring(answer.body)  # noqa: S314 - moto's own XML
    listed = next((e for e in root.iter() if local_name(e) == name), None)
    if listed is None:
        return answer
    items = list(listed)
    if start == 0 and len(items) <= size:
        return answer
    for item in items[:start] + items[start + size :]:
        listed.remove(item)
    for old in [e for e in root if local_name(e) == "nextToken"]:
        root.remove(old)
    if start + size < len(items):
        root.append(element("nextToken", text=_token(start + size)))
    return Answer(OK, ET.tostring(root, encoding="utf-8"), answer.content_type)


def _token(offset: int) -> str:
    return base64.b64encode(f"from {offset}".encode()).decode()


def _offset(token: str) -> int | None:
    try:
        return int(base64.b64decode(token, validate=True).decode().removeprefix("from "))
    except ValueError:
        return None
