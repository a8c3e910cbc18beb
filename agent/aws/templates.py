"""Launch templates: everything about an instance but its type, subnet and image, by content.

One per content: its name is the hash, so that a class that did not change finds its template again, and two
processes that make it at once meet at the name. Templates are never changed, only made and deleted.
"""

import base64
import hashlib
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from agent.aws.classes import ResolvedClass
from agent.aws.errors import AlreadyExists, Gone, Invalid, Retryable, mapped
from agent.aws.session import AwsSession
from agent.core.quantity import parse_amount
from agent.manifests import EC2NodeClassSpec
from agent.manifests.hardware import BlockDeviceMapping
from agent.model import names
from agent.model.names import ClassName

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import RequestLaunchTemplateDataTypeDef, TagTypeDef

MAX_USER_DATA_BYTES: Final = 16_384
"""EC2's limit, before base64."""
VERSION: Final = "1"
"""Templates are never changed, so that there is only the first."""
_FORMAT: Final = b"joinery launch template 2\n"
"""Part of every hash: to be raised when the same content is to be written differently."""
_NAME_LIMIT: Final = 128
_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9().\-/_]")
"""What EC2 allows in no template name."""
_GIB: Final = 1 << 30
_CREATE: Final = "ec2:CreateLaunchTemplate"


class Disk(msgspec.Struct, frozen=True):
    """One block device mapping, as EC2 takes it."""

    device_name: str
    size_gib: int | None = None
    volume_type: str | None = None
    encrypted: bool | None = None
    iops: int | None = None
    throughput: int | None = None
    kms_key_id: str | None = None
    snapshot_id: str | None = None
    delete_on_termination: bool = True


class TemplateContent(msgspec.Struct, frozen=True):
    """What every instance of a class is launched with."""

    node_class: ClassName
    user_data: str
    security_groups: tuple[str, ...]
    instance_profile: str
    image_id: str
    """Default image; a launch names the one of the type's architecture."""
    http_endpoint: str
    http_protocol_ipv6: str
    http_hop_limit: int
    http_tokens: str
    disks: tuple[Disk, ...] = ()
    detailed_monitoring: bool = False
    public_ip: bool | None = None
    reservation: str = ""
    """Id of the capacity reservation that instances are launched into, and nowhere else. Empty: into none."""
    tags: dict[str, str] = {}
    """The class's own tags; those that say whose an instance is come with each launch."""

    @property
    def hash(self) -> str:
        """Of the content, and of how it is written."""
        return hashlib.sha256(_FORMAT + msgspec.json.encode(self, order="deterministic")).hexdigest()[:32]


def template_content(
    spec: EC2NodeClassSpec, resolved: ResolvedClass, node_class: ClassName, user_data: str
) -> TemplateContent:
    """What a class's instances are launched with.

    Raises:
        Invalid: the userData is larger than EC2 takes, or the class found no image.
    """
    size = len(user_data.encode())
    if size > MAX_USER_DATA_BYTES:
        sentence = (
            f"userData of EC2NodeClass {node_class} has {size} bytes; EC2 takes {MAX_USER_DATA_BYTES}: "
            "shorten spec.userData, or let it fetch the rest"
        )
        raise Invalid(sentence, code="UserDataTooLarge", operation=_CREATE)
    if not resolved.images:
        sentence = f"EC2NodeClass {node_class} has no image"
        raise Invalid(sentence, code="NoImage", operation=_CREATE)
    options = spec.metadata_options
    return TemplateContent(
        node_class=node_class,
        user_data=user_data,
        security_groups=resolved.security_groups,
        instance_profile=resolved.instance_profile,
        image_id=resolved.images[0].id,
        http_endpoint=options.http_endpoint,
        http_protocol_ipv6=options.http_protocol_ipv6,
        http_hop_limit=options.http_put_response_hop_limit,
        http_tokens=options.http_tokens,
        disks=tuple(_disk(m) for m in spec.block_device_mappings),
        detailed_monitoring=bool(spec.detailed_monitoring),
        public_ip=spec.associate_public_ip_address,
        tags=dict(spec.tags),
    )


