"""The labs' images: described in labs/images, built from a static busybox on nothing, without a registry.

An image is put together in memory and loaded into Docker. All times in it are fixed, so the same description and the
same busybox give the same image id, and what is there already is left alone.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from genuine.docker import LABEL, docker_client
from genuine.find import MissingPart

__all__ = ["FOLDER", "Image", "archive", "busybox", "ensure", "load_metadata", "names"]

FOLDER = Path(__file__).resolve().parent.parent / "images"
CREATED = "2026-01-01T00:00:00Z"
CONTENT = f"{LABEL}.content"  # label: digest of what an image was built from
MACHINES = {0x3E: "amd64", 0xB7: "arm64", 0x28: "arm", 0xF3: "riscv64"}


@dataclass(frozen=True)
class Image:
    """One image directory of labs/images: what is in it and how it starts, by tag."""

    name: str
    folder: Path
    base: Image | None
    tags: dict[str, dict[str, Any]]
    settings: dict[str, Any]

    def references(self) -> list[str]:
        """The full names of the image, such as kubernetes-by-hand/web:2."""
        return [f"{self.name}:{tag}" for tag in self.tags]

    def setting(self, key: str, tag: str) -> Any:
        """A setting of a tag, of this image or of the one underneath."""
        found = self.tags[tag].get(key, self.settings.get(key))
        return found if found is not None or not self.base else self.base.setting(key, next(iter(self.base.tags)))

    def env(self, tag: str) -> dict[str, str]:
        """The environment of a tag: the base's, the image's, the tag's."""
        below = self.base.env(next(iter(self.base.tags))) if self.base else {}
        return {**below, **self.settings.get("env", {}), **self.tags[tag].get("env", {})}


@functools.cache
def load_metadata(directory: str) -> Image:
    """The image described in labs/images/`directory`. ValueError when there is none."""
    path = FOLDER / directory / "image.yaml"
    if not path.is_file():
        raise ValueError(f"no image is described in {path}; there are {', '.join(names())}")
    told = yaml.safe_load(path.read_text())
    base = load_metadata(told["from"]) if "from" in told else None
    settings = {key: value for key, value in told.items() if key not in ("name", "from", "tags")}
    return Image(told["name"], path.parent, base, {str(t): more or {} for t, more in told["tags"].items()}, settings)


def names() -> list[str]:
    """The directories of labs/images that describe an image."""
    return sorted(path.parent.name for path in FOLDER.glob("*/image.yaml"))


def ensure(directories: Iterable[str] = (), client: Any = None) -> dict[str, str]:
    """Build what is missing or outdated into Docker; ids by name. Raises DockerProblem or MissingPart."""
    from docker.errors import ImageNotFound

    client = client or docker_client()
    ids: dict[str, str] = {}
    for image in map(load_metadata, directories or names()):
        for tag in image.tags:
            name, (content, data) = f"{image.name}:{tag}", archive(image, tag)
            try:
                here = client.images.get(name)
            except ImageNotFound:
                here = None
            if here is None or here.labels.get(CONTENT) != content:
                client.images.load(data)
                here = client.images.get(name)
            ids[name] = str(here.id)
    return ids


