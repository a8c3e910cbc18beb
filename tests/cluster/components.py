"""What a control plane is made of: the kubeadm configuration and the command line of each component.

Two choices keep it off the machine it runs on. kubeadm refuses a loopback address as the API server's own, so it gets
an address of the documentation range that is never bound, and everybody talks to `controlPlaneEndpoint` instead. And
the kubelet configuration that nodes download asks for nothing of the host's cgroups, swap settings or public
interfaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.cluster import build

UNBOUND_ADDRESS = "192.0.2.10"
DEFAULT_GROUP = "system:bootstrappers:kubeadm:default-node-token"
SERVICE_SUBNET = "10.96.0.0/16"

KUBEADM_CONFIG = """\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens:
- token: {token}
  ttl: 24h0m0s
  usages: [signing, authentication]
  groups: ["{group}"]
localAPIEndpoint: {{advertiseAddress: {unbound}, bindPort: {port}}}
nodeRegistration: {{name: control-plane, criSocket: "unix://{work_dir}/cri.sock"}}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: {version}
clusterName: {cluster}
controlPlaneEndpoint: {host}:{port}
certificatesDir: {work_dir}/pki
encryptionAlgorithm: ECDSA-P256
networking: {{serviceSubnet: {services}, podSubnet: 10.244.0.0/16, dnsDomain: cluster.local}}
apiServer: {{certSANs: ["{host}", localhost]}}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
cgroupsPerQOS: false
# An empty list is dropped on its way to the node and means [pods] there, which the kubelet then refuses.
enforceNodeAllocatable: [none]
failSwapOn: false
failCgroupV1: false
# Otherwise it is the one in certificatesDir, which joining nodes do not have.
authentication: {{x509: {{clientCAFile: /etc/kubernetes/pki/ca.crt}}}}
address: 127.0.0.1
readOnlyPort: 0
rotateCertificates: true
# A node's status is what tests wait for.
nodeStatusUpdateFrequency: 1s
"""


@dataclass(frozen=True)
class Layout:
    """Where one control plane lives: its folder, its address and its ports."""

    work_dir: Path
    cluster: str
    host: str
    port: int
    etcd_port: int
    etcd_peer_port: int

    @property
    def etcd_url(self) -> str:
        """The client URL of etcd."""
        return f"http://{self.host}:{self.etcd_port}"

    def pki(self, name: str) -> str:
        """The path of a file that kubeadm makes in the certificates folder."""
        return str(self.work_dir / "pki" / name)

    def kubeconfig(self, name: str) -> str:
        """The path of a kubeconfig that kubeadm makes."""
        return str(self.work_dir / "etc" / name)


def kubeadm_config(layout: Layout, token: str) -> str:
    """The configuration of `kubeadm init phase …`; `token` only has to be well-formed."""
    return KUBEADM_CONFIG.format(
        token=token,
        group=DEFAULT_GROUP,
        unbound=UNBOUND_ADDRESS,
        port=layout.port,
        host=layout.host,
        work_dir=layout.work_dir,
        version=build.kubernetes_version(),
        cluster=layout.cluster,
        services=SERVICE_SUBNET,
    )


def etcd(layout: Layout) -> list[str]:
    """A single member that never syncs to disk: nothing in it outlives the test."""
    peer = f"http://{layout.host}:{layout.etcd_peer_port}"
    return [
        "--name=default",
        f"--data-dir={layout.work_dir / 'etcd'}",
        f"--listen-client-urls={layout.etcd_url}",
        f"--advertise-client-urls={layout.etcd_url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def kube_apiserver(layout: Layout) -> list[str]:
    """The flags that kubeadm's static pod has, on loopback."""
    return [
        f"--etcd-servers={layout.etcd_url}",
        f"--bind-address={layout.host}",
        f"--secure-port={layout.port}",
        f"--advertise-address={UNBOUND_ADDRESS}",
        f"--tls-cert-file={layout.pki('apiserver.crt')}",
        f"--tls-private-key-file={layout.pki('apiserver.key')}",
        f"--client-ca-file={layout.pki('ca.crt')}",
        f"--kubelet-client-certificate={layout.pki('apiserver-kubelet-client.crt')}",
        f"--kubelet-client-key={layout.pki('apiserver-kubelet-client.key')}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={layout.pki('sa.pub')}",
        f"--service-account-signing-key-file={layout.pki('sa.key')}",
        "--enable-bootstrap-token-auth=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-cluster-ip-range={SERVICE_SUBNET}",
        f"--requestheader-client-ca-file={layout.pki('front-proxy-ca.crt')}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={layout.pki('front-proxy-client.crt')}",
        f"--proxy-client-key-file={layout.pki('front-proxy-client.key')}",
        "--etcd-compaction-interval=5m",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
    ]


def kube_controller_manager(layout: Layout) -> list[str]:
    """Without the raised rate the default of 20 requests a second delays every controller by seconds."""
    return [
        f"--kubeconfig={layout.kubeconfig('controller-manager.conf')}",
        "--secure-port=0",
        "--leader-elect=false",
        "--controllers=*,bootstrapsigner,tokencleaner",
        "--use-service-account-credentials=true",
        f"--cluster-signing-cert-file={layout.pki('ca.crt')}",
        f"--cluster-signing-key-file={layout.pki('ca.key')}",
        f"--root-ca-file={layout.pki('ca.crt')}",
        f"--service-account-private-key-file={layout.pki('sa.key')}",
        f"--client-ca-file={layout.pki('ca.crt')}",
        f"--flex-volume-plugin-dir={layout.work_dir / 'flexvolume'}",
        "--allocate-node-cidrs=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def kube_scheduler(layout: Layout) -> list[str]:
    """The scheduler with its defaults, but for the rate: 10,000 pods would take minutes at 50 a second."""
    return [
        f"--kubeconfig={layout.kubeconfig('scheduler.conf')}",
        "--secure-port=0",
        "--leader-elect=false",
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
    ]


COMPONENTS = {
    "etcd": etcd,
    "kube-apiserver": kube_apiserver,
    "kube-controller-manager": kube_controller_manager,
    "kube-scheduler": kube_scheduler,
}
