"""Two questions that have paths of their own: how many shall there be (scale), and may this one go now (eviction)?

Genuine counterparts: https://kubernetes.io/docs/reference/kubernetes-api/autoscaling-resources/scale-v1/ and
https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
"""
from __future__ import annotations

from dataclasses import replace

from tinykube.api.admission import Change, admit
from tinykube.api.cells import selected
from tinykube.api.codec import DECODERS, decode_object, media_type
from tinykube.api.fieldtypes import type_errors
from tinykube.api.listing import ListOptions, plain_error, read_page
from tinykube.api.openapi import typed
from tinykube.api.registry import Record, encode
from tinykube.api.verbs import Call, change, check_options, lawful, patch_body, remove, unpatchable
from tinykube.machinery import errors
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, copy, dig, labels, timestamp
from tinykube.machinery.selectors import selector_of
from tinykube.machinery.wire import Response

PATIENT = 10                             # seconds after which to ask again, if a budget has not been looked at yet


def scale_of(obj: Object) -> Object:
    """The Scale of an object: how many it wants, how many there are, and how to find them."""
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    spec = {"replicas": obj["spec"]["replicas"]} if dig(obj, "spec", "replicas") else {}
    selector = selected(dig(obj, "spec", "selector"))
    return {"kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {key: obj["metadata"][key] for key in kept if key in obj["metadata"]}, "spec": spec,
            "status": {"replicas": dig(obj, "status", "replicas", default=0),
                       **({} if selector == "<none>" else {"selector": selector})}}


async def scale(call: Call) -> Response:
    """GET, PUT or PATCH how many there shall be, whatever kind it is: an autoscaler knows no other path."""
    if call.info.verb == "get":
        found = scale_of((await call.registry.get(call.where, call.info.name)).obj)
        shape = call.server.shape(call.request, call.resource)
        return Response(200, shape(found) if shape else found)
    check_options(call, "PatchOptions" if call.info.verb == "patch" else "UpdateOptions")

    def apply(old: Object) -> Object:
        wanted = wanted_scale(call, scale_of(old))
        number = dig(wanted, "spec", "replicas", default=0)
        if number < 0:
            cause = errors.invalid_value("spec.replicas", number, "must be greater than or equal to 0")
            raise errors.invalid("Scale", call.info.name, [cause], "autoscaling")
        obj: Object = copy(old)
        obj["spec"]["replicas"] = number
        for field in ("uid", "resourceVersion"):
            obj["metadata"].pop(field)
            if dig(wanted, "metadata", field):
                obj["metadata"][field] = wanted["metadata"][field]
        return obj
    return Response(200, scale_of((await change(call, apply)).obj))


def wanted_scale(call: Call, old: Object) -> Object:
    """The Scale that a PUT brings or a PATCH makes of the old one. Raises ApiError."""
    kind = media_type(call.request) if call.request.headers.get("content-type") else "application/json"
    if call.info.verb == "update":
        wanted: Object = call.server.decoders.get(kind, DECODERS["application/json"])(call.request.body, None)
    elif kind in call.server.patchers:
        row = replace(call.resource, kind="Scale", group="autoscaling", version="v1", stored_as=None)
        wanted = call.server.patchers[kind](copy(old), patch_body(call, kind), row)
    else:
        raise errors.unsupported_media_type()
    for error in type_errors(wanted, typed("autoscaling", "v1", "Scale")):
        raise unpatchable(encode(wanted).decode(), error) if call.info.verb == "patch" else errors.bad_request(error)
    name = dig(wanted, "metadata", "name", default=call.info.name)
    if name != call.info.name:
        raise errors.bad_request(f"the name of the object ({name}) does not match the name on the URL "
                                 f"({call.info.name})")
    return wanted


