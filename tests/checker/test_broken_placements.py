"""The judge rejects a plan that sends pods where they have no room, may not run, or may not run together."""

from __future__ import annotations

import pytest

from tests.checker.scene import A, B, Broken, C, Scene, Spoil, affinity, needs, rejected, spread
from tests.worlds import objects
from tests.worlds.objects import HOSTNAME, TYPE, ZONE

broken = Broken()


# Room.


@broken("node n-a has too little cpu for its pods")
def overfull(scene: Scene) -> None:
    scene.spec("web-0")["containers"][0]["resources"]["requests"]["cpu"] = "901m"


@broken("launch 0 as small has too little cpu for its pods")
def fallback_too_small(scene: Scene) -> None:
    scene.launch["requests"]["cpu"] = "2"
    scene.spec("web-1")["containers"][0]["resources"]["requests"]["cpu"] = "1001m"


@broken("launch 0 as small has too little cpu for its pods")
def no_room_left_by_daemons(scene: Scene) -> None:
    scene.named("DaemonSet", "agent")["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "301m"}
    }


@broken("launch 0 as small has too little cpu for its pods")
def no_room_left_by_daemons_of_one_of_its_zones(scene: Scene) -> None:
    spec = scene.named("DaemonSet", "agent")["spec"]["template"]["spec"]
    spec["nodeSelector"] = {ZONE: B}
    spec["containers"][0]["resources"] = {"requests": {"cpu": "301m"}}


@broken("claim coming as small has too little cpu for its pods")
def no_room_left_by_daemons_where_a_claim_may_end_up(scene: Scene) -> None:
    asked = [{"key": TYPE, "operator": "In", "values": ["small"]}]
    coming = objects.claim("coming", {ZONE: A, objects.POOL: "default"}, {"capacity": {}}, {})
    coming["metadata"]["labels"] = scene.launch["labels"]
    coming["spec"] |= {"requirements": asked, "resources": {"requests": {"cpu": "1700m", "pods": "3"}}}
    scene.objects.append(coming | {"status": {}})
    scene.named("DaemonSet", "agent")["spec"]["template"]["spec"]["nodeSelector"] = {ZONE: B}
    scene.plan["actions"] = []
    scene.plan["placements"] |= {f"shop/web-{n}": {"nodeClaim": "coming"} for n in (1, 2)}
    scene.spec("web-1")["containers"][0]["resources"]["requests"]["cpu"] = "801m"


@broken("node n-a has too little memory for its pods")
def init_container_counts(scene: Scene) -> None:
    scene.spec("web-0")["initContainers"] = [{"name": "i", "resources": {"requests": {"memory": "5Gi"}}}]


@broken("node n-a has too little cpu for its pods")
def overhead_counts(scene: Scene) -> None:
    scene.spec("web-0")["overhead"] = {"cpu": "101m"}


@broken("node n-a has too little cpu for its pods")
def sidecar_counts(scene: Scene) -> None:
    sidecar = {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "101m"}}}
    scene.spec("web-0")["initContainers"] = [sidecar]


@broken("node n-a has too little cpu for its pods")
def pod_level_resources_count(scene: Scene) -> None:
    scene.spec("web-0")["resources"] = {"requests": {"cpu": "901m"}}


@broken("node n-a has too little nvidia.com/gpu for its pods")
def no_device(scene: Scene) -> None:
    scene.spec("web-0")["containers"][0]["resources"]["limits"] = {"nvidia.com/gpu": 1}


@broken("node n-a has too little pods for its pods")
def too_many_pods(scene: Scene) -> None:
    scene.named("Node", "n-a")["status"]["allocatable"] = {"cpu": "4", "memory": "4Gi", "pods": "2"}


# Place.


@broken("pod shop/web-0 may not run on node n-a by its node selector or affinity")
def wrong_zone(scene: Scene) -> None:
    scene.spec("web-0")["nodeSelector"] = {ZONE: B}


@broken("pod shop/web-1 may not run on launch 0 as small by its node selector or affinity")
def zone_left_open(scene: Scene) -> None:
    scene.spec("web-1")["nodeSelector"] = {ZONE: A}


@broken("pod shop/web-1 may not run on launch 0 as small by its node selector or affinity")
def label_that_nobody_gives(scene: Scene) -> None:
    scene.spec("web-1")["affinity"] = needs("team", "Exists")


@broken("pod shop/web-1 may not run on launch 0 as small by its node selector or affinity")
def bound_not_met(scene: Scene) -> None:
    scene.launch["labels"]["size"] = "4"
    scene.spec("web-1")["affinity"] = needs("size", "Gt", "4")


@broken("pod shop/web-0 does not tolerate the taint fixed of node n-b")
def not_tolerated(scene: Scene) -> None:
    scene.plan["placements"]["shop/web-0"] = {"node": "n-b"}


@broken("pod shop/web-1 does not tolerate the taint ai of launch 0")
def pool_not_tolerated(scene: Scene) -> None:
    scene.pool["spec"]["template"]["spec"]["taints"] = [{"key": "ai", "effect": "NoExecute"}]
    scene.launch["taints"] = [{"key": "ai", "effect": "NoExecute"}]


@broken("pod shop/web-0 does not tolerate the taint node.kubernetes.io/unschedulable of node n-a")
def cordoned(scene: Scene) -> None:
    scene.named("Node", "n-a")["spec"]["unschedulable"] = True


# Company.


@broken("anti-affinity of shop/web-2 keeps shop/web-1 out of kubernetes.io/hostname")
def repelled(scene: Scene) -> None:
    scene.spec("web-2")["affinity"] = affinity("podAntiAffinity", "web", HOSTNAME)


