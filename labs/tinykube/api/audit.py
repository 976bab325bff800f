"""The audit log: who asked what, when, and what came of it; one line of JSON for each stage of a request.

Genuine counterpart: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/
"""
from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from random import Random

from tinykube.api.authentication import Turned, user_info
from tinykube.api.authorization import Attributes, attributes_of
from tinykube.api.filters import Filter
from tinykube.api.requestinfo import request_info
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, new_uid
from tinykube.machinery.wire import NOBODY, Body, Handler, Request, Response, User, close

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
EVERYTHING: list[Object] = [{"level": "Metadata", "omitStages": ["RequestReceived"]}]
Write = Callable[[Object], object]


def audit(write: Write, clock: Clock, random: Random, rules: Sequence[Object] = EVERYTHING) -> Filter:
    """A filter that writes events, as the first rule of a policy that fits a request says."""
    async def audited(request: Request, then: Handler) -> Response:
        trail = begin(write, clock, random, rules, request)
        if trail is None:
            return await then(request)
        trail.tell("RequestReceived")
        try:
            response = await then(request)
        except ApiError as error:
            trail.finish(refused(error))
            raise
        except Exception:
            trail.tell("Panic", {"metadata": {}, "status": "Failure", "code": 500})
            raise
        response.headers.setdefault("audit-id", trail.facts["auditID"])
        if isinstance(response.body, bytes | dict):
            trail.finish(outcome(response), response.body)
        else:
            trail.tell("ResponseStarted", outcome(response))
            response.body = trail.follow(response.body)
        return response
    return audited


def audit_strangers(write: Write, clock: Clock, random: Random, rules: Sequence[Object] = EVERYTHING) -> Turned:
    """What to do with a request whose sender is not who they said to be: one event, and not a word of what they sent."""
    def turned(request: Request, error: ApiError) -> None:
        if trail := begin(write, clock, random, rules, replace(request, user=User(""), body=b"")):
            trail.tell("ResponseStarted", refused(error))
    return turned


def begin(write: Write, clock: Clock, random: Random, rules: Sequence[Object], request: Request) -> Trail | None:
    """The trail of a request, if the first rule that fits it wants one."""
    wanted = attributes_of(request)
    rule = next((rule for rule in rules if fits(rule, wanted)), {"level": "None"})
    if rule["level"] == "None":
        return None
    return Trail(write, clock, rule, first_facts(request, wanted, rule["level"], new_uid(random)), request)


def refused(error: ApiError) -> Object:
    """What an event says of an error."""
    return {key: value for key, value in error.status().items() if key not in ("kind", "apiVersion")}


class Trail:
    """The events of one request."""

    def __init__(self, write: Write, clock: Clock, rule: Object, facts: Object, request: Request) -> None:
        self.write, self.clock, self.rule, self.facts, self.request = write, clock, rule, facts, request
        self.began = micro(clock.now())

    def tell(self, stage: str, status: Object | None = None, response: Body = b"") -> None:
        """Write one event, with what is known by now."""
        if stage in self.rule.get("omitStages", ()):
            return
        other, mode = self.request.notes.get("impersonated"), self.request.notes.get("constraint")
        facts = {**self.facts, "stage": stage}
        late: Object = {
            "impersonatedUser": user_info(other) if other else None,
            "authenticationMetadata": {"impersonationConstraint": mode} if mode else None,
            **{key: facts.pop(key, None) for key in REST},
            "responseStatus": status, "requestObject": facts.pop("requestObject", None),
            "responseObject": parsed(response) if self.rule["level"] == "RequestResponse" else None,
            "requestReceivedTimestamp": self.began, "stageTimestamp": micro(self.clock.now()),
            "annotations": self.request.notes.get("annotations")}
        self.write({**facts, **{key: value for key, value in late.items() if value is not None}})

    def finish(self, status: Object, response: Body = b"") -> None:
        """Write the last event; for a watch that was refused, the one before, too."""
        if self.facts["verb"] == "watch":
            self.tell("ResponseStarted", status)
        self.tell("ResponseComplete", status, response)

    async def follow(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A stream as it is, and an event at its end."""
        try:
            async for chunk in body:
                yield chunk
        finally:
            await close(Response(200, body))
            self.tell("ResponseComplete", {"metadata": {}, "code": 200})


REST = ("sourceIPs", "userAgent", "objectRef")


def first_facts(request: Request, wanted: Attributes, level: str, number: str) -> Object:
    """What is known of a request before it is done."""
    sent = parsed(request.body) if request.body and (level in LEVELS[2:] or request.method == "POST") else None
    return {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": level,
            "auditID": request.headers.get("audit-id", number), "stage": "", "requestURI": request.target,
            "verb": wanted.verb, "user": user_info(request.user or NOBODY), "sourceIPs": [request.peer or "127.0.0.1"],
            "userAgent": request.headers.get("user-agent"), "objectRef": reference(request, wanted, sent),
            "requestObject": sent if level in LEVELS[2:] else None}


def reference(request: Request, wanted: Attributes, sent: Object | None) -> Object | None:
    """Which object a request is about. A new one has its name in the body."""
    if not wanted.resource:
        return None
    fields = {"resource": wanted.resource, "namespace": wanted.namespace,
              "name": wanted.name or dig(sent or {}, "metadata", "name", default=""), "apiGroup": wanted.group,
              "apiVersion": request_info(request.method, request.path).version, "subresource": wanted.subresource}
    return {key: value for key, value in fields.items() if value}


def outcome(response: Response) -> Object:
    """How an answer went, without what it said; of a Status, what it says."""
    body = parsed(response.body) if not isinstance(response.body, bytes) or response.body[:16] == b'{"kind":"Status"' else None
    said: Object = {key: body[key] for key in ("status", "message", "reason", "details") if body and key in body}
    return {"metadata": {}, **said, "code": response.status}


def fits(rule: Object, wanted: Attributes) -> bool:
    """Whether a rule of the policy is about this request: all that it names has to fit."""
    user, resources, paths = wanted.user, rule.get("resources"), rule.get("nonResourceURLs")
    about = not (resources or paths) or (
        any(of_resource(each, wanted) for each in resources or ()) if wanted.resource else
        any(wanted.path == path or (path.endswith("*") and wanted.path.startswith(path[:-1])) for path in paths or ()))
    return about and all(not rule.get(field) or found & set(rule[field]) for field, found in (
        ("users", {user.name}), ("userGroups", set(user.groups)), ("verbs", {wanted.verb}),
        ("namespaces", {wanted.namespace})))


def of_resource(entry: Object, wanted: Attributes) -> bool:
    """Whether an entry of a rule's `resources` means what is wanted."""
    kinds, names = entry.get("resources"), entry.get("resourceNames")
    means = not kinds or {"*", wanted.part, f"*/{wanted.subresource}", f"{wanted.resource}/*"} & set(kinds)
    return entry.get("group", "") == wanted.group and bool(means) and (not names or wanted.name in names)


def parsed(body: Body) -> Object | None:
    """A body as the JSON object that it is, or None."""
    if isinstance(body, dict):
        return body
    try:
        found = json.loads(body) if isinstance(body, bytes) else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def micro(time: datetime) -> str:
    """A time with microseconds, as audit events have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
