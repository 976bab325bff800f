"""Volumes: what a pod finds in its file system beside its image, and how that is kept up to date.

Genuine counterpart: pkg/volume, one package for each kind, and its AtomicWriter.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tinykube.client.reflector import Reflector
from tinykube.kubelet.environment import ConfigError, entries, field_value, resource_value
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, name, namespace, parse_time, uid

if TYPE_CHECKING:
    from tinykube.kubelet.worker import PodWorker

Files = dict[str, tuple[bytes, int]]                   # path in the volume -> content and mode
FILE_MODE, RENEW = 0o644, 0.8                          # the part of a token's life after which it is renewed
PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets"}
AVAILABLE = {"File": Path.is_file, "Directory": Path.is_dir, "Socket": Path.is_socket, "CharDevice": Path.is_char_device,
             "BlockDevice": Path.is_block_device}


class ClaimError(ConfigError):
    """There is no volume for a claim, or not yet; or it can't be had here. The message says all of it."""


def selected(data: Mapping[str, bytes], source: Object, mode: int, what: str) -> Files:
    """All entries of an object as files, or those that `items` names, under the paths that it says."""
    items = source.get("items")
    if items is None:
        return {key: (value, mode) for key, value in data.items()}
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not source.get("optional"):
        raise ConfigError(f"{what} references non-existent config key: {missing[0]}")
    return {item["path"]: (data[item["key"]], item.get("mode") or mode) for item in items if item["key"] in data}


def downward(pod: Object, items: list[Object], mode: int, allocatable: Mapping[str, str]) -> Files:
    """Fields of the pod as files."""
    found: Files = {}
    for item in items:
        if "fieldRef" in item:
            value = field_or_map(pod, item["fieldRef"]["fieldPath"])
        else:
            value = resource_value(pod, {}, item["resourceFieldRef"], allocatable)
        found[item["path"]] = value.encode(), item.get("mode") or mode
    return found


def field_or_map(pod: Object, path: str) -> str:
    """A field; labels and annotations as a whole, one a line."""
    if path in ("metadata.labels", "metadata.annotations"):
        found = dig(pod, *path.split("."), default={})
        return "\n".join(f'{key}="{value}"' for key, value in sorted(found.items()))
    return field_value(pod, path, {})


def write_files(directory: Path, files: Files) -> None:
    """Make a directory hold these files, all in one step: whoever reads finds all of the old or all of the new ones."""
    directory.mkdir(parents=True, exist_ok=True)
    current = directory / "..data"
    old = os.readlink(current) if current.is_symlink() else ""
    fresh = "..2" if old == "..1" else "..1"
    shutil.rmtree(directory / fresh, ignore_errors=True)
    for path, (content, mode) in files.items():
        file = directory / fresh / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)
    (directory / fresh).mkdir(exist_ok=True)
    (directory / "..new").symlink_to(fresh)
    os.replace(directory / "..new", current)
    names = {path.split("/")[0] for path in files}
    for top in names - {each.name for each in directory.iterdir()}:
        (directory / top).symlink_to(f"..data/{top}")
    for gone in {each.name for each in directory.iterdir() if not each.name.startswith("..")} - names:
        (directory / gone).unlink()
    if old:
        shutil.rmtree(directory / old, ignore_errors=True)


