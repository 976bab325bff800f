"""Certificates for genuine components: one authority, and an identity for each who takes part."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "Identity", "write_key_pair"]

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Identity:
    """Files of one certificate and its private key."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority that lives in `directory` and is trusted by nobody but those who read its file."""

    def __init__(self, directory: Path, name: str = "kubernetes-by-hand") -> None:
        self.directory = directory
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = self._builder(self._name, self._key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(usage, critical=True)
        self.file = directory / "ca.crt"
        self.file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        self.key_file = _write_key(directory / "ca.key", self._key)

    def identity(
        self, file: str, user: str, groups: Sequence[str] = (), *, names: Sequence[str] = (), client: bool = True
    ) -> Identity:
        """A certificate for `user` (common name) in `groups` (organizations), valid for the hosts `names` as a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH] if client else []
        uses += [ExtendedKeyUsageOID.SERVER_AUTH] if names else []
        builder = self._builder(subject, key).add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(n) for n in names]), critical=False)
        path = self.directory / f"{file}.crt"
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return Identity(path, _write_key(path.with_suffix(".key"), key))

    def _builder(self, subject: x509.Name, key: Key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=7))
        )


def write_key_pair(directory: Path, name: str) -> Identity:
    """A key pair without a certificate, as service account tokens are signed and checked with."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = directory / f"{name}.pub"
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    return Identity(public, _write_key(directory / f"{name}.key", key))


def _write_key(path: Path, key: Key) -> Path:
    path.touch(mode=0o600)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return path


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
