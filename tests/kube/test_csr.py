"""Certificate requests: what is acceptable, and what an attacker would try."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AttributeOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.kube.csr import certificate_request
from agent.model.kubernetes import CertificateRequest
from tests.kube.apihttp import Json

Builder = x509.CertificateSigningRequestBuilder
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey

KEY = ec.generate_private_key(ec.SECP256R1())
ORGANIZATION = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes")
COMMON_NAME = x509.NameAttribute(NameOID.COMMON_NAME, "system:node:i-1")
CLIENT = Builder().subject_name(x509.Name([ORGANIZATION, COMMON_NAME]))


def pem(builder: Builder = CLIENT, key: Key = KEY) -> bytes:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def read(request: bytes, status: Json | None = None) -> CertificateRequest:
    body = {
        "metadata": {"name": "csr-1", "uid": "u"},
        "spec": {
            "request": base64.b64encode(request).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "username": "system:bootstrap:abcdef",
            "groups": ["system:bootstrappers", "system:bootstrappers:joinery"],
            "usages": ["digital signature", "client auth"],
        },
        "status": status or {},
    }
    return certificate_request(json.dumps(body).encode())


def test_a_kubelets_request_is_read_whole() -> None:
    found = read(pem())
    key = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert (found.common_name, found.organizations, found.sans) == ("system:node:i-1", ("system:nodes",), ())
    assert found.public_key == hashlib.sha256(key).hexdigest()
    assert (found.fault, found.key_fault) == ("", "")
    assert found.signer == "kubernetes.io/kube-apiserver-client-kubelet"
    assert found.username == "system:bootstrap:abcdef"
    assert found.usages == ("client auth", "digital signature")
    assert (found.decided, found.issued) == (False, False)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(65537, 2048),
    ],
)
def test_the_keys_that_kubelets_make_are_acceptable(make: Callable[[], Key]) -> None:
    assert read(pem(key=make())).key_fault == ""


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: rsa.generate_private_key(65537, 1024), "an RSA key of 1024 bits is too short"),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "the curve secp521r1 is not accepted"),
        (ed25519.Ed25519PrivateKey.generate, "the key must be ECDSA P-256, P-384 or RSA"),
        (lambda: dsa.generate_private_key(1024), "the key must be ECDSA P-256, P-384 or RSA"),
    ],
)
def test_other_keys_are_not(make: Callable[[], Key], fault: str) -> None:
    assert read(pem(key=make())).key_fault == fault


def test_a_signature_by_another_key_is_noticed() -> None:
    der = CLIENT.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    mine, theirs = (k.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for k in (KEY.public_key(), other))
    swapped = x509.load_der_x509_csr(der.replace(mine, theirs)).public_bytes(Encoding.PEM)
    assert read(swapped).key_fault == "the signature is not made with the key in the request"


def test_every_alternative_name_is_listed_whatever_its_kind() -> None:
    sans = x509.SubjectAlternativeName(
        [
            x509.DNSName("i-1"),
            x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
            x509.UniformResourceIdentifier("spiffe://x"),
            x509.RFC822Name("a@b"),
        ]
    )
    found = read(pem(CLIENT.add_extension(sans, critical=False)))
    assert found.sans == ("DNSName:i-1", "IPAddress:10.0.0.1", "UniformResourceIdentifier:spiffe://x", "RFC822Name:a@b")
    assert found.fault == ""


@pytest.mark.parametrize(
    "builder",
    [
        CLIENT.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True),
        CLIENT.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), False),
        CLIENT.add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"secret"),
        CLIENT.add_attribute(AttributeOID.UNSTRUCTURED_NAME, b"name"),
    ],
)
def test_nothing_beside_alternative_names_may_be_asked_for(builder: Builder) -> None:
    assert read(pem(builder)).fault.startswith("unexpected extension or attribute ")


@pytest.mark.parametrize(
    "subject",
    [
        [ORGANIZATION],
        [ORGANIZATION, COMMON_NAME, x509.NameAttribute(NameOID.COMMON_NAME, "system:node:i-2")],
        [ORGANIZATION, COMMON_NAME, x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "x")],
    ],
)
def test_a_subject_has_one_name_and_organizations_and_nothing_else(subject: list[x509.NameAttribute[str]]) -> None:
    found = read(pem(Builder().subject_name(x509.Name(subject))))
    assert found.fault == "the subject must have one common name, organizations, and nothing else"


def test_all_organizations_are_listed() -> None:
    masters = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters")
    found = read(pem(Builder().subject_name(x509.Name([ORGANIZATION, masters, COMMON_NAME]))))
    assert found.organizations == ("system:nodes", "system:masters")


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"no pem",
        pem() + pem(),
        pem() + b"trailing",
        b"leading" + pem(),
        pem().replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST"),
        pem().replace(b"REQUEST-----\n", b"REQUEST-----\nProc-Type: 4,ENCRYPTED\n\n", 1),
        pem().replace(b"-----END", b"AAAA\n-----END"),
        b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        b"-----BEGIN CERTIFICATE REQUEST-----\n=\n-----END CERTIFICATE REQUEST-----\n",
    ],
)
def test_anything_but_one_clean_block_is_a_fault_and_no_error(request_: bytes) -> None:
    found = read(request_)
    assert found.fault.startswith("not a certificate request: ")
    assert (found.common_name, found.public_key) == ("", "")


def test_a_block_with_a_byte_too_many_is_a_fault() -> None:
    der = CLIENT.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER) + b"\x00"
    body = base64.encodebytes(der)
    block = b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n"
    assert read(block).fault.startswith("not a certificate request: ")


def test_windows_line_ends_are_fine() -> None:
    assert read(pem().replace(b"\n", b"\r\n")).fault == ""


RICH = CLIENT.add_extension(
    x509.SubjectAlternativeName([x509.DNSName("i-1"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]), False
).sign(KEY, hashes.SHA256())


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=3))
@settings(max_examples=500)
def test_bytes_that_were_changed_are_a_fault_and_never_raise(changes: list[tuple[int, int]]) -> None:
    original = RICH.public_bytes(Encoding.DER)
    der = bytearray(original)
    for position, value in changes:
        der[position % len(der)] = value
    body = base64.encodebytes(bytes(der))
    found = read(b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n")
    assert bytes(der) == original or found.fault or found.key_fault


def test_a_request_of_a_version_that_no_standard_has_is_a_fault() -> None:
    der = RICH.public_bytes(Encoding.DER).replace(b"\x02\x01\x00", b"\x02\x01\x04", 1)
    body = base64.encodebytes(der)
    found = read(b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n")
    assert found.fault == "not a certificate request: 4 is not a valid CSR version"


@pytest.mark.parametrize("kind", ["Approved", "Denied", "Failed"])
def test_a_decided_request_is_known_as_such(kind: str) -> None:
    assert read(pem(), {"conditions": [{"type": kind, "status": "True"}]}).decided


def test_an_issued_request_is_known_as_such() -> None:
    assert read(pem(), {"certificate": "LS0t"}).issued


def test_base64_that_is_none_is_a_fault() -> None:
    body = {"metadata": {}, "spec": {"request": "!!!!"}}
    assert certificate_request(json.dumps(body).encode()).fault.startswith("not a certificate request: ")


def test_a_name_of_a_type_that_no_standard_has_is_a_fault() -> None:
    der = RICH.public_bytes(Encoding.DER).replace(b"\x0c\x0csystem:nodes", b"\x03\x0csystem:nodes", 1)
    body = base64.encodebytes(der)
    found = read(b"-----BEGIN CERTIFICATE REQUEST-----\n" + body + b"-----END CERTIFICATE REQUEST-----\n")
    assert found.fault.startswith("not a certificate request: ")
