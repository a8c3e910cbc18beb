"""``spec.kubelet``: an open map of KubeletConfiguration fields, of which those that planning reads are checked.

Field names and meanings: kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1.
"""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from agent.core.quantity import QuantityError, parse_amount
from agent.manifests.scalars import Between, Flag, Quantity, Whole, amount_text, duration_text, fault
from agent.manifests.written import Written

HIGH_THRESHOLD: Final = 85
LOW_THRESHOLD: Final = 80
"""The kubelet's own defaults of the two image garbage collection thresholds, in percent."""
SIGNALS: Final = (
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "pid.available",
)
RESERVABLE: Final = ("cpu", "memory", "ephemeral-storage", "pid")
_PERCENTAGE: Final = re.compile(r"([0-9]{1,2}(\.[0-9]+)?|100(\.0+)?)%")


def _signal(key: str) -> str:
    if key not in SIGNALS:
        raise fault(f'unknown eviction signal "{key}"')
    return key


def _reservable(key: str) -> str:
    if key not in RESERVABLE:
        raise fault(f'"{key}" cannot be reserved (only {", ".join(RESERVABLE)})')
    return key


def _threshold(value: str) -> str:
    if _PERCENTAGE.fullmatch(value):
        return value
    try:
        amount = parse_amount(value)
    except QuantityError as error:
        raise fault(f'"{value}" is neither a quantity nor a percentage of 0%..100%') from error
    if amount < 0:
        raise fault(f'"{value}" is less than nothing')
    return value


def _taints_are_owned(_value: object) -> None:
    raise fault("may not be set: a node registers with the unregistered taint, and the pool's taints follow")


def _provider_id_is_owned(_value: object) -> None:
    raise fault("may not be set: it is the instance's own")


Signal = Annotated[str, AfterValidator(_signal)]
Reservable = Annotated[str, AfterValidator(_reservable)]
Threshold = Annotated[str, BeforeValidator(amount_text), AfterValidator(_threshold)]
Grace = Annotated[str, AfterValidator(duration_text)]
Count = Annotated[Whole, Between(0, 2**31 - 1)]
Percent = Annotated[Whole, Between(0, 100)]


class KubeletFields(Written):
    """The fields that are checked; every other field of KubeletConfiguration is taken as it stands."""

    model_config = ConfigDict(extra="allow")

    max_pods: Count | None = None
    """Pods that the node accepts. Unset: the kubelet's 110."""
    pods_per_core: Count | None = None
    """Pods per core, never more than maxPods in all; 0: no such limit."""
    kube_reserved: dict[Reservable, Quantity] = Field(default_factory=dict)
    """Kept for Kubernetes' own daemons."""
    system_reserved: dict[Reservable, Quantity] = Field(default_factory=dict)
    """Kept for the operating system."""
    eviction_hard: dict[Signal, Threshold] = Field(default_factory=dict)
    """Below this pods are evicted at once."""
    eviction_soft: dict[Signal, Threshold] = Field(default_factory=dict)
    """Below this pods are evicted after the grace period."""
    eviction_soft_grace_period: dict[Signal, Grace] = Field(default_factory=dict)
    """How long evictionSoft must hold."""
    eviction_minimum_reclaim: dict[Signal, Threshold] = Field(default_factory=dict)
    """How much an eviction frees at least."""
    eviction_max_pod_grace_period: Count | None = None
    """Seconds that an evicted pod gets at most."""
    image_gc_high_threshold_percent: Percent | None = Field(None, alias="imageGCHighThresholdPercent")
    """Disk use at which unused images are removed."""
    image_gc_low_threshold_percent: Percent | None = Field(None, alias="imageGCLowThresholdPercent")
    """Disk use down to which they are removed."""
    cpu_cfs_quota: Flag | None = Field(None, alias="cpuCFSQuota")
    """Enforce CPU limits."""
    cluster_dns: tuple[str, ...] | None = Field(None, alias="clusterDNS")
    """Addresses of the cluster's DNS."""
    register_with_taints: Annotated[Any, BeforeValidator(_taints_are_owned)] = None
    """May not be set."""
    provider_id: Annotated[Any, BeforeValidator(_provider_id_is_owned)] = Field(None, alias="providerID")
    """May not be set."""


class OpenMap:
    """Checks the known fields and hands the map on as it was written."""

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401  pydantic's signature
        """Faults of the fields keep their paths below ``spec.kubelet``."""
        return core_schema.no_info_wrap_validator_function(
            _as_written,
            handler.generate_schema(KubeletFields),
            serialization=core_schema.plain_serializer_function_ser_schema(dict),
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Open: which fields there are depends on the kubelet's version."""
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _as_written(value: Any, check: core_schema.ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401  pydantic's signature
    check(value)
    return value


Kubelet = Annotated[dict[str, Any], OpenMap()]
