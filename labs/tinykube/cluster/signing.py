"""The authority of a cluster as its controllers know it: it reads requests for certificates, and signs them.

Genuine counterpart: k8s.io/kubernetes/pkg/controller/certificates/authority.
"""
from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tinykube.api.keys import PEM, YEAR, Authority
from tinykube.controllers.settings import Asked

BACKDATE = timedelta(minutes=5)                                        # clocks differ
KINDS: dict[type[x509.GeneralName], str] = {x509.DNSName: "DNS", x509.RFC822Name: "Email", x509.IPAddress: "IP",
                                            x509.UniformResourceIdentifier: "URI"}
PURPOSES = {"client auth": ExtendedKeyUsageOID.CLIENT_AUTH, "server auth": ExtendedKeyUsageOID.SERVER_AUTH}


class Signing:
    """Signs with the key of an authority. Nothing that it signs outlives the authority, or is one itself."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.last = x509.load_pem_x509_certificate(authority.certificate).not_valid_after_utc

    def asked(self, request: bytes) -> Asked:
        """What a request asks for. Raises ValueError for what is none."""
        read = x509.load_pem_x509_csr(request)
        name, groups = ([str(each.value) for each in read.subject.get_attributes_for_oid(oid)]
                        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME))
        return Asked("".join(name[-1:]), tuple(groups), frozenset(KINDS.get(type(each), "other") for each in others(read)))

    def sign(self, request: bytes, usages: list[str], seconds: int | None, now: datetime) -> bytes:
        """The certificate that a request asks for: its subject, its other names and its key, and our word for them."""
        read, lasts = x509.load_pem_x509_csr(request), min(timedelta(seconds=seconds), YEAR) if seconds else YEAR
        builder = x509.CertificateBuilder(self.authority.name, read.subject, read.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - BACKDATE).not_valid_after(min(now + lasts, self.last))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        signature, encipherment = (each in usages for each in ("digital signature", "key encipherment"))
        if signature or encipherment:
            usage = x509.KeyUsage(signature, False, encipherment, False, False, False, False, False, False)
            builder = builder.add_extension(usage, critical=True)
        purposes = [oid for usage, oid in PURPOSES.items() if usage in usages]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if names := others(read):
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.authority.key, hashes.SHA256()).public_bytes(PEM)

    def ends(self, certificate: bytes) -> datetime:
        """When a certificate runs out."""
        return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def others(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    """The names beside the subject that a request asks for."""
    found = [each.value for each in request.extensions if isinstance(each.value, x509.SubjectAlternativeName)]
    return [name for names in found for name in names]