class Volumes:
    """The volumes of one pod. What they are made of is followed, so that changes reach the pod."""

    def __init__(self, worker: PodWorker) -> None:
        self.worker, self.kubelet = worker, worker.kubelet
        self.directory = self.kubelet.directory / "volumes" / uid(worker.pod)
        self.sources: dict[tuple[str, str], Reflector] = {}
        self.written: dict[str, Files] = {}
        self.claimed: dict[str, Path] = {}                         # by volume: where what its claim got is
        self.tokens: dict[str, tuple[bytes, float]] = {}           # by volume and path: a token, and when to renew it

    def place(self, volume: Object) -> Path:
        """Where a volume is on this machine."""
        if volume["name"] in self.claimed:
            return self.claimed[volume["name"]]
        return Path(volume["hostPath"]["path"]) if "hostPath" in volume else self.directory / str(volume["name"])

    async def set_up(self, pod: Object) -> float:
        """Make each volume what it should be; in how many seconds to do so again. Raises ConfigError naming the volume."""
        for volume in pod["spec"].get("volumes") or []:
            try:
                await self.set_up_one(pod, volume)
            except ClaimError:
                raise
            except (ConfigError, OSError) as error:
                raise ConfigError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from None
        now = self.kubelet.clock.now().timestamp()
        return min([when - now for _, when in self.tokens.values()], default=float("inf"))

    async def set_up_one(self, pod: Object, volume: Object) -> None:
        """Make one volume what it should be."""
        kind = next((each for each in volume if each != "name"), "emptyDir")
        if kind == "emptyDir":
            return self.place(volume).mkdir(parents=True, exist_ok=True)
        if kind == "hostPath":
            return check_host_path(self.place(volume), volume[kind].get("type") or "")
        if kind in ("persistentVolumeClaim", "ephemeral"):
            if volume["name"] not in self.claimed:                 # once mounted, it stays
                self.claimed[volume["name"]] = claimed_place(await self.claimed_volume(pod, volume))
            return None
        if kind not in ("configMap", "secret", "downwardAPI", "projected"):
            raise ConfigError(f"{kind} is not supported by this kubelet")
        files = await self.files(pod, str(volume["name"]), kind, volume[kind], FILE_MODE)
        if self.written.get(volume["name"]) != files:
            await asyncio.to_thread(write_files, self.place(volume), files)
            self.written[volume["name"]] = files

    async def claimed_volume(self, pod: Object, volume: Object) -> Object:
        """The PersistentVolume that a pod's claim is bound to. Raises ClaimError if there is none, or not yet."""
        client, what = self.kubelet.client, "PVC"
        wanted = str(dig(volume, "persistentVolumeClaim", "claimName", default=f"{name(pod)}-{volume['name']}"))
        try:
            claim = await client.get("persistentvolumeclaims", wanted, namespace(pod))
            chosen = dig(claim, "spec", "volumeName", default="")
            if claim["metadata"].get("deletionTimestamp"):
                raise unprocessed(pod, volume, wanted, "PVC is being deleted")
            if not chosen or dig(claim, "status", "phase") != "Bound":
                raise unprocessed(pod, volume, wanted, "PVC is not bound")
            what = f"PV {chosen}"
            found = await client.get("persistentvolumes", chosen)
        except ApiError as error:
            raise unprocessed(pod, volume, wanted, f"failed to fetch {what} from API server: {error.message}") from None
        if (owner := dig(found, "spec", "claimRef", "uid")) != uid(claim):
            raise unprocessed(pod, volume, wanted, f"found PV object {chosen} but its pv.Spec.ClaimRef.UID {owner} does not point "
                              f"to claim.UID {uid(claim)}")
        return found

    async def files(self, pod: Object, volume: str, kind: str, source: Object, mode: int) -> Files:
        """The files that a source gives."""
        mode = source.get("defaultMode") or mode
        if kind == "projected":
            found: Files = {}
            for part in source["sources"]:
                for inner, what in part.items():
                    found |= await self.files(pod, volume, inner, what, mode)
            return found
        if kind == "downwardAPI":
            return downward(pod, source.get("items") or [], mode, dig(self.kubelet.node, "status", "allocatable", default={}))
        if kind == "serviceAccountToken":
            return {source["path"]: (await self.token(pod, f"{volume}/{source['path']}", source), 0o600)}
        if kind not in ("configMap", "secret"):
            raise ConfigError(f"{kind} is not supported by this kubelet")
        what, wanted = kind[0].upper() + kind[1:], source.get("secretName") or source["name"]
        obj = await self.follow(what, wanted)
        if obj is None and not source.get("optional"):
            raise ConfigError(f'{kind.lower()} "{wanted}" not found')
        return selected(entries(obj), source, mode, kind.lower())

    async def follow(self, kind: str, wanted: str) -> Object | None:
        """An object of the pod's namespace as it is now; when it changes, the pod is looked at again."""
        key = kind, wanted
        if key not in self.sources:
            space = namespace(self.worker.pod)
            source = self.sources[key] = Reflector(
                self.kubelet.client, PLURALS[kind], clock=self.kubelet.clock, random=self.kubelet.random, namespace=space,
                field_selector=f"metadata.name={wanted}")
            look = lambda *_: self.worker.dirty.set()  # noqa: E731
            source.start(added=look, updated=look, deleted=look)
        await self.sources[key].wait_synced()
        found = next(iter(self.sources[key].cache.values()), None)
        return {"kind": kind, **found} if found else None

    async def token(self, pod: Object, key: str, source: Object) -> bytes:
        """A token of the pod's service account, that is good for this pod only; renewed before it runs out."""
        token, renew = self.tokens.get(key, (b"", 0.0))
        now = self.kubelet.clock.now().timestamp()
        if now < renew:
            return token
        bound = {"apiVersion": "v1", "kind": "Pod", "name": name(pod), "uid": uid(pod)}
        wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {
            "audiences": [source["audience"]] if source.get("audience") else [], "boundObjectRef": bound,
            "expirationSeconds": source.get("expirationSeconds") or 3600}}
        made = await self.kubelet.client.create("serviceaccounts", wanted, namespace(pod), subresource="token",
                                                name=pod["spec"].get("serviceAccountName") or "default")
        ends = parse_time(made["status"]["expirationTimestamp"]).timestamp()
        self.tokens[key] = made["status"]["token"].encode(), now + RENEW * (ends - now)
        return self.tokens[key][0]

    async def tear_down(self) -> None:
        """Follow nothing more, and remove what was made for the pod."""
        await self.stop()
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)

    async def stop(self) -> None:
        """Follow nothing more."""
        while self.sources:
            await self.sources.popitem()[1].stop()


