"""Joinery into a cluster and out of it again: repeatable, with the least rights, and careful with what is not ours."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.kube.api import KubeApi
from agent.kube.identity import Target, life_of, renew
from agent.sim.daemon import JOINERY
from tests.cluster.controlplane import ControlPlane

ACCOUNT = "system:serviceaccount:joinery-system:joinery"
POOLS = "nodepools.karpenter.sh"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane of its own, since the CRDs of the shared one are in use."""
    with ControlPlane(tmp_path_factory.mktemp("install"), host="127.0.0.9") as running:
        yield running


def joinery(plane: ControlPlane, *arguments: str, fails: bool = False) -> str:
    environment = os.environ | {"KUBECONFIG": str(plane.kubeconfig)}
    done = subprocess.run([*JOINERY, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if fails else done.stdout


def test_installing_twice_changes_nothing_the_second_time(plane: ControlPlane) -> None:
    first = joinery(plane, "install")
    assert "nodepools.karpenter.sh created" in first
    second = joinery(plane, "install").splitlines()
    assert second
    assert all(line.endswith(" unchanged") for line in second), second


@pytest.mark.parametrize(
    ("verb", "what", "where", "allowed"),
    [
        ("create", "nodeclaims.karpenter.sh", "", True),
        ("patch", "nodeclaims.karpenter.sh/status", "", True),
        ("patch", "nodepools.karpenter.sh/status", "", True),
        ("patch", "ec2nodeclasses.karpenter.k8s.aws/status", "", True),
        ("patch", "nodes", "", True),
        ("delete", "nodes", "", True),
        ("watch", "pods", "", True),
        ("create", "pods/eviction", "default", True),
        ("watch", "secrets", "kube-system", True),
        ("patch", "certificatesigningrequests/approval", "", True),
        ("update", "leases", "joinery-system", True),
        ("create", "events", "default", True),
        ("get", "configmaps/kubelet-config", "kube-system", True),
        ("watch", "configmaps/joinery-approvals", "joinery-system", True),
        ("create", "pods", "default", False),
        ("get", "secrets", "default", False),
        ("create", "nodes", "", False),
        ("delete", "nodepools.karpenter.sh", "", False),
        ("create", "clusterrolebindings", "", False),
        ("update", "leases", "kube-system", False),
        ("create", "deployments", "default", False),
        ("impersonate", "users", "", False),
    ],
)
def test_the_daemon_may_do_what_it_must_and_nothing_beyond(
    verb: str, what: str, where: str, allowed: bool, plane: ControlPlane
) -> None:
    joinery(plane, "install")
    resource, _, sub = what.partition("/")
    name = sub if sub in {"kubelet-config", "joinery-approvals"} else ""
    group = resource.partition(".")[2]
    attributes = {
        "verb": verb,
        "group": _group(resource) or group,
        "resource": resource.partition(".")[0],
        "subresource": "" if name else sub,
        "namespace": where,
        "name": name,
    }
    body = {"spec": {"user": ACCOUNT, "resourceAttributes": attributes}}
    status, answer = plane.api("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    assert status == 201
    assert answer["status"]["allowed"] is allowed


def _group(resource: str) -> str:
    return {
        "certificatesigningrequests": "certificates.k8s.io",
        "leases": "coordination.k8s.io",
        "clusterrolebindings": "rbac.authorization.k8s.io",
        "deployments": "apps",
    }.get(resource, "")


def test_it_can_write_no_secret_but_a_bootstrap_token(plane: ControlPlane, tmp_path: Path) -> None:
    joinery(plane, "install")
    target = _credentials(plane, tmp_path)
    token = target.token.read_text()
    body = {
        "metadata": {
            "name": "stolen",
            "annotations": {"kubernetes.io/service-account.name": "admin"},
        },
        "type": "kubernetes.io/service-account-token",
    }
    status, answer = plane.api("POST", "/api/v1/namespaces/kube-system/secrets", body, bearer=token)
    assert status in {403, 422}, answer
    assert "bootstrap.kubernetes.io/token only" in answer["message"]


def _credentials(plane: ControlPlane, folder: Path) -> Target:
    target = Target(folder / "kubeconfig", folder / "token")
    joinery(
        plane,
        "credentials",
        "ensure",
        *("--admin-kubeconfig", str(plane.kubeconfig)),
        *("--out", str(target.kubeconfig), "--token-file", str(target.token), "--user", "root"),
    )
    return target


def test_credentials_are_made_once_kept_private_and_renewed_at_half_of_their_life(
    plane: ControlPlane, tmp_path: Path
) -> None:
    joinery(plane, "install")
    target = _credentials(plane, tmp_path)
    assert stat.S_IMODE(target.token.stat().st_mode) == 0o600
    first = target.token.read_text()
    _credentials(plane, tmp_path)
    assert target.token.read_text() == first, "a token that works is kept"
    with KubeApi.from_kubeconfig(str(target.kubeconfig)) as api:
        life = life_of(first)
        assert life is not None
        assert renew(api, target, datetime.now(UTC)) > 0
        assert target.token.read_text() == first
        renew(api, target, datetime.fromtimestamp((life.iat + life.exp) / 2 + 1, UTC))
        assert target.token.read_text() != first
        assert json.loads(api.get("/api/v1/nodes"))["kind"] == "NodeList"


def test_crds_that_came_from_elsewhere_are_refused_unless_adopted(plane: ControlPlane) -> None:
    joinery(plane, "install")
    plane.kubectl("label", "crd", POOLS, "app.kubernetes.io/managed-by-")
    said = joinery(plane, "install", fails=True)
    assert POOLS in said
    assert "--adopt-crds" in said
    joinery(plane, "install", "--adopt-crds")
    labels = json.loads(plane.kubectl("get", "crd", POOLS, "-o", "json"))["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "joinery"


def test_it_does_not_run_beside_a_karpenter_that_renews_its_lease(plane: ControlPlane, tmp_path: Path) -> None:
    joinery(plane, "install")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease = {
        "metadata": {"name": "karpenter-leader-election"},
        "spec": {"holderIdentity": "karpenter-0", "renewTime": now, "leaseDurationSeconds": 60},
    }
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
    assert plane.api("POST", path, lease)[0] == 201
    settings = tmp_path / "agent.yaml"
    settings.write_text("clusterName: team\nregion: ap-northeast-2\n")
    said = joinery(plane, "run", "--settings", str(settings), fails=True)
    assert "Karpenter is running" in said
    assert plane.api("DELETE", f"{path}/karpenter-leader-election")[0] == 200


def test_uninstalling_leaves_the_crds_and_what_people_wrote(plane: ControlPlane) -> None:
    joinery(plane, "install")
    said = joinery(plane, "uninstall")
    assert "clusterrole.rbac.authorization.k8s.io/joinery deleted" in said
    assert POOLS in plane.kubectl("get", "crd", "-o", "name")
    remaining = plane.kubectl("get", "clusterrole,clusterrolebinding", "-o", "name")
    assert "joinery" not in remaining
    joinery(plane, "uninstall", "--delete-crd", POOLS)
    assert POOLS not in plane.kubectl("get", "crd", "-o", "name")
