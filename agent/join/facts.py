"""What a machine must know to join, read from the cluster itself: public facts, nothing secret.

The CA is pinned by its key, as kubeadm does (kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-join): the pin
survives a renewed certificate. Every CA of a bundle is named, so that a CA rotation does not lock new nodes out.
"""

import hashlib
import re
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.join.errors import FactsUnavailable
from agent.kube import paths, wire
from agent.kube.api import KubeApi
from agent.kube.errors import NotFound
from agent.settings import Settings

BEGIN: Final = "# joinery:join-facts begin"
END: Final = "# joinery:join-facts end"

_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_ENDPOINT: Final = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$"


class JoinFacts(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The public half of joining; scripts, sandbox and tests read the same JSON."""

    cluster: str
    region: str
    endpoint: Annotated[str, msgspec.Meta(pattern=_ENDPOINT)]
    """``host:port`` of the API server as nodes reach it; an IPv6 address in brackets."""
    ca_cert_hashes: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")], ...], msgspec.Meta(min_length=1)
    ]
    token_parameter: str
    """Name of the SSM parameter that holds the token, not the token."""
    kubernetes_version: Annotated[str, msgspec.Meta(pattern=r"^v\d+\.\d+\.\d+")]

    def text(self) -> str:
        """The JSON as it is published and written into userData."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    @property
    def host(self) -> str:
        """The endpoint's host alone."""
        return self.endpoint.rpartition(":")[0]

    @property
    def minor(self) -> str:
        """Such as ``1.36``: which package repository the node takes."""
        major, minor, _ = self._numbers
        return f"{major}.{minor}"

    @property
    def release(self) -> str:
        """Such as ``1.36.3``: the version without what a vendor appended."""
        return ".".join(self._numbers)

    @property
    def _numbers(self) -> tuple[str, str, str]:
        found = _VERSION.match(self.kubernetes_version)
        assert found is not None  # checked when it was decoded
        return found.group(1), found.group(2), found.group(3)


def parse_facts(text: str | bytes) -> JoinFacts:
    """Read the JSON of the join facts.

    Raises:
        FactsUnavailable: it is not what ``JoinFacts.text`` writes.
    """
    try:
        return msgspec.json.decode(text, type=JoinFacts)
    except msgspec.MsgspecError as e:
        raise FactsUnavailable(f"these are no join facts: {e}") from e


def facts_in(script: str) -> JoinFacts:
    """The join facts of a rendered script: the JSON between the two marker lines.

    Raises:
        FactsUnavailable: the markers are missing or there is no such JSON between them.
    """
    found = re.search(rf"^{re.escape(BEGIN)}\n(.*?)^{re.escape(END)}$", script, re.DOTALL | re.MULTILINE)
    if found is None:
        raise FactsUnavailable(f"the script has no lines {BEGIN!r} and {END!r}")
    return parse_facts(found.group(1))


class _Cluster(msgspec.Struct):
    server: str = ""
    authority: str = msgspec.field(name="certificate-authority-data", default="")


class _NamedCluster(msgspec.Struct):
    cluster: _Cluster


class _Kubeconfig(msgspec.Struct):
    clusters: Annotated[list[_NamedCluster], msgspec.Meta(min_length=1)]


class _Version(msgspec.Struct, rename="camel"):
    git_version: str


def read_facts(api: KubeApi, *, cluster: str, region: str, token_parameter: str, endpoint: str = "") -> JoinFacts:
    """Collect the join facts from kube-public/cluster-info and ``/version``.

    Args:
        api: any identity may read both.
        cluster: the cluster's name in the settings.
        region: where instance and parameter are.
        token_parameter: name of the SSM parameter.
        endpoint: ``host:port`` to use instead of the one in cluster-info; empty takes cluster-info's.

    Raises:
        FactsUnavailable: cluster-info is missing or does not hold an endpoint and a CA.
        KubeError: the API server does not answer.
    """
    info = _cluster_info(api)
    version = msgspec.json.decode(api.get("/version"), type=_Version).git_version
    facts = {
        "cluster": cluster,
        "region": region,
        "endpoint": endpoint or _host_port(info.server),
        "caCertHashes": ca_hashes(info.authority),
        "tokenParameter": token_parameter,
        "kubernetesVersion": version,
    }
    try:
        return msgspec.convert(facts, JoinFacts)
    except msgspec.ValidationError as e:
        raise FactsUnavailable(f"the cluster's join facts cannot be used: {e}") from e


def facts_for(api: KubeApi, settings: Settings) -> JoinFacts:
    """The join facts of the cluster that the settings name; raises what ``read_facts`` does."""
    return read_facts(
        api,
        cluster=settings.cluster_name,
        region=settings.region,
        token_parameter=settings.token_parameter,
        endpoint=settings.api_server_endpoint or "",
    )


def authority_of(api: KubeApi) -> str:
    """The cluster's CA certificates as PEM, from kube-public/cluster-info.

    Raises:
        FactsUnavailable: cluster-info is missing or holds no CA.
        KubeError: the API server does not answer.
    """
    return _pem(_cluster_info(api).authority).decode()


def ca_hashes(authority: str) -> tuple[str, ...]:
    """``sha256:`` and the hex digest of the SubjectPublicKeyInfo of every certificate of a base64 PEM bundle.

    Raises:
        FactsUnavailable: it is not base64 of one or more PEM certificates.
    """
    try:
        certificates = x509.load_pem_x509_certificates(_pem(authority))
    except ValueError as e:
        raise FactsUnavailable(f"kube-public/cluster-info holds no CA certificate that can be read: {e}") from e
    keys = [c.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for c in certificates]
    return tuple(dict.fromkeys(f"sha256:{hashlib.sha256(key).hexdigest()}" for key in keys))


def authority_in(cluster_info: bytes) -> str:
    """The CA bundle, in base64, of the ConfigMap kube-public/cluster-info. Raises ``FactsUnavailable``."""
    return _cluster(cluster_info).authority


def _pem(authority: str) -> bytes:
    try:
        return b64decode(authority, validate=True)
    except Base64Error as e:
        raise FactsUnavailable(f"kube-public/cluster-info holds no CA certificate that can be read: {e}") from e


def _cluster_info(api: KubeApi) -> _Cluster:
    try:
        return _cluster(api.get(paths.config_maps("kube-public", "cluster-info")))
    except NotFound as e:
        raise FactsUnavailable(
            "the ConfigMap kube-public/cluster-info is missing; kubeadm makes it: kubeadm init phase bootstrap-token"
        ) from e


def _cluster(cluster_info: bytes) -> _Cluster:
    data = wire.config_map_data(cluster_info)
    try:
        return msgspec.yaml.decode(data.get("kubeconfig", ""), type=_Kubeconfig).clusters[0].cluster
    except msgspec.MsgspecError as e:
        raise FactsUnavailable(f"the ConfigMap kube-public/cluster-info holds no kubeconfig: {e}") from e


def _host_port(server: str) -> str:
    url = urlsplit(server)
    host = f"[{url.hostname}]" if url.hostname and ":" in url.hostname else url.hostname or ""
    return f"{host}:{url.port or 443}"