def unprocessed(pod: Object, volume: Object, wanted: str, why: str) -> ClaimError:
    """What to say of a claim that is not ready to be mounted."""
    return ClaimError(f"Unable to attach or mount volumes: unmounted volumes=[{volume['name']}], unattached volumes=[], failed to "
                      f"process volumes=[{volume['name']}]: error processing PVC {namespace(pod)}/{wanted}: {why}")


def claimed_place(volume: Object) -> Path:
    """Where a PersistentVolume is on this machine. Raises ClaimError if it is not there, or of a kind that we can't mount."""
    kind = next((each for each in ("hostPath", "local") if each in volume["spec"]), "")
    if not kind:
        raise ClaimError(f"PersistentVolume {name(volume)} is not supported by this kubelet, which mounts hostPath and local ones")
    place = Path(volume["spec"][kind]["path"])
    if kind == "local" and not place.exists():
        raise ClaimError(f'MountVolume.NewMounter initialization failed for volume "{name(volume)}" : path "{place}" does not '
                         "exist")
    try:
        check_host_path(place, volume["spec"][kind].get("type") or "")
    except (ConfigError, OSError) as error:
        raise ClaimError(f'MountVolume.SetUp failed for volume "{name(volume)}" : {error}') from None
    return place


def check_host_path(path: Path, kind: str) -> None:
    """Raise ConfigError unless something of the right kind is there; some kinds are made."""
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
    elif kind == "FileOrCreate":
        path.touch(mode=0o644)
    elif kind and not AVAILABLE[kind](path):
        wanted = f"{path} is not a {HUMAN.get(kind, kind.lower())}"
        if not path.exists():
            raise ConfigError(f'hostPath type check failed, {wanted}, unable to determine its type: path "{path}" does not exist')
        is_ = next((each for each in ("Socket", "CharDevice", "BlockDevice", "Directory") if AVAILABLE[each](path)), "File")
        raise ConfigError(f"hostPath type check failed: {wanted}, it's a {is_}")


HUMAN = {"CharDevice": "character device", "BlockDevice": "block device", "Socket": "socket file"}
