"""Who may ask a kubelet: it knows nobody by itself, and asks the api-server who somebody is and what they may.

Genuine counterpart: pkg/kubelet/server/auth.go, with authorization mode Webhook and no anonymous access.
"""

from __future__ import annotations

from dataclasses import replace

from tinykube.client.rest import Client
from tinykube.machinery.clock import Clock
from tinykube.machinery.objects import Object, dig
from tinykube.machinery.wire import Handler, Request, Response, User

VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
REMEMBER = {True: 300.0, False: 30.0}                # seconds that a yes and a no are good for
PARTS = {"pods": "pods", "healthz": "healthz", "metrics": "metrics", "stats": "stats", "logs": "log"}
AUTHENTICATION, AUTHORIZATION = "/apis/authentication.k8s.io/v1", "/apis/authorization.k8s.io/v1"
Attributes = tuple[str, str, str]                    # verb, the part of the node, its name


def attributes_of(request: Request, node: str) -> list[Attributes]:
    """What has to be allowed, one of them: the part that a path is about, or the node's whole API, `nodes/proxy`."""
    verb, first = VERBS.get(request.method, request.method.lower()), request.path.strip("/").partition("/")[0]
    return [(verb, part, node) for part in (PARTS.get(first, ""), "proxy") if part]


class Doorkeeper:
    """Lets through to a handler whom the api-server knows and allows."""

    def __init__(self, handler: Handler, client: Client, node: str, clock: Clock) -> None:
        self.handler, self.client, self.node, self.clock = handler, client, node, clock
        self.known: dict[tuple[str, tuple[str, ...], Attributes], tuple[float, bool]] = {}

    async def handle(self, request: Request) -> Response:
        """Answer one request, or refuse it."""
        user = request.user or await self.who(request.headers.get("authorization", ""))
        if user is None:
            return Response(401, b"Unauthorized", {"content-type": "text/plain; charset=utf-8"})
        wanted = attributes_of(request, self.node)
        for each in wanted:
            if await self.may(user, each):
                return await self.handler(replace(request, user=user))
        verb = wanted[0][0]
        said = f"Forbidden (user={user.name}, verb={verb}, resource=nodes, subresource(s)=[{' '.join(each[1] for each in wanted)}])"
        return Response(403, said.encode(), {"content-type": "text/plain; charset=utf-8"})

    async def who(self, authorization: str) -> User | None:
        """Whose token it is: a TokenReview."""
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer":
            return None
        review = await self.client.call("POST", f"{AUTHENTICATION}/tokenreviews", body={
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token.strip()}})
        found = dig(review, "status", "user", default={})
        return User(found["username"], tuple(found.get("groups", ()))) if dig(review, "status", "authenticated") else None

    async def may(self, user: User, wanted: Attributes) -> bool:
        """Whether somebody may: a SubjectAccessReview, whose answer is good for a while."""
        key, now = (user.name, user.groups, wanted), self.clock.monotonic()
        until, allowed = self.known.get(key, (0.0, False))
        if until <= now:
            review = await self.client.call("POST", f"{AUTHORIZATION}/subjectaccessreviews", body=review_of(user, wanted))
            allowed = bool(dig(review, "status", "allowed"))
            self.known[key] = now + REMEMBER[allowed], allowed
        return allowed


def review_of(user: User, wanted: Attributes) -> Object:
    """The question to the api-server."""
    verb, part, node = wanted
    about = {"verb": verb, "resource": "nodes", "subresource": part, "name": node, "version": "v1"}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user.name, "groups": list(user.groups), "resourceAttributes": about}}
