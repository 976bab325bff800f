"""May you? What a request wants to do, whom that is asked, and the words of a no.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/authorization/
"""
from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tinykube.api.filters import Filter
from tinykube.api.requestinfo import request_info
from tinykube.machinery.errors import ApiError, forbidden
from tinykube.machinery.selectors import parse_field_selector
from tinykube.machinery.wire import NOBODY, Handler, Request, Response, User

MASTERS = "system:masters"               # the one group that no rule holds back


@dataclass(frozen=True)
class Attributes:
    """What somebody wants to do: a verb on a resource, or on a path that is none."""

    user: User
    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    fields: tuple[tuple[str, str], ...] = ()     # what a field selector demands, as far as it says "equals"

    @property
    def part(self) -> str:
        """The resource as rules name it: `pods`, or `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def attributes_of(request: Request) -> Attributes:
    """What a request wants to do, read from its first line and its headers: nobody has looked at the body yet."""
    user = request.user or NOBODY
    info = request_info(request.method, request.path, request.param("watch") in ("1", "true"))
    if not info.resource:
        return Attributes(user, request.method.lower(), request.path)
    fields = equalities(request.param("fieldSelector")) if request.query else ()
    namespace = info.namespace or (info.name if info.resource == "namespaces" else "")
    name = info.name or dict(fields).get("metadata.name", "")
    return Attributes(user, info.verb, request.path, info.group, info.resource, info.subresource, namespace, name, fields)


def equalities(selector: str) -> tuple[tuple[str, str], ...]:
    """The fields that a selector fixes. One that can't be read fixes none; the verb will say what is wrong with it."""
    try:
        return tuple((each.field, each.value) for each in parse_field_selector(selector) if not each.negated)
    except ValueError:
        return ()


Authorizer = Callable[[Attributes], Awaitable[tuple[bool, str]]]     # allowed? why (not)?


async def everybody(wanted: Attributes) -> tuple[bool, str]:
    """The authorizer of a server that has no doorkeepers."""
    return True, ""


async def masters(wanted: Attributes) -> tuple[bool, str]:
    """The authorizer for those who may do everything: whoever made the cluster has to be able to mend it."""
    return MASTERS in wanted.user.groups, ""


def first_yes(authorizers: Sequence[Authorizer]) -> Authorizer:
    """Ask one after the other. One yes is enough; if all say no, their reasons are kept."""
    async def decide(wanted: Attributes) -> tuple[bool, str]:
        reasons = []
        for each in authorizers:
            allowed, reason = await each(wanted)
            if allowed:
                return True, reason
            reasons.append(reason)
        return False, "\n".join(filter(None, reasons))
    return decide


def authorize(decide: Authorizer) -> Filter:
    """A filter that lets through what somebody allows."""
    async def authorized(request: Request, then: Handler) -> Response:
        wanted = attributes_of(request)
        allowed, reason = await decide(wanted)
        request.notes.setdefault("annotations", {}).update({
            "authorization.k8s.io/decision": "allow" if allowed else "forbid", "authorization.k8s.io/reason": reason})
        if not allowed:
            raise refusal(wanted, reason)
        return await then(request)
    return authorized


def refusal(wanted: Attributes, reason: str) -> ApiError:
    """403, in the words of the genuine server."""
    who = f"User {json.dumps(wanted.user.name, ensure_ascii=False)} cannot {wanted.verb}"
    why = f": {reason}" if reason else ""
    if not wanted.resource:
        return ApiError(403, f'forbidden: {who} path "{wanted.path}"{why}', "Forbidden", {})
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    return forbidden(wanted.resource, wanted.name,
                     f'{who} resource "{wanted.part}" in API group "{wanted.group}" {where}{why}', wanted.group)
