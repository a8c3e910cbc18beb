"""A certificate authority for a test's server and its clients."""

from __future__ import annotations

import base64
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    def __init__(self) -> None:
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._certificate = self._issue("ca", "ca")

    def key_of(self, who: str) -> ec.EllipticCurvePrivateKey:
        return self._keys.setdefault(who, ec.generate_private_key(ec.SECP256R1()))

    def server_context(self, folder: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = folder / "server.pem"
        pair.write_bytes(self._pem("server") + self._issue("server", "ca"))
        context.load_cert_chain(pair)
        context.load_verify_locations(cadata=self._certificate.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def cluster_entry(self) -> dict[str, str]:
        return {"certificate-authority-data": base64.b64encode(self._certificate).decode()}

    def client_entry(self, who: str) -> dict[str, str]:
        return {
            "client-certificate-data": base64.b64encode(self._issue(who, "ca")).decode(),
            "client-key-data": base64.b64encode(self._pem(who)).decode(),
        }

    def _pem(self, who: str) -> bytes:
        return self.key_of(who).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    def _issue(self, who: str, by: str) -> bytes:
        now = datetime.now(UTC)
        key = self.key_of(who).public_key()
        authority = self.key_of(by).public_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(who))
            .issuer_name(name(by))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=who == by, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), False)
        )
        return builder.sign(self.key_of(by), hashes.SHA256()).public_bytes(Encoding.PEM)
