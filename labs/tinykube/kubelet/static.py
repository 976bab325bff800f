"""Static pods: pods of files in a directory, which run whether there is an api-server or not, and their mirrors in it.

Genuine counterpart: pkg/kubelet/config/file.go and pkg/kubelet/pod/mirror_client.go.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tinykube.kubelet.worker import PodWorker, pause
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, annotations, key_of, name, namespace, timestamp, uid

if TYPE_CHECKING:
    from tinykube.kubelet.kubelet import Kubelet

HASH, MIRROR = "kubernetes.io/config.hash", "kubernetes.io/config.mirror"
SOURCE, SEEN = "kubernetes.io/config.source", "kubernetes.io/config.seen"
LOOK_SECONDS = 1.0
STAYS = {"operator": "Exists", "effect": "NoExecute"}
REFERENCES = {field: kind for kind, fields in {               # what names an object of the api-server, by field
    "secrets": "secret secretRef secretKeyRef imagePullSecrets", "configmaps": "configMap configMapRef configMapKeyRef",
    "persistentvolumeclaims": "persistentVolumeClaim ephemeral", "serviceaccounts": "serviceAccountName serviceAccountToken",
    "resourceclaims": "resourceClaims"}.items() for field in fields.split()}


def references(value: Any) -> set[str]:
    """The kinds of objects that a pod's spec names, wherever in it."""
    if isinstance(value, list):
        return {kind for each in value for kind in references(each)}
    if not isinstance(value, dict):
        return set()
    return {kind for field, each in value.items() if each and field != "nodeSelector"
            for kind in (references(each) | ({REFERENCES[field]} if field in REFERENCES else set()))}


def static_pod(text: str, path: str, node: str, now: str) -> Object:
    """The pod that a file describes, named after its node, with a uid made of its content. Raises ValueError."""
    try:
        pod = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: couldn't parse as pod({' '.join(str(error).split())}), please check config file") from None
    if not isinstance(pod, dict) or (pod.get("apiVersion"), pod.get("kind")) != ("v1", "Pod"):
        found = pod.get("kind") if isinstance(pod, dict) else "nothing"
        raise ValueError(f"{path}: couldn't parse as pod(kind is {found}), please check config file")
    spec = pod.get("spec") or {}
    missing = [f"spec.containers[{at}].{field}: Required value" for at, each in enumerate(spec.get("containers") or [])
               for field in ("name", "image") if not each.get(field)]
    missing += [] if name(pod) else ["metadata.name: Required value"]
    missing += [] if spec.get("containers") else ["spec.containers: Required value"]
    if missing:
        raise ValueError(f"invalid pod: [{', '.join(missing)}]")
    if named := references(spec):
        raise ValueError(f"static pods may not reference {min(named)}")
    told = hashlib.md5(json.dumps([path, node, pod], sort_keys=True, default=str).encode(), usedforsecurity=False).hexdigest()
    meta = {**pod["metadata"], "name": f"{name(pod)}-{node}", "namespace": namespace(pod) or "default", "uid": told,
            "annotations": {**annotations(pod), HASH: told, SEEN: now, SOURCE: "file"}}
    return {**pod, "metadata": meta, "status": {}, "spec": {
        **spec, "nodeName": node, "tolerations": [*(spec.get("tolerations") or []), STAYS]}}


