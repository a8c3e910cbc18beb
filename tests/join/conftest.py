"""One cluster, one Parameter Store and one clock for each test of joining."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto.server import ThreadedMotoServer

from agent.aws.session import AwsSession
from agent.aws.ssm import Ssm
from agent.join.facts import JoinFacts
from agent.join.published import Surroundings, TokenPolicy
from agent.join.rotation import LOCK_NAME, TokenRotation
from agent.kube.api import KubeApi
from agent.kube.lease import LeaseLock
from agent.kube.times import Clock
from tests.join.cluster import Cluster, Time

REGION = "ap-northeast-2"


def ca_certificate() -> str:
    """A self-signed CA, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=3650))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def info_kubeconfig(server: str, *certificates: str) -> str:
    """What kubeadm writes into cluster-info."""
    authority = base64.b64encode("".join(certificates).encode()).decode()
    return (
        "apiVersion: v1\nkind: Config\nclusters:\n- name: ''\n  cluster:\n"
        f"    certificate-authority-data: {authority}\n    server: {server}\n"
    )


@pytest.fixture(scope="session")
def ca() -> str:
    return ca_certificate()


@pytest.fixture(scope="session")
def parameter_store() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass
class World:
    """Everything a rotation touches. `rotation()` is a new process each time."""

    cluster: Cluster
    ssm: Ssm
    api: KubeApi
    time: Time
    policy: TokenPolicy
    facts: JoinFacts
    seen: list[str] = field(default_factory=list)
    on_checkpoint: Callable[[str], None] = lambda _: None
    _processes: int = 0

    def lock(self, identity: str = "") -> LeaseLock:
        self._processes += 1
        lock = LeaseLock(self.api, "joinery-system", LOCK_NAME, identity or f"process-{self._processes}")
        lock.clock = Clock(monotonic=lambda: self.time.monotonic, now=self.time.clock, jitter=lambda: 0.0)
        return lock

    def rotation(self, lock: LeaseLock | None = None, seed: int | None = None) -> TokenRotation:
        lock = lock or self.lock()
        chance = random.Random(self._processes if seed is None else seed)
        surroundings = Surroundings(self.time.clock, self.time.sleep, chance, self._checkpoint)
        return TokenRotation(self.api, self.ssm, lock, self.policy, surroundings)

    def published(self) -> str:
        found = self.ssm.get(self.policy.parameter)
        return found.value if found else ""

    def published_id(self) -> str:
        return self.published().partition(".")[0]

    def _checkpoint(self, name: str) -> None:
        self.seen.append(name)
        self.on_checkpoint(name)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Callable[[str], Path]:
    def write(server: str) -> Path:
        path = tmp_path / "kubeconfig"
        path.write_text(
            f"current-context: c\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n"
            "users: [{name: c, user: {token: admin}}]\ncontexts: [{name: c, context: {cluster: c, user: c}}]\n"
        )
        return path

    return write


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, parameter_store: str) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", parameter_store)
    return parameter_store


@pytest.fixture
def world(aws: str, ca: str, kubeconfig: Callable[[str], Path], request: pytest.FixtureRequest) -> Iterator[World]:
    time = Time()
    cluster = Cluster(time, info_kubeconfig("https://10.0.0.10:6443", ca))
    assert aws
    session = AwsSession(REGION)
    # One Parameter Store serves every test, so each has names of its own.
    prefix = f"/joinery/{abs(hash(request.node.nodeid))}"
    policy = TokenPolicy(f"{prefix}/bootstrap-token", f"{prefix}/join-facts", lock_wait_seconds=30, prove_seconds=5)
    facts = JoinFacts("demo", REGION, "10.0.0.10:6443", ("sha256:" + "a" * 64,), f"{prefix}/bootstrap-token", "v1.36.3")
    with KubeApi.from_kubeconfig(str(kubeconfig(cluster.url))) as api:
        yield World(cluster, Ssm(session), api, time, policy, facts)
    session.close()
    cluster.close()
