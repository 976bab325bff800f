"""Acting as somebody else: for administrators who want to see what another one sees, and who may.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote

from tinykube.api.authentication import member
from tinykube.api.authorization import Attributes, Authorizer, attributes_of, refusal
from tinykube.api.filters import Filter
from tinykube.api.tokens import account_groups
from tinykube.machinery.errors import ApiError, bad_request
from tinykube.machinery.wire import NOBODY, Handler, Request, Response, User

GROUP = "authentication.k8s.io"
EXTRA = "impersonate-extra-"


def impersonate(decide: Authorizer) -> Filter:
    """A filter that lets a request speak as another user, if its own user may."""
    worked: dict[str, bool] = {}         # for whom the old way worked last: it is tried first, and its no is told
    async def impersonated(request: Request, then: Handler) -> Response:
        wanted = wanted_user(request)
        if wanted is None:
            return await then(request)
        user, errors = request.user or NOBODY, []
        for old in sorted((False, True), key=lambda way: way != worked.get(user.name, False)):
            refused = await refused_by(decide, (checks_of_old if old else checks)(request, user, wanted))
            if refused is None:
                worked[user.name] = old
                break
            errors.append(refused)
        else:
            raise errors[0]
        request.notes["impersonated"] = full = completed(wanted)
        return await then(replace(request, user=full))
    return impersonated


async def refused_by(decide: Authorizer, needed: Iterator[Attributes]) -> ApiError | None:
    """The refusal of the first permission that is refused, or None."""
    for each in needed:
        allowed, reason = await decide(each)
        if not allowed:
            return refusal(each, reason)
    return None


def wanted_user(request: Request) -> User | None:
    """Whom a request wants to be. Raises ApiError 400 if it names groups, but nobody."""
    found = {name: value for name, value in request.headers.items() if name.startswith("impersonate-")}
    if not found:
        return None
    extra = {unquote(name.removeprefix(EXTRA)).lower(): tuple(value.split("\n"))
             for name, value in found.items() if name.startswith(EXTRA)}
    groups = tuple(filter(None, found.get("impersonate-group", "").split("\n")))
    if not found.get("impersonate-user"):
        shown = f"{{{', '.join(json.dumps(group) for group in groups)}}}" if groups else "(nil)"
        raise bad_request(f'requested &user.DefaultInfo{{Name:"", UID:"{found.get("impersonate-uid", "")}", '
                          f"Groups:[]string{shown}, Extra:map[string][]string(nil)}} without impersonating a user name")
    return User(found["impersonate-user"], groups, found.get("impersonate-uid", ""), extra)


def account(user: User) -> tuple[str, str] | None:
    """Namespace and name of a service account, if the user is one."""
    parts = user.name.split(":")
    return (parts[2], parts[3]) if len(parts) == 4 and user.name.startswith("system:serviceaccount:") else None


def completed(wanted: User) -> User:
    """A wanted user with the groups that they would have had, if none were asked for."""
    if wanted.name == NOBODY.name:
        return replace(wanted, groups=wanted.groups or NOBODY.groups)
    home = account(wanted)
    return member(replace(wanted, groups=account_groups(home[0])) if home and not wanted.groups else wanted)


def checks(request: Request, user: User, wanted: User) -> Iterator[Attributes]:
    """What it takes: to do this as another user of that sort, and to be this user, these groups, and so on."""
    node = wanted.name.removeprefix("system:node:") if wanted.name.startswith("system:node:") else ""
    home = account(wanted)
    mode = "arbitrary-node" if node else "serviceaccount" if home else "user-info"
    doing = attributes_of(request)
    yield replace(doing, verb=f"impersonate-on:{mode}:{doing.verb}")
    one = Attributes(user, f"impersonate:{mode}", "", GROUP, "nodes" if node else "serviceaccounts" if home else "users", "",
                     home[0] if home else "", node or (home[1] if home else wanted.name))
    yield one
    if mode == "user-info":
        yield from (replace(each, verb=one.verb, group=GROUP) for each in others(user, wanted))


def checks_of_old(request: Request, user: User, wanted: User) -> Iterator[Attributes]:
    """What it took before: a verb `impersonate` on this user, these groups, and so on, whatever one does then."""
    home = account(wanted)
    yield Attributes(user, "impersonate", "", "", "serviceaccounts" if home else "users", "", home[0] if home else "",
                     home[1] if home else wanted.name)
    yield from others(user, wanted)


def others(user: User, wanted: User) -> Iterator[Attributes]:
    """The permissions for groups, uid and extra fields."""
    yield from (Attributes(user, "impersonate", "", "", "groups", "", "", group) for group in wanted.groups)
    if wanted.uid:
        yield Attributes(user, "impersonate", "", GROUP, "uids", "", "", wanted.uid)
    for key, values in wanted.extra.items():
        yield from (Attributes(user, "impersonate", "", GROUP, "userextras", key, "", value) for value in values)
