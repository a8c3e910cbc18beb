"""The cluster's certificate authority: the server's certificate, clients', and what kubelets ask for."""

import base64
import binascii
import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.sim.apiserver.messages import AUTHENTICATED, User

LIFETIME: Final = timedelta(days=365)
_BACKDATED: Final = timedelta(minutes=5)
"""As the certificate controller does, for clocks that are a little late."""

_USAGES: Final = {"client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH}


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Pair:
    """A certificate and its key as PEM."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self.certificate = certificate
        self.key = key


class Authority:
    """Signs with a key of its own, which never leaves the process."""

    def __init__(self, now: datetime | None = None) -> None:
        # TLS checks against the wall clock, whatever time the API's own clock has.
        self._now = now or datetime.now(UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
        builder = self._builder(self._name, self._key.public_key(), LIFETIME * 10).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        usage = dict.fromkeys(
            (
                "content_commitment",
                "data_encipherment",
                "key_agreement",
                "crl_sign",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=True, key_encipherment=True, key_cert_sign=True, **usage), critical=True
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> str:
        """The authority's certificate."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def server(self) -> Pair:
        """For the API server on loopback."""
        names = [
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.DNSName("localhost"),
            x509.DNSName("kubernetes.default.svc"),
        ]
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
        builder = self._builder(subject, key.public_key(), LIFETIME).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        return Pair(self._signed(builder, ["server auth"]), _key_pem(key))

    def client(self, user: User) -> Pair:
        """For a user of this name in these groups."""
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, g) for g in user.groups if g != AUTHENTICATED]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user.name)])
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(subject, key.public_key(), LIFETIME)
        return Pair(self._signed(builder, ["client auth"]), _key_pem(key))

    def sign(self, request: str, usages: list[str], lifetime_seconds: int | None) -> str:
        """The certificate (base64 of PEM) for a request as ``spec.request`` has it."""
        parsed = parse_request(request)
        lifetime = timedelta(seconds=lifetime_seconds) if lifetime_seconds else LIFETIME
        key = parsed.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey) or hasattr(key, "key_size")
        certificate = self._signed(self._builder(parsed.subject, key, lifetime), usages)  # type: ignore[arg-type]
        return base64.b64encode(certificate).decode()

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _BACKDATED)
            .not_valid_after(self._now + lifetime)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def _signed(self, builder: x509.CertificateBuilder, usages: list[str]) -> bytes:
        oids = [_USAGES[u] for u in usages if u in _USAGES]
        builder = builder.add_extension(x509.ExtendedKeyUsage(oids), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


def parse_request(request: str) -> x509.CertificateSigningRequest:
    """``spec.request`` of a CertificateSigningRequest. Raises ValueError when it is none."""
    try:
        return x509.load_pem_x509_csr(base64.b64decode(request, validate=True))
    except binascii.Error as error:
        raise ValueError("the request is not base64") from error


def holder(der: bytes) -> User:
    """Whom a client certificate that TLS has verified stands for: CN the name, O the groups."""
    subject = x509.load_der_x509_certificate(der).subject
    names = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return User(names[0] if names else "", (*groups, AUTHENTICATED))
