"""Tokens of service accounts: who you are, signed, for whom it is meant, and until when.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
"""
from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from tinykube.api.admission import Change, admit
from tinykube.api.authentication import Known
from tinykube.api.codec import media_type
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, dig, format_time, new_uid
from tinykube.machinery.wire import Request, Response, User

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer
    from tinykube.api.verbs import Call

ISSUER = "https://kubernetes.default.svc.cluster.local"
BINDABLE = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}
CREDENTIAL = "authentication.kubernetes.io/credential-id"


class Signer(Protocol):
    """A private key, as far as tokens need one. The arithmetic is a library's business."""

    algorithm: str                       # as JSON Web Tokens call it, such as ES256
    key_id: str

    def sign(self, data: bytes) -> bytes:
        """The signature of some bytes."""

    def verified(self, data: bytes, signature: bytes) -> bool:
        """Whether this signature of these bytes is ours."""

    def public(self) -> Object:
        """The public key, as a JSON Web Key."""


def encoded(data: bytes) -> str:
    """Bytes in the letters that a token may have: base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The bytes of such letters. Raises ValueError for others."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def signed(claims: Object, signer: Signer) -> str:
    """A JSON Web Token: a header, what is claimed, and a signature of both."""
    parts = [json.dumps(each, sort_keys=True, separators=(",", ":")).encode()
             for each in ({"alg": signer.algorithm, "kid": signer.key_id}, claims)]
    text = ".".join(encoded(part) for part in parts)
    return f"{text}.{encoded(signer.sign(text.encode()))}"


class AccountTokens:
    """Makes the tokens of service accounts, and knows them again."""

    def __init__(self, server: ApiServer, signer: Signer, issuer: str = ISSUER) -> None:
        self.server, self.signer, self.issuer = server, signer, issuer
        self.claims = lru_cache(maxsize=4096)(self.read)

    def read(self, token: str) -> Object | None:
        """What a token claims, if it is one of ours; None if it is of another kind. Raises ValueError for a forgery."""
        try:
            head, body, signature = token.split(".")
            claims: Any = json.loads(decoded(body))
            if not isinstance(claims, dict) or claims.get("iss") != self.issuer:
                return None
            right = self.signer.verified(f"{head}.{body}".encode(), decoded(signature))
        except ValueError:
            return None
        if not right:
            raise ValueError("go-jose/go-jose: error in cryptographic primitive")
        return claims

    async def known(self, token: str, audiences: Sequence[str]) -> Known | None:
        """The authenticator: whose token it is, if it is still good, and meant for one of these."""
        claims = self.claims(token)
        if claims is None:
            return None
        fitting = tuple(each for each in claims["aud"] if each in audiences)
        if not fitting:
            raise ValueError(f"token audiences {listed(claims['aud'])} is invalid for the target audiences "
                             f"{listed(audiences)}")
        if claims["exp"] <= self.server.clock.now().timestamp():
            raise ValueError("service account token has expired")
        about = claims["kubernetes.io"]
        where, account = about["namespace"], about["serviceaccount"]
        extra = {CREDENTIAL: (f"JTI={claims['jti']}",)}
        for kind in BINDABLE:
            if bound := about.get(kind.lower()):
                await self.check(kind, where, bound)
                if kind != "Secret":
                    extra |= {f"authentication.kubernetes.io/{kind.lower()}-{key}": (bound[key],) for key in ("name", "uid")}
        await self.check("ServiceAccount", where, account)
        return User(claims["sub"], account_groups(where), account["uid"], extra), fitting

    async def check(self, kind: str, namespace: str, wanted: Object) -> None:
        """Raise ValueError unless the object is there, and still the same one."""
        registry = self.server.registry(BINDABLE.get(kind, "serviceaccounts"))
        found = await registry.find("" if kind == "Node" else namespace, wanted["name"])
        if not found or found.obj["metadata"]["uid"] != wanted["uid"]:
            raise ValueError("service account token has been invalidated")

    async def request(self, call: Call) -> Response:
        """POST to serviceaccounts/NAME/token: a new token, of its own for each who asks, and for a time."""
        asked = call.server.decoders[media_type(call.request)](
            call.request.body or b"{}", None)
        account = (await call.registry.get(call.where, call.info.name)).obj["metadata"]
        spec = asked.get("spec") or {}
        seconds, audiences = spec.get("expirationSeconds") or 3600, spec.get("audiences") or [self.issuer]
        check_request(call, dig(asked, "metadata", "name", default=""), seconds)
        await admit(call.server, Change("CREATE", call.resource, call.where, call.info.name, asked, subresource="token",
                                        user=call.user, request=call.request))
        bound = await self.bound(call, spec["boundObjectRef"]) if spec.get("boundObjectRef") else {}
        now = call.server.clock.now()
        start, until = int(now.timestamp()), now + timedelta(seconds=seconds)
        claims = {"iss": self.issuer, "sub": f"system:serviceaccount:{call.where}:{call.info.name}", "aud": audiences,
                  "iat": start, "nbf": start, "exp": start + seconds, "jti": new_uid(call.server.random),
                  "kubernetes.io": {"namespace": call.where, **bound, "serviceaccount": {
                      "name": call.info.name, "uid": account["uid"]}}}
        return Response(201, {
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": call.info.name, "namespace": call.where, "uid": account["uid"],
                         "creationTimestamp": format_time(now)},
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": spec.get("boundObjectRef")},
            "status": {"token": signed(claims, self.signer), "expirationTimestamp": format_time(until)}})

    async def bound(self, call: Call, reference: Object) -> Object:
        """The claim that ties a token to the life of another object. Raises ApiError if it can't be tied."""
        kind, name = str(reference.get("kind", "")), str(reference.get("name", ""))
        if kind not in BINDABLE or reference.get("apiVersion", "v1") != "v1":
            raise errors.bad_request(f"cannot bind token to object of type /{reference.get('apiVersion', 'v1')}, Kind={kind}")
        found = (await call.server.registry(BINDABLE[kind]).get("" if kind == "Node" else call.where, name)).obj
        uid, wanted = found["metadata"]["uid"], reference.get("uid") or found["metadata"]["uid"]
        if uid != wanted:
            raise errors.conflict(kind, name, f"the UID in the bound object reference ({wanted}) does not match the UID "
                                  "in record. The object might have been deleted and then recreated")
        if kind == "Pod" and dig(found, "spec", "serviceAccountName") != call.info.name:
            raise errors.bad_request(f'cannot bind token for serviceaccount "{call.info.name}" to pod running with '
                                     "different serviceaccount name.")
        node = {"node": {"name": dig(found, "spec", "nodeName")}} if kind == "Pod" and dig(found, "spec", "nodeName") else {}
        if node and (home := await call.server.registry("nodes").find("", node["node"]["name"])):
            node["node"]["uid"] = home.obj["metadata"]["uid"]
        return {kind.lower(): {"name": name, "uid": uid}, **node}

    async def discovery(self, request: Request) -> Response:
        """GET /.well-known/openid-configuration: where others find the key that tokens can be checked with."""
        host = request.headers.get("host", "")
        return public({"issuer": self.issuer, "jwks_uri": f"https://{host}/openid/v1/jwks",
                       "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
                       "id_token_signing_alg_values_supported": [self.signer.algorithm]}, "application/json")

    async def keys(self, request: Request) -> Response:
        """GET /openid/v1/jwks: that key."""
        return public({"keys": [self.signer.public()]}, "application/jwk-set+json")


def account_groups(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"


def check_request(call: Call, name: str, seconds: int) -> None:
    """Raise ApiError 422 unless a token may be asked for like this."""
    if name not in ("", call.info.name):
        raise errors.invalid("TokenRequest", call.info.name, [errors.invalid_value(
            "metadata.name", name, "must match the service account name if specified")], "authentication.k8s.io")
    why = ("may not specify a duration less than 10 minutes" if seconds < 600 else
           "may not specify a duration larger than 2^32 seconds" if seconds > 1 << 32 else "")
    if why:
        raise errors.invalid("TokenRequest", "", [errors.invalid_value("spec.expirationSeconds", seconds, why)],
                             "authentication.k8s.io")


def listed(texts: Sequence[str]) -> str:
    """A list as Go prints it."""
    return f"[{' '.join(json.dumps(text) for text in texts)}]"


def public(body: Object, kind: str) -> Response:
    """An answer that anybody may keep for an hour."""
    return Response(200, json.dumps(body, separators=(",", ":")).encode(),
                    {"content-type": kind, "cache-control": "public, max-age=3600"})
