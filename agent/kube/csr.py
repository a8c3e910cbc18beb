"""Certificate requests: the PEM taken apart once, its faults kept as data, so that the review is a pure function."""

import base64
import hashlib
import re
from collections.abc import Callable

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from agent.kube.wire.objects import WireCondition, WireMeta
from agent.kube.wire.reading import reader
from agent.model.kubernetes import CertificateRequest

_BLOCK = re.compile(
    rb"-----BEGIN CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)\r?\n-----END CERTIFICATE REQUEST-----"
)
_EXTENSION_REQUEST = "1.2.840.113549.1.9.14"
"""The attribute that holds the extensions (RFC 2985)."""
_MALFORMED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What cryptography raises for bytes that are no request. Anybody with a bootstrap token chooses these bytes, so that
an error which is not listed here would let them end the daemon; found by changing requests at random."""
SMALLEST_RSA_BITS = 2048
CURVES = (ec.SECP256R1, ec.SECP384R1)


class _Spec(msgspec.Struct, gc=False, rename="camel"):
    request: str | None = None
    signer_name: str | None = None
    username: str | None = None
    groups: tuple[str, ...] | None = None
    usages: tuple[str, ...] | None = None


class _Status(msgspec.Struct, gc=False):
    certificate: str | None = None
    conditions: tuple[WireCondition, ...] | None = None


class WireRequest(msgspec.Struct, gc=False):
    """A CertificateSigningRequest."""

    metadata: WireMeta
    spec: _Spec | None = None
    status: _Status | None = None


def request_model(wire: WireRequest) -> CertificateRequest:
    """As the engine has it; a PEM that cannot be read is a fault of the request, not an error."""
    spec, status = wire.spec or _Spec(), wire.status or _Status()
    plain = CertificateRequest(
        meta=wire.metadata.model(frozenset()),
        signer=spec.signer_name or "",
        username=spec.username or "",
        groups=spec.groups or (),
        usages=tuple(sorted(spec.usages or ())),
        decided=any(c.type in {"Approved", "Denied", "Failed"} for c in status.conditions or ()),
        issued=bool(status.certificate),
    )
    try:
        return _described(plain, _parsed(base64.b64decode(spec.request or "", validate=True)))
    except _MALFORMED as error:
        return msgspec.structs.replace(plain, fault=f"not a certificate request: {error}")


certificate_request: Callable[[bytes | msgspec.Raw], CertificateRequest] = reader(WireRequest, request_model)


def _parsed(pem: bytes) -> x509.CertificateSigningRequest:
    """Exactly one PEM block and nothing beside or within it that another reader could take for something else."""
    match = _BLOCK.fullmatch(pem.strip())
    if match is None:
        raise ValueError("there must be exactly one PEM block of type CERTIFICATE REQUEST, without headers")
    der = base64.b64decode(b"".join(match[1].split()), validate=True)
    return x509.load_der_x509_csr(der)


def _described(plain: CertificateRequest, parsed: x509.CertificateSigningRequest) -> CertificateRequest:
    names = [str(n.value) for n in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    others = [a for a in parsed.subject if a.oid not in {NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME}]
    key = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    sans, strange = _extensions(parsed)
    fault = ""
    if len(names) != 1 or others:
        fault = "the subject must have one common name, organizations, and nothing else"
    elif strange:
        fault = f"unexpected extension or attribute {strange}"
    return msgspec.structs.replace(
        plain,
        common_name=names[0] if len(names) == 1 else "",
        organizations=tuple(str(n.value) for n in parsed.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)),
        sans=sans,
        public_key=hashlib.sha256(key).hexdigest(),
        key_fault=_key_fault(parsed),
        fault=fault,
    )


def _extensions(parsed: x509.CertificateSigningRequest) -> tuple[tuple[str, ...], str]:
    """Every subject alternative name as ``kind:value``, and the first extension or attribute that is none."""
    sans: list[str] = []
    strange = ""
    for extension in parsed.extensions:
        if extension.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME and isinstance(
            extension.value, x509.SubjectAlternativeName
        ):
            sans += [f"{type(name).__name__}:{name.value}" for name in extension.value]
        else:
            strange = strange or extension.oid.dotted_string
    for attribute in parsed.attributes:
        if attribute.oid.dotted_string != _EXTENSION_REQUEST:
            strange = strange or attribute.oid.dotted_string
    return tuple(sans), strange


def _key_fault(parsed: x509.CertificateSigningRequest) -> str:
    key = parsed.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SMALLEST_RSA_BITS:
            return f"an RSA key of {key.key_size} bits is too short"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, CURVES):
            return f"the curve {key.curve.name} is not accepted"
    else:
        return "the key must be ECDSA P-256, P-384 or RSA"
    try:
        valid = parsed.is_signature_valid
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        valid = False
    return "" if valid else "the signature is not made with the key in the request"
