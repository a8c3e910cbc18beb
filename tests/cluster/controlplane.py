"""A real Kubernetes control plane for tests: etcd, kube-apiserver, kube-controller-manager and kube-scheduler.

kubeadm makes its certificates, its cluster-info, its bootstrap-token rules and its configuration objects, so a real
`kubeadm join` finds what it finds in any kubeadm cluster. Everything listens on one loopback address and lives in one
folder; starting takes about four seconds.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cluster import build, components, processes
from tests.cluster.access import AdminAccess, Json, post_json, public_key_hash
from tests.cluster.hollow import HollowNodes, bootstrap_kubeconfig
from tests.cluster.processes import ClusterError, Process, wait_until

START_TIMEOUT = 60.0
KUBE_PUBLIC_CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
DEFAULT_SERVICE_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"

# The API server waits a minute for open watches on its first SIGTERM and ends at once on the second.
STOP_SIGNALS = ((signal.SIGTERM, 1.5), (signal.SIGTERM, 5.0))


def free_port(host: str) -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


class ControlPlane:
    """One control plane. `port=None` takes a free port; a node's script needs 6443 when it names that port itself."""

    def __init__(
        self,
        work_dir: Path,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        cluster: str = "test",
        flags: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`flags` adds flags by component name, for instance `{"kube-apiserver": ["--v=4"]}`."""
        self.work_dir = work_dir.absolute()
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self._flags = flags or {}
        self._layout = components.Layout(
            self.work_dir, cluster, host, port or free_port(host), free_port(host), free_port(host)
        )
        self._running: dict[str, Process] = {}
        self._hollow: list[Process] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """The loopback address that everything listens on."""
        return self._layout.host

    @property
    def port(self) -> int:
        """The API server's port."""
        return self._layout.port

    @property
    def endpoint(self) -> str:
        """`host:port` of the API server, as `kubeadm join` takes it."""
        return f"{self.host}:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return Path(self._layout.kubeconfig("admin.conf"))

    @property
    def ca_cert_hash(self) -> str:
        """`sha256:…`, as `--discovery-token-ca-cert-hash` takes it."""
        return public_key_hash(Path(self._layout.pki("ca.crt")))

    @cached_property
    def _admin(self) -> AdminAccess:
        return AdminAccess(self.kubeconfig, self.host, self.port)

    def start(self) -> None:
        """Starts everything and returns once nodes can join and pods can be created."""
        build.ensure()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends every process: hollow nodes first, etcd last."""
        for process in reversed(self._hollow):
            process.stop()
        self._hollow.clear()
        for name in reversed(list(components.COMPONENTS)):
            if name in self._running:
                self._running.pop(name).stop(STOP_SIGNALS)

    def _start(self) -> None:
        config = self.work_dir / "kubeadm.yaml"
        first_token = f"{secrets.token_hex(3)}.{secrets.token_hex(8)}"
        config.touch(mode=0o600)
        config.write_text(components.kubeadm_config(self._layout, first_token))
        self._run("etcd")
        self._kubeadm("certs", "all", "--config", str(config))
        self._kubeadm("kubeconfig", "all", "--config", str(config), "--kubeconfig-dir", str(self.work_dir / "etc"))
        for path in (self.work_dir / "etc").glob("*.conf"):
            unbound = f"https://{components.UNBOUND_ADDRESS}:{self.port}"
            path.write_text(path.read_text().replace(unbound, f"https://{self.endpoint}"))
        self._start_apiserver()
        self._run("kube-controller-manager")
        self._run("kube-scheduler")
        super_admin = ("--kubeconfig", self._layout.kubeconfig("super-admin.conf"))
        self._kubeadm("upload-config", "all", "--config", str(config), *super_admin)
        self._kubeadm("bootstrap-token", "--config", str(config), *super_admin)
        # kubeadm binds the admins' group in a step of `init` that is no phase of its own.
        binding = ("clusterrolebinding", "kubeadm:cluster-admins")
        self._tool(
            "kubectl", *super_admin, "create", *binding, "--clusterrole=cluster-admin", "--group=kubeadm:cluster-admins"
        )
        self._wait_for_controllers(first_token)

    def _wait_for_controllers(self, token: str) -> None:
        manager = self._running["kube-controller-manager"]
        wait_until(
            "service account default/default",
            lambda: self.api("GET", DEFAULT_SERVICE_ACCOUNT)[0] == 200,
            timeout=START_TIMEOUT,
            process=manager,
        )
        self._wait_signed(token)

    def _wait_signed(self, token: str) -> None:
        """Waits for the signature that lets `kubeadm join` trust cluster-info with this token."""
        key = f"jws-kubeconfig-{token.partition('.')[0]}"
        wait_until(
            f"{key} in cluster-info",
            lambda: key in self.api("GET", KUBE_PUBLIC_CLUSTER_INFO)[1].get("data", {}),
            timeout=START_TIMEOUT,
            process=self._running["kube-controller-manager"],
        )

    def _run(self, name: str) -> Process:
        flags = [*components.COMPONENTS[name](self._layout), *self._flags.get(name, ())]
        command = [str(build.bin_dir() / name), *flags]
        self._running[name] = processes.start(name, command, self.work_dir, self._environment)
        return self._running[name]

    def _start_apiserver(self) -> None:
        wait_until("port of etcd", lambda: _listens(self.host, self._layout.etcd_port), process=self._running["etcd"])
        process = self._run("kube-apiserver")
        wait_until("answer of /readyz", self._ready, timeout=START_TIMEOUT, process=process)

    def _ready(self) -> bool:
        # The answer must be our own server's: another one on the port would not have our CA's certificate.
        try:
            return self._admin.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    @property
    def _environment(self) -> dict[str, str]:
        # kubectl caches in HOME; a proxy of the caller's is not for loopback.
        return {"PATH": os.defpath, "HOME": str(self.work_dir), "TMPDIR": str(self.work_dir)}

    def _kubeadm(self, *arguments: str) -> None:
        self._tool("kubeadm", "init", "phase", *arguments)

    def _tool(self, name: str, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [str(build.bin_dir() / name), *arguments],
            cwd=self.work_dir,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ClusterError(f"{name} {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr.strip()}")
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Runs kubectl as admin and returns what it printed; ClusterError holds what it complained about."""
        return self._tool("kubectl", "--kubeconfig", str(self.kubeconfig), *arguments, stdin=stdin)

    def api(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        bearer: str | None = None,
    ) -> tuple[int, Json]:
        """One API request as admin, or with `bearer` as that token's user: status code and JSON answer."""
        status, text = self._admin.request(method, path, body, content_type, bearer)
        try:
            answer: Json = json.loads(text)
        except ValueError:
            return status, {"text": text}
        return status, answer

    def metrics(self) -> str:
        """The API server's own metrics in Prometheus' text format."""
        return self._admin.request("GET", "/metrics")[1]

    def token(self, ttl: timedelta = timedelta(hours=1), *, groups: Iterable[str] = (components.DEFAULT_GROUP,)) -> str:
        """Makes a bootstrap token; waits until cluster-info is signed with it, unless it has expired before that."""
        token_id, secret = secrets.token_hex(3), secrets.token_hex(8)
        data = {
            "token-id": token_id,
            "token-secret": secret,
            "expiration": (datetime.now(UTC) + ttl).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": ",".join(groups),
        }
        body = {
            "metadata": {"name": f"bootstrap-token-{token_id}"},
            "type": "bootstrap.kubernetes.io/token",
            "stringData": data,
        }
        status, answer = self.api("POST", "/api/v1/namespaces/kube-system/secrets", body)
        if status != 201:
            raise ClusterError(f"bootstrap token: HTTP {status} {answer.get('message')}")
        token = f"{token_id}.{secret}"
        if ttl > timedelta(seconds=10):
            self._wait_signed(token)
        return token

    def hollow(self, nodes: HollowNodes) -> Process:
        """Starts hollow nodes and waits until all are Ready; the process that runs them may be stopped earlier."""
        name = f"hollow-{len(self._hollow)}-{nodes.names[0]}"
        state = self.work_dir / name
        state.mkdir()
        bootstrap = state / "bootstrap.conf"
        bootstrap.touch(mode=0o600)
        authority = Path(self._layout.pki("ca.crt"))
        bootstrap.write_text(bootstrap_kubeconfig(f"https://{self.endpoint}", authority, self.token()))
        process = processes.start(name, nodes.command(state, bootstrap), self.work_dir, self._environment)
        self._hollow.append(process)
        for node in nodes.names:
            self.wait_ready(node, timeout=START_TIMEOUT + len(nodes.names), process=process)
        return process

    def wait_ready(self, node: str, *, timeout: float = START_TIMEOUT, process: Process | None = None) -> Json:
        """Waits until the node is Ready and returns it."""
        wait_until(f"Ready node {node}", lambda: self._node_ready(node), timeout=timeout, process=process)
        return self.api("GET", f"/api/v1/nodes/{node}")[1]

    def _node_ready(self, name: str) -> bool:
        code, node = self.api("GET", f"/api/v1/nodes/{name}")
        conditions = node["status"].get("conditions", ()) if code == 200 else ()
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

    def restart_apiserver(self) -> None:
        """Restarts the API server: open watches break, and a resourceVersion from before is answered with 410."""
        self._running.pop("kube-apiserver").stop(STOP_SIGNALS)
        self._start_apiserver()

    def compact(self) -> int:
        """Compacts etcd up to now and returns that revision. The watch cache still serves what it has seen itself."""
        etcd = (self.host, self._layout.etcd_port)
        revision = int(post_json(*etcd, "/v3/kv/range", {"key": "AA=="})["header"]["revision"])
        post_json(*etcd, "/v3/kv/compaction", {"revision": revision, "physical": True})
        return revision


def _listens(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False
