"""Who somebody is and what they may: tokens, certificates, roles."""

from __future__ import annotations

import base64
import secrets
import ssl
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import HTTPError

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from agent.join.token_api import TokenApi
from agent.join.tokens import BootstrapToken, bootstrap_rbac
from agent.kube import paths
from agent.kube.errors import Denied, Invalid
from tests.conformance.cluster import Cluster, Json, until

SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
OURS = "system:bootstrappers:joinery"
KUBEADM = "system:bootstrappers:kubeadm:default-node-token"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def bootstrap_token(cluster: Cluster, **changes: str) -> str:
    """A token's Secret, with some of its data changed."""
    token_id, secret = secrets.token_hex(3), secrets.token_hex(8)
    data = {
        "token-id": token_id,
        "token-secret": secret,
        "expiration": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "auth-extra-groups": OURS,
    } | {k.replace("_", "-"): v for k, v in changes.items()}
    body = {
        "metadata": {"name": f"bootstrap-token-{token_id}"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": data,
    }
    cluster.create(paths.secrets("kube-system"), body)
    return f"{token_id}.{secret}"


def who(cluster: Cluster, bearer: str) -> tuple[int, Json]:
    code, answer = cluster.call("POST", SELF, REVIEW, bearer=bearer)
    return code, answer.get("status", {}).get("userInfo", {}) if code == 201 else answer


def accepted(cluster: Cluster, bearer: str) -> bool:
    return who(cluster, bearer)[0] == 201


def test_the_administrator_is_one(cluster: Cluster) -> None:
    code, answer = cluster.call("POST", SELF, REVIEW)
    user = answer["status"]["userInfo"]
    assert (code, user["username"]) == (201, "kubernetes-admin")
    assert "system:authenticated" in user["groups"]


def test_a_bootstrap_token_is_its_user_in_its_groups(cluster: Cluster) -> None:
    token = bootstrap_token(cluster)
    until(lambda: accepted(cluster, token))
    _, user = who(cluster, token)
    assert user["username"] == f"system:bootstrap:{token.partition('.')[0]}"
    assert sorted(user["groups"]) == ["system:authenticated", "system:bootstrappers", OURS]


@pytest.mark.parametrize(
    "changes",
    [
        {"expiration": "2026-01-01T00:00:00Z"},
        {"usage_bootstrap_authentication": "false"},
        {"token_secret": "0123456789abcdef"},
        {"token_id": "abcdef"},
    ],
)
def test_another_bootstrap_token_is_nobodys(changes: dict[str, str], cluster: Cluster) -> None:
    token, sound = bootstrap_token(cluster, **changes), bootstrap_token(cluster)
    until(lambda: accepted(cluster, sound))
    code, status = who(cluster, token)
    assert (code, status["reason"], status["message"]) == (401, "Unauthorized", "Unauthorized")


def test_a_deleted_bootstrap_token_is_revoked(cluster: Cluster) -> None:
    token = bootstrap_token(cluster)
    until(lambda: accepted(cluster, token))
    cluster.api.delete(paths.secrets("kube-system", f"bootstrap-token-{token.partition('.')[0]}"))
    until(lambda: not accepted(cluster, token))


def test_cluster_info_is_signed_with_a_token_as_long_as_it_is_there(cluster: Cluster) -> None:
    token_api = TokenApi(cluster.api)
    token = BootstrapToken(secrets.token_hex(3), secrets.token_hex(8))
    token_api.create(token, datetime.now(UTC) + timedelta(hours=1), "")
    until(lambda: not token_api.rejection(token))
    made = token_api.get(token.id)
    assert made is not None
    assert made in token_api.ours()
    token_api.shorten(made, datetime.now(UTC) + timedelta(minutes=5))
    now = token_api.get(token.id)
    assert now is not None
    token_api.delete(now)
    until(lambda: "HTTP 401" in token_api.rejection(token))
    path = paths.config_maps("kube-public", "cluster-info")
    until(lambda: f"jws-kubeconfig-{token.id}" not in cluster.read(path)["data"])


def test_anybody_reads_cluster_info_and_the_version_and_nothing_else(cluster: Cluster) -> None:
    code, info = cluster.call("GET", paths.config_maps("kube-public", "cluster-info"), bearer="")
    assert code == 200
    assert "kubeconfig" in info["data"]
    assert cluster.call("GET", "/version", bearer="")[0] == 200
    code, status = cluster.call("GET", paths.nodes(), bearer="")
    assert (code, status["message"]) == (
        403,
        'nodes is forbidden: User "system:anonymous" cannot list resource "nodes" in API group "" at the cluster scope',
    )
    assert cluster.call("GET", "/apis", bearer="")[0] == 403
    assert cluster.call("GET", "/readyz", bearer="")[0] == 200


def account(cluster: Cluster, namespace: str, name: str) -> Json:
    return cluster.create(paths.service_accounts(namespace), {"metadata": {"name": name}})


def token_of(cluster: Cluster, namespace: str, name: str, seconds: int = 3600) -> str:
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    answer = cluster.create(paths.service_account_token(namespace, name), body)
    assert answer["status"]["expirationTimestamp"].endswith("Z")
    return str(answer["status"]["token"])


def test_a_service_account_is_given_tokens_that_end_with_it(cluster: Cluster, namespace: str) -> None:
    made = account(cluster, namespace, "a")
    token = token_of(cluster, namespace, "a")
    code, user = who(cluster, token)
    assert (code, user["username"], user["uid"]) == (
        201,
        f"system:serviceaccount:{namespace}:a",
        made["metadata"]["uid"],
    )
    assert f"system:serviceaccounts:{namespace}" in user["groups"]
    assert who(cluster, token[:-4] + "AAAA")[0] == 401
    cluster.api.delete(paths.service_accounts(namespace, "a"))
    until(lambda: not accepted(cluster, token))


def test_a_token_of_less_than_ten_minutes_is_refused(cluster: Cluster, namespace: str) -> None:
    account(cluster, namespace, "a")
    with pytest.raises(Invalid, match="may not specify a duration less than 10 minutes"):
        token_of(cluster, namespace, "a", 599)


def test_a_role_allows_what_it_names_and_no_more(cluster: Cluster, namespace: str) -> None:
    account(cluster, namespace, "a")
    token = token_of(cluster, namespace, "a")
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["get", "list"]}
    cluster.create(f"{RBAC}/namespaces/{namespace}/roles", {"metadata": {"name": "r"}, "rules": [rule]})
    subject = {"kind": "ServiceAccount", "name": "a", "namespace": namespace}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    binding = {"metadata": {"name": "r"}, "roleRef": ref, "subjects": [subject]}
    cluster.create(f"{RBAC}/namespaces/{namespace}/rolebindings", binding)
    for name in ("mine", "others"):
        cluster.create(paths.config_maps(namespace), {"metadata": {"name": name}})
    with cluster.api.with_bearer(token) as api:
        mine = paths.config_maps(namespace, "mine")
        until(lambda: cluster.call("GET", mine, bearer=token)[0] == 200)
        api.get(paths.config_maps(namespace), {"fieldSelector": "metadata.name=mine"})
        with pytest.raises(Denied, match="cannot list resource"):
            api.get(paths.config_maps(namespace))
        with pytest.raises(
            Denied, match=r'configmaps "mine" is forbidden: User .* cannot delete resource "configmaps"'
        ):
            api.delete(mine)
        with pytest.raises(Denied, match='in the namespace "default"'):
            api.get(paths.config_maps("default", "mine"))
        with pytest.raises(Denied, match='cannot create resource "pods/eviction"'):
            api.evict(namespace, "p", "")


