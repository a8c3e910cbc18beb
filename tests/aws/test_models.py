"""botocore's models, read without their documentation."""

import json
from typing import Any

import boto3
import pytest

from agent.aws import models
from agent.sim.embedded import REGION

SERVICES = ("ec2", "ssm", "pricing", "iam", "sts")


def _prose(value: Any) -> int:
    if isinstance(value, dict):
        here = len(value["documentation"]) if isinstance(value.get("documentation"), str) else 0
        return here + sum(_prose(part) for part in value.values())
    return sum(_prose(part) for part in value) if isinstance(value, list) else 0


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without(v) for k, v in value.items() if not (k == "documentation" and isinstance(v, str))}
    return [_without(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("service", SERVICES)
def test_a_model_lacks_its_prose_and_nothing_else(service: str) -> None:
    full = boto3.Session(region_name=REGION).client(service).meta.service_model  # type: ignore[call-overload]
    lean = models.session(REGION).client(service).meta.service_model  # type: ignore[call-overload]
    was, now = full._service_description, lean._service_description
    assert _prose(was) > 10_000, "there was something to leave out"
    assert _prose(now) == 0
    assert json.dumps(_without(was), sort_keys=True) == json.dumps(now, sort_keys=True)
