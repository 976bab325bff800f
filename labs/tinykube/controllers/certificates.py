"""Certificates for those who ask: who may have one of his kind gets it without a person saying so.

Genuine counterparts: certificatesigningrequest-approving-controller and -signing-controller.
"""
from __future__ import annotations

import base64

from tinykube.controllers.conditions import holds
from tinykube.controllers.following import Following
from tinykube.machinery.objects import Object, dig, timestamp

KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
SIGNERS = {KUBELET_CLIENT, "kubernetes.io/kube-apiserver-client", "kubernetes.io/kubelet-serving"}
NEEDED, OPTIONAL = {"digital signature", "client auth"}, {"key encipherment"}


def for_a_kubelet(spec: Object, common_name: str, organizations: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Whether a request asks for what a kubelet needs to speak to the api-server, and for nothing more."""
    return (spec.get("signerName") == KUBELET_CLIENT and set(spec.get("usages") or []) - OPTIONAL == NEEDED
            and organizations == ("system:nodes",) and common_name.startswith("system:node:") and not others)


def review_of(spec: Object, common_name: str) -> tuple[Object, str]:
    """The question whether the one who asks may have this without a person; and the words for a yes."""
    own = spec.get("username") == common_name
    wanted = {"group": "certificates.k8s.io", "resource": "certificatesigningrequests", "verb": "create",
              "subresource": "selfnodeclient" if own else "nodeclient", "version": "*"}
    asked = {"user": spec.get("username"), "uid": spec.get("uid"), "groups": spec.get("groups"), "resourceAttributes": wanted}
    words = f"Auto approving {'self ' if own else ''}kubelet client certificate after SubjectAccessReview."
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": asked}, words


class Approver(Following):
    """Approves requests of kubelets, if the one who asks may."""

    name, account = "certificatesigningrequest-approving-controller", "certificate-controller"

    def setup(self) -> None:
        """Watch requests."""
        self.requests = self.watch("certificatesigningrequests")

    async def sync(self, key: str) -> None:
        """Look at one request."""
        request, named_in = self.requests.get(key), self.context.settings.named_in
        if request is None or named_in is None or dig(request, "status", "conditions") or dig(request, "status", "certificate"):
            return
        spec, named = request["spec"], named_in(base64.b64decode(request["spec"]["request"]))
        if not for_a_kubelet(spec, *named):
            return
        review, words = review_of(spec, named[0])
        answer = await self.client.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", None, review)
        if dig(answer, "status", "allowed"):
            now = timestamp(self.clock)
            told = {"type": "Approved", "status": "True", "reason": "AutoApproved", "message": words, "lastUpdateTime": now,
                    "lastTransitionTime": now}
            fresh = {**request, "status": {**request.get("status", {}), "conditions": [told]}}
            await self.client.update("certificatesigningrequests", fresh, subresource="approval")


class Signer(Following):
    """Signs what has been approved."""

    name, account = "certificatesigningrequest-signing-controller", "certificate-controller"

    def setup(self) -> None:
        """Watch requests."""
        self.requests = self.watch("certificatesigningrequests")

    async def sync(self, key: str) -> None:
        """Sign one request, if it is approved and not signed yet."""
        request, sign = self.requests.get(key), self.context.settings.sign
        if request is None or sign is None or dig(request, "status", "certificate") or not holds(request, "Approved"):
            return
        if holds(request, "Failed") or request["spec"]["signerName"] not in SIGNERS:
            return
        signed = sign(base64.b64decode(request["spec"]["request"]), request["spec"].get("usages") or [])
        status = {**request["status"], "certificate": base64.b64encode(signed).decode()}
        await self.client.update("certificatesigningrequests", {**request, "status": status}, subresource="status")
