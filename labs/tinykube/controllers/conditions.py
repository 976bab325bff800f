"""Conditions: what objects say of themselves, one line a question.

Genuine counterpart: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
"""
from __future__ import annotations

from tinykube.client.rest import Client
from tinykube.controllers.pods import condition_of
from tinykube.machinery.objects import Object, name, namespace, uid


def said(obj: Object, kind: str) -> Object:
    """The condition of that type, or an empty dict where there is none."""
    return condition_of(obj, kind) or {}


def holds(obj: Object, kind: str) -> bool:
    """Whether the condition of that type is True."""
    return bool(said(obj, kind).get("status") == "True")


def condition(kind: str, status: str, reason: str, message: str, now: str) -> Object:
    """A condition that begins now, as pods and Jobs have it."""
    return {"type": kind, "status": status, "lastProbeTime": now, "lastTransitionTime": now, "reason": reason, "message": message}


async def set_condition(client: Client, pod: Object, *conditions: Object, **status: object) -> None:
    """Write conditions (and perhaps more) into a pod's status, if it is still that pod. Others stay as they are."""
    seen = {"observedGeneration": pod["metadata"].get("generation")}
    told = [{**each, **(seen if each["type"] == "DisruptionTarget" else {})} for each in conditions]
    patch: Object = {"metadata": {"uid": uid(pod)}, "status": {**({"conditions": told} if told else {}), **status}}
    await client.patch("pods", name(pod), patch, namespace(pod), subresource="status")