def mirror_of(pod: Object, node: Object) -> Object:
    """The object by which the api-server shows a static pod: owned by the node, and marked so that nobody runs it again."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name(node), "uid": uid(node), "controller": True}
    meta = {key: value for key, value in pod["metadata"].items() if key != "uid"}
    marks = {**annotations(pod), MIRROR: annotations(pod)[HASH]}
    return {"apiVersion": "v1", "kind": "Pod", "spec": pod["spec"],
            "metadata": {**meta, "annotations": marks, "ownerReferences": [owner]}}


def is_static(pod: Object) -> bool:
    """Whether a pod comes from a file of this machine."""
    return annotations(pod).get(SOURCE) == "file" and MIRROR not in annotations(pod)


def is_mirror(pod: Object) -> bool:
    """Whether an object only shows a pod that runs anyway."""
    return MIRROR in annotations(pod)


def shows(mirror: Object, pod: Object) -> bool:
    """Whether a mirror is one of this pod as it is now, and stays."""
    return annotations(mirror)[MIRROR] == uid(pod) and "deletionTimestamp" not in mirror["metadata"]


async def sent(request: Awaitable[Object], *late: int) -> None:
    """Have a mirror made, or deleted. Answers of these codes say that we come too late: what there is now, we shall hear."""
    try:
        await request
    except ApiError as error:
        if error.code not in late:
            raise


class StaticPods:
    """The static pods of one node. Without a directory there are none, and mirrors that earlier ones left are removed."""

    def __init__(self, kubelet: "Kubelet", directory: Path | None) -> None:
        self.kubelet, self.directory = kubelet, directory
        self.changed = asyncio.Event()             # something about the mirrors
        self.read: dict[Path, tuple[tuple[int, int], Object | None]] = {}    # file -> its time and size, its pod

    async def run(self) -> None:
        """Look after them for ever."""
        while True:
            self.changed.clear()
            self.look()
            try:
                if uid(self.kubelet.node):
                    await self.reflect()
            except (ApiError, OSError) as error:
                self.kubelet.log.add("kubelet", "mirror-failed", node=self.kubelet.name, error=str(error))
            await pause(self.kubelet.clock, self.changed, LOOK_SECONDS if self.directory else float("inf"))

    def look(self) -> None:
        """Read what is new in the directory; end pods whose file has changed or gone, then start those of the files."""
        files = sorted(path for path in self.directory.iterdir() if path.is_file() and not path.name.startswith(".")) \
            if self.directory and self.directory.is_dir() else []
        self.read = {path: self.read_one(path) for path in files}
        wanted: dict[str, Object] = {}
        for _, pod in self.read.values():
            if pod:
                wanted.setdefault(key_of(pod), pod)
        running = self.running()
        for key, worker in running.items():
            if not worker.forgotten and uid(worker.pod) != uid(wanted.get(key, {})):
                self.end(worker)
        for key, pod in wanted.items():
            if key not in running:
                self.kubelet.workers[uid(pod)] = PodWorker(self.kubelet, pod)

    def read_one(self, path: Path) -> tuple[tuple[int, int], Object | None]:
        """A file's pod, read again if the file has changed. One that is no pod is named in the log, and hurts nobody."""
        stamp = (-1, -1)
        try:
            facts = path.stat()
            stamp = facts.st_mtime_ns, facts.st_size
            if path in self.read and self.read[path][0] == stamp:
                return self.read[path]
            return stamp, static_pod(path.read_text(), str(path), self.kubelet.name, timestamp(self.kubelet.clock))
        except (ValueError, OSError) as error:
            self.kubelet.log.add("kubelet", "manifest-refused", node=self.kubelet.name,
                                 error=f'can\'t process config file "{path}": {error}')
            return stamp, None

    def running(self) -> dict[str, PodWorker]:
        """The workers of static pods, by the pods' full names: of each name there is one at a time."""
        return {key_of(worker.pod): worker for worker in self.kubelet.workers.values() if is_static(worker.pod)}

    def end(self, worker: PodWorker) -> None:
        """End a static pod, within the time that its own file gave it."""
        meta = {**worker.pod["metadata"], "deletionTimestamp": timestamp(self.kubelet.clock),
                "deletionGracePeriodSeconds": worker.pod["spec"].get("terminationGracePeriodSeconds", 30)}
        worker.pod, worker.forgotten = {**worker.pod, "metadata": meta}, True
        worker.dirty.set()

    async def reflect(self) -> None:
        """Make the mirrors in the api-server be those of the pods that run."""
        client, running = self.kubelet.client, self.running()
        for key, mirror in list(self.kubelet.pods.cache.items()):
            worker = running.get(key)
            if is_mirror(mirror) and (worker is None or not (worker.forgotten or shows(mirror, worker.pod))):
                await sent(client.delete("pods", name(mirror), namespace(mirror), grace_seconds=0, uid=uid(mirror)), 404, 409)
        for key, worker in running.items():
            if key not in self.kubelet.pods.cache and not worker.forgotten:
                await sent(client.create("pods", mirror_of(worker.pod, self.kubelet.node)), 409)

    def seen(self, mirror: Object) -> None:
        """A mirror is new, has changed or is gone."""
        self.changed.set()
        if worker := self.running().get(key_of(mirror)):
            worker.dirty.set()                     # it may have something to report

    def shown_as(self, pod: Object) -> Object | None:
        """The object in the api-server that a pod's status belongs to: for a static pod its mirror, if it has one."""
        mirror = self.kubelet.pods.cache.get(key_of(pod)) if is_static(pod) else pod
        return mirror if mirror and (mirror is pod or shows(mirror, pod)) else None
