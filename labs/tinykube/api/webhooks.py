"""Admission by those whom the cluster's owner asks: a question over HTTPS, an answer that allows, refuses or changes.

Genuine counterpart: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
"""
from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tinykube.api.admission import Admit, Change
from tinykube.api.authentication import user_info
from tinykube.api.fieldtypes import type_errors
from tinykube.api.listing import plain_error
from tinykube.api.openapi import go_types
from tinykube.machinery.errors import ApiError, internal
from tinykube.machinery.objects import Object, copy, labels, new_uid
from tinykube.machinery.patch import json_patch
from tinykube.machinery.selectors import selector_of
from tinykube.machinery.wire import Request, Response

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

GROUP = "admissionregistration.k8s.io"
Dialer = Callable[[str, str, Request, float], Awaitable[Response]]    # URL, certificate of its authority, request, seconds


def webhooks(kind: str, dial: Dialer) -> Admit:
    """A plugin that asks the webhooks of one kind, mutating or validating, in the order of their names."""
    async def ask_all(server: ApiServer, change: Change) -> None:
        if change.resource.group == GROUP:
            return                                   # else nobody could take a broken one away
        cache, again = server.caches[GROUP, f"{kind}webhookconfigurations"], list[Object]()
        await cache.start()
        hooks = [hook for _, record in sorted(cache.state.items()) for hook in record.obj.get("webhooks") or []]
        for at, hook in enumerate(hooks):
            before = copy(change.object)
            await ask(server, hook, kind, change, dial)
            if change.object != before:
                again = [each for each in hooks[:at] if each.get("reinvocationPolicy") == "IfNeeded"]
        for hook in again:
            await ask(server, hook, kind, change, dial)
    ask_all.__name__ = f"{kind}_webhooks"
    return ask_all


async def concerns(server: ApiServer, hook: Object, change: Change) -> bool:
    """Whether a webhook wants to be asked about a change: by its rules, and by the labels of namespace and object."""
    resource, home = change.resource, change.namespace or (change.name if change.resource.plural == "namespaces" else "")
    plural = f"{resource.plural}/{change.subresource}" if change.subresource else resource.plural
    wanted = {"operations": {change.operation}, "apiGroups": {resource.group}, "apiVersions": {resource.version},
              "resources": {plural, "*/*", f"*/{change.subresource}", f"{resource.plural}/*"}}
    if not any(all({"*" if field != "resources" or not change.subresource else "*/*", *values} & set(rule.get(field, []))
                   for field, values in wanted.items())
               and rule.get("scope", "*") in ("*", "Namespaced" if resource.namespaced else "Cluster")
               for rule in hook.get("rules") or []):
        return False
    found = await server.registry("namespaces").find("", home) if home else None
    if found and not selector_of(hook.get("namespaceSelector") or {}).matches(labels(found.obj)):
        return False
    return any(selector_of(hook.get("objectSelector") or {}).matches(labels(each)) for each in (change.object, change.old) if each)


async def ask(server: ApiServer, hook: Object, kind: str, change: Change, dial: Dialer) -> None:
    """Ask one webhook, if it is concerned, and do as it says. If it can't be asked, its failurePolicy decides."""
    if not await concerns(server, hook, change):
        return
    uid = new_uid(server.random)
    try:
        said = await answer(server, hook, review(change, uid), dial)
        if said.get("uid") != uid:
            raise ValueError(f'received invalid webhook response: expected response.uid="{uid}", got "{said.get("uid")}"')
        if said.get("patch") and kind == "validating":
            raise ValueError("received invalid webhook response: validating webhook may not return response.patch")
    except (OSError, ValueError) as error:
        if hook.get("failurePolicy") == "Ignore":
            server.log.add("api", "webhook failed", webhook=hook["name"], error=str(error))
            return
        raise internal(f'failed calling webhook "{hook["name"]}": {error}') from None
    change.request.notes.setdefault("warnings", []).extend(said.get("warnings") or [])
    if not said.get("allowed"):
        status = said.get("status") or {}
        why = f"denied the request: {status['message']}" if status.get("message") else "denied the request without explanation"
        refusal = plain_error(status.get("code") or 400, f'admission webhook "{hook["name"]}" {why}')
        refusal.reason = status.get("reason", "")
        raise refusal
    if said.get("patch") and change.object is not None:
        patched = changed(change, said["patch"])
        change.object.clear()
        change.object.update(patched)


