"""Volumes, claims, classes and attach limits, read into the words of the engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent.kube import wire
from agent.model.constraints import Requirement
from agent.model.volumes import Traits

if TYPE_CHECKING:
    from agent.model.volumes import StorageClass, Volume, VolumeClaim
    from tests.kube.apihttp import Json

ZONE = "topology.kubernetes.io/zone"


def volume(spec: Json, **meta: object) -> Volume:
    return wire.volume(json.dumps({"metadata": {"name": "pv", **meta}, "spec": spec}).encode())


def claim(spec: Json, **meta: object) -> VolumeClaim:
    return wire.volume_claim(
        json.dumps({"metadata": {"name": "data", "namespace": "shop", **meta}, "spec": spec}).encode()
    )


def storage_class(body: Json, **meta: object) -> StorageClass:
    return wire.storage_class(json.dumps({"metadata": {"name": "gp3", **meta}, **body}).encode())


def within(*zones: str) -> Json:
    expression = {"key": ZONE, "operator": "In", "values": list(zones)}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def test_a_csi_volume_has_a_driver_a_handle_and_the_places_it_can_be() -> None:
    read = volume({"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"}, "nodeAffinity": within("a", "b")})
    assert (read.driver, read.handle) == ("ebs.csi.aws.com", "vol-1")
    assert read.terms == ((Requirement(ZONE, "In", ("a", "b")),),)


def test_an_in_tree_ebs_volume_is_the_csi_drivers() -> None:
    """Its handle has to be the driver's, or one volume would count twice."""
    read = volume({"awsElasticBlockStore": {"volumeID": "aws://eu-west-1a/vol-0abc"}})
    assert (read.driver, read.handle, read.terms) == ("ebs.csi.aws.com", "vol-0abc", ())


def test_the_zone_label_of_an_old_volume_binds_it() -> None:
    labels = {ZONE: "a__b", "tier": "x"}
    bare = volume({"awsElasticBlockStore": {"volumeID": "vol-0"}}, labels=labels)
    assert bare.terms == ((Requirement(ZONE, "In", ("a", "b")),),)
    both = volume({"nodeAffinity": within("a")}, labels=labels)
    assert both.terms == ((Requirement(ZONE, "In", ("a",)), Requirement(ZONE, "In", ("a", "b"))),)


def test_a_volume_elsewhere_than_on_ec2_has_no_driver_and_any_place() -> None:
    read = volume({"nfs": {"server": "x"}, "nodeAffinity": None})
    assert (read.driver, read.terms) == ("", ())


def test_a_volume_whose_place_is_not_understood_can_be_nowhere() -> None:
    unknown = {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": ZONE, "operator": "Near"}]}]}}
    (term,) = volume({"nodeAffinity": unknown}).terms
    assert [(r.operator, r.values) for r in term] == [("In", ())]


def test_a_claim_says_what_it_is_bound_to_and_its_class() -> None:
    read = claim({"volumeName": "pv", "storageClassName": "gp3"}, labels={"a": "b"})
    assert (read.volume, read.storage_class, read.meta.namespace) == ("pv", "gp3", "shop")
    assert (claim({}).volume, claim({}).storage_class) == ("", None)
    assert claim({"storageClassName": ""}).storage_class == ""
    assert claim({}, annotations={"volume.beta.kubernetes.io/storage-class": "old"}).storage_class == "old"


def test_what_a_claim_asks_and_a_free_volume_has_is_read_and_whose_a_volume_is() -> None:
    asked = claim(
        {
            "resources": {"requests": {"storage": "10Gi"}},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
            "volumeMode": "Block",
            "selector": {"matchLabels": {"tier": "fast"}},
        }
    )
    same = Traits(10 << 30, ("ReadOnlyMany", "ReadWriteOnce"), is_block=True)
    assert (asked.traits, asked.selector) == (same, (Requirement("tier", "In", ("fast",)),))
    own: Json = {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteOnce", "ReadOnlyMany"],
        "volumeMode": "Block",
        "storageClassName": "static",
    }
    free = volume(own, labels={"tier": "fast"})
    assert (free.traits, free.storage_class, free.claim, free.meta.labels) == (same, "static", "", {"tier": "fast"})
    kept = volume(own | {"claimRef": {"namespace": "shop", "name": "data", "uid": "u"}}, labels={"tier": "fast"})
    assert (kept.claim, kept.claim_uid, kept.meta.labels) == ("shop/data", "u", {})


def test_a_claim_that_names_its_volume_is_bound_to_it_once_kubernetes_says_so() -> None:
    mark = {"pv.kubernetes.io/bind-completed": "yes"}
    assert claim({"volumeName": "pv"}).is_binding
    assert not claim({"volumeName": "pv"}, annotations=mark).is_binding
    assert not claim({}).is_binding
    lost = {
        "metadata": {"name": "data", "annotations": mark},
        "spec": {"volumeName": "pv"},
        "status": {"phase": "Lost"},
    }
    assert wire.volume_claim(json.dumps(lost).encode()).phase == "Lost"


def test_a_class_says_who_makes_its_volumes_where_and_when() -> None:
    topologies = [
        {"matchLabelExpressions": [{"key": "topology.ebs.csi.aws.com/zone", "values": ["a", "b"]}]},
        {"matchLabelExpressions": [{"key": ZONE, "values": ["c"]}]},
        {},
    ]
    read = storage_class(
        {
            "provisioner": "ebs.csi.aws.com",
            "volumeBindingMode": "WaitForFirstConsumer",
            "allowedTopologies": topologies,
        },
        annotations={"storageclass.kubernetes.io/is-default-class": "true"},
    )
    assert (read.provisioner, read.late, read.is_default) == ("ebs.csi.aws.com", True, True)
    assert read.topologies == (
        (Requirement("topology.ebs.csi.aws.com/zone", "In", ("a", "b")),),
        (Requirement(ZONE, "In", ("c",)),),
    )
    plain = storage_class({"provisioner": "kubernetes.io/aws-ebs"})
    assert (plain.provisioner, plain.late, plain.is_default) == ("ebs.csi.aws.com", False, False)


def test_a_node_attaches_what_its_drivers_state() -> None:
    drivers = [
        {"name": "ebs.csi.aws.com", "allocatable": {"count": 24}},
        {"name": "efs.csi.aws.com", "allocatable": None},
        {"name": "full.example.com", "allocatable": {"count": 0}},
    ]
    read = wire.attach_limits(json.dumps({"metadata": {"name": "i-1"}, "spec": {"drivers": drivers}}).encode())
    assert (read.node_name, read.limits) == ("i-1", {"ebs.csi.aws.com": 24, "full.example.com": 0})
    assert wire.attach_limits(b'{"metadata": {"name": "i-1"}, "spec": {"drivers": null}}').limits == {}


def test_namespaces_keep_their_labels_and_priority_classes_their_value() -> None:
    assert wire.namespace(b'{"metadata": {"name": "shop", "labels": {"team": "x"}}}').meta.labels == {"team": "x"}
    read = wire.priority_class(b'{"metadata": {"name": "high"}, "value": 9, "globalDefault": true}')
    assert (read.value, read.is_default) == (9, True)
