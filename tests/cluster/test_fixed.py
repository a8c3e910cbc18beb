"""The kubeadm configurations of control-plane machines, given to a real kubeadm and a real API server.

`kubeadm init` as a whole starts static pods, which need a container runtime: not run here. Its phases without them are.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.join.fixed import control_plane as script
from tests.cluster import build
from tests.cluster.controlplane import ControlPlane
from tests.cluster.imds import MetadataServer, role_credentials
from tests.cluster.processes import ClusterError
from tests.join.cluster import AwsAnswering, Json

ENDPOINT = "api.example:6443"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One of its own: the phases rewrite what a cluster says of itself."""
    with ControlPlane(tmp_path_factory.mktemp("fixed")) as running:
        yield running


@pytest.fixture
def program(tmp_path: Path) -> Iterator[list[str]]:
    """The program of the script, on a machine that is only its files; the ticket that it finds never ends soon."""
    ticket = {"token": "abcdef.0123456789abcdef", "key": "e" * 64, "authority": "sha256:" + "a" * 64}
    value = json.dumps(ticket | {"until": int(time.time()) + 7200})

    def answer(_operation: str, _body: Json) -> tuple[int, Json]:
        return 200, {"Parameter": {"Value": value}}

    metadata = MetadataServer(
        {
            "meta-data/instance-id": "i-0aaaabbbbccccdddd",
            "meta-data/local-ipv4": "10.42.32.10",
            "meta-data/iam/security-credentials/role": role_credentials("ASIATEST", "secret", "session"),
        }
    )
    store = AwsAnswering(answer)
    text = script().replace("/etc/joinery/machine.json", str(tmp_path / "machine.json"))
    for name, mark in (("instance.py", "INSTANCE_PY"), ("control_plane.py", "CONTROL_PLANE_PY")):
        found = re.search(rf"<<'JOINERY_{mark}'\n(.*?)^JOINERY_{mark}$", text, re.DOTALL | re.MULTILINE)
        assert found is not None
        (tmp_path / name).write_text(found[1])
    known = {
        "cluster": "team",
        "region": "ap-northeast-2",
        "prefix": "/joinery/team",
        "kmsKey": "",
        "release": build.kubernetes_version().removeprefix("v"),
        "endpoint": ENDPOINT,
        "certificateNames": ["api.other", "203.0.113.7"],
        "podCidr": "10.244.0.0/16",
        "serviceCidr": "10.96.0.0/12",
    }
    (tmp_path / "machine.json").write_text(json.dumps(known))
    where = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url, "AWS_ENDPOINT_URL_SSM": store.url}
    yield ["env", *(f"{k}={v}" for k, v in where.items()), sys.executable, str(tmp_path / "control_plane.py")]
    metadata.close()
    store.close()


def configured(program: list[str], folder: Path, *command: str) -> Path:
    folder.mkdir()
    subprocess.run([*program, command[0], str(folder), *command[1:]], check=True, env={"PATH": os.defpath})
    return folder / "kubeadm.yaml"


def with_certificates_in(folder: Path, config: Path) -> Path:
    """The same configuration, for certificates that are not where a real machine has them."""
    config.write_text(config.read_text().replace('"clusterName"', f'"certificatesDir": "{folder}", "clusterName"'))
    return config


def kubeadm(plane: ControlPlane, *arguments: str) -> str:
    return plane._tool("kubeadm", *arguments)


def test_kubeadm_finds_no_fault_in_the_configurations(plane: ControlPlane, program: list[str], tmp_path: Path) -> None:
    first = configured(program, tmp_path / "first", "configure", "300")
    further = configured(program, tmp_path / "further", "join", "0", "0")

    for path in (first, further):
        kubeadm(plane, "config", "validate", "--config", str(path))
    further.write_text(further.read_text().replace("certificateKey", "certificateKeys"))
    with pytest.raises(ClusterError, match=r"unknown field.*certificateKeys"):
        kubeadm(plane, "config", "validate", "--config", str(further))


def test_the_phases_of_init_that_need_no_containers_run(
    plane: ControlPlane, program: list[str], tmp_path: Path
) -> None:
    config = with_certificates_in(tmp_path / "pki", configured(program, tmp_path / "first", "configure", "300"))
    kubeadm(plane, "init", "phase", "certs", "all", "--config", str(config))
    folder = str(tmp_path / "conf")
    kubeadm(plane, "init", "phase", "kubeconfig", "all", "--config", str(config), "--kubeconfig-dir", folder)
    names = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(tmp_path / "pki/apiserver.crt")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    for name in ("api.example", "api.other", "203.0.113.7", "10.42.32.10", "i-0aaaabbbbccccdddd"):
        assert name in names
    assert f"https://{ENDPOINT}" in (tmp_path / "conf/admin.conf").read_text()
    admin = ("--kubeconfig", str(plane.kubeconfig))
    kubeadm(plane, "init", "phase", "upload-config", "kubeadm", "--config", str(config), *admin)
    kubeadm(plane, "init", "phase", "bootstrap-token", "--config", str(config), *admin)
    stored = plane.kubectl("get", "configmap", "kubeadm-config", "-n", "kube-system", "-o", "jsonpath={.data}")
    assert ENDPOINT in stored


def test_the_ticket_is_a_token_and_encrypted_certificates_in_the_cluster(
    plane: ControlPlane, program: list[str], tmp_path: Path
) -> None:
    pki = Path(plane._layout.pki("ca.crt")).parent
    config = with_certificates_in(pki, configured(program, tmp_path / "ticket", "configure"))
    admin = ("--kubeconfig", str(plane.kubeconfig))

    kubeadm(plane, "init", "phase", "upload-certs", "--upload-certs", "--config", str(config), *admin)
    printed = kubeadm(plane, "token", "create", "--config", str(config), *admin)

    ticket = json.loads((tmp_path / "ticket/ticket").read_text())
    assert ticket["token"] in printed
    secret = plane.kubectl("get", "secret", f"bootstrap-token-{ticket['token'][:6]}", "-n", "kube-system", "-o", "json")
    assert "expiration" in json.loads(secret)["data"]
    uploaded = json.loads(plane.kubectl("get", "secret", "kubeadm-certs", "-n", "kube-system", "-o", "json"))
    assert {"ca.crt", "ca.key", "etcd-ca.key", "sa.key"} <= set(uploaded["data"])
