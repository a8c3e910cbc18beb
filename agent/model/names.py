"""Every label, annotation, tag, taint and finalizer that Joinery reads or writes.

Karpenter's names are kept wherever the meaning is Karpenter's, so that manifests, dashboards and
habits carry over; what Joinery adds lives under ``joinery.sh``.
"""

from typing import Final, NewType

PoolName = NewType("PoolName", str)
ClassName = NewType("ClassName", str)
ClaimName = NewType("ClaimName", str)
ClaimUid = NewType("ClaimUid", str)
NodeName = NewType("NodeName", str)
PodKey = NewType("PodKey", str)
"""``namespace/name`` of a pod."""
InstanceId = NewType("InstanceId", str)
InstanceTypeName = NewType("InstanceTypeName", str)
Zone = NewType("Zone", str)
ProviderId = NewType("ProviderId", str)
"""``aws:///<zone>/<instance id>``, as kubelet reports it in ``spec.providerID``."""

# Labels of the cluster (kubernetes.io/docs/reference/labels-annotations-taints).
ARCH: Final = "kubernetes.io/arch"
OS: Final = "kubernetes.io/os"
HOSTNAME: Final = "kubernetes.io/hostname"
ZONE: Final = "topology.kubernetes.io/zone"
REGION: Final = "topology.kubernetes.io/region"
INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"
CONTROL_PLANE: Final = "node-role.kubernetes.io/control-plane"
EXCLUDE_FROM_LOAD_BALANCERS: Final = "node.kubernetes.io/exclude-from-external-load-balancers"

# Karpenter's own.
NODEPOOL: Final = "karpenter.sh/nodepool"
CAPACITY_TYPE: Final = "karpenter.sh/capacity-type"
RESERVATION: Final = "karpenter.k8s.aws/capacity-reservation-id"
REGISTERED: Final = "karpenter.sh/registered"
INITIALIZED: Final = "karpenter.sh/initialized"
NODECLASS: Final = "karpenter.k8s.aws/ec2nodeclass"
DO_NOT_DISRUPT: Final = "karpenter.sh/do-not-disrupt"
PRICE_OVERLAY: Final = "karpenter.sh/price-overlay-applied"
CAPACITY_OVERLAY: Final = "karpenter.sh/capacity-overlay-applied"
"""On a NodeClaim: a NodeOverlay changed a price or a capacity of a type that it may become."""
DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
NODEPOOL_HASH: Final = "karpenter.sh/nodepool-hash"
NODEPOOL_HASH_VERSION: Final = "karpenter.sh/nodepool-hash-version"
NODECLASS_HASH: Final = "karpenter.k8s.aws/ec2nodeclass-hash"
NODECLASS_HASH_VERSION: Final = "karpenter.k8s.aws/ec2nodeclass-hash-version"
TERMINATION_TIMESTAMP: Final = "karpenter.sh/nodeclaim-termination-timestamp"
TERMINATION_FINALIZER: Final = "karpenter.sh/termination"
CLASS_FINALIZER: Final = "karpenter.k8s.aws/termination"
UNREGISTERED_TAINT: Final = "karpenter.sh/unregistered"
DISRUPTED_TAINT: Final = "karpenter.sh/disrupted"
DO_NOT_SYNC_TAINTS: Final = "karpenter.sh/do-not-sync-taints"
"""On a node whose kubelet sets its taints itself: it gets none when it registers."""

# Joinery's extensions.
LAUNCH_INTENT: Final = "joinery.sh/launch-intent"
"""On a NodeClaim: the attempt number and the exact CreateFleet request, written before it is sent."""
INTERRUPTION: Final = "joinery.sh/interruption"
TIME_ZONE: Final = "joinery.sh/time-zone"
USERDATA_MODE: Final = "joinery.sh/userdata"
PROTECTED: Final = "joinery.sh/protected-mode"
"""On a NodePool: why launches are held back and when the next trial is due; removed by `joinery resume`."""
ADOPT: Final = "joinery.sh/adopted"
"""On a NodeClaim that was rebuilt from an instance's tags: the instance's id."""

# EC2 tags. Keys with a slash are fine for tags but not readable through IMDS.
TAG_CLUSTER: Final = "joinery.sh/cluster"
TAG_CLUSTER_UID: Final = "joinery.sh/cluster-uid"
TAG_MANAGED: Final = "joinery.sh/managed"
TAG_ROLE: Final = "joinery.sh/role"
TAG_CLAIM: Final = "joinery.sh/nodeclaim"
TAG_CLAIM_UID: Final = "joinery.sh/nodeclaim-uid"
TAG_ATTEMPT: Final = "joinery.sh/attempt"
TAG_TEMPLATE_HASH: Final = "joinery.sh/template-hash"
TAG_POOL: Final = NODEPOOL
TAG_CLASS: Final = NODECLASS
TAG_NAME: Final = "Name"

KARPENTER_GROUP: Final = "karpenter.sh"
AWS_GROUP: Final = "karpenter.k8s.aws"
NAMESPACE: Final = "joinery-system"
FIELD_MANAGER: Final = "joinery"
BOOTSTRAP_GROUP: Final = "system:bootstrappers:joinery"
"""Group of Joinery's bootstrap tokens; never kubeadm's default group, whose requests kubeadm approves by itself."""
KUBEADM_GROUP: Final = "system:bootstrappers:kubeadm:default-node-token"
"""kubeadm's default group: kube-controller-manager approves the first certificate of whoever has a token of it."""
