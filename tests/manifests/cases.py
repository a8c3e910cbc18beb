"""Manifests with one fault each, and the line that it must be answered with. The API server must refuse them too."""

import copy
import itertools
from dataclasses import dataclass
from typing import Any

Json = Any
"""What YAML or JSON hold."""

POOL: dict[str, Json] = {
    "apiVersion": "karpenter.sh/v1",
    "kind": "NodePool",
    "metadata": {"name": "pool"},
    "spec": {
        "template": {
            "metadata": {"labels": {"role": "worker"}},
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "class"},
                "requirements": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}],
            },
        }
    },
}
CLASS: dict[str, Any] = {
    "apiVersion": "karpenter.k8s.aws/v1",
    "kind": "EC2NodeClass",
    "metadata": {"name": "class"},
    "spec": {
        "amiFamily": "Ubuntu",
        "role": "nodes",
        "subnetSelectorTerms": [{"tags": {"cluster": "c"}}],
        "securityGroupSelectorTerms": [{"tags": {"cluster": "c"}}],
    },
}
CLAIM: dict[str, Any] = {
    "apiVersion": "karpenter.sh/v1",
    "kind": "NodeClaim",
    "metadata": {"name": "claim"},
    "spec": {
        "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "class"},
        "requirements": [{"key": "karpenter.sh/nodepool", "operator": "In", "values": ["pool"]}],
        "resources": {"requests": {"cpu": "1"}},
    },
}
OVERLAY: dict[str, Any] = {
    "apiVersion": "karpenter.sh/v1alpha1",
    "kind": "NodeOverlay",
    "metadata": {"name": "overlay"},
    "spec": {
        "requirements": [{"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["m5.large"]}],
        "priceAdjustment": "-10%",
    },
}
T = "spec.template.spec"
REQUIREMENT = f"{T}.requirements.0"
EBS = "spec.blockDeviceMappings.0.ebs"


def changed(base: dict[str, Any], *changes: tuple[str, Any]) -> dict[str, Any]:
    """A copy in which what stands at each dotted path is replaced; lists grow, and missing maps are made."""
    whole = copy.deepcopy(base)
    for path, value in changes:
        *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        current: Any = whole
        for parent, child in itertools.pairwise((*parents, last)):
            empty: Any = [] if isinstance(child, int) else {}
            if isinstance(parent, int):
                if parent == len(current):
                    current.append(empty)
            else:
                current.setdefault(parent, empty)
            current = current[parent]
        if isinstance(last, int) and last == len(current):
            current.append(value)
        else:
            current[last] = value
    return whole


@dataclass(frozen=True)
class Case:
    """One fault."""

    line: str
    obj: dict[str, Any]
    server: bool = True
    """Whether the API server refuses it by the CRD; False: only the agent can tell."""

    @property
    def name(self) -> str:
        return f"{self.obj['kind']}-{self.line}"


def pool(line: str, *changes: tuple[str, Any], server: bool = True) -> Case:
    return Case(line, changed(POOL, *changes), server)


def node_class(line: str, *changes: tuple[str, Any], server: bool = True) -> Case:
    return Case(line, changed(CLASS, *changes), server)


def claim(line: str, *changes: tuple[str, Any], server: bool = True) -> Case:
    return Case(line, changed(CLAIM, *changes), server)


def overlay(line: str, *changes: tuple[str, Any], server: bool = True) -> Case:
    return Case(line, changed(OVERLAY, *changes), server)


def requirement(**fields: Json) -> dict[str, Json]:
    return {"key": "example.com/size", "operator": "In", "values": ["1"], **fields}


RESTRICTED_TAG = "is restricted: by it machines are told whose they are"

POOL_CASES = (
    pool("spec.weight: must be 1..100", ("spec.weight", 0)),
    pool("spec.weight: must be 1..100", ("spec.weight", 101)),
    pool("spec.weight: must be an integer", ("spec.weight", "10")),
    pool("spec.limit: unknown field (did you mean spec.limits?)", ("spec.limit", {"cpu": 1})),
    pool(f"spec.expireAfter: unknown field (did you mean {T}.expireAfter?)", ("spec.expireAfter", "1h")),
    pool(
        "metadata.name: must have at most 63 characters, because it becomes a label value", ("metadata.name", "a" * 64)
    ),
    pool(
        'metadata.name: "Pool" is not a name (lower-case letters, digits, - and .)',
        ("metadata.name", "Pool"),
    ),
    pool('spec.limits.cpu: "twenty" is not a quantity', ("spec.limits.cpu", "twenty")),
    pool('spec.limits.cpu: "-1" is less than nothing', ("spec.limits.cpu", "-1"), server=False),
    pool("spec.replicas: must be at least 0", ("spec.replicas", -1)),
    pool("spec.weight: a static pool (with replicas) has no weight", ("spec.replicas", 1), ("spec.weight", 1)),
    pool(
        "spec.limits: a static pool (with replicas) may limit only nodes",
        ("spec.replicas", 1),
        ("spec.limits", {"cpu": "1"}),
    ),
    pool(f"{T}.requirements: is required", (T, {"nodeClassRef": POOL["spec"]["template"]["spec"]["nodeClassRef"]})),
    pool(f"{T}.nodeClassRef.name: is required", (f"{T}.nodeClassRef", {"group": "g", "kind": "k"})),
    pool(
        f"{T}.nodeClassRef.group: group must not contain a slash (a version does not belong here)",
        (f"{T}.nodeClassRef.group", "karpenter.k8s.aws/v1"),
    ),
    pool(f"{T}.nodeClassRef.kind: must not be empty", (f"{T}.nodeClassRef.kind", "")),
    pool(f'{T}.expireAfter: "30 days" is not a duration', (f"{T}.expireAfter", "30 days")),
    pool(f'{T}.expireAfter: "1d" is not a duration (write 24h)', (f"{T}.expireAfter", "1d")),
    pool(
        f'{T}.expireAfter: "9999999h" is longer than a duration can be', (f"{T}.expireAfter", "9999999h"), server=False
    ),
    pool(
        f"{T}.nodeClassRef.apiVersion: unknown field (it is group, without a version, since karpenter.sh/v1)",
        (f"{T}.nodeClassRef.apiVersion", "karpenter.k8s.aws/v1beta1"),
    ),
    pool(
        f"{T}.kubelet: unknown field (it is spec.kubelet of the EC2NodeClass since karpenter.sh/v1)",
        (f"{T}.kubelet", {}),
    ),
    pool(f'{T}.terminationGracePeriod: "Never" is not a duration', (f"{T}.terminationGracePeriod", "Never")),
    pool(
        "spec.disruption.budgets[0]: schedule and duration go together",
        ("spec.disruption.budgets", [{"schedule": "@daily"}]),
    ),
    pool(
        'spec.disruption.budgets[0].nodes: "101%" is not a number of nodes or a percentage of 0%..100%',
        ("spec.disruption.budgets", [{"nodes": "101%"}]),
    ),
    pool('spec.disruption.budgets[0].nodes: must be a string (write "1")', ("spec.disruption.budgets", [{"nodes": 1}])),
    pool(
        'spec.disruption.budgets[0].schedule: "@sometimes" is not a cron schedule of five fields',
        ("spec.disruption.budgets", [{"schedule": "@sometimes", "duration": "1h"}]),
    ),
    pool(
        'spec.disruption.budgets[0].schedule: "61 * * * *" is not a cron schedule (bad minute)',
        ("spec.disruption.budgets", [{"schedule": "61 * * * *", "duration": "1h"}]),
        server=False,
    ),
    pool(
        'spec.disruption.budgets[0].schedule: "0 0 L * *" is not a cron schedule of five fields',
        ("spec.disruption.budgets", [{"schedule": "0 0 L * *", "duration": "1h"}]),
        server=False,
    ),
    pool(
        'spec.disruption.budgets[0].duration: "30s" is not a duration in hours and minutes',
        ("spec.disruption.budgets", [{"schedule": "@daily", "duration": "30s"}]),
    ),
    pool(
        'spec.disruption.budgets[0].reasons[0]: unknown reasons "Drift" (did you mean Drifted?)',
        ("spec.disruption.budgets", [{"reasons": ["Drift"]}]),
    ),
    pool("spec.disruption.budgets: must have at most 50 entries", ("spec.disruption.budgets", [{}] * 51)),
    pool(
        'spec.disruption.consolidationPolicy: unknown consolidationPolicy "Sometimes" '
        "(one of WhenEmpty, WhenEmptyOrUnderutilized, Balanced)",
        ("spec.disruption.consolidationPolicy", "Sometimes"),
    ),
    pool('spec.disruption.consolidateAfter: "soon" is not a duration', ("spec.disruption.consolidateAfter", "soon")),
    pool(
        "spec.template.metadata.labels[karpenter.sh/nodepool]: karpenter.sh/nodepool is restricted: "
        "it is set for every node of the pool",
        ("spec.template.metadata.labels", {"karpenter.sh/nodepool": "x"}),
    ),
    pool(
        "spec.template.metadata.labels[kubernetes.io/hostname]: kubernetes.io/hostname is restricted: "
        "every node has its own",
        ("spec.template.metadata.labels", {"kubernetes.io/hostname": "x"}),
    ),
    pool(
        "spec.template.metadata.labels[a.karpenter.sh/x]: a.karpenter.sh/x is restricted: "
        "the domain karpenter.sh is reserved",
        ("spec.template.metadata.labels", {"a.karpenter.sh/x": "x"}),
    ),
    pool('spec.template.metadata.labels.a: "-" is not a label value', ("spec.template.metadata.labels", {"a": "-"})),
    pool(
        'spec.template.metadata.labels.a: must be a string (write "true")',
        ("spec.template.metadata.labels", {"a": True}),
    ),
    pool(
        "spec.template.metadata.labels: must have at most 100 entries",
        ("spec.template.metadata.labels", {f"k{i}": "v" for i in range(101)}),
    ),
    pool(
        f"{T}.requirements[0].key: karpenter.k8s.aws/instance-colour is not a label of the domain karpenter.k8s.aws",
        (REQUIREMENT, requirement(key="karpenter.k8s.aws/instance-colour")),
    ),
    pool(
        f"{T}.requirements[0].key: karpenter.sh/nodepool is restricted: it is set for every node of the pool",
        (REQUIREMENT, requirement(key="karpenter.sh/nodepool")),
    ),
    pool(f'{T}.requirements[0].operator: unknown operator "Within"', (REQUIREMENT, requirement(operator="Within"))),
    pool(f"{T}.requirements[0].values: In needs at least one value", (REQUIREMENT, requirement(values=[]))),
    pool(
        f"{T}.requirements[0].values: Gt, Lt, Gte and Lte need exactly one value, an integer of at least 0",
        (REQUIREMENT, requirement(operator="Gt", values=["1", "2"])),
    ),
    pool(
        f"{T}.requirements[0].values: Gt, Lt, Gte and Lte need exactly one value, an integer of at least 0",
        (REQUIREMENT, requirement(operator="Lte", values=["many"])),
    ),
    pool(
        f"{T}.requirements[0].minValues: In needs at least as many values as minValues says",
        (REQUIREMENT, requirement(minValues=2)),
    ),
    pool(f"{T}.requirements[0].minValues: must be 1..50", (REQUIREMENT, requirement(minValues=0))),
    pool(
        f"{T}.requirements[0].values: capacity types are on-demand, spot and reserved; "
        "at least one of them (or minValues of them) must stay",
        (REQUIREMENT, requirement(key="karpenter.sh/capacity-type", values=["sport"])),
        server=False,
    ),
    pool(f"{T}.requirements: must have at most 100 entries", (f"{T}.requirements", [requirement()] * 101)),
    pool(
        f'{T}.taints[0].effect: unknown effect "NoScheduling" (did you mean NoSchedule?)',
        (f"{T}.taints", [{"key": "a", "effect": "NoScheduling"}]),
    ),
    pool(f"{T}.taints[0].key: must not be empty", (f"{T}.taints", [{"key": "", "effect": "NoSchedule"}])),
    pool(
        f"{T}.taints: the same key and effect may stand only once in taints and startupTaints together",
        (f"{T}.taints", [{"key": "a", "effect": "NoSchedule"}]),
        (f"{T}.startupTaints", [{"key": "a", "effect": "NoSchedule", "value": "b"}]),
        server=False,
    ),
    pool(
        "metadata.annotations: joinery.sh/time-zone is not a time zone that this system knows (one is Asia/Seoul)",
        ("metadata.annotations", {"joinery.sh/time-zone": "Asia/Atlantis"}),
        server=False,
    ),
)

CLASS_CASES = (
    node_class("spec: needs exactly one of role and instanceProfile", ("spec.instanceProfile", "p")),
    node_class("spec.role: must not be empty", ("spec.role", "")),
    node_class('spec.amiFamily: unknown amiFamily "Ubunto" (did you mean Ubuntu?)', ("spec.amiFamily", "Ubunto")),
    node_class(
        "spec.amiFamily: amiFamily must be that of the alias, or Custom",
        ("spec.amiSelectorTerms", [{"alias": "al2023@latest"}]),
    ),
    node_class(
        "spec.amiSelectorTerms: a term with an alias must be the only term",
        ("spec.amiSelectorTerms", [{"alias": "ubuntu@latest"}, {"id": "ami-1"}]),
    ),
    node_class(
        "spec.amiSelectorTerms: Custom needs amiSelectorTerms: there is no default image", ("spec.amiFamily", "Custom")
    ),
    node_class(
        'spec.amiSelectorTerms[0].alias: "ubuntu" is not an image alias such as "ubuntu@latest"',
        ("spec.amiSelectorTerms", [{"alias": "ubuntu"}]),
    ),
    node_class(
        "spec.amiSelectorTerms[0]: needs tags, id, name, alias or ssmParameter",
        ("spec.amiSelectorTerms", [{"owner": "self"}]),
    ),
    node_class(
        "spec.amiSelectorTerms[0]: id cannot stand together with alias, tags, name or owner",
        ("spec.amiSelectorTerms", [{"id": "ami-1", "owner": "self"}]),
    ),
    node_class(
        "spec.amiSelectorTerms[0]: alias cannot stand together with tags, name or owner",
        ("spec.amiSelectorTerms", [{"alias": "ubuntu@latest", "name": "n"}]),
    ),
    node_class("spec.subnetSelectorTerms: must have at least 1 entry", ("spec.subnetSelectorTerms", [])),
    node_class("spec.subnetSelectorTerms[0]: needs tags or id", ("spec.subnetSelectorTerms", [{}])),
    node_class(
        "spec.subnetSelectorTerms[0]: id cannot stand together with tags",
        ("spec.subnetSelectorTerms", [{"id": "subnet-1", "tags": {"a": "b"}}]),
    ),
    node_class(
        'spec.subnetSelectorTerms[0].id: "vpc-1" is not a subnet id (subnet-…)',
        ("spec.subnetSelectorTerms", [{"id": "vpc-1"}]),
    ),
    node_class(
        "spec.subnetSelectorTerms[0].tags.a: must not be empty", ("spec.subnetSelectorTerms", [{"tags": {"a": ""}}])
    ),
    node_class("spec.securityGroupSelectorTerms[0]: needs tags, id or name", ("spec.securityGroupSelectorTerms", [{}])),
    node_class(
        "spec.securityGroupSelectorTerms[0]: name cannot stand together with tags",
        ("spec.securityGroupSelectorTerms", [{"name": "n", "tags": {"a": "b"}}]),
    ),
    node_class(
        "spec.capacityReservationSelectorTerms[0]: needs tags, id or instanceMatchCriteria",
        ("spec.capacityReservationSelectorTerms", [{"ownerID": "123456789012"}]),
    ),
    node_class(
        'spec.capacityReservationSelectorTerms[0].ownerID: "me" is not an account id of twelve digits',
        ("spec.capacityReservationSelectorTerms", [{"ownerID": "me", "tags": {"a": "b"}}]),
    ),
    node_class(
        "spec.placementGroupSelector: needs exactly one of name and id",
        ("spec.placementGroupSelector", {"name": "n", "id": "pg-1"}),
    ),
    node_class(
        f'spec.tags[karpenter.sh/nodepool]: "karpenter.sh/nodepool" {RESTRICTED_TAG}',
        ("spec.tags", {"karpenter.sh/nodepool": "x"}),
    ),
    node_class(
        f'spec.tags[kubernetes.io/cluster/c]: "kubernetes.io/cluster/c" {RESTRICTED_TAG}',
        ("spec.tags", {"kubernetes.io/cluster/c": "owned"}),
    ),
    node_class(
        f'spec.tags[joinery.sh/managed]: "joinery.sh/managed" {RESTRICTED_TAG}',
        ("spec.tags", {"joinery.sh/managed": "true"}),
    ),
    node_class("spec.tags[]: a tag's key must not be empty", ("spec.tags", {"": "x"})),
    node_class(
        "spec.blockDeviceMappings: only one disk can be the rootVolume",
        ("spec.blockDeviceMappings", [{"rootVolume": True}, {"rootVolume": True}]),
    ),
    node_class("spec.blockDeviceMappings[0].ebs: needs snapshotID or volumeSize", (EBS, {"encrypted": True})),
    node_class(
        "spec.blockDeviceMappings[0].ebs.volumeInitializationRate: volumeInitializationRate needs snapshotID",
        (EBS, {"volumeSize": "1Gi", "volumeInitializationRate": 100}),
    ),
    node_class(
        'spec.blockDeviceMappings[0].ebs.volumeSize: "59001Gi" is not a volume size such as 40Gi '
        "(1..59000Gi, 1..64000G, 1..58Ti, 1..64T)",
        (EBS, {"volumeSize": "59001Gi"}),
    ),
    node_class(
        'spec.blockDeviceMappings[0].ebs.volumeType: unknown volumeType "gp4" (did you mean gp3?)',
        (EBS, {"volumeSize": "1Gi", "volumeType": "gp4"}),
    ),
    node_class(
        'spec.instanceStorePolicy: unknown instanceStorePolicy "RAID5" (did you mean RAID0?)',
        ("spec.instanceStorePolicy", "RAID5"),
    ),
    node_class(
        "spec.metadataOptions.httpPutResponseHopLimit: must be 1..64",
        ("spec.metadataOptions", {"httpPutResponseHopLimit": 65}),
    ),
    node_class(
        'spec.metadataOptions.httpTokens: unknown httpTokens "mandatory" (one of required, optional)',
        ("spec.metadataOptions", {"httpTokens": "mandatory"}),
    ),
    node_class("spec.connectionTracking: needs at least one timeout", ("spec.connectionTracking", {})),
    node_class("spec.connectionTracking.udpTimeout: must be 30..60", ("spec.connectionTracking", {"udpTimeout": 5})),
    node_class(
        "spec.networkInterfaces: networkInterfaces must contain card 0, device 0 of type interface",
        ("spec.networkInterfaces", [{"networkCardIndex": 1, "deviceIndex": 0, "interfaceType": "interface"}]),
    ),
    node_class(
        "spec.networkInterfaces: no two networkInterfaces may share card and device",
        ("spec.networkInterfaces", [{"networkCardIndex": 0, "deviceIndex": 0, "interfaceType": "interface"}] * 2),
        server=False,
    ),
    node_class("spec.ipPrefixCount: must be at least 0", ("spec.ipPrefixCount", -1)),
    node_class("spec.detailedMonitoring: must be true or false", ("spec.detailedMonitoring", "yes")),
    node_class('spec.amiRefresh: "weekly" is not a cron schedule of five fields', ("spec.amiRefresh", "weekly")),
    node_class(
        "metadata.annotations: joinery.sh/userdata may be jinja or be left out",
        ("metadata.annotations", {"joinery.sh/userdata": "jinjer"}),
        server=False,
    ),
    node_class("spec.kubelet.maxPods: must be an integer", ("spec.kubelet", {"maxPods": "110"}), server=False),
    node_class(
        'spec.kubelet.evictionHard[memory.availible]: unknown eviction signal "memory.availible"',
        ("spec.kubelet", {"evictionHard": {"memory.availible": "5%"}}),
        server=False,
    ),
    node_class(
        'spec.kubelet.evictionHard[memory.available]: "101%" is neither a quantity nor a percentage of 0%..100%',
        ("spec.kubelet", {"evictionHard": {"memory.available": "101%"}}),
        server=False,
    ),
    node_class(
        "spec.kubelet.evictionSoft: evictionSoft and evictionSoftGracePeriod must name the same signals",
        ("spec.kubelet", {"evictionSoft": {"memory.available": "5%"}}),
        server=False,
    ),
    node_class(
        'spec.kubelet.systemReserved.disk: "disk" cannot be reserved (only cpu, memory, ephemeral-storage, pid)',
        ("spec.kubelet", {"systemReserved": {"disk": "1Gi"}}),
        server=False,
    ),
    node_class(
        "spec.kubelet.imageGCHighThresholdPercent: imageGCHighThresholdPercent must be greater than "
        "imageGCLowThresholdPercent",
        ("spec.kubelet", {"imageGCHighThresholdPercent": 50, "imageGCLowThresholdPercent": 50}),
        server=False,
    ),
    node_class(
        "spec.kubelet.registerWithTaints: may not be set: a node registers with the unregistered taint, "
        "and the pool's taints follow",
        ("spec.kubelet", {"registerWithTaints": []}),
        server=False,
    ),
)

CLAIM_CASES = (
    claim(
        "spec.requirements[0].key: karpenter.sh/registered is restricted: the domain karpenter.sh is reserved",
        ("spec.requirements.0.key", "karpenter.sh/registered"),
    ),
    claim('spec.resources.requests.cpu: "lots" is not a quantity', ("spec.resources.requests.cpu", "lots")),
    claim('spec.expireAfter: "never" is not a duration', ("spec.expireAfter", "never")),
)

OVERLAY_CASES = (
    overlay("spec.priceAdjustment: price and priceAdjustment exclude each other", ("spec.price", "0.05")),
    *(
        overlay(
            f'spec.priceAdjustment: "{text}" is not a change of the price such as -0.01, +0.01, -10% or +10%',
            ("spec.priceAdjustment", text),
        )
        for text in ("10%", "0.5", "-101%", "-", "+%")
    ),
    overlay(
        'spec.price: "-1" is not a price in US dollars per hour such as 0.05',
        ("spec.priceAdjustment", None),
        ("spec.price", "-1"),
    ),
    overlay(
        "spec.capacity: cpu, memory, ephemeral-storage and pods follow from the type and the class and cannot be "
        "overlaid",
        ("spec.capacity", {"cpu": "1"}),
    ),
    overlay("spec.weight: must be 1..10000", ("spec.weight", 0)),
    overlay(
        "spec.requirements[0].minValues: an overlay has no minValues: it launches nothing",
        ("spec.requirements.0.minValues", 1),
    ),
    overlay("spec.requirements: is required", ("spec.requirements", None)),
)

CASES = (*POOL_CASES, *CLASS_CASES, *CLAIM_CASES, *OVERLAY_CASES)
