"""Disks, network cards, metadata service and processor options of a class's instances."""

from typing import Annotated, Final, Literal

from pydantic import Field

from agent.manifests.scalars import Between, Flag, Matching, NonEmpty, Whole
from agent.manifests.written import Rule, Written

VOLUME_LIMITS: Final = {"Gi": 59000, "G": 64000, "Ti": 58, "T": 64}
"""The largest size of a volume in each unit that Karpenter's schema allows."""


def one_to(limit: int) -> str:
    """A pattern of the integers from 1 to ``limit`` without leading zeroes."""
    digits = str(limit)
    parts = [f"[1-9][0-9]{{0,{len(digits) - 2}}}"] if len(digits) > 1 else []
    for i, digit in enumerate(digits):
        low = 1 if i == 0 else 0
        if int(digit) > low:
            rest = len(digits) - i - 1
            parts.append(f"{digits[:i]}[{low}-{int(digit) - 1}]" + (f"[0-9]{{{rest}}}" if rest else ""))
    return f"({'|'.join([*parts, digits])})"


VOLUME_SIZE: Final = "|".join(f"{one_to(limit)}{unit}" for unit, limit in VOLUME_LIMITS.items())
_SIZE_NOUN: Final = f"a volume size such as 40Gi ({', '.join(f'1..{n}{u}' for u, n in VOLUME_LIMITS.items())})"


class Ebs(Written):
    """An EBS volume. The ranges of iops and throughput depend on the type and are EC2's to check."""

    delete_on_termination: Flag | None = None
    """Delete the volume with its instance. Unset: yes, so that disks of machines long gone are not paid for."""
    encrypted: Flag | None = None
    """Encrypt the volume. Unset: the account's default."""
    iops: Annotated[Whole, Between(1)] | None = Field(None, json_schema_extra={"format": "int64"})
    """I/O operations per second: gp3 3000..16000, io1 and io2 100..64000."""
    kms_key_id: NonEmpty | None = Field(None, alias="kmsKeyID")
    """KMS key (id, alias or ARN) to encrypt with. Unset: the account's key for EBS."""
    snapshot_id: NonEmpty | None = Field(None, alias="snapshotID")
    """Snapshot that the volume starts from."""
    throughput: Annotated[Whole, Between(1)] | None = Field(None, json_schema_extra={"format": "int64"})
    """MiB per second, gp3 only: 125..1000."""
    volume_initialization_rate: Annotated[Whole, Between(100, 300)] | None = Field(
        None, json_schema_extra={"format": "int32"}
    )
    """MiB per second at which the snapshot is read ahead."""
    volume_size: Annotated[str, Matching(VOLUME_SIZE, _SIZE_NOUN)] | None = None
    """Size with its unit: Gi, G, Ti or T; EC2 gets it rounded up to GiB."""
    volume_type: Literal["standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"] | None = None
    """EBS volume type. Unset: the account's default."""

    RULES = (
        Rule(
            "needs snapshotID or volumeSize",
            holds=lambda ebs: ebs.snapshot_id is not None or ebs.volume_size is not None,
            reads=("snapshotID", "volumeSize"),
            cel="has(self.snapshotID) || has(self.volumeSize)",
        ),
        Rule(
            "volumeInitializationRate needs snapshotID",
            holds=lambda ebs: ebs.volume_initialization_rate is None or ebs.snapshot_id is not None,
            reads=("snapshotID", "volumeInitializationRate"),
            at="volumeInitializationRate",
            cel="!has(self.volumeInitializationRate) || has(self.snapshotID)",
        ),
    )


class BlockDeviceMapping(Written):
    """A disk of the instance."""

    device_name: NonEmpty | None = None
    """Name of the device, such as /dev/sda1 (Ubuntu, Debian, RHEL) or /dev/xvda (Amazon Linux, Bottlerocket)."""
    ebs: Ebs | None = None
    """The EBS volume behind it."""
    root_volume: Flag = False
    """Marks the disk that holds kubelet's directory, from which ephemeral-storage is computed."""


class MetadataOptions(Written):
    """The instance's metadata service (IMDS)."""

    http_endpoint: Literal["enabled", "disabled"] = "enabled"
    """Whether there is one. The node needs it to fetch its join token by its role."""
    http_protocol_ipv6: Literal["enabled", "disabled"] = Field("disabled", alias="httpProtocolIPv6")
    """Whether it can be reached by IPv6."""
    http_put_response_hop_limit: Annotated[Whole, Between(1, 64)] = Field(1, json_schema_extra={"format": "int64"})
    """Network hops that its answers survive. 1 keeps pods away from the node's role."""
    http_tokens: Literal["required", "optional"] = "required"
    """required: IMDSv2 only."""


class NetworkInterface(Written):
    """A network card beyond the first."""

    network_card_index: Annotated[Whole, Between(0)] = Field(json_schema_extra={"format": "int32"})
    """Which card of the instance."""
    device_index: Annotated[Whole, Between(0)] = Field(json_schema_extra={"format": "int32"})
    """Which device of the card."""
    interface_type: Literal["interface", "efa-only"]
    """An ordinary interface, or one for EFA traffic only."""


class ConnectionTracking(Written):
    """Idle timeouts after which security groups forget a connection; instances on Nitro only."""

    tcp_established_timeout: Annotated[Whole, Between(60, 432000)] | None = Field(
        None, json_schema_extra={"format": "int32"}
    )
    """Seconds for established TCP connections."""
    udp_stream_timeout: Annotated[Whole, Between(60, 180)] | None = Field(None, json_schema_extra={"format": "int32"})
    """Seconds for UDP flows with several packets each way."""
    udp_timeout: Annotated[Whole, Between(30, 60)] | None = Field(None, json_schema_extra={"format": "int32"})
    """Seconds for other UDP flows."""

    RULES = (
        Rule(
            "needs at least one timeout",
            holds=lambda t: any((t.tcp_established_timeout, t.udp_stream_timeout, t.udp_timeout)),
            reads=("tcpEstablishedTimeout", "udpStreamTimeout", "udpTimeout"),
            cel="has(self.tcpEstablishedTimeout) || has(self.udpStreamTimeout) || has(self.udpTimeout)",
        ),
    )


class CpuOptions(Written):
    """Options of the processor."""

    nested_virtualization: Literal["enabled", "disabled"] | None = None
    """enabled: only types that can run virtual machines of their own are bought."""
