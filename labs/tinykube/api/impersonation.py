"""Acting as somebody else: for administrators who want to see what another one sees, and who may.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote

from tinykube.api.authentication import member
from tinykube.api.authorization import MASTERS, Attributes, Authorizer, attributes_of, refusal
from tinykube.api.filters import Filter
from tinykube.api.tokens import account_groups
from tinykube.machinery.errors import ApiError, bad_request
from tinykube.machinery.selectors import subdomain_errors
from tinykube.machinery.wire import NOBODY, Handler, Request, Response, User

GROUP = "authentication.k8s.io"
EXTRA, NODE = "impersonate-extra-", "system:node:"
Needed = tuple[Attributes, str]           # a permission, and why nobody can have it (if so)


def impersonate(decide: Authorizer) -> Filter:
    """A filter that lets a request speak as another user, if its own user may."""
    worked: dict[str, bool] = {}         # for whom the old way worked last: it is tried first, and its no is told
    async def impersonated(request: Request, then: Handler) -> Response:
        wanted = wanted_user(request)
        if wanted is None:
            return await then(request)
        user, mode, refusals = request.user or NOBODY, mode_of(wanted), list[ApiError]()
        for old in sorted((False, True) if mode else (True,), key=lambda way: way != worked.get(user.name, False)):
            refused = await refused_by(decide, checks_of_old(user, wanted) if old else checks(request, user, wanted, mode))
            if refused is None:
                worked[user.name] = old
                break
            refusals.append(refused)
        else:
            raise refusals[0]
        request.notes["impersonated"] = full = completed(wanted, "" if old else mode)
        if not old:
            request.notes["constraint"] = f"impersonate:{mode}"
        return await then(replace(request, user=full))
    return impersonated


async def refused_by(decide: Authorizer, needed: Iterator[Needed]) -> ApiError | None:
    """The refusal of the first permission that is refused, or that nobody can have; or None."""
    for each, objection in needed:
        allowed, reason = await decide(each)
        if objection or not allowed:
            return refusal(each, objection or reason)
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


def mode_of(wanted: User) -> str:
    """As what sort of user somebody would act: a node or a service account as such, or anybody. What is dressed up is ''."""
    node = len(wanted.name) > len(NODE) and wanted.name.startswith(NODE)
    if not node and not account(wanted):
        return "user-info"
    bare = not (wanted.groups or wanted.uid or wanted.extra)
    return "" if not bare else "arbitrary-node" if node else "serviceaccount"


def completed(wanted: User, mode: str) -> User:
    """A wanted user with the groups that they would have had, if none were asked for."""
    if wanted.name == NOBODY.name:
        return replace(wanted, groups=wanted.groups or NOBODY.groups)
    if mode == "arbitrary-node":
        return member(replace(wanted, groups=("system:nodes",)))
    home = account(wanted)
    return member(replace(wanted, groups=account_groups(home[0])) if home and not wanted.groups else wanted)


def checks(request: Request, user: User, wanted: User, mode: str) -> Iterator[Needed]:
    """What it takes: to do this as another user of that sort, and to be this user, these groups, and so on."""
    doing, verb = attributes_of(request), f"impersonate:{mode}"
    yield replace(doing, verb=f"impersonate-on:{mode}:{doing.verb}"), ""
    if mode == "arbitrary-node":
        yield Attributes(user, verb, "", GROUP, "nodes", name=wanted.name.removeprefix(NODE)), ""
    elif home := account(wanted):
        yield Attributes(user, verb, "", GROUP, "serviceaccounts", "", *home), ""
    else:
        yield Attributes(user, verb, "", GROUP, "users", name=wanted.name), ""
        for each in others(user, wanted):
            masters = each.resource == "groups" and each.name == MASTERS
            objection = "impersonating the system:masters group is not allowed" if masters else ""
            if each.resource == "userextras" and not domain_path(each.subresource):
                objection = (f'impersonating an invalid key in extra is not allowed: extra.key: Invalid value: '
                             f'"{each.subresource}": must be a domain-prefixed path (such as "acme.io/foo")')
                each = replace(each, subresource="", name="")
            yield replace(each, verb=verb, group=GROUP), objection


def domain_path(key: str) -> bool:
    """Whether a key says whose it is, as in `acme.io/foo`."""
    domain, _, path = key.partition("/")
    return bool(path) and not subdomain_errors(domain)


def checks_of_old(user: User, wanted: User) -> Iterator[Needed]:
    """What it took before: a verb `impersonate` on this user, these groups, and so on, whatever one does then."""
    home = account(wanted)
    yield Attributes(user, "impersonate", "", "", "serviceaccounts" if home else "users", "", home[0] if home else "",
                     home[1] if home else wanted.name), ""
    yield from ((each, "") for each in others(user, wanted))


def others(user: User, wanted: User) -> Iterator[Attributes]:
    """The permissions for groups, uid and extra fields."""
    yield from (Attributes(user, "impersonate", "", "", "groups", "", "", group) for group in wanted.groups)
    if wanted.uid:
        yield Attributes(user, "impersonate", "", GROUP, "uids", "", "", wanted.uid)
    for key, values in wanted.extra.items():
        yield from (Attributes(user, "impersonate", "", GROUP, "userextras", key, "", value) for value in values)
