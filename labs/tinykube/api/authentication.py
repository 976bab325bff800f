"""Who are you? Certificates and tokens, and what is left when somebody brings neither.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""
from __future__ import annotations

import base64
import csv
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tinykube.api.filters import Filter
from tinykube.machinery.errors import ApiError, unauthorized
from tinykube.machinery.objects import Object, parse_time
from tinykube.machinery.wire import NOBODY, Handler, Request, Response, User

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

EVERYBODY = "system:authenticated"       # the group of all who were recognized
BOOTSTRAP_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
Known = tuple[User, tuple[str, ...]]     # whose token it is, and for which audiences it is meant (none named: for all)
Authenticator = Callable[[str, Sequence[str]], Awaitable["Known | None"]]
Turned = Callable[[Request, ApiError], None]     # hears of each whose proof is none


def unnoticed(request: Request, error: ApiError) -> None:
    """What to do with those who are turned away where nobody keeps a log."""


def authenticate(authenticators: Sequence[Authenticator], audiences: Sequence[str], turned: Turned = unnoticed) -> Filter:
    """A filter that finds out who asks: from the connection, else from a token, else it is nobody."""
    async def authenticated(request: Request, then: Handler) -> Response:
        token = "" if request.user else bearer(request)
        found, _ = await recognize(authenticators, token, audiences) if token else (None, "")
        if found is None and (token or "unproven" in request.notes):
            turned(request, error := unauthorized())
            raise error
        user = found[0] if found else request.user
        return await then(replace(request, user=member(user) if user else NOBODY))
    return authenticated


def bearer(request: Request) -> str:
    """The token that a request carries; empty if it carries none."""
    kind, _, token = request.headers.get("authorization", "").strip().partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def member(user: User) -> User:
    """A recognized user, in the group of all who are."""
    known = user == NOBODY or EVERYBODY in user.groups
    return user if known else replace(user, groups=(*user.groups, EVERYBODY))


async def recognize(authenticators: Sequence[Authenticator], token: str,
                    audiences: Sequence[str]) -> tuple[Known | None, str]:
    """Whose token it is, or why it is nobody's. An authenticator that knows the token, but not as valid, says why."""
    problems = ["invalid bearer token"]
    for each in authenticators:
        try:
            if found := await each(token, audiences):
                return (member(found[0]), found[1]), ""
        except ValueError as error:
            problems.append(str(error))
    return None, problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"


def user_info(user: User) -> Object:
    """A user as reviews and audit events write them."""
    fields: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups),
                      "extra": {key: list(values) for key, values in user.extra.items()}}
    return {key: value for key, value in fields.items() if value}


def read_tokens(text: str) -> dict[str, User]:
    """A token file: one line for each, with token, name, uid and, in quotes, groups."""
    rows = (row for row in csv.reader(text.splitlines(), skipinitialspace=True) if row and not row[0].startswith("#"))
    return {token: User(name, tuple(filter(None, ",".join(groups).split(","))), uid) for token, name, uid, *groups in rows}


def static_tokens(tokens: Mapping[str, User], own: Sequence[str]) -> Authenticator:
    """Tokens that whoever starts the server knows. They are good for the api-server, and for nobody else."""
    async def known(token: str, audiences: Sequence[str]) -> Known | None:
        fitting = tuple(each for each in audiences if each in own)
        return (tokens[token], fitting) if token in tokens and fitting else None
    return known


def bootstrap_tokens(server: ApiServer, own: Sequence[str]) -> Authenticator:
    """Tokens by which a new node introduces itself: Secrets of a type of their own, in kube-system."""
    async def known(token: str, audiences: Sequence[str]) -> Known | None:
        fitting = tuple(each for each in audiences if each in own)
        if not (match := BOOTSTRAP_TOKEN.fullmatch(token)) or not fitting:
            return None
        found = await server.registry("secrets").find("kube-system", f"bootstrap-token-{match[1]}")
        if not found or found.obj.get("type") != "bootstrap.kubernetes.io/token" or found.obj["metadata"].get("deletionTimestamp"):
            return None
        data = {key: base64.b64decode(value).decode() for key, value in (found.obj.get("data") or {}).items()}
        until = data.get("expiration")
        fits = (data.get("token-id"), data.get("token-secret"), data.get("usage-bootstrap-authentication")) == (
            match[1], match[2], "true")
        if not fits or (until and parse_time(until) <= server.clock.now()):
            return None
        extra = tuple(filter(None, data.get("auth-extra-groups", "").split(",")))
        return User(f"system:bootstrap:{match[1]}", ("system:bootstrappers", *extra)), fitting
    return known
