"""How a machine comes to be known: the cluster's CA, a key of its own, a certificate request, and kubeconfigs."""

import hashlib
import http.client
import json
import ssl
from base64 import b64encode
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from agent.core.admission import SIGNER
from agent.join.facts import JoinFacts, authority_in, ca_hashes
from agent.kube import paths

CONNECT_SECONDS: Final = 5.0
OK: Final = 200


class JoinFailed(Exception):  # noqa: N818 - what happened, in one sentence
    """A step of joining was refused or did not work; the text says which and why."""


class NodeKey:
    """A machine's private key. Made once; every request of the machine is made with it, as kubelet does."""

    def __init__(self, node_name: str) -> None:
        self._node_name = node_name
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def pem(self) -> str:
        """The private key."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def request_name(self) -> str:
        """Name of the CertificateSigningRequest: the same for the same key, so that no second one is made."""
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"node-csr-{hashlib.sha256(public).hexdigest()[:40]}"

    def request(self) -> dict[str, object]:
        """The CertificateSigningRequest of a kubelet's client certificate."""
        subject = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{self._node_name}"),
        ]
        built = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(self._key, SHA256())
        return {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": self.request_name},
            "spec": {
                "request": b64encode(built.public_bytes(Encoding.PEM)).decode(),
                "signerName": SIGNER,
                "usages": ["digital signature", "client auth"],
            },
        }


def discover(facts: JoinFacts) -> str:
    """The cluster's CA bundle in base64, believed because it is one of those that the script pins.

    Raises:
        JoinFailed: nothing answers there, there is no cluster-info, or its CA is not pinned.
    """
    host, _, port = facts.endpoint.rpartition(":")
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE  # what is read is checked against the pin, as kubeadm does
    connection = http.client.HTTPSConnection(host.strip("[]"), int(port), timeout=CONNECT_SECONDS, context=unverified)
    try:
        connection.request("GET", paths.config_maps("kube-public", "cluster-info"))
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise JoinFailed(f"the API server at {facts.endpoint} does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != OK:
        raise JoinFailed(f"cluster-info cannot be read: HTTP {answer.status}")
    authority = authority_in(body)
    if not set(ca_hashes(authority)) & set(facts.ca_cert_hashes):
        raise JoinFailed("cluster CA found in cluster-info matches none of the pinned public keys")
    return authority


def read_parameter(facts: JoinFacts, endpoint: str, instance_id: str) -> str:
    """The value of the token's parameter, asked for with the credentials that an instance's role would give it.

    Raises:
        JoinFailed: Parameter Store refuses, or does not answer.
    """
    signed = _signed(facts, endpoint, instance_id)
    host = urlsplit(endpoint)
    connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=CONNECT_SECONDS)
    try:
        connection.request("POST", "/", signed.data, dict(signed.headers.items()))
        answer = connection.getresponse()
        body = answer.read()
        found = json.loads(body or b"{}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise JoinFailed(f"Parameter Store does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != OK:
        raise JoinFailed(f"HTTP {answer.status} {found.get('__type', answer.reason)}")
    return str(found["Parameter"]["Value"])


def _signed(facts: JoinFacts, endpoint: str, instance_id: str) -> AWSRequest:
    request = AWSRequest(
        "POST",
        endpoint,
        headers={"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AmazonSSM.GetParameter"},
        data=json.dumps({"Name": facts.token_parameter, "WithDecryption": True}).encode(),
    )
    role = Credentials(f"ASIA{instance_id.removeprefix('i-').upper()[:16]}", "of-the-instance-role", "session")
    SigV4Auth(role, "ssm", facts.region).add_auth(request)
    return request


def write_kubeconfig(path: Path, facts: JoinFacts, authority: str, user: dict[str, str]) -> Path:
    """A kubeconfig that only its owner can read."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": facts.cluster,
                "cluster": {"server": f"https://{facts.endpoint}", "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": "kubelet", "user": user}],
        "contexts": [{"name": "default", "context": {"cluster": facts.cluster, "user": "kubelet"}}],
        "current-context": "default",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))
    return path