def allowed(cluster: Cluster, bearer: str, **attributes: str) -> bool:
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    code, answer = cluster.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body, bearer=bearer)
    assert code == 201
    return bool(answer["status"]["allowed"])


def test_everybody_may_ask_what_they_may(cluster: Cluster, namespace: str) -> None:
    account(cluster, namespace, "a")
    token = token_of(cluster, namespace, "a")
    rules = [
        {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"], "verbs": ["get"]},
    ]
    name = cluster.name("may")
    cluster.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "a", "namespace": namespace}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    body = {"metadata": {"name": name}, "roleRef": ref, "subjects": [subject]}
    cluster.create(f"{RBAC}/namespaces/{namespace}/rolebindings", body)
    here = {"namespace": namespace}
    until(lambda: allowed(cluster, token, resource="pods", subresource="eviction", verb="create", **here))
    assert allowed(cluster, token, resource="configmaps", name="mine", verb="get", **here)
    assert not allowed(cluster, token, resource="configmaps", name="other", verb="get", **here)
    assert not allowed(cluster, token, resource="configmaps", verb="get", **here)
    assert not allowed(cluster, token, resource="pods", verb="create", **here)
    assert not allowed(cluster, token, resource="pods", subresource="eviction", verb="create", namespace="default")
    cluster.api.delete(f"{RBAC}/clusterroles/{name}")


def test_a_bindings_role_cannot_be_changed(cluster: Cluster, namespace: str) -> None:
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    path = f"{RBAC}/namespaces/{namespace}/rolebindings"
    cluster.create(path, {"metadata": {"name": "b"}, "roleRef": ref})
    with pytest.raises(Invalid, match="roleRef"):
        cluster.patch(f"{path}/b", {"roleRef": {"name": "other"}})


