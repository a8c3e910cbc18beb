"""The sandbox's controllers and scheduler: as much of kube-controller-manager and kube-scheduler as a demo needs.

Each controller is a pure function from what is there to what is to be written; ``loop`` keeps the view and writes.

There are: Deployments with their ReplicaSets and DaemonSets; the scheduler's filters for resources, nodeSelector,
required node affinity and taints; PodDisruptionBudgets; nodes whose machine is gone. Garbage collection and the signing
of certificates are the API's own (``agent.sim.apiserver``). Not there: StatefulSets, Jobs, volumes, preemption,
eviction by taint, and the spreading of pods. A pod that needs one of the scheduler's missing filters is not bound, and
its condition says so.
"""
