"""The scripts of fixed machines, run: the first control-plane machine, further ones, and base workers."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.join.facts import ca_hashes
from agent.join.fixed import base_worker, control_plane
from agent.join.userdata import MACHINE, MAX_BYTES, RenderOptions
from tests.cluster.imds import MetadataServer, role_credentials
from tests.join.classes import FACTS
from tests.join.cluster import AwsAnswering, Json
from tests.join.machine import Boot, Machine

ID, ADDRESS, ENDPOINT = "i-0aaaabbbbccccdddd", "10.42.32.10", "api.example:6443"
PREFIX = "/joinery/team"
STATE, TICKET = f"{PREFIX}/control-plane/state", f"{PREFIX}/control-plane/join"
QUICK = RenderOptions(token_wait_seconds=20, join_wait_seconds=20, retry_seconds=0)
HOPELESS = RenderOptions(token_wait_seconds=0, join_wait_seconds=0, retry_seconds=0)
KUBEADM = """\
case "$1 $2" in
"version -o") echo v1.35.3 ;;
"config images") [ "$3" != list ] || echo registry.k8s.io/pause:3.10.1 ;;
"init --config")
  [ ! -e "$RECORD/behaviour/init" ] || . "$RECORD/behaviour/init"
  cp "$3" "$RECORD/init.yaml"
  cat "$3"
  grep "$(sed 's/:.*//' <<<"$ENDPOINT")" "$ROOT/etc/hosts" >"$RECORD/hosts"
  mkdir -p "$ROOT/etc/kubernetes/pki" "$ROOT/var/lib/kubelet"
  cp "$RECORD/ca.crt" "$ROOT/etc/kubernetes/pki/ca.crt" ;;
"init phase") cp "$6" "$RECORD/upload.yaml"; cat "$6" ;;
"token create") cp "$4" "$RECORD/token.yaml"; cat "$4" ;;
"join --config")
  tries=$(grep -c '^kubeadm join' "$RECORD/calls")
  cp "$3" "$RECORD/join-$tries.yaml"
  [ ! -e "$RECORD/behaviour/join" ] || . "$RECORD/behaviour/join"
  cat "$3" ;;
esac
"""


class Parameters:
    """Parameter Store, with what was written in the order of writing."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.written: list[tuple[str, str]] = []
        self.missing: list[str] = []
        self.service = AwsAnswering(self._answer)

    def _answer(self, operation: str, body: Json) -> tuple[int, Json]:
        name = str(body["Name"])
        if operation == "PutParameter":
            self.values[name] = str(body["Value"])
            self.written.append((name, str(body["Type"])))
            return 200, {"Version": 1}
        if name not in self.values:
            self.missing.append(name)
            return 400, {"__type": "ParameterNotFound", "message": name}
        return 200, {"Parameter": {"Value": self.values[name]}}

    @property
    def ticket(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.values[TICKET])
        return found


@pytest.fixture
def parameters() -> Iterator[Parameters]:
    made = Parameters()
    made.values[STATE] = "new"
    yield made
    made.service.close()


@pytest.fixture
def metadata() -> Iterator[MetadataServer]:
    server = MetadataServer(
        {
            "meta-data/instance-id": ID,
            "meta-data/placement/availability-zone": "ap-northeast-2a",
            "meta-data/local-hostname": "ip-10-42-32-10.ap-northeast-2.compute.internal",
            "meta-data/local-ipv4": ADDRESS,
            "meta-data/iam/security-credentials/role": role_credentials("ASIATEST", "secret", "session"),
        }
    )
    yield server
    server.close()