async def evict(call: Call) -> Response:
    """POST an eviction: delete a pod, unless a budget says that one more is one too many. Raises ApiError 429."""
    check_options(call, "CreateOptions")
    eviction = decode_object(call.request, replace(call.resource, kind="Eviction", group="policy", version="v1", stored_as=None),
                             call.server.decoders)
    if eviction["metadata"].get("name") != call.info.name:
        raise errors.bad_request("name in URL does not match name in Eviction object")
    asked, options = call.request.params("dryRun"), eviction.get("deleteOptions") or {}
    if asked and asked != (options.get("dryRun") or asked):
        raise plain_error(500, "Non-matching dry-run options in request and content: "
                          f"[{' '.join(asked)}] and [{' '.join(options['dryRun'])}]")
    await admit(call.server, Change("CREATE", call.resource, call.where, call.info.name, eviction, subresource="eviction",
                                    user=call.user, request=call.request))
    pod = (await call.registry.get(call.where, call.info.name)).obj
    options = lawful(call, options)
    if dig(pod, "status", "phase") not in ("Succeeded", "Failed", "Pending") \
            and not pod["metadata"].get("deletionTimestamp"):
        await spend(call, pod)
    await remove(call, options)
    return Response(201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


async def spend(call: Call, pod: Object) -> None:
    """Take one disruption from the budget that covers a pod, if one does; again if somebody else took one just now."""
    registry = call.server.registry("poddisruptionbudgets", "policy")
    while True:
        page = await read_page(registry, call.where, ListOptions(lambda each: bool(
            dig(each, "spec", "selector")) and selector_of(each["spec"]["selector"]).matches(labels(pod)), None))
        if not page.records:
            return
        if len(page.records) > 1:
            raise plain_error(500, "This pod has more than one PodDisruptionBudget, which the eviction subresource does "
                              "not support.")
        if not guards(page.records[0].obj, pod):
            return
        if await registry.replace(page.records[0], spent(call, page.records[0], pod), dry_run=call.dry_run):
            return


def guards(budget: Object, pod: Object) -> bool:
    """Whether a budget protects a pod: one that is not ready only where enough others are missing, if at all."""
    status = budget["status"]
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in dig(pod, "status", "conditions") or [])
    return ready or (budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow" and not (
        status["currentHealthy"] >= status["desiredHealthy"] > 0))


def spent(call: Call, budget: Record, pod: Object) -> Object:
    """A budget with one disruption less. Raises ApiError 429 if it has none."""
    meta, status = budget.obj["metadata"], dict(budget.obj["status"])
    if status.get("observedGeneration", 0) < meta.get("generation", 1):
        raise refused(f"The disruption budget {meta['name']} is still being processed by the server.", PATIENT)
    if status["disruptionsAllowed"] <= 0:
        raise refused(f"The disruption budget {meta['name']} needs {status['desiredHealthy']} healthy pods and has "
                      f"{status['currentHealthy']} currently")
    now = timestamp(call.server.clock)
    status["disruptionsAllowed"] -= 1
    status["disruptedPods"] = {**(status.get("disruptedPods") or {}), pod["metadata"]["name"]: now}
    if not status["disruptionsAllowed"]:
        others = [each for each in status.get("conditions") or [] if each["type"] != "DisruptionAllowed"]
        status["conditions"] = [*others, {
            "type": "DisruptionAllowed", "status": "False", "observedGeneration": status["observedGeneration"],
            "lastTransitionTime": now, "reason": "InsufficientPods", "message": ""}]
    return {**budget.obj, "status": status}


def refused(why: str, after: int = 0) -> ApiError:
    """429: the budget does not allow it."""
    error = errors.too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", after)
    error.details = {"causes": [{"reason": "DisruptionBudget", "message": why}],
                     **({"retryAfterSeconds": after} if after else {})}
    return error


HANDLERS = {("", "pods", "eviction"): evict, **{(group, plural, "scale"): scale for group, plural in (
    ("", "replicationcontrollers"), ("apps", "deployments"), ("apps", "replicasets"), ("apps", "statefulsets"))}}
