"""What is accepted because Karpenter has it, but means nothing here, or not yet: said, not dropped."""

from agent.manifests.nodeclass import EC2NodeClassSpec
from agent.manifests.nodepool import NodePoolSpec
from agent.manifests.scheduling import CAPACITY_TYPES, PoolRequirement
from agent.model import names

_CLASS_UNUSED = {
    "placement_group_selector": "spec.placementGroupSelector: placement groups are not used yet",
    "instance_store_policy": "spec.instanceStorePolicy: local disks are left alone; no array is made of them yet",
    "network_interfaces": "spec.networkInterfaces: machines get one network card; more are not attached yet",
    "ip_prefix_count": "spec.ipPrefixCount: prefixes belong to the AWS VPC CNI, which kubeadm does not bring",
    "connection_tracking": "spec.connectionTracking: not passed on yet",
    "context": "spec.context: not passed on to CreateFleet yet",
    "cpu_options": "spec.cpuOptions: not passed on yet",
    "ami_refresh": "spec.amiRefresh: the pin is not moved by itself yet",
}
_CLASS = ("karpenter.k8s.aws", "EC2NodeClass")
_EKS_FAMILIES = {"AL2", "Windows2019", "Windows2022", "Windows2025"}


def class_notes(spec: EC2NodeClassSpec) -> tuple[str, ...]:
    """Notes on a class."""
    notes = [text for field, text in _CLASS_UNUSED.items() if getattr(spec, field)]
    if spec.family in _EKS_FAMILIES:
        notes.append(f"spec.amiFamily: {spec.family} exists for EKS only; no node of it can join a kubeadm cluster")
    if spec.metadata_options.http_put_response_hop_limit > 1:
        hops = spec.metadata_options.http_put_response_hop_limit
        notes.append(f"spec.metadataOptions.httpPutResponseHopLimit: at {hops}, pods can use the node's role")
    return tuple(notes)


def _requirement_note(requirement: PoolRequirement, path: str) -> str:
    """Values that no node of this cluster can have."""
    if requirement.operator != "In":
        return ""
    if requirement.key == names.CAPACITY_TYPE and (unknown := set(requirement.values) - CAPACITY_TYPES):
        return f"{path}: unknown capacity type {', '.join(sorted(unknown))} is left out"
    if requirement.key == names.OS and "windows" in requirement.values:
        return f"{path}: windows nodes exist for EKS only; none can join a kubeadm cluster"
    return ""


def pool_notes(spec: NodePoolSpec) -> tuple[str, ...]:
    """Notes on a pool."""
    notes = [
        note
        for number, requirement in enumerate(spec.template.spec.requirements)
        if (note := _requirement_note(requirement, f"spec.template.spec.requirements[{number}].values"))
    ]
    ref = spec.template.spec.node_class_ref
    if (ref.group, ref.kind) != _CLASS:
        notes.append(
            f"spec.template.spec.nodeClassRef: {ref.kind} of {ref.group} is another program's; "
            f"here it counts as EC2NodeClass {ref.name} of karpenter.k8s.aws"
        )
    if spec.replicas is None and spec.disruption.consolidation_policy != "WhenEmpty":
        notes.append(
            f"spec.disruption.consolidationPolicy: of {spec.disruption.consolidation_policy} this version carries out "
            "the removal of empty nodes"
        )
    return tuple(notes)
