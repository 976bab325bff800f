"""Certificates for those who ask: some requests are approved without a person, those approved are signed, old ones go.

Genuine counterparts: certificatesigningrequest-approving-, -signing- and -cleaner-controller,
https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers
"""
from __future__ import annotations

import base64
from datetime import datetime, timedelta

from tinykube.client.queue import WorkQueue
from tinykube.controllers.conditions import holds, said
from tinykube.controllers.following import Following, NotYet
from tinykube.controllers.settings import Asked
from tinykube.machinery.objects import Object, dig, parse_time, timestamp

REQUESTS = "certificatesigningrequests"
CLIENT, SERVING = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kubelet-serving"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
PURPOSES = {KUBELET: "client auth", SERVING: "server auth", CLIENT: "client auth"}         # whom we sign for
DECIDED, WAITING = timedelta(hours=1), timedelta(hours=24)                  # how long a request is kept


def refusal(signer: str, asked: Asked, usages: list[str]) -> str:
    """Why this signer won't sign such a request; empty if it will."""
    fitting = sorted({"digital signature", "key encipherment", PURPOSES[signer]})
    odd = [each for each in usages if each not in fitting]
    if signer == CLIENT:
        return (f"invalid usage for client certificate: {odd[0]}" if odd else "" if PURPOSES[CLIENT] in usages
                else f"missing required usage for client certificate: {PURPOSES[CLIENT]}")
    wrong_usages = f"usages did not match [{' '.join(fitting)}]" if odd or len({*usages, "key encipherment"}) < 3 else ""
    wrong_name = "" if asked.name.startswith("system:node:") else "subject common name does not begin with system:node:"
    if asked.groups != ("system:nodes",):
        return "subject organization is not system:nodes"
    if signer == SERVING and not {"DNS", "IP"} & set(asked.alternatives):
        return "DNS or IP subjectAltName is required"
    for kind in ("Email", "URI") if signer == SERVING else ("DNS", "Email", "IP", "URI"):
        if kind in asked.alternatives:
            return f"{kind} subjectAltNames are not allowed"
    return (wrong_usages or wrong_name) if signer == SERVING else (wrong_name or wrong_usages)


def review_of(spec: Object, name: str) -> tuple[Object, str]:
    """The question whether who asks may have this without a person; and the words for a yes."""
    own = spec.get("username") == name
    wanted = {"group": "certificates.k8s.io", "resource": REQUESTS, "verb": "create", "version": "*",
              "subresource": "selfnodeclient" if own else "nodeclient"}
    asked = {"user": spec.get("username"), "uid": spec.get("uid"), "groups": spec.get("groups"), "extra": spec.get("extra"),
             "resourceAttributes": wanted}
    words = f"Auto approving {'self ' if own else ''}kubelet client certificate after SubjectAccessReview."
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": asked}, words


def until(request: Object, ends: datetime | None) -> datetime | None:
    """When a request is of no use any more; `ends`: when its certificate does. None: it waits for a signer."""
    for kind, needed in (("Denied", True), ("Failed", True), ("Approved", ends is not None)):
        if needed and holds(request, kind):
            decided = parse_time(said(request, kind)["lastUpdateTime"]) + DECIDED
            return min(decided, ends) if ends else decided
    pending = not dig(request, "status", "conditions")
    return parse_time(request["metadata"]["creationTimestamp"]) + WAITING if pending else None


class Requests(Following):
    """What the three have in common: a request is looked at when it changes. Without an authority there is nothing to do."""

    account = "certificate-controller"

    def setup(self) -> None:
        """Watch requests."""
        self.queue = WorkQueue(self.clock, first=0.2)
        self.requests = self.watch(REQUESTS)

    async def sync(self, key: str) -> None:
        """Look at one request."""
        request, authority = self.requests.get(key), self.context.settings.authority
        if request and authority:
            await self.look(key, request, authority.asked(base64.b64decode(request["spec"]["request"])))

    async def look(self, key: str, request: Object, asked: Asked) -> None:
        """Do what is to be done about a request that asks for this."""
        raise NotImplementedError

    async def add(self, request: Object, subresource: str, kind: str, reason: str, message: str) -> None:
        """Write one more condition."""
        fresh = {"type": kind, "status": "True", "reason": reason, "message": message, "lastUpdateTime": timestamp(self.clock)}
        told = [*dig(request, "status", "conditions", default=[]), fresh]
        await self.client.update(REQUESTS, {**request, "status": {**request.get("status", {}), "conditions": told}},
                                 subresource=subresource)


class Approver(Requests):
    """Approves what kubelets ask for to speak to the api-server, if who asks may. All else is for people to decide."""

    name = "certificatesigningrequest-approving-controller"

    async def look(self, key: str, request: Object, asked: Asked) -> None:
        """Approve one request, or leave it to people. Who may not yet is asked about again, later each time."""
        spec = request["spec"]
        if dig(request, "status", "conditions") or dig(request, "status", "certificate") or spec["signerName"] != KUBELET:
            return
        if refusal(KUBELET, asked, spec.get("usages") or []):
            return
        review, words = review_of(spec, asked.name)
        answer = await self.client.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", None, review)
        if not dig(answer, "status", "allowed"):
            raise NotYet(f"{spec.get('username')} may not have {key} approved without a person")
        await self.add(request, "approval", "Approved", "AutoApproved", words)


class Signer(Requests):
    """Signs what has been approved, if it asks for what its signer gives."""

    name = "certificatesigningrequest-signing-controller"

    async def look(self, key: str, request: Object, asked: Asked) -> None:
        """Sign one request, or say why not."""
        spec, authority = request["spec"], self.context.settings.authority
        if dig(request, "status", "certificate") or not holds(request, "Approved") or holds(request, "Failed"):
            return
        if spec["signerName"] not in PURPOSES or authority is None:
            return
        usages = spec.get("usages") or []
        if why := refusal(spec["signerName"], asked, usages):
            return await self.add(request, "status", "Failed", "SignerValidationFailure", why)
        signed = authority.sign(base64.b64decode(spec["request"]), usages, spec.get("expirationSeconds"), self.clock.now())
        status = {**request["status"], "certificate": base64.b64encode(signed).decode()}
        await self.client.update(REQUESTS, {**request, "status": status}, subresource="status")


class Cleaner(Requests):
    """Deletes requests that have been decided for an hour, that wait for a day, or whose certificate has run out."""

    name = "certificatesigningrequest-cleaner-controller"

    async def look(self, key: str, request: Object, asked: Asked) -> None:
        """Delete one request, or come back when it is time."""
        text, authority = dig(request, "status", "certificate", default=""), self.context.settings.authority
        end = until(request, authority.ends(base64.b64decode(text)) if text and authority else None)
        if end and (left := (end - self.clock.now()).total_seconds()) > 0:
            self.queue.add_after(key, left)
        elif end:
            await self.delete(REQUESTS, request)
