"""The admission chain of a whole server: which plugins there are, in which order, and which of them are off.

Genuine counterpart: --enable-admission-plugins and --disable-admission-plugins of kube-apiserver.
"""
from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from tinykube.api.admission import Admit, Change, default_tolerations, namespace_lifecycle, priority
from tinykube.api.limits import limit_ranger, resource_quota
from tinykube.api.webhooks import Dialer, webhooks
from tinykube.machinery.errors import forbidden
from tinykube.machinery.objects import Object, dig, generated_name
from tinykube.machinery.wire import Request, Response

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

NEED_CONTROLLERS = ("ServiceAccount", "TaintNodesByCondition")      # off where nobody makes accounts or takes taints away
MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_CLASS = {
    "persistentvolumeclaims": ("storage.k8s.io", "storageclasses", "storageclass.kubernetes.io/is-default-class",
                               "storageClassName"),
    "ingresses": ("networking.k8s.io", "ingressclasses", "ingressclass.kubernetes.io/is-default-class",
                  "ingressClassName")}


def chain(off: Collection[str] = NEED_CONTROLLERS, dial: Dialer | None = None) -> dict[str, Admit]:
    """The plugins that are on, by their genuine names, in the genuine order: who fills in, who asks, who counts."""
    ask = dial or nobody_there
    plugins: dict[str, Admit] = {
        "NamespaceLifecycle": namespace_lifecycle, "LimitRanger": limit_ranger, "ServiceAccount": service_account,
        "TaintNodesByCondition": taint_new_nodes, "Priority": priority, "DefaultTolerationSeconds": default_tolerations,
        "DefaultStorageClass": default_class, "DefaultIngressClass": default_class,
        "MutatingAdmissionWebhook": webhooks("mutating", ask), "ValidatingAdmissionWebhook": webhooks("validating", ask),
        "ResourceQuota": resource_quota}
    if unknown := set(off) - set(plugins):
        raise ValueError(f"no admission plugin is called {', '.join(sorted(unknown))}; there are {', '.join(plugins)}")
    return {name: plugin for name, plugin in plugins.items() if name not in off}


def install(off: Collection[str] = NEED_CONTROLLERS, dial: Dialer | None = None) -> Callable[[ApiServer], None]:
    """Give a server the whole chain."""
    def put(server: ApiServer) -> None:
        server.admission = list(chain(off, dial).values())
    return put


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
    """Every pod acts as an account of its namespace, whose token is mounted in each container."""
    pod = change.object
    if change.operation != "CREATE" or change.resource.plural != "pods" or change.subresource or not pod:
        return
    spec = pod["spec"]
    name = spec.get("serviceAccountName") or "default"
    spec.update(serviceAccountName=name, serviceAccount=name)
    found = await server.registry("serviceaccounts").find(change.namespace, name)
    if found is None:
        raise forbidden("pods", change.name, f"error looking up service account {change.namespace}/{name}: serviceaccount "
                        f'"{name}" not found')
    if spec.get("automountServiceAccountToken", found.obj.get("automountServiceAccountToken", True)):
        mount_token(spec, generated_name("kube-api-access-", server.random))


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