class Site:
    """One machine, and where its downloads are."""

    def __init__(self, folder: Path, ca: str, metadata: MetadataServer, parameters: Parameters) -> None:
        self.machine = Machine(folder, metadata=metadata.url, ssm=parameters.service.url, baked=True)
        self.record = self.machine.record
        for name in ("kubectl", "mount"):
            Machine.stand_in(self.machine.bin / name)
        self.machine.behave("kubeadm", f"ENDPOINT={ENDPOINT}\n{KUBEADM}")
        self.machine.behave("kubectl", 'cp "$3" "$RECORD/network"')
        (self.record / "ca.crt").write_text(ca)
        (self.machine.root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        self.manifest = folder / "kube-flannel.yml"
        self.manifest.write_text('net-conf.json: {"Network": "10.244.0.0/16"}\n')
        self.wheel = folder / "joinery_agent-0.1.0-py3-none-any.whl"
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr("agent/host/install.sh", 'echo "install.sh $*" >>"$RECORD/calls"\n')

    def known(self, **other: object) -> dict[str, object]:
        return {
            "cluster": "team",
            "region": "ap-northeast-2",
            "prefix": PREFIX,
            "kmsKey": "",
            "release": "1.35.3",
            "endpoint": ENDPOINT,
            "certificateNames": ["api.other"],
            "podCidr": "10.100.0.0/16",
            "serviceCidr": "10.96.0.0/12",
            "network": "flannel",
            "networkVersion": "0.27.4",
            "networkSource": str(self.manifest),
            "networkSha256": "",
            "wheel": str(self.wheel),
            "wheelSha256": hashlib.sha256(self.wheel.read_bytes()).hexdigest(),
            "settings": "clusterName: team\nregion: ap-northeast-2\n",
            "first": True,
        } | other

    def boot(self, options: RenderOptions = QUICK, **other: object) -> Boot:
        return self.machine.boot(control_plane(options).replace(MACHINE, json.dumps(self.known(**other))))

    def documents(self, name: str) -> dict[str, dict[str, Any]]:
        """The documents of a configuration that kubeadm was given, by their kind."""
        texts = (self.record / name).read_text().split("\n---\n")
        return {document["kind"]: document for document in map(json.loads, texts)}


@pytest.fixture
def site(tmp_path: Path, ca: str, metadata: MetadataServer, parameters: Parameters) -> Site:
    return Site(tmp_path, ca, metadata, parameters)


def secrets_of(site: Site, name: str) -> list[str]:
    return re.findall(r"[0-9a-f]{64}|[a-z0-9]{6}\.[a-z0-9]{16}", (site.record / name).read_text().split("caCert")[0])


def ticket(seconds: int, **other: object) -> str:
    made = {"token": "abcdef.0123456789abcdef", "key": "e" * 64, "authority": "sha256:" + "a" * 64}
    return json.dumps(made | {"until": int(time.time()) + seconds} | other)


def test_the_first_machine_makes_the_cluster(site: Site) -> None:
    boot = site.boot()

    assert boot.status == 0, boot.console
    phases = ["identity", "system", "source", "packages", "containerd", "role", "init", "network", "ticket", "joinery"]
    assert boot.phases == [*phases, "joined"]
    made = site.documents("init.yaml")
    first, cluster = made["InitConfiguration"], made["ClusterConfiguration"]
    assert first["nodeRegistration"]["name"] == ID
    assert first["localAPIEndpoint"] == {"advertiseAddress": ADDRESS, "bindPort": 6443}
    assert first["bootstrapTokens"][0]["ttl"] == "300s"
    assert (cluster["clusterName"], cluster["kubernetesVersion"]) == ("team", "v1.35.3")
    assert cluster["controlPlaneEndpoint"] == ENDPOINT
    assert cluster["networking"] == {"podSubnet": "10.100.0.0/16", "serviceSubnet": "10.96.0.0/12"}
    assert cluster["apiServer"]["certSANs"] == ["api.example", "api.other"]


def test_the_kubelet_of_a_control_plane_knows_its_provider_id_and_nothing_of_pools(site: Site) -> None:
    site.boot()

    drop_in = site.machine.text("etc/systemd/system/kubelet.service.d/90-joinery.conf")
    assert f"--provider-id=aws:///ap-northeast-2a/{ID} " in drop_in
    assert "register-with-taints" not in drop_in


def test_that_the_cluster_was_made_is_written_down_before_anything_else_can_fail(
    site: Site, parameters: Parameters
) -> None:
    site.machine.behave("kubectl", "exit 1")
    site.machine.stand_in(site.machine.bin / "sleep")

    boot = site.boot()

    assert "reason=the pod network cannot be installed" in boot.console
    assert parameters.values[STATE] == "initialised"
    assert not boot.called("poweroff")


def test_a_first_machine_that_failed_before_leaves_the_cluster_to_be_made(site: Site, parameters: Parameters) -> None:
    site.machine.behave("init", "echo 'error execution phase wait-control-plane'; exit 1")

    boot = site.boot()

    assert boot.status != 0
    assert "joinery: phase=failed at=init" in boot.console
    assert "joinery: log: error execution phase wait-control-plane" in boot.console
    assert parameters.values[STATE] == "new"
    assert not boot.called("poweroff")


def test_the_api_is_reached_at_this_machine_until_the_load_balancer_knows_it(site: Site) -> None:
    site.boot()

    assert (site.record / "hosts").read_text() == f"{ADDRESS} api.example\n"
    assert site.machine.text("etc/hosts") == "127.0.0.1 localhost\n"


def test_the_ticket_is_a_fresh_token_and_key_for_two_hours(site: Site, parameters: Parameters, ca: str) -> None:
    began = int(time.time())
    site.boot()

    assert parameters.written == [(STATE, "String"), (TICKET, "SecureString")]
    made = site.documents("token.yaml")["InitConfiguration"]
    assert parameters.ticket["token"] == made["bootstrapTokens"][0]["token"]
    assert parameters.ticket["key"] == site.documents("upload.yaml")["InitConfiguration"]["certificateKey"]
    assert made["bootstrapTokens"][0]["ttl"] == "7200s"
    assert made["bootstrapTokens"][0]["groups"] == ["system:bootstrappers:kubeadm:default-node-token"]
    assert 7200 <= parameters.ticket["until"] - began < 7260
    assert parameters.ticket["authority"] == ca_hashes(base64.b64encode(ca.encode()).decode())[0]
    assert parameters.ticket["token"] not in (site.record / "init.yaml").read_text()


def test_no_secret_is_left_on_console_logs_or_disk(site: Site, parameters: Parameters) -> None:
    boot = site.boot()

    secrets = [*secrets_of(site, "init.yaml"), parameters.ticket["token"], parameters.ticket["key"]]
    assert len(secrets) == 4
    for secret in secrets:
        assert secret not in boot.console
        assert site.machine.files_with(secret) == []


def test_the_pod_network_gets_the_clusters_addresses(site: Site) -> None:
    boot = site.boot()

    assert boot.called("kubectl apply -f ")
    assert json.loads((site.record / "network").read_text().partition(": ")[2]) == {"Network": "10.100.0.0/16"}


def test_cilium_is_installed_by_its_own_program(site: Site, tmp_path: Path) -> None:
    program = tmp_path / "cilium"
    program.write_text('#!/bin/bash\necho "cilium $*" >>"$RECORD/calls"\n')
    program.chmod(0o755)
    with tarfile.open(tmp_path / "cilium.tar.gz", "w:gz") as archive:
        archive.add(program, "cilium")

    boot = site.boot(network="cilium", networkVersion="1.18.2", networkSource=str(tmp_path / "cilium.tar.gz"))

    assert boot.status == 0, boot.console
    want = "cilium install --version 1.18.2 --set ipam.operator.clusterPoolIPv4PodCIDRList=10.100.0.0/16"
    assert boot.called(want)


def test_a_download_that_is_not_what_was_meant_is_not_used(site: Site) -> None:
    site.machine.stand_in(site.machine.bin / "sleep")

    boot = site.boot(networkSha256="0" * 64)

    assert "reason=the pod network cannot be installed" in boot.console
    assert not boot.called("kubectl")


def test_joinery_is_installed_from_the_wheel_with_its_settings(site: Site) -> None:
    boot = site.boot()

    installed = [call for call in boot.calls if call.startswith("install.sh")]
    assert installed == [f"install.sh --wheel {site.machine.root}/opt/joinery/download/{site.wheel.name}"]
    settings = site.machine.root / "etc/joinery/agent.yaml"
    assert settings.read_text() == "clusterName: team\nregion: ap-northeast-2\n\n"
    assert stat.S_IMODE(settings.stat().st_mode) == 0o644


def test_another_wheel_than_the_one_that_was_meant_is_not_installed(site: Site) -> None:
    boot = site.boot(wheelSha256="0" * 64)

    assert "reason=the wheel of Joinery cannot be had" in boot.console
    assert not boot.called("install.sh")


def test_a_cluster_may_be_made_without_joinery(site: Site) -> None:
    boot = site.boot(wheel="")

    assert (boot.status, boot.phases[-2:]) == (0, ["ticket", "joined"])


def test_a_further_machine_waits_for_the_ticket_and_joins(site: Site, parameters: Parameters) -> None:
    parameters.values[TICKET] = ticket(7200)

    boot = site.boot(first=False)

    assert boot.status == 0, boot.console
    assert boot.phases[5:] == ["role", "join", "joinery", "joined"]
    made = site.documents("join-1.yaml")["JoinConfiguration"]
    assert made["discovery"]["bootstrapToken"] == {
        "token": "abcdef.0123456789abcdef",
        "apiServerEndpoint": ENDPOINT,
        "caCertHashes": ["sha256:" + "a" * 64],
    }
    assert made["controlPlane"]["certificateKey"] == "e" * 64
    assert made["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == ADDRESS
    assert not boot.called("kubeadm init")
    for secret in ("abcdef.0123456789abcdef", "e" * 64):
        assert secret not in boot.console
        assert site.machine.files_with(secret) == []


def test_what_replaces_the_first_machine_joins_and_makes_no_second_cluster(site: Site, parameters: Parameters) -> None:
    parameters.values[STATE] = "initialised"
    parameters.values[TICKET] = ticket(7200)

    boot = site.boot()

    assert boot.status == 0, boot.console
    assert boot.called("kubeadm join")
    assert not boot.called("kubeadm init")


def test_a_ticket_that_is_over_says_how_to_make_another(site: Site, parameters: Parameters) -> None:
    parameters.values[TICKET] = ticket(-1)

    boot = site.boot(HOPELESS, first=False)

    assert "the ticket is over; on a control-plane machine that runs: joinery-control-plane-ticket" in boot.console
    assert "reason=no ticket to join with" in boot.console
    assert not boot.called("poweroff")


def test_without_an_answer_about_the_state_no_cluster_is_made(site: Site, parameters: Parameters) -> None:
    del parameters.values[STATE]

    boot = site.boot(HOPELESS)

    assert f"no {STATE} within 0.0 s: HTTP 400 ParameterNotFound" in boot.console
    assert not boot.called("kubeadm init")


def test_a_join_that_fails_is_undone_and_tried_again(site: Site, parameters: Parameters) -> None:
    parameters.values[TICKET] = ticket(7200)
    site.machine.behave("join", '[ "$tries" -gt 1 ] || exit 1')

    boot = site.boot(first=False)

    assert boot.status == 0, boot.console
    commands = [call for call in boot.calls if re.match(r"kubeadm (join|reset)", call)]
    assert [c.split()[1] for c in commands] == ["join", "reset", "join"]


def test_another_ticket_can_be_made_by_hand(site: Site, parameters: Parameters) -> None:
    site.boot()
    first = parameters.ticket

    done = site.machine.boot((site.machine.root / "usr/local/sbin/joinery-control-plane-ticket").read_text())

    assert done.status == 0, done.console
    assert parameters.ticket["key"] != first["key"]
    assert parameters.ticket["authority"] == first["authority"]
    assert list((site.machine.root / "run").glob("joinery-ticket*")) == []


def test_the_tickets_key_is_the_clusters_own(site: Site, parameters: Parameters) -> None:
    site.boot(kmsKey="arn:aws:kms:ap-northeast-2:111122223333:key/1")

    written = [body for operation, body, _ in parameters.service.calls if operation == "PutParameter"]
    assert [body.get("KeyId", "") for body in written] == ["", "arn:aws:kms:ap-northeast-2:111122223333:key/1"]


@pytest.fixture
def worker(tmp_path: Path, metadata: MetadataServer, parameters: Parameters) -> Callable[..., tuple[Machine, Boot]]:
    parameters.values[f"{PREFIX}/join-facts"] = FACTS.text()
    parameters.values["/joinery/demo/bootstrap-token"] = "abcdef.0123456789abcdef"

    def boot(options: RenderOptions = QUICK, prepare: str = "", **other: object) -> tuple[Machine, Boot]:
        known = {"region": "ap-northeast-2", "factsParameter": f"{PREFIX}/join-facts", "labels": {}, "taints": []}
        machine = Machine(tmp_path, metadata=metadata.url, ssm=parameters.service.url)
        machine.behave("join", prepare)
        return machine, machine.boot(base_worker(options).replace(MACHINE, json.dumps(known | other)))

    return boot


def test_a_base_worker_reads_the_facts_and_joins(worker: Callable[..., tuple[Machine, Boot]]) -> None:
    machine, boot = worker()

    assert boot.status == 0, boot.console
    assert boot.phases == ["facts", "identity", "system", "source", "packages", "containerd", "token", "join", "joined"]
    assert json.loads(machine.text("etc/joinery/join-facts.json"))["cluster"] == "demo"
    assert "/v1.36/deb/" in machine.text("etc/apt/sources.list.d/joinery-kubernetes.list")
    join = json.loads((machine.record / "join-1.json").read_text())
    assert join["nodeRegistration"]["name"] == ID
    assert join["discovery"]["bootstrapToken"]["caCertHashes"] == list(FACTS.ca_cert_hashes)
    assert machine.files_with("0123456789abcdef") == []


def test_a_base_worker_registers_with_its_groups_labels_and_taints(
    worker: Callable[..., tuple[Machine, Boot]],
) -> None:
    machine, _ = worker(labels={"domain": "auth", "example.com/x": ""}, taints=["domain=auth:NoSchedule"])

    drop_in = machine.text("etc/systemd/system/kubelet.service.d/90-joinery.conf")
    flags = "--node-labels=domain=auth,example.com/x= --register-with-taints=domain=auth:NoSchedule"
    assert f"--provider-id=aws:///ap-northeast-2a/{ID} {flags}\n" in drop_in.replace('"\n', "\n")


def test_a_base_worker_waits_for_a_control_plane_that_is_not_there_yet(
    worker: Callable[..., tuple[Machine, Boot]], parameters: Parameters
) -> None:
    parameters.values[f"{PREFIX}/join-facts"] = "not there yet"

    _, boot = worker(HOPELESS)

    assert "waiting for /joinery/team/join-facts" in boot.console
    assert "the control plane has not published them yet" in boot.console
    assert "joinery: phase=failed at=facts" in boot.console


def test_a_base_worker_that_cannot_join_stays_up_for_somebody_to_look(
    worker: Callable[..., tuple[Machine, Boot]],
) -> None:
    _, boot = worker(HOPELESS, prepare="exit 1")

    assert "reason=kubeadm join failed until its time was over" in boot.console
    assert not boot.called("poweroff")


@pytest.mark.parametrize("script", [control_plane(), base_worker()])
def test_what_ec2_gets_is_small_enough(script: str) -> None:
    known = json.dumps({"settings": "a: b\n" * 200, "labels": {f"label-{n}": "x" * 40 for n in range(30)}})

    assert len(gzip.compress(script.replace(MACHINE, known).encode(), 9)) < MAX_BYTES
