"""Whether the classes resolve, and whether EC2 would let us launch with them: asked with DryRun, nothing is bought."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agent.aws.classes import ResolvedClass
from agent.aws.ec2 import Ec2
from agent.aws.errors import AwsError, CapacityUnavailable, Denied, mapped
from agent.kube import paths, wire
from agent.manifests import NodeClassManifest
from agent.model import names
from agent.preflight.finding import Finding
from agent.preflight.site import Site
from agent.preflight.statements import fix_for

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import TagTypeDef

FEW_ADDRESSES: Final = 16
"""AWS itself keeps five addresses of each subnet; a node takes one, and its load balancers some more."""
_WOULD_HAVE: Final = "DryRunOperation"
_SMALL: Final = {"amd64": "t3.small", "arm64": "t4g.small"}


def classes(site: Site) -> Iterator[Finding]:
    """Each EC2NodeClass: what its terms mean now, and what is wrong with it."""
    if not site.classes:
        yield Finding("nodeclass", "warn", "there is no EC2NodeClass: nothing can be bought", "kubectl apply -f …")
    for manifest, resolved in site.resolved:
        cause = next((c for c in resolved.conditions if c.type == "Ready" and c.status != "True"), None)
        if cause is not None:
            level: Any = "fail" if cause.status == "False" else "unknown"
            yield Finding("nodeclass", level, f"{manifest.meta.name}: {cause.message}")
            continue
        free = sum(s.free_addresses for s in resolved.subnets)
        images = ", ".join(i.id for i in resolved.images)
        sentence = (
            f"{manifest.meta.name}: {len(resolved.subnets)} subnets with {free} free addresses, "
            f"{len(resolved.security_groups)} security groups, image {images}, profile {resolved.instance_profile}"
        )
        yield Finding("nodeclass", "ok", sentence)
        for subnet in resolved.subnets:
            if subnet.free_addresses < FEW_ADDRESSES:
                message = f"{manifest.meta.name}: subnet {subnet.id} in {subnet.zone} has {subnet.free_addresses} free"
                yield Finding("nodeclass", "warn", message, "give the class further or larger subnets")


def rights(site: Site) -> Iterator[Finding]:
    """CreateLaunchTemplate, TerminateInstances, and RunInstances, which EC2 checks for CreateFleet, with PassRole."""
    ec2 = site.session.client("ec2")
    uid = wire.uid(site.api.get(paths.namespaces("kube-system")))
    tags: list[TagTypeDef] = [
        {"Key": names.TAG_CLUSTER, "Value": site.settings.cluster_name},
        {"Key": names.TAG_CLUSTER_UID, "Value": uid},
        {"Key": names.TAG_MANAGED, "Value": "true"},
    ]
    yield _asked(
        site,
        "ec2:CreateLaunchTemplate",
        lambda: ec2.create_launch_template(
            DryRun=True,
            LaunchTemplateName="joinery-check",
            LaunchTemplateData={"InstanceType": "t3.small"},
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}],
        ),
    )
    for manifest, resolved in site.resolved:
        if resolved.ready:
            yield _launch(site, manifest, resolved, tags)
    own = [
        m
        for m in Ec2(site.session, site.settings.cluster_name, uid).machines()
        if m.is_ours(m.tags[names.TAG_CLUSTER], uid) and m.alive
    ]
    if own:
        yield _asked(
            site, "ec2:TerminateInstances", lambda: ec2.terminate_instances(DryRun=True, InstanceIds=[own[0].id])
        )


def _launch(site: Site, manifest: NodeClassManifest, resolved: ResolvedClass, tags: "list[TagTypeDef]") -> Finding:
    image = resolved.images[0]
    arm = any("arm64" in r.values for r in image.requirements)
    request: dict[str, Any] = {
        "DryRun": True,
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": image.id,
        "InstanceType": _SMALL["arm64" if arm else "amd64"],
        "SubnetId": resolved.subnets[0].id,
        "SecurityGroupIds": list(resolved.security_groups),
        "IamInstanceProfile": {"Name": resolved.instance_profile},
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
    }
    ec2 = site.session.once()
    found = _asked(site, "ec2:RunInstances", lambda: ec2.run_instances(**request))
    return msgspec.structs.replace(found, message=f"{manifest.meta.name}: {found.message}")


def _asked(site: Site, action: str, ask: Callable[[], object]) -> Finding:
    """EC2's answer to a dry run: that it would have done it, or why not."""
    try:
        with mapped(action):
            ask()
    except Denied as error:
        return Finding("launch", "fail", str(error), fix_for(error, site))
    except CapacityUnavailable as error:
        return Finding("launch", "ok", f"{action} is allowed (EC2 adds: {error})")
    except AwsError as error:
        if error.code == _WOULD_HAVE:
            return Finding("launch", "ok", f"{action} is allowed")
        return Finding("launch", "warn", f"{action} would be refused: {error}", "look at the class that it names")
    return Finding("launch", "unknown", f"{action}: EC2 ignored DryRun")