def changed(change: Change, patch: str) -> Object:
    """The object as a webhook wants it, with defaults for what it added. Raises ApiError 500 if that is none."""
    try:
        patched: Object = json_patch(change.object, json.loads(base64.b64decode(patch)))
    except (ApiError, ValueError) as error:
        raise internal(str(error)) from None
    for why in type_errors(patched, go_types(change.resource)):
        raise internal(why)
    change.resource.strategy.default(patched)
    return patched


def review(change: Change, uid: str) -> Object:
    """The question: an AdmissionReview that says who wants to do what."""
    resource, asked = change.resource, change.request
    options = {"dryRun": asked.params("dryRun"), "fieldManager": asked.param("fieldManager"),
               "fieldValidation": asked.param("fieldValidation")}
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    place = {"group": resource.group, "version": resource.version, "resource": resource.plural}
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": uid, "kind": kind, "resource": place, "requestKind": kind, "requestResource": place,
        **({"subResource": change.subresource, "requestSubResource": change.subresource} if change.subresource else {}),
        "name": change.name, **({"namespace": change.namespace} if change.namespace else {}),
        "operation": change.operation, "userInfo": user_info(change.user), "object": change.object, "oldObject": change.old,
        "dryRun": bool(change.request.params("dryRun")),
        "options": {"kind": f"{change.operation.title()}Options", "apiVersion": "meta.k8s.io/v1",
                    **{key: value for key, value in options.items() if value}}}}


async def answer(server: ApiServer, hook: Object, question: Object, dial: Dialer) -> Object:
    """What a webhook answers. Raises OSError or ValueError if that is no answer."""
    try:
        body = await post(server, hook["clientConfig"], question, dial, hook.get("timeoutSeconds") or 10)
    except OSError as error:
        raise OSError(f"failed to call webhook: {error}") from None
    if not isinstance(body, dict) or not body.get("response"):
        raise ValueError("received invalid webhook response: webhook response was absent")
    return body["response"]  # type: ignore[no-any-return]


async def post(server: ApiServer, config: Object, question: Object, dial: Dialer, seconds: float) -> Any:
    """Ask whoever listens where a clientConfig says: the JSON of the answer. Raises OSError, or ValueError if it is none."""
    url, asked = config.get("url"), f"?timeout={seconds}s"
    if not url:
        service = config["service"]
        url = await address(server, service)
        if not url:
            where = f"{service['name']}.{service['namespace']}.svc:{service.get('port', 443)}{service.get('path', '/')}"
            raise OSError(f'Post "https://{where}{asked}": service "{service["name"]}" not found')
    ca = base64.b64decode(config.get("caBundle") or "").decode()
    sent = Request("POST", "", (("timeout", f"{seconds}s"),), {
        "content-type": "application/json", "user-agent": "kube-apiserver-admission"}, json.dumps(question).encode())
    try:
        response = await dial(url, ca, sent, seconds)
    except OSError as error:
        why = "context deadline exceeded" if isinstance(error, TimeoutError) else str(error)
        raise OSError(f'Post "{url}{asked}": {why}') from None
    if response.status != 200:
        raise OSError('an error on the server ("unknown") has prevented the request from succeeding')
    return response.json()


async def address(server: ApiServer, service: Object) -> str:
    """Where a Service's first endpoint listens, as far as the cluster's EndpointSlices know; or ''."""
    cache = server.caches["discovery.k8s.io", "endpointslices"]
    await cache.start()
    for record in cache.state.values():
        of = labels(record.obj).get("kubernetes.io/service-name")
        if (record.obj["metadata"]["namespace"], of) == (service["namespace"], service["name"]) and record.obj.get("endpoints"):
            target = record.obj["ports"][0]["port"]
            return f"https://{record.obj['endpoints'][0]['addresses'][0]}:{target}{service.get('path', '/')}"
    return ""
