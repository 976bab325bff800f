"""Puts the doorkeepers in their places: who are you, write it down, as whom, may you.

Genuine counterpart: the order of the handler chain, and the flags of kube-apiserver that begin with
--authentication-, --authorization-, --service-account- and --audit-.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tinykube.api.audit import EVERYTHING, Write, audit, audit_strangers
from tinykube.api.authentication import authenticate, bootstrap_tokens, static_tokens, unnoticed
from tinykube.api.authorization import authorize, first_yes, masters
from tinykube.api.escalation import escalation
from tinykube.api.impersonation import impersonate
from tinykube.api.nodes import NodeAuthorizer
from tinykube.api.rbac import Rbac
from tinykube.api.reviews import Reviews
from tinykube.api.tokens import ISSUER, AccountTokens, Signer
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import User

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

AUTHENTICATION, AUTHORIZATION = "authentication.k8s.io", "authorization.k8s.io"


def doorkeepers(signer: Signer, *, tokens: Mapping[str, User] | None = None, write: Write | None = None,
                policy: Sequence[Object] = EVERYTHING) -> Callable[[ApiServer], None]:
    """A plugin for an ApiServer that lets nobody in whom it doesn't know, and nothing be done that no rule allows."""
    def install(server: ApiServer) -> None:
        rbac, accounts, own = Rbac(server), AccountTokens(server, signer), (ISSUER,)
        decide = first_yes([masters, NodeAuthorizer(server).decide, rbac.decide])
        recognizers = [static_tokens(tokens or {}, own), accounts.known, bootstrap_tokens(server, own)]
        notes = (write, server.clock, server.random, policy) if write else None
        server.filters[-1:] = [                          # the crowd is counted where it is known who asks
            authenticate(recognizers, own, audit_strangers(*notes) if notes else unnoticed),
            *([audit(*notes)] if notes else []), impersonate(decide), *server.filters[-1:], authorize(decide)]
        server.may = decide
        server.admission.append(escalation(rbac, decide))
        server.on_start.append(rbac.start)
        reviews = Reviews(decide, rbac, recognizers, own)
        server.handlers |= {
            (AUTHENTICATION, "selfsubjectreviews", ""): reviews.myself,
            (AUTHENTICATION, "tokenreviews", ""): reviews.token,
            (AUTHORIZATION, "selfsubjectaccessreviews", ""): reviews.my_access,
            (AUTHORIZATION, "subjectaccessreviews", ""): reviews.access,
            (AUTHORIZATION, "localsubjectaccessreviews", ""): reviews.access,
            (AUTHORIZATION, "selfsubjectrulesreviews", ""): reviews.my_rules,
            ("", "serviceaccounts", "token"): accounts.request}
        server.routes |= {"/.well-known/openid-configuration": accounts.discovery, "/openid/v1/jwks": accounts.keys}
    return install
