"""The admission chain of a whole server: which plugins there are, in which order, and which of them are off.

Genuine counterpart: --enable-admission-plugins and --disable-admission-plugins of kube-apiserver.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from tinykube.api.admission import (
    SYSTEM_DESCRIPTIONS,
    SYSTEM_PRIORITIES,
    Admit,
    Change,
    default_tolerations,
    namespace_lifecycle,
    priority,
)
from tinykube.api.authorization import Attributes
from tinykube.api.limits import limit_ranger, resource_quota
from tinykube.api.noderestriction import MIRROR, claims, node_restriction
from tinykube.api.nodes import named_in
from tinykube.api.signers import certificate_approval, certificate_signing, certificate_subject
from tinykube.api.webhooks import Dialer, webhooks
from tinykube.machinery.errors import forbidden
from tinykube.machinery.objects import Object, copy, dig, generated_name, new_uid, timestamp
from tinykube.machinery.quantity import parse_quantity
from tinykube.machinery.wire import Request, Response

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

NEED_CONTROLLERS = ("ServiceAccount", "TaintNodesByCondition")      # off where nobody makes accounts or takes taints away
SELDOM = ("OwnerReferencesPermissionEnforcement",)                  # off unless somebody asks for it
JUDGES = (*SELDOM, "CertificateApproval", "CertificateSigning", "CertificateSubjectRestriction", "ValidatingAdmissionWebhook",
          "ResourceQuota")               # asked last, when nothing changes any more
MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_CLASS = {
    "persistentvolumeclaims": ("storage.k8s.io", "storageclasses", "storageclass.kubernetes.io/is-default-class",
                               "storageClassName"),
    "ingresses": ("networking.k8s.io", "ingressclasses", "ingressclass.kubernetes.io/is-default-class",
                  "ingressClassName")}


def chain(on: Collection[str] = (), off: Collection[str] = (), dial: Dialer | None = None) -> dict[str, Admit]:
    """The plugins that are on, by their genuine names, in the genuine order: who fills in, who asks, who counts."""
    ask = dial or nobody_there
    plugins: dict[str, Admit] = {
        "NamespaceLifecycle": namespace_lifecycle, "LimitRanger": limit_ranger, "ServiceAccount": service_account,
        "NodeRestriction": node_restriction, "TaintNodesByCondition": taint_new_nodes, "Priority": priority,
        "DefaultTolerationSeconds": default_tolerations, "DefaultStorageClass": default_class,
        "OwnerReferencesPermissionEnforcement": owner_permissions, "RuntimeClass": runtime_class,
        "CertificateApproval": certificate_approval, "CertificateSigning": certificate_signing,
        "CertificateSubjectRestriction": certificate_subject, "DefaultIngressClass": default_class,
        "MutatingAdmissionWebhook": webhooks("mutating", ask), "ValidatingAdmissionWebhook": webhooks("validating", ask),
        "ResourceQuota": resource_quota}
    if unknown := {*on, *off} - set(plugins):
        raise ValueError(f"no admission plugin is called {', '.join(sorted(unknown))}; there are {', '.join(plugins)}")
    if both := set(on) & set(off):
        raise ValueError(f"{', '.join(sorted(both))} in enable-admission-plugins and disable-admission-plugins")
    silent = {*NEED_CONTROLLERS, *SELDOM, *off} - set(on)
    return {name: plugin for name, plugin in plugins.items() if name not in silent}


def install(on: Collection[str] = (), off: Collection[str] = (), dial: Dialer | None = None) -> Callable[[ApiServer], None]:
    """Give a server the whole chain, and the two classes of priority that are always there."""
    def put(server: ApiServer) -> None:
        plugins = chain(on, off, dial)
        server.admission, server.judges = ([plugin for name, plugin in plugins.items() if (name in JUDGES) == last]
                                           for last in (False, True))
        server.dial = dial or nobody_there
        server.on_start.append(partial(make_priorities, server))
    return put


async def make_priorities(server: ApiServer) -> None:
    """See to it that the classes of priority are there which the system's own pods name."""
    classes = server.registry("priorityclasses", "scheduling.k8s.io")
    for name, value in SYSTEM_PRIORITIES.items():
        if await classes.find("", name) is None:
            await classes.insert({
                "kind": "PriorityClass", "apiVersion": "scheduling.k8s.io/v1", "metadata": {
                    "name": name, "uid": new_uid(server.random), "creationTimestamp": timestamp(server.clock), "generation": 1},
                "value": value, "description": SYSTEM_DESCRIPTIONS[name], "preemptionPolicy": "PreemptLowerPriority"})


