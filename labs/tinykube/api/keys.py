"""Keys and certificates: the arithmetic behind signatures, which is a library's business.

Genuine counterpart: what kubeadm's `init phase certs` makes.
"""
from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tinykube.api.tokens import encoded
from tinykube.machinery.objects import Object

PEM, SHA256, COORDINATE = serialization.Encoding.PEM, ec.ECDSA(hashes.SHA256()), 32
YEAR = timedelta(days=365)
NAMES = ("127.0.0.1", "localhost", "10.96.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
         "kubernetes.default.svc.cluster.local")


class EcSigner:
    """A signer of tokens: ES256, with a key of its own unless one is given as PEM."""

    algorithm = "ES256"

    def __init__(self, pem: bytes = b"") -> None:
        key = serialization.load_pem_private_key(pem, None) if pem else new_key()
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"tokens are signed with an elliptic-curve key here, this is a {type(key).__name__}")
        self.key = key
        der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.key_id = encoded(hashlib.sha256(der).digest())

    def sign(self, data: bytes) -> bytes:
        """The signature of some bytes: two numbers, one after the other."""
        return b"".join(number.to_bytes(COORDINATE, "big")
                        for number in utils.decode_dss_signature(self.key.sign(data, SHA256)))

    def verified(self, data: bytes, signature: bytes) -> bool:
        """Whether this signature of these bytes is ours."""
        r, s = (int.from_bytes(half, "big") for half in (signature[:COORDINATE], signature[COORDINATE:]))
        try:
            self.key.public_key().verify(utils.encode_dss_signature(r, s), data, SHA256)
        except InvalidSignature:
            return False
        return len(signature) == 2 * COORDINATE

    def public(self) -> Object:
        """The public key, as a JSON Web Key."""
        point = self.key.public_key().public_numbers()
        x, y = (encoded(number.to_bytes(COORDINATE, "big")) for number in (point.x, point.y))
        return {"use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": self.algorithm, "x": x, "y": y}


def new_key() -> ec.EllipticCurvePrivateKey:
    """A private key; some hundred microseconds, where RSA takes a good part of a second."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as the text that programs read."""
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, both as PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority: whoever trusts it trusts what it signs."""

    def __init__(self, name: str = "tinykube", now: datetime | None = None, kept: Identity | None = None) -> None:
        key = serialization.load_pem_private_key(kept.key, None) if kept else new_key()
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"an authority signs with an elliptic-curve key here, this is a {type(key).__name__}")
        self.key, self.now = key, now or datetime.now(UTC)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = self.builder(self.name, self.key, 10 * YEAR)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        made = builder.add_extension(usage, critical=True).sign(self.key, hashes.SHA256()).public_bytes(PEM)
        self.certificate = kept.certificate if kept else made

    def builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: timedelta) -> x509.CertificateBuilder:
        """The beginning of a certificate: whose it is, who says so, from when until when."""
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(self.now - timedelta(minutes=5))
                .not_valid_after(self.now + lasts))

    def client(self, user: str, groups: Sequence[str] = (), lasts: timedelta = YEAR) -> Identity:
        """An identity for a client: its name as common name, its groups as organizations."""
        return self.issue(user, groups, ExtendedKeyUsageOID.CLIENT_AUTH, (), lasts)

    def server(self, name: str, hosts: Sequence[str] = NAMES, lasts: timedelta = YEAR) -> Identity:
        """An identity for a server: good under these host names and addresses, and no others."""
        return self.issue(name, (), ExtendedKeyUsageOID.SERVER_AUTH, hosts, lasts)

    def issue(self, name: str, groups: Sequence[str], use: x509.ObjectIdentifier, hosts: Sequence[str],
              lasts: timedelta) -> Identity:
        """Make a key pair and sign a certificate for it."""
        key = new_key()
        parts = [*((NameOID.ORGANIZATION_NAME, group) for group in groups), (NameOID.COMMON_NAME, name)]
        builder = self.builder(x509.Name([x509.NameAttribute(oid, text) for oid, text in parts]), key, lasts)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([alternative(each) for each in hosts]), critical=False)
        return Identity(builder.sign(self.key, hashes.SHA256()).public_bytes(PEM), key_pem(key))


def alternative(host: str) -> x509.GeneralName:
    """A host as certificates name it: an address, or a name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