def archive(image: Image, tag: str) -> tuple[str, bytes]:
    """A digest of the content, and the image as the bytes that `docker load` reads."""
    program, machine = busybox()
    layers = [_layer(one, program) for one in _stack(image)]
    names = [hashlib.sha256(layer).hexdigest() for layer in layers]
    settings = {
        "Env": [f"{key}={value}" for key, value in image.env(tag).items()],
        "Entrypoint": image.setting("entrypoint", tag) or None,
        "Cmd": image.setting("cmd", tag) or None,
    }
    content = hashlib.sha256(json.dumps([names, settings, machine], sort_keys=True).encode()).hexdigest()
    config = {
        "architecture": machine, "os": "linux", "created": CREATED,
        "config": {**settings, "WorkingDir": "/", "Labels": {LABEL: "image", CONTENT: content}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{name}" for name in names]},
        "history": [{"created": CREATED, "created_by": f"labs/images/{one.folder.name}"} for one in _stack(image)],
    }  # fmt: skip
    packed = json.dumps(config, sort_keys=True).encode()
    file = f"{hashlib.sha256(packed).hexdigest()}.json"
    manifest = [{"Config": file, "RepoTags": [f"{image.name}:{tag}"], "Layers": [f"{name}/layer.tar" for name in names]}]
    whole = {file: packed, "manifest.json": json.dumps(manifest).encode()}
    whole |= {f"{name}/layer.tar": layer for name, layer in zip(names, layers, strict=True)}
    return content, _tar([_file(path, data, 0o644) for path, data in whole.items()])


Entry = tuple[tarfile.TarInfo, bytes]


def _stack(image: Image) -> list[Image]:
    return [*(_stack(image.base) if image.base else []), image]


def _layer(image: Image, program: bytes) -> bytes:
    entries: list[Entry] = []
    if image.base is None:
        entries = [_folder(path) for path in ("bin", "etc", "dev", "proc", "sys", "root")] + [_folder("tmp", 0o1777)]
        entries += [_file("bin/busybox", program, 0o755)]
        entries += [_file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644)]
        entries += [_file("etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)]
        entries += [_link(f"bin/{command}") for command in image.settings["commands"]]
    for path, source in image.settings.get("files", {}).items():
        entries.append(_file(path.lstrip("/"), (image.folder / source).read_bytes(), 0o755 if "/bin/" in path else 0o644))
    return _tar(entries)


def _tar(entries: list[Entry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for about, data in entries:
            about.mtime = 1767225600
            tar.addfile(about, io.BytesIO(data))
    return buffer.getvalue()


def _file(path: str, data: bytes, mode: int) -> Entry:
    about = tarfile.TarInfo(path)
    about.size, about.mode = len(data), mode
    return about, data


def _folder(path: str, mode: int = 0o755) -> Entry:
    about = tarfile.TarInfo(path)
    about.type, about.mode = tarfile.DIRTYPE, mode
    return about, b""


def _link(path: str) -> Entry:
    about = tarfile.TarInfo(path)
    about.type, about.linkname, about.mode = tarfile.SYMTYPE, "busybox", 0o777
    return about, b""


@functools.cache
def busybox() -> tuple[bytes, str]:
    """A static busybox and its architecture: from PATH, else Debian's package, else Docker's image of that name."""
    for place in _places():
        if place and (path := Path(place)).is_file() and (machine := static_machine(data := path.read_bytes())):
            return data, machine
    for fetch in (_from_package, _from_docker):
        data = fetch()
        if machine := static_machine(data):
            return data, machine
    raise MissingPart(
        "no static busybox was found, and neither Debian's package nor Docker's image `busybox:musl` could be fetched; "
        "`sudo apt-get install busybox-static` brings one, or set BUSYBOX to the path of one"
    )


def _places() -> list[str | None]:
    return [os.environ.get("BUSYBOX"), shutil.which("busybox"), "/bin/busybox", "/bin/busybox.static", "/usr/bin/busybox"]


def static_machine(data: bytes) -> str:
    """The architecture (amd64, arm64, ...) of a static Linux program; "" for anything else."""
    if data[:4] != b"\x7fELF" or data[4] != 2:
        return ""
    (machine,) = struct.unpack_from("<H", data, 18)
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments = [struct.unpack_from("<I", data, start + number * size)[0] for number in range(count)]
    interpreter = 3  # PT_INTERP: names the dynamic loader, which an empty image does not have
    return "" if interpreter in segments else MACHINES.get(machine, "")


def _from_package() -> bytes:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return b""
    with tempfile.TemporaryDirectory(prefix="kubernetes-by-hand.") as folder:
        quiet: dict[str, Any] = {"cwd": folder, "capture_output": True, "stdin": subprocess.DEVNULL, "timeout": 120}
        try:
            subprocess.run(["apt-get", "download", "busybox-static"], check=True, **quiet)
            (package,) = Path(folder).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", str(package), "out"], check=True, **quiet)
        except (OSError, ValueError, subprocess.SubprocessError):
            return b""
        return next((path.read_bytes() for path in Path(folder, "out").rglob("busybox") if path.is_file()), b"")


def _from_docker() -> bytes:
    from docker.errors import DockerException

    try:
        client = docker_client()
        container = client.containers.create(client.images.pull("busybox", tag="musl"))
        try:
            chunks, _ = container.get_archive("/bin/busybox")
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
                found = tar.extractfile(tar.getmembers()[0])
                return found.read() if found else b""
        finally:
            container.remove()
    except (DockerException, MissingPart):
        return b""
