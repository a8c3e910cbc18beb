"""Tags that a class's terms name, as EC2's filters."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import FilterTypeDef


def tag_filters(tags: dict[str, str]) -> "list[FilterTypeDef]":
    """Every tag must be there; the value ``*`` stands for any."""
    return [
        {"Name": "tag-key", "Values": [key]} if value == "*" else {"Name": f"tag:{key}", "Values": [value]}
        for key, value in sorted(tags.items())
    ]
