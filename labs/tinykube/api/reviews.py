"""Questions about rights, asked as objects that are never stored: may he, may I, what may I, who am I, whose token?

Genuine counterparts: the groups authorization.k8s.io and authentication.k8s.io.
"""
from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tinykube.api.authentication import Authenticator, member, recognize, user_info
from tinykube.api.authorization import Attributes, Authorizer
from tinykube.api.codec import decode_object
from tinykube.api.nodes import node_of
from tinykube.api.rbac import Rbac, problem
from tinykube.api.registry import encode
from tinykube.api.verbs import Call
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, dig, timestamp
from tinykube.machinery.wire import Response, User

NO_CHOICE = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
LISTS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")


class Reviews:
    """The handlers of all reviews."""

    def __init__(self, decide: Authorizer, rbac: Rbac, authenticators: Sequence[Authenticator], own: Sequence[str]) -> None:
        self.decide, self.rbac, self.authenticators, self.own = decide, rbac, authenticators, own

    async def myself(self, call: Call) -> Response:
        """Who am I, in the eyes of the server?"""
        now = {"metadata": {"creationTimestamp": timestamp(call.server.clock)}}
        return reply(call, {**asked(call), **now, "status": {"userInfo": user_info(call.user)}})

    async def my_access(self, call: Call) -> Response:
        """May I?"""
        return await self.judged(call, asked(call), call.user)

    async def access(self, call: Call) -> Response:
        """May he? Whoever may ask this can find out everybody's rights."""
        review = asked(call)
        spec = review.get("spec") or {}
        if not spec.get("user") and not spec.get("groups"):
            raise wrong("spec.user", "", "at least one of user or group must be specified")
        where = dig(spec, "resourceAttributes", "namespace", default="")
        if call.info.namespace and where != call.info.namespace:
            raise wrong("spec.resourceAttributes.namespace", where, "must match metadata.namespace")
        extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
        user = User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)
        return await self.judged(call, review, user)

    async def judged(self, call: Call, review: Object, user: User) -> Response:
        """A review with the answer in its status."""
        spec = review.get("spec") or {}
        about, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if bool(about is not None) == bool(path is not None):
            shown = {"Path": path.get("path", ""), "Verb": path.get("verb", "")} if path is not None else None
            raise wrong("spec", shown, NO_CHOICE)
        allowed, reason = await self.decide(wanted(user, about, path or {}))
        return reply(call, {**review, "status": {"allowed": allowed} | ({"reason": reason} if reason else {})})

    async def my_rules(self, call: Call) -> Response:
        """What may I, in a namespace? As far as rules can tell; other authorizers may know more."""
        review = asked(call)
        namespace = dig(review, "spec", "namespace", default="")
        if not namespace:
            raise errors.bad_request("no namespace on request")
        grants = list(self.rbac.grants_of(call.user, namespace))
        rules = [{key: rule[key] for key in LISTS if rule.get(key)} for grant in grants for rule in grant.rules]
        broken = ["node authorizer does not support user rule resolution"] if node_of(call.user) else []
        status: Object = {"resourceRules": [rule for rule in rules if "resources" in rule],
                          "nonResourceRules": [rule for rule in rules if "nonResourceURLs" in rule],
                          "incomplete": bool(broken)}
        if text := ", ".join([*broken, *filter(None, [problem((each.missing for each in grants), "")])]):
            status["evaluationError"] = text
        return reply(call, {**review, "spec": {}, "status": status})

    async def token(self, call: Call) -> Response:
        """Whose token is this? Asked by servers that others show theirs to."""
        review = asked(call)
        token, audiences = dig(review, "spec", "token", default=""), dig(review, "spec", "audiences") or self.own
        if not token:
            raise errors.bad_request("token is required for TokenReview in authentication")
        found, error = await recognize(self.authenticators, token, audiences)
        status: Object = {"user": {}, "error": error} if found is None else {
            "authenticated": True, "user": user_info(member(found[0])), "audiences": list(found[1])}
        return reply(call, {**review, "status": status})


def asked(call: Call) -> Object:
    """The review that somebody sent."""
    return decode_object(call.request, call.resource, call.server.decoders)


def reply(call: Call, review: Object) -> Response:
    """A review, answered, in the form that the client asked for."""
    shape = call.server.shape(call.request, call.resource)
    return Response(201, encode(shape(review) if shape else review), {"content-type": "application/json"})


def wrong(field: str, value: Any, why: str) -> Exception:
    """422. The genuine server leaves out which kind it speaks of here."""
    shown = json.dumps(value, separators=(",", ":"))
    cause = {"reason": "FieldValueInvalid", "message": f"Invalid value: {shown}: {why}", "field": field}
    return errors.ApiError(422, f'.authorization.k8s.io "" is invalid: {field}: {cause["message"]}', "Invalid",
                           {"group": "authorization.k8s.io", "causes": [cause]})


def wanted(user: User, about: Object | None, path: Object) -> Attributes:
    """What a review asks about, as an authorizer is asked."""
    if about is None:
        return Attributes(user, path.get("verb", ""), path.get("path", ""))
    demands = dig(about, "fieldSelector", "requirements", default=[])
    fields = tuple((each["key"], each["values"][0]) for each in demands if each.get("operator") == "In" and each.get("values"))
    names = {key: about.get(key, "") for key in ("group", "resource", "subresource", "namespace", "name")}
    return Attributes(user, about.get("verb", ""), fields=fields, **names)