async def nobody_there(url: str, ca: str, request: Request, seconds: float) -> Response:
    """The dialer of a server that has no network."""
    raise ConnectionRefusedError("this server has no way out: give it a dialer")


async def taint_new_nodes(server: ApiServer, change: Change) -> None:
    """A node is born with a taint, which a controller takes away when the node is ready."""
    if change.operation == "CREATE" and change.resource.plural == "nodes" and change.object and not change.subresource:
        change.object["spec"].setdefault("taints", []).append(
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"})


async def default_class(server: ApiServer, change: Change) -> None:
    """What names no class gets the newest of those that are marked as default."""
    group, plural, mark, field = DEFAULT_CLASS.get(change.resource.plural, ("", "", "", ""))
    if change.operation != "CREATE" or not field or not change.object or dig(change.object, "spec", field) is not None:
        return
    registry = server.registry(plural, group)
    classes = [registry.record(kv) for kv in (await registry.range("")).kvs]
    marked = [each for each in classes if dig(each.obj, "metadata", "annotations", mark) == "true"]
    if marked:
        newest = max(marked, key=lambda each: (each.obj["metadata"]["creationTimestamp"], each.revision))
        change.object["spec"][field] = newest.obj["metadata"]["name"]


async def service_account(server: ApiServer, change: Change) -> None:
    """Every pod acts as an account of its namespace, whose token is mounted in each container. Mirrors of static pods can't."""
    pod = change.object
    if change.operation != "CREATE" or change.resource.plural != "pods" or change.subresource or not pod:
        return
    spec = pod["spec"]
    if MIRROR in dig(pod, "metadata", "annotations", default={}):
        if why := mirror_faults(spec):
            raise forbidden("pods", change.name, why)
        return
    name = spec.get("serviceAccountName") or "default"
    spec.update(serviceAccountName=name, serviceAccount=name)
    found = await server.registry("serviceaccounts").find(change.namespace, name)
    if found is None:
        raise forbidden("pods", change.name, f"error looking up service account {change.namespace}/{name}: serviceaccount "
                        f'"{name}" not found')
    if spec.get("automountServiceAccountToken", found.obj.get("automountServiceAccountToken", True)):
        mount_token(spec, generated_name("kube-api-access-", server.random))
    if not spec.get("imagePullSecrets") and found.obj.get("imagePullSecrets"):
        spec["imagePullSecrets"] = copy(found.obj["imagePullSecrets"])


def mirror_faults(spec: Object) -> str:
    """What a mirror of a static pod names and may not, because nobody asked the server before it ran; or ''."""
    if spec.get("serviceAccountName"):
        return "a mirror pod may not reference service accounts"
    if any(resource == "secrets" for resource, _ in named_in(spec)):
        return "a mirror pod may not reference secrets"
    return "a mirror pod may not use ServiceAccountToken volume projections" if "serviceaccounts" in claims(spec) else ""


async def runtime_class(server: ApiServer, change: Change) -> None:
    """A pod takes over what its RuntimeClass costs, and where it can run. Raises ApiError 403 if it says otherwise."""
    if change.operation != "CREATE" or change.resource.plural != "pods" or change.subresource or not change.object:
        return
    spec, name, found = change.object["spec"], dig(change.object, "spec", "runtimeClassName"), None
    if name and not (found := await server.registry("runtimeclasses", "node.k8s.io").find("", name)):
        raise forbidden("pods", change.name, f'pod rejected: RuntimeClass "{name}" not found')
    costs, own = dig(found.obj if found else {}, "overhead", "podFixed"), spec.get("overhead")
    if own and not costs:
        raise forbidden("pods", change.name, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
    if own and {key: parse_quantity(value) for key, value in own.items()} != {
            key: parse_quantity(value) for key, value in costs.items()}:
        raise forbidden("pods", change.name, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    if costs:
        spec["overhead"] = copy(costs)
    if found:
        take_place(change, dig(found.obj, "scheduling", default={}))


def take_place(change: Change, scheduling: Object) -> None:
    """Let a pod run only where its RuntimeClass is, and there in spite of taints."""
    spec = (change.object or {})["spec"]
    mine = spec.get("nodeSelector") or {}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if mine.get(key, value) != value:
            raise forbidden("pods", change.name, f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                            f"pod.spec.nodeSelector[{key}] = {mine[key]}")
        spec["nodeSelector"] = mine = {**mine, key: value}
    known = spec.get("tolerations") or []
    if more := [each for each in scheduling.get("tolerations") or [] if each not in known]:
        spec["tolerations"] = [*known, *copy(more)]


async def owner_permissions(server: ApiServer, change: Change) -> None:
    """Who gives an object an owner lets it be deleted with the owner; who makes it hold up the owner's deletion changes that."""
    obj, old = change.object, change.old or {}
    now, was = ((dig(each, "metadata", "ownerReferences") or []) for each in (obj, old))
    if not obj or now == was or (change.resource.plural, change.subresource) == ("pods", "status"):
        return
    resource, where = change.resource, change.namespace
    if old:
        delete = Attributes(change.user, "delete", "", resource.group, resource.plural, change.subresource, where, change.name)
        await demand(server, change, delete, "cannot set an ownerRef on a resource you can't delete")
    blocking = [each for each in now if each.get("blockOwnerDeletion") and each not in was]
    if blocking and (await server.may(Attributes(change.user, "update", "", "*", "*", "finalizers", where)))[0]:
        return
    for owner in blocking:
        row = next((row for row in server.resources if (row.api_version, row.kind) == (owner["apiVersion"], owner["kind"])), None)
        if row is None:
            what = f"kind {json.dumps(owner['kind'])} in version {json.dumps(owner['apiVersion'])}"
            raise forbidden(resource.plural, change.name, "cannot set blockOwnerDeletion in this case because cannot find "
                            f"RESTMapping for APIVersion {owner['apiVersion']} Kind {owner['kind']}: no matches for {what}",
                            resource.group)
        finalize = Attributes(change.user, "update", "", row.group, row.plural, "finalizers", where if row.namespaced else "",
                              owner["name"])
        await demand(server, change, finalize, "cannot set blockOwnerDeletion if an ownerReference refers to a resource you "
                     "can't set finalizers on")


async def demand(server: ApiServer, change: Change, needed: Attributes, why: str) -> None:
    """Raise ApiError 403, with a why, unless somebody may do this."""
    allowed, reason = await server.may(needed)
    if not allowed:
        raise forbidden(change.resource.plural, change.name, f"{why}: {reason}, <nil>", change.resource.group)


def mount_token(spec: Object, name: str) -> None:
    """Mount a volume with a token, the authority's certificate and the namespace, where nothing else is mounted there."""
    containers = [each for kind in ("initContainers", "containers") for each in spec.get(kind, [])
                  if not any(mount.get("mountPath") == MOUNT for mount in each.get("volumeMounts", []))]
    sources = [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
               {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
               {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {
                   "apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]
    if containers:
        spec.setdefault("volumes", []).append({"name": name, "projected": {"sources": sources, "defaultMode": 420}})
    for container in containers:
        container.setdefault("volumeMounts", []).append({"name": name, "readOnly": True, "mountPath": MOUNT})