@broken("anti-affinity of shop/old keeps shop/web-0 out of topology.kubernetes.io/zone")
def repelled_by_who_is_there(scene: Scene) -> None:
    scene.spec("old")["affinity"] = affinity("podAntiAffinity", "web", ZONE)
    scene.fix_zone(B)


@broken("anti-affinity of shop/web-1 keeps shop/old out of topology.kubernetes.io/zone")
def repelled_if_the_launch_falls_back_to_the_other_zone(scene: Scene) -> None:
    scene.spec("web-1")["affinity"] = affinity("podAntiAffinity", "old", ZONE)


@broken("anti-affinity of shop/web-0 keeps lab/old out of kubernetes.io/hostname")
def repelled_from_another_namespace(scene: Scene) -> None:
    scene.named("Pod", "old")["metadata"]["namespace"] = "lab"
    selector = {"matchLabels": {"team": "research"}}
    scene.spec("web-0")["affinity"] = affinity("podAntiAffinity", "old", HOSTNAME, namespaceSelector=selector)


@broken("affinity: no pod that it wants beside it is in the same topology.kubernetes.io/zone")
def alone(scene: Scene) -> None:
    scene.spec("web-1")["affinity"] = affinity("podAffinity", "old", ZONE)
    scene.fix_zone(B)


@broken("affinity: no pod that it wants beside it is in the same kubernetes.io/hostname")
def group_torn_apart(scene: Scene) -> None:
    for spec in scene.webs():
        spec["affinity"] = affinity("podAffinity", "web", HOSTNAME)


@broken("spread: topology.kubernetes.io/zone eu-west-1a would have a skew of 2, over maxSkew 1")
def crowded(scene: Scene) -> None:
    for spec in scene.webs():
        spec["topologySpreadConstraints"] = [spread(ZONE)]
    scene.fix_zone(A)


@broken("would have a skew of 2, over maxSkew 1")
def crowded_host(scene: Scene) -> None:
    for spec in scene.webs():
        spec["topologySpreadConstraints"] = [spread(HOSTNAME)]


@broken("would have a skew of 3, over maxSkew 2")
def too_few_domains(scene: Scene) -> None:
    for n in (1, 2):
        scene.spec(f"web-{n}")["topologySpreadConstraints"] = [spread(ZONE, 2, minDomains=3)]
    scene.spec("web-0")["topologySpreadConstraints"] = [spread(ZONE, 2, minDomains=3)]
    scene.fix_zone(A)


@broken("spread: the node has no label example.com/rack")
def no_such_label(scene: Scene) -> None:
    scene.spec("web-0")["topologySpreadConstraints"] = [spread("example.com/rack")]


@broken("host port 80 is taken by shop/web-1")
def port_taken(scene: Scene) -> None:
    for n, address in ((1, "10.0.0.1"), (2, "")):
        port = {"containerPort": 80, "hostPort": 80, "hostIP": address}
        scene.spec(f"web-{n}")["containers"][0]["ports"] = [port]


@broken("is taken by a DaemonSet")
def port_taken_by_a_daemon(scene: Scene) -> None:
    for spec in (scene.spec("web-1"), scene.named("DaemonSet", "agent")["spec"]["template"]["spec"]):
        spec["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 80}]


# Volumes.


@broken("PersistentVolumeClaim data is bound to a volume that cannot be attached there")
def volume_elsewhere(scene: Scene) -> None:
    scene.mount("data", "web-0", B)


@broken("there is no PersistentVolumeClaim lost")
def volume_lost(scene: Scene) -> None:
    scene.spec("web-0")["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "lost"}}]


@broken("PersistentVolumeClaim data is not bound yet")
def volume_unbound(scene: Scene) -> None:
    scene.mount("data", "web-0", A)
    del scene.named("PersistentVolumeClaim", "data")["spec"]["volumeName"]
    scene.objects.append(objects.storage_class() | {"volumeBindingMode": "Immediate"})


@broken("PersistentVolumeClaim data is not bound to its volume yet")
def volume_being_bound(scene: Scene) -> None:
    scene.mount("data", "web-0", A)
    scene.named("PersistentVolumeClaim", "data").update(objects.volume_claim("data", "data", is_bound=False))


@broken("PersistentVolumeClaim data has lost its volume")
def volume_gone(scene: Scene) -> None:
    scene.mount("data", "web-0", A)
    scene.named("PersistentVolumeClaim", "data")["status"]["phase"] = "Lost"


@broken("PersistentVolumeClaim web-0-scratch may not be made there by its StorageClass")
def volume_not_allowed_there(scene: Scene) -> None:
    scene.spec("web-0")["volumes"] = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}]
    scene.objects += [objects.volume_claim("web-0-scratch"), objects.storage_class((B, C))]


@broken("node n-a takes 1 volumes of ebs.csi.aws.com, not 2")
def too_many_volumes(scene: Scene) -> None:
    scene.mount("one", "web-0", A)
    scene.mount("two", "old", A)
    drivers = [{"name": objects.DRIVER, "nodeID": "n", "allocatable": {"count": 1}}]
    scene.objects.append({"kind": "CSINode", "metadata": {"name": "n-a"}, "spec": {"drivers": drivers}})


@pytest.mark.parametrize(("spoil", "sentence"), [way[1:] for way in broken.ways], ids=[way[0] for way in broken.ways])
def test_a_broken_plan_is_rejected_for_what_is_broken(spoil: Spoil, sentence: str) -> None:
    assert rejected(spoil, sentence)
