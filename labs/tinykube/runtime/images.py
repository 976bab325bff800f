"""Image names, and the lab images as the process runtime sees them: a command to run instead of a file system.

Genuine counterpart: the reference grammar of distribution, and an image's configuration.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tinykube.runtime.interface import ContainerConfig, CriError

IMAGES = Path(__file__).parents[2] / "images"
REFERENCE = re.compile(r"(?P<path>[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?::\d+(?=/))?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
                       r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{32,}))?", re.ASCII)


def full_name(image: str) -> str:
    """An image name with all that may be left out put back: `web` is `docker.io/library/web:latest`."""
    match = REFERENCE.fullmatch(image)
    if not match:
        why = "invalid reference format"
        if image != image.lower() and REFERENCE.fullmatch(image.lower().rstrip(":")):
            why += f": repository name ({image.rstrip(':')}) must be lowercase"
        raise CriError(f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {why}')
    path, first = match["path"], match["path"].partition("/")[0]
    if first == path or not ("." in first or ":" in first or first == "localhost"):
        path = f"docker.io/{path}" if "/" in path else f"docker.io/library/{path}"
    if match["digest"]:
        return f"{path}@{match['digest']}"
    return f"{path}:{match['tag'] or 'latest'}"


@dataclass(frozen=True)
class LabImage:
    """What a lab image means on a machine without containers."""

    name: str
    ref: str
    env: dict[str, str]
    entrypoint: list[str]
    cmd: list[str]
    commands: frozenset[str]
    stand_ins: dict[str, list[str]]        # command -> what runs in its place here

    def argv(self, config: ContainerConfig) -> list[str]:
        """The command line, by Kubernetes' rule: `command` replaces entrypoint and cmd, `args` replaces cmd."""
        if config.command:
            return [*config.command, *config.args]
        return [*self.entrypoint, *(config.args or self.cmd)]

    def host_argv(self, argv: list[str]) -> list[str]:
        """The same on this host. Raises CriError, as runc words it, for a command that the image lacks."""
        command = argv[0].removeprefix("/bin/")
        if command in self.stand_ins:
            return [*self.stand_ins[command], *argv[1:]]
        if command in self.commands and shutil.which(command):
            return [command, *argv[1:]]
        missing = f"stat {argv[0]}: no such file or directory" if "/" in argv[0] else \
            "executable file not found in $PATH"
        raise CriError(f'unable to start container process: error during container init: exec: "{argv[0]}": {missing}')


def lab_images(directory: Path = IMAGES) -> dict[str, LabImage]:
    """All lab images by full name, read from their `image.yaml`."""
    found = {}
    for file in sorted(directory.glob("*/image.yaml")):
        for tag, changes in (yaml.safe_load(file.read_text()).get("tags") or {}).items():
            image = lab_image(directory, file.parent.name, str(tag), changes or {})
            found[image.name] = image
    return found


def lab_image(directory: Path, name: str, tag: str, changes: dict[str, Any]) -> LabImage:
    """One tag of one image, with what it inherits from the image underneath."""
    layers = [yaml.safe_load((directory / name / "image.yaml").read_text()) | {"home": directory / name}]
    while layers[0].get("from"):
        below = layers[0]["from"]
        layers.insert(0, yaml.safe_load((directory / below / "image.yaml").read_text()) | {"home": directory / below})
    env: dict[str, str] = {}
    commands: set[str] = set()
    stand_ins: dict[str, list[str]] = {}
    for layer in layers:
        env |= layer.get("env") or {}
        commands |= set(layer.get("commands") or [])
        commands |= {Path(path).name for path in layer.get("files") or {}}
        stand_ins |= {command: [part.format(python=sys.executable, image=layer["home"]) for part in argv]
                      for command, argv in (layer.get("process") or {}).items()}
    top = layers[-1] | changes
    env |= {key: str(value) for key, value in (changes.get("env") or {}).items()}
    digest = hashlib.sha256(repr((name, tag, layers)).encode()).hexdigest()
    return LabImage(full_name(f"{top['name']}:{tag}"), f"sha256:{digest}", env, top.get("entrypoint") or [],
                    top.get("cmd") or [], frozenset(commands), stand_ins)