def request_for(node: str) -> tuple[ec.EllipticCurvePrivateKey, Json]:
    """A kubelet's key and its first request."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [(NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, f"system:node:{node}")]
    subject = x509.Name([x509.NameAttribute(oid, text) for oid, text in names])
    pem = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    spec = {
        "request": base64.b64encode(pem.public_bytes(Encoding.PEM)).decode(),
        "signerName": SIGNER,
        "usages": ["digital signature", "client auth"],
    }
    return key, {"metadata": {"generateName": "node-csr-"}, "spec": spec}


def as_node(cluster: Cluster, key: ec.EllipticCurvePrivateKey, csr: Json, folder: Path) -> ssl.SSLContext:
    config = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = base64.b64decode(config["certificate-authority-data"]).decode()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pair = folder / "node.pem"
    pair.write_bytes(pem + base64.b64decode(csr["status"]["certificate"]))
    context = ssl.create_default_context(cadata=authority)
    context.load_cert_chain(pair)
    return context


def node_call(cluster: Cluster, context: ssl.SSLContext, method: str, path: str, body: bytes) -> int:
    headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
    request = urllib.request.Request(cluster.api.server + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


def test_a_first_certificate_is_asked_for_approved_issued_and_used(cluster: Cluster, tmp_path: Path) -> None:
    for obj in bootstrap_rbac():
        meta = obj["metadata"]
        assert isinstance(meta, dict)
        scope = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
        cluster.call("POST", f"{RBAC}{scope}/{str(obj['kind']).lower()}s", obj)
    token, node = bootstrap_token(cluster), cluster.name("i-csr")
    key, body = request_for(node)
    until(lambda: cluster.call("GET", paths.csrs(), bearer=token)[0] == 200)
    code, made = cluster.call("POST", paths.csrs(), body, bearer=token)
    assert code == 201
    assert made["spec"]["username"] == f"system:bootstrap:{token.partition('.')[0]}"
    assert OURS in made["spec"]["groups"]
    assert made["status"] == {}
    path = paths.csrs(made["metadata"]["name"])
    condition = {"type": "Approved", "status": "True", "reason": "Test", "message": "known"}
    operations = [{"op": "add", "path": "/status/conditions", "value": [condition]}]
    with pytest.raises(Denied), cluster.api.with_bearer(token) as bearer:
        bearer.json_patch(paths.approval(path), operations)
    cluster.api.json_patch(paths.approval(path), operations)
    until(lambda: "certificate" in cluster.read(path)["status"])
    signed = cluster.read(path)
    assert signed["status"]["conditions"][0]["reason"] == "Test"
    certificate = x509.load_pem_x509_certificate(base64.b64decode(signed["status"]["certificate"]))
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == f"system:node:{node}"
    context = as_node(cluster, key, signed, tmp_path)
    own = f'{{"metadata":{{"name":"{node}"}}}}'.encode()
    assert node_call(cluster, context, "POST", paths.nodes(), own) == 201
    status = b'{"status":{"nodeInfo":{"kubeletVersion":"v1"}}}'
    assert node_call(cluster, context, "PATCH", paths.status(paths.nodes(node)), status) == 200
    other = cluster.name("i-other")
    assert node_call(cluster, context, "POST", paths.nodes(), own.replace(node.encode(), other.encode())) == 403
    assert node_call(cluster, context, "DELETE", paths.nodes(node), b"{}") == 403
    lease = f'{{"metadata":{{"name":"{node}"}},"spec":{{"holderIdentity":"{node}"}}}}'.encode()
    assert node_call(cluster, context, "POST", paths.leases("kube-node-lease"), lease) == 201
    assert node_call(cluster, context, "POST", paths.leases("default"), lease) == 403
    cluster.api.delete(paths.nodes(node))


def test_kubeadms_own_group_is_approved_unseen(cluster: Cluster) -> None:
    token = bootstrap_token(cluster, auth_extra_groups=KUBEADM)
    until(lambda: accepted(cluster, token))
    _, body = request_for(cluster.name("i-unseen"))
    _, made = cluster.call("POST", paths.csrs(), body, bearer=token)
    path = paths.csrs(made["metadata"]["name"])
    until(lambda: "certificate" in cluster.read(path)["status"])
    assert cluster.read(path)["status"]["conditions"][0]["reason"] == "AutoApproved"


def test_a_request_that_is_none_is_refused(cluster: Cluster) -> None:
    spec = {"request": base64.b64encode(b"nonsense").decode(), "signerName": SIGNER, "usages": ["client auth"]}
    with pytest.raises(Invalid, match="CERTIFICATE REQUEST"):
        cluster.create(paths.csrs(), {"metadata": {"name": cluster.name("bad-csr")}, "spec": spec})