def _disk(mapping: BlockDeviceMapping) -> Disk:
    ebs = mapping.ebs
    if ebs is None:
        return Disk(mapping.device_name or "")
    return Disk(
        device_name=mapping.device_name or "",
        size_gib=-(-parse_amount(ebs.volume_size) // _GIB) if ebs.volume_size is not None else None,
        volume_type=ebs.volume_type,
        encrypted=ebs.encrypted,
        iops=ebs.iops,
        throughput=ebs.throughput,
        kms_key_id=ebs.kms_key_id,
        snapshot_id=ebs.snapshot_id,
        delete_on_termination=ebs.delete_on_termination is not False,
    )


def template_name(cluster: str, cluster_uid: str, content_hash: str) -> str:
    """Name of a content's template, within EC2's rules (3 to 128 letters, digits and ``().-/_``) for any cluster."""
    ending = f"/{_NO_NAME.sub('-', cluster_uid)[:8]}/{content_hash}"
    return f"joinery/{_NO_NAME.sub('-', cluster)}"[: _NAME_LIMIT - len(ending)] + ending


class ListedTemplate(msgspec.Struct, frozen=True):
    """A launch template of this cluster."""

    id: str
    hash: str
    created_at: datetime


class Templates:
    """The launch templates of one cluster."""

    def __init__(self, session: AwsSession, cluster: str, cluster_uid: str) -> None:
        self._session = session
        self._cluster = cluster
        self._cluster_uid = cluster_uid

    def ensure(self, content: TemplateContent) -> tuple[str, str]:
        """Id and version of the template with this content; made when it is not there.

        EC2 is asked each time: a template that somebody deleted is found missing before a launch names it.

        Raises:
            AlreadyExists: the name is taken by a template that does not carry this cluster's tags.
            Retryable: another process made it just now and EC2 does not show it yet.
            AwsError: EC2 did not answer or refused.
        """
        name = template_name(self._cluster, self._cluster_uid, content.hash)
        return self._find(name) or self._create(name, content), VERSION

    def listed(self) -> tuple[ListedTemplate, ...]:
        """Templates that carry this cluster's tags."""
        found = []
        filters = [
            {"Name": f"tag:{names.TAG_CLUSTER}", "Values": [self._cluster]},
            {"Name": f"tag:{names.TAG_CLUSTER_UID}", "Values": [self._cluster_uid]},
            {"Name": f"tag:{names.TAG_MANAGED}", "Values": ["true"]},
        ]
        with mapped("ec2:DescribeLaunchTemplates"):
            pages = self._session.client("ec2").get_paginator("describe_launch_templates").paginate(Filters=filters)  # type: ignore[arg-type]
            for page in pages:
                for template in page.get("LaunchTemplates", ()):
                    tags = {t["Key"]: t["Value"] for t in template.get("Tags", ())}
                    found.append(
                        ListedTemplate(
                            template["LaunchTemplateId"], tags.get(names.TAG_TEMPLATE_HASH, ""), template["CreateTime"]
                        )
                    )
        return tuple(found)

    def delete(self, template_id: str) -> None:
        """Delete a template; one that is gone is fine."""
        try:
            with mapped("ec2:DeleteLaunchTemplate"):
                self._session.client("ec2").delete_launch_template(LaunchTemplateId=template_id)
        except Gone:
            return

    def _find(self, name: str) -> str | None:
        try:
            with mapped("ec2:DescribeLaunchTemplates"):
                answer = self._session.client("ec2").describe_launch_templates(LaunchTemplateNames=[name])
        except Gone:
            return None
        found = answer.get("LaunchTemplates", [])
        if not found:
            return None
        tags = {t.get("Key", ""): t.get("Value", "") for t in found[0].get("Tags", ())}
        if tags.get(names.TAG_CLUSTER_UID) != self._cluster_uid or tags.get(names.TAG_MANAGED) != "true":
            message = f"{_CREATE}: the launch template {name} exists and is not ours; rename or delete it"
            raise AlreadyExists(message, code="NotOurs", operation=_CREATE)
        return found[0]["LaunchTemplateId"]

    def _create(self, name: str, content: TemplateContent) -> str:
        tags = _tags(
            {
                names.TAG_CLUSTER: self._cluster,
                names.TAG_CLUSTER_UID: self._cluster_uid,
                names.TAG_MANAGED: "true",
                names.TAG_CLASS: content.node_class,
                names.TAG_TEMPLATE_HASH: content.hash,
            }
        )
        try:
            with mapped(_CREATE):
                answer = self._session.client("ec2").create_launch_template(
                    LaunchTemplateName=name,
                    LaunchTemplateData=launch_template_data(content),
                    TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}],
                )
        except AlreadyExists as error:
            found = self._find(name)
            if found is None:
                message = f"{_CREATE}: {name} was made by another process and is not shown yet; ask again"
                raise Retryable(message, code=error.code, operation=_CREATE) from error
            return found
        return answer["LaunchTemplate"]["LaunchTemplateId"]


