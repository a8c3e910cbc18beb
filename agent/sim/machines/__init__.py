"""The machines of the sandbox: what boots when the embedded EC2 runs an instance, in small.

A machine never runs its user data. It reads from it what the script would do that matters to the cluster: the join
facts, the phases, and the flags that it gives to kubelet. From there on it does what the script, kubeadm and kubelet
do, over HTTP: token from Parameter Store, discovery pinned to the CA, a certificate request, its own Node, heartbeats,
pods. So it takes the same things to become a node here as on EC2, and a machine that lacks one stays out.

Not here: kubeadm's signature check of cluster-info, containers and their networks, eviction by pressure, and settings
of kubelet other than labels and taints.
"""
