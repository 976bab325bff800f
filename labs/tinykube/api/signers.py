"""Who signs certificates, and for whom: what a request asks for, who may approve it, who may sign it.

Genuine counterparts: the admission plugins CertificateApproval, CertificateSigning and CertificateSubjectRestriction.
"""
from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tinykube.api.admission import Change
from tinykube.api.authorization import MASTERS, Attributes
from tinykube.api.certificates import conditions
from tinykube.machinery.errors import forbidden
from tinykube.machinery.objects import Object, dig

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

GROUP, PLURAL, KUBELET = "certificates.k8s.io", "certificatesigningrequests", "kubernetes.io/kube-apiserver-client-kubelet"
CLIENT, SERVING = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kubelet-serving"
COMMON_NAME, ORGANIZATION = b"\x55\x04\x03", b"\x55\x04\x0a"       # 2.5.4.3 and 2.5.4.10
REQUEST = re.compile(rb"-----BEGIN CERTIFICATE REQUEST-----\s+(.*?)-----END CERTIFICATE REQUEST-----", re.DOTALL)
Element = tuple[int, bytes]              # what kind of thing it is, and its bytes


def elements(der: bytes) -> Iterator[Element]:
    """The things that stand one after the other in DER: a tag, a length, the content. Raises ValueError if it is cut off."""
    while der:
        tag, size, begin = der[0], der[1] if len(der) > 1 else 0, 2
        if size & 0x80:
            begin += size & 0x7F
            size = int.from_bytes(der[2:begin], "big")
        if len(der) < begin + size or len(der) < 2:
            raise ValueError("the data is cut off")
        yield tag, der[begin:begin + size]
        der = der[begin + size:]


def inside(content: bytes) -> list[Element]:
    """The parts of a sequence or set."""
    return list(elements(content))


def subject(request: bytes) -> dict[bytes, list[str]]:
    """Who wants to be certified: the values in the subject of a request (PEM), by the number of their kind.

    Raises ValueError or IndexError for what is no request.
    """
    found: dict[bytes, list[str]] = {}
    match = REQUEST.search(request)
    _, whole = inside(base64.b64decode(match[1]) if match else b"")[0]
    _, name = inside(inside(whole)[0][1])[1]               # after the version
    for _, parts in elements(name):
        for _, pair in elements(parts):
            (_, kind), (_, value) = inside(pair)
            found.setdefault(kind, []).append(value.decode())
    return found


async def certificate_subject(server: ApiServer, change: Change) -> None:
    """Nobody gets a certificate by which they would be a master."""
    if change.operation != "CREATE" or change.resource.plural != PLURAL or not change.object:
        return
    spec = change.object["spec"]
    if spec.get("signerName") == CLIENT and MASTERS in asked_for(spec).get(ORGANIZATION, ()):
        raise forbidden(PLURAL, change.name, f"use of {CLIENT} signer with system:masters group is not allowed", GROUP)


def asked_for(spec: Object) -> dict[bytes, list[str]]:
    """The subject of a request; of one that can't be read, nothing: its rules say so later."""
    try:
        return subject(base64.b64decode(spec.get("request") or ""))
    except (ValueError, IndexError):
        return {}


async def certificate_approval(server: ApiServer, change: Change) -> None:
    """Who decides on a request needs the verb `approve` on its signer, beside the right to write the decision."""
    if change.resource.plural == PLURAL and change.subresource == "approval":
        await demand(server, change, "approve")


async def certificate_signing(server: ApiServer, change: Change) -> None:
    """Who writes the certificate of a request, or that it failed, needs the verb `sign` on its signer."""
    if change.resource.plural == PLURAL and change.subresource == "status":
        now, was = ((dig(each, "status", "certificate"), [one for one in conditions(each or {}) if one["type"] == "Failed"])
                    for each in (change.object, change.old))
        if now != was:
            await demand(server, change, "sign")


async def demand(server: ApiServer, change: Change, verb: str) -> None:
    """Raise ApiError 403 unless the user may do this for the signer of a request, or for all signers of its domain."""
    signer = str(dig(change.old, "spec", "signerName"))
    for name in (signer, f"{signer.partition('/')[0]}/*"):
        if (await server.may(Attributes(change.user, verb, "", GROUP, "signers", "", "", name)))[0]:
            return
    raise forbidden(PLURAL, change.name, f'user not permitted to {verb} requests with signerName "{signer}"', GROUP)
