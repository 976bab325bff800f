"""A subresource for all that has replicas: one number to read and write, wherever the kind itself keeps it.

Genuine counterpart: the Scale of autoscaling/v1.
"""
from __future__ import annotations

from dataclasses import replace

from tinykube.api.codec import DECODERS, media_type
from tinykube.api.jsonpath import find
from tinykube.api.verbs import Call, Verb, change, check_options, patch_body
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, copy, dig
from tinykube.machinery.wire import Response


def scale(spec_path: str, status_path: str, selector_path: str = "") -> Verb:
    """What answers get, update and patch of the scale of a kind that keeps its numbers at these paths."""
    def seen(obj: Object) -> Object:
        replicas, known, selector = (next(iter(find(obj, path)), None) for path in (spec_path, status_path, selector_path))
        meta = {field: obj["metadata"][field] for field in ("name", "namespace", "uid", "resourceVersion",
                                                            "creationTimestamp") if field in obj["metadata"]}
        return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": {"replicas": replicas or 0},
                "status": {"replicas": known or 0, **({"selector": selector} if isinstance(selector, str) else {})}}

    async def answer(call: Call) -> Response:
        if call.info.verb == "get":
            return Response(200, seen((await call.registry.get(call.where, call.info.name)).obj))
        check_options(call, f"{call.info.verb.title()}Options")
        kind = media_type(call.request)
        decoder = call.server.decoders.get(kind, DECODERS["application/json"])
        body = decoder(call.request.body, None) if call.info.verb == "update" else patch_body(call, kind)

        def mutate(old: Object) -> Object:
            wanted = body if call.info.verb == "update" else call.server.patchers[kind](seen(old), body, call.resource)
            obj: Object = copy(old)
            obj["metadata"]["resourceVersion"] = dig(wanted, "metadata", "resourceVersion", default="")
            put(obj, spec_path, dig(wanted, "spec", "replicas", default=0))
            return obj
        if call.info.verb == "patch" and kind not in call.server.patchers:
            raise errors.unsupported_media_type()
        return Response(200, seen((await change(replace(call, info=replace(call.info, verb="patch")), mutate)).obj))
    return answer


def put(obj: Object, path: str, value: int) -> None:
    """Set the value at a path made of names."""
    *way, last = path.strip(".").split(".")
    for name in way:
        obj = obj.setdefault(name, {})
    obj[last] = value
