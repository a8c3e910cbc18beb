"""The classes whose userData is reviewed as golden files."""

from __future__ import annotations

from agent.join.facts import JoinFacts
from agent.join.userdata import RenderOptions, render
from agent.manifests.nodeclass import EC2NodeClassSpec

FACTS = JoinFacts(
    cluster="demo",
    region="ap-northeast-2",
    endpoint="10.0.0.10:6443",
    ca_cert_hashes=("sha256:" + "a" * 64, "sha256:" + "b" * 64),
    token_parameter="/joinery/demo/bootstrap-token",
    kubernetes_version="v1.36.3",
)
# As in the example worker-scalable: it knows nothing of how it came to its three variables.
USER_SCRIPT = """\
#!/bin/bash
set -ex
apt-get update
apt-get install -y containerd kubelet kubeadm kubectl
containerd config default > /etc/containerd/config.toml
systemctl restart containerd
kubeadm join ${CLUSTER_ENDPOINT}:6443 \\
  --token ${BOOTSTRAP_TOKEN} \\
  --discovery-token-ca-cert-hash sha256:${CA_CERT_HASH}
"""
JINJA_SCRIPT = "#!/bin/bash\necho {{ cluster }} {{ minor }} {{ caCertHashes[0] }}\n"


def node_class(**fields: object) -> EC2NodeClassSpec:
    """A class with as little as it may have."""
    least: dict[str, object] = {
        "amiFamily": "Ubuntu",
        "instanceProfile": "nodes",
        "subnetSelectorTerms": [{"id": "subnet-0123456789abcdef0"}],
        "securityGroupSelectorTerms": [{"id": "sg-0123456789abcdef0"}],
    }
    return EC2NodeClassSpec.model_validate(least | fields)


def variants() -> dict[str, str]:
    """Every way in which a template can come out, by the name of its golden file."""
    custom = node_class(
        amiFamily="Custom", amiSelectorTerms=[{"id": "ami-0123456789abcdef0"}], userData="#cloud-config\n{}\n"
    )
    return {
        "ubuntu.sh": render(node_class(), FACTS),
        "ubuntu-kubelet.sh": render(node_class(kubelet={"maxPods": 58}), FACTS),
        "ubuntu-private-dns.sh": render(node_class(), FACTS, options=RenderOptions(node_name="private-dns")),
        "ubuntu-user-script.sh": render(node_class(userData=USER_SCRIPT), FACTS),
        "ubuntu-user-jinja.sh": render(node_class(userData=JINJA_SCRIPT), FACTS, {"joinery.sh/userdata": "jinja"}),
        "custom.yaml": render(custom, FACTS),
    }