def launch_template_data(content: TemplateContent) -> "RequestLaunchTemplateDataTypeDef":
    """The request's body. An instance that powers itself off is terminated: a failed join costs nothing more."""
    data: RequestLaunchTemplateDataTypeDef = {
        "ImageId": content.image_id,
        "UserData": base64.b64encode(content.user_data.encode()).decode(),
        "InstanceInitiatedShutdownBehavior": "terminate",
        "Monitoring": {"Enabled": content.detailed_monitoring},
        "MetadataOptions": {
            "HttpEndpoint": content.http_endpoint,  # type: ignore[typeddict-item]  # checked by the manifest
            "HttpProtocolIpv6": content.http_protocol_ipv6,  # type: ignore[typeddict-item]  # checked by the manifest
            "HttpPutResponseHopLimit": content.http_hop_limit,
            "HttpTokens": content.http_tokens,  # type: ignore[typeddict-item]  # checked by the manifest
            "InstanceMetadataTags": "disabled",  # tag keys with a slash would make IMDS refuse the launch
        },
        "BlockDeviceMappings": [_mapping(d) for d in content.disks],  # type: ignore[misc]  # as above
    }
    if content.reservation:
        data["CapacityReservationSpecification"] = {
            "CapacityReservationPreference": "capacity-reservations-only",
            "CapacityReservationTarget": {"CapacityReservationId": content.reservation},
        }
    else:
        # An open reservation is there for those that its owner meant it for.
        data["CapacityReservationSpecification"] = {"CapacityReservationPreference": "none"}
    if content.instance_profile:
        data["IamInstanceProfile"] = {"Name": content.instance_profile}
    if content.public_ip is None:
        data["SecurityGroupIds"] = list(content.security_groups)
    else:
        data["NetworkInterfaces"] = [
            {
                "DeviceIndex": 0,
                "AssociatePublicIpAddress": content.public_ip,
                "Groups": list(content.security_groups),
            }
        ]
    return data


def _mapping(disk: Disk) -> dict[str, object]:
    ebs = {
        "VolumeSize": disk.size_gib,
        "VolumeType": disk.volume_type,
        "Encrypted": disk.encrypted,
        "Iops": disk.iops,
        "Throughput": disk.throughput,
        "KmsKeyId": disk.kms_key_id,
        "SnapshotId": disk.snapshot_id,
        "DeleteOnTermination": disk.delete_on_termination,
    }
    return {"DeviceName": disk.device_name, "Ebs": {k: v for k, v in ebs.items() if v is not None}}


def _tags(pairs: dict[str, str]) -> "list[TagTypeDef]":
    return [{"Key": k, "Value": v} for k, v in sorted(pairs.items())]
