"""How tests talk to the control plane: plain HTTP/JSON with the admin's certificate, and what a CA file says of itself.

The agent's own client is what the tests examine, so they do not look at the cluster through it.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
from pathlib import Path
from typing import Any

import yaml

# What the API answers is picked apart field by field in tests; its schema is the API server's business.
Json = dict[str, Any]


class AdminAccess:
    """A JSON client of one API server with the rights of an admin kubeconfig."""

    def __init__(self, kubeconfig: Path, host: str, port: int) -> None:
        self._host, self._port = host, port
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        # The ssl module reads a client certificate from a file only.
        pair = kubeconfig.with_suffix(".pem")
        pair.touch(mode=0o600)
        pair.write_bytes(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        self._admin = ssl.create_default_context(cadata=self._ca)
        self._admin.load_cert_chain(pair)
        self._anonymous = ssl.create_default_context(cadata=self._ca)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        bearer: str | None = None,
        *,
        accept: str = "application/json",
    ) -> tuple[int, str]:
        """One request; with `bearer` it is made with that token instead of the admin's certificate."""
        context = self._admin if bearer is None else self._anonymous
        headers = {"Accept": accept, "Content-Type": content_type}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        connection = http.client.HTTPSConnection(self._host, self._port, context=context, timeout=70)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def post_json(host: str, port: int, path: str, body: object) -> Json:
    """One call of etcd's JSON gateway, which saves building etcdctl."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body))
        answer: Json = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()


def public_key_hash(certificate: Path) -> str:
    """`sha256:…` of a certificate's SubjectPublicKeyInfo, which is how kubeadm pins a CA (RFC 7469)."""
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    _, certificate_body, _ = _read_der(der, 0)
    _, position, _ = _read_der(der, certificate_body)
    # TBSCertificate: [0] version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo.
    for _ in range(6):
        _, _, position = _read_der(der, position)
    start, _, end = _read_der(der, position)
    return "sha256:" + hashlib.sha256(der[start:end]).hexdigest()


def _read_der(der: bytes, start: int) -> tuple[int, int, int]:
    """Start, start of the content, and end of the DER element that begins at `start`."""
    length, content = der[start + 1], start + 2
    if length & 0x80:
        content += length & 0x7F
        length = int.from_bytes(der[start + 2 : content])
    return start, content, content + length
