"""The control plane is a real one: it authenticates tokens, signs kubelets' certificates and forgets old revisions."""

from __future__ import annotations

import base64
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cluster.access import Json, public_key_hash
from tests.cluster.controlplane import ControlPlane
from tests.cluster.hollow import HollowNodes
from tests.cluster.processes import ClusterError, wait_until

CSR_PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def request_for(node: str, folder: Path) -> Json:
    subject = f"/O=system:nodes/CN=system:node:{node}"
    command = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    key = str(folder / f"{node}.key")
    made = subprocess.run([*command, "-subj", subject, "-keyout", key], check=True, capture_output=True)
    return {
        "metadata": {"name": f"csr-{node}"},
        "spec": {
            "request": base64.b64encode(made.stdout).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
        },
    }


def issued(control_plane: ControlPlane, name: str) -> bool:
    return "certificate" in control_plane.api("GET", f"{CSR_PATH}/{name}")[1]["status"]


def test_kubectl_is_the_admin_of_the_cluster(control_plane: ControlPlane) -> None:
    assert control_plane.kubectl("auth", "can-i", "*", "*").strip() == "yes"
    assert "kubeadm-config" in control_plane.kubectl("get", "configmap", "-n", "kube-system", "-o", "name")


def test_kubectl_says_why_it_failed(control_plane: ControlPlane) -> None:
    with pytest.raises(ClusterError, match="not found"):
        control_plane.kubectl("get", "node", "nobody")


def test_a_token_has_the_user_and_groups_it_was_made_for(control_plane: ControlPlane) -> None:
    group = "system:bootstrappers:test"
    token = control_plane.token(groups=[group])
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    status, answer = control_plane.api("POST", SELF, body, bearer=token)
    assert status == 201
    assert answer["status"]["userInfo"]["username"] == f"system:bootstrap:{token.partition('.')[0]}"
    assert group in answer["status"]["userInfo"]["groups"]
    assert control_plane.api("GET", "/api/v1/nodes", bearer=token)[0] == 403


def test_a_wrong_secret_is_nobody(control_plane: ControlPlane) -> None:
    token_id = control_plane.token().partition(".")[0]
    assert control_plane.api("GET", "/api/v1/nodes", bearer=f"{token_id}.0000000000000000")[0] == 401


def test_an_expired_token_is_nobody(control_plane: ControlPlane) -> None:
    token = control_plane.token(timedelta(seconds=-1))
    assert control_plane.api("GET", "/api/v1/nodes", bearer=token)[0] == 401


def test_a_request_in_kubeadms_group_is_approved_and_signed(control_plane: ControlPlane, tmp_path: Path) -> None:
    token = control_plane.token()
    assert control_plane.api("POST", CSR_PATH, request_for("signed", tmp_path), bearer=token)[0] == 201
    wait_until("certificate", lambda: issued(control_plane, "csr-signed"), timeout=10)


def test_a_request_in_another_group_waits_for_an_approver(control_plane: ControlPlane, tmp_path: Path) -> None:
    control_plane.kubectl(
        *("create", "clusterrolebinding", "test:bootstrappers"),
        *("--clusterrole=system:node-bootstrapper", "--group=system:bootstrappers:waiting"),
    )
    token = control_plane.token(groups=["system:bootstrappers:waiting"])
    assert control_plane.api("POST", CSR_PATH, request_for("waiting", tmp_path), bearer=token)[0] == 201
    time.sleep(1)
    assert control_plane.api("GET", f"{CSR_PATH}/csr-waiting")[1]["status"] == {}


def test_the_pin_is_the_hash_of_the_certificate_authoritys_public_key(control_plane: ControlPlane) -> None:
    authority = control_plane.work_dir / "pki/ca.crt"
    command = f"openssl x509 -in {authority} -pubkey -noout | openssl pkey -pubin -outform der | openssl sha256 -r"
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True)
    assert public_key_hash(authority) == control_plane.ca_cert_hash == f"sha256:{done.stdout.split()[0]}"


def test_hollow_nodes_have_the_size_and_the_marks_asked_for(control_plane: ControlPlane) -> None:
    nodes = HollowNodes(
        ["hollow-1", "hollow-2"],
        cores=16,
        memory_mib=65536,
        labels={"role": "worker"},
        taints=["workload=ai:NoSchedule"],
        extended_resources={"nvidia.com/gpu": "8"},
        provider_id="aws:///zone/{name}",
    )
    process = control_plane.hollow(nodes)
    node = control_plane.api("GET", "/api/v1/nodes/hollow-2")[1]
    assert node["status"]["capacity"] == {
        "cpu": "16",
        "ephemeral-storage": "0",
        "memory": "64Gi",
        "nvidia.com/gpu": "8",
        "pods": "110",
    }
    assert node["spec"]["providerID"] == "aws:///zone/hollow-2"
    assert {"key": "workload", "value": "ai", "effect": "NoSchedule"} in node["spec"]["taints"]
    assert node["metadata"]["labels"]["role"] == "worker"
    process.stop()
    control_plane.kubectl("delete", "node", *nodes.names)


def test_after_a_restart_and_a_compaction_old_revisions_are_gone_and_objects_are_not(tmp_path: Path) -> None:
    with ControlPlane(tmp_path, host="127.0.0.2") as own:
        before = own.api("GET", "/api/v1/namespaces")[1]["metadata"]["resourceVersion"]
        own.kubectl("create", "namespace", "kept")
        assert own.compact() > int(before)
        own.restart_apiserver()
        watch = f"/api/v1/namespaces?watch=1&timeoutSeconds=5&resourceVersion={before}"
        event = own.api("GET", watch)[1]
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        assert own.kubectl("get", "namespace", "kept", "-o", "name") == "namespace/kept\n"
        assert "apiserver_request_total" in own.metrics()
        processes = [process.popen for process in own._running.values()]
    assert all(process.poll() is not None for process in processes)
