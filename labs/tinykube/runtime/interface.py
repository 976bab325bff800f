"""What a kubelet asks of a container runtime: the Container Runtime Interface, its calls and its words.

Genuine counterpart: `runtime.v1` of k8s.io/cri-api, spoken over gRPC. The names here are its names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

CREATED, RUNNING, EXITED = "CONTAINER_CREATED", "CONTAINER_RUNNING", "CONTAINER_EXITED"
READY, NOT_READY = "SANDBOX_READY", "SANDBOX_NOTREADY"


class CriError(Exception):
    """A call that the runtime refused or could not carry out; the text is meant for the pod's status."""


@dataclass(frozen=True)
class PodSandboxConfig:
    """What the runtime has to know of a pod to make room for it."""

    name: str
    namespace: str
    uid: str
    attempt: int = 0
    log_directory: str = ""


@dataclass(frozen=True)
class PodSandbox:
    """A pod's place on this machine: what its containers share, above all one address."""

    id: str
    config: PodSandboxConfig
    state: str
    created_at: float              # seconds since 1970, as all times here
    ip: str


@dataclass(frozen=True)
class ContainerConfig:
    """One container to be: the image, what overrides it, and where its log goes (below the log directory)."""

    name: str
    image: str
    attempt: int = 0
    command: list[str] = field(default_factory=list)
    args: list[str] = field(default_factory=list)
    working_dir: str = ""
    envs: Mapping[str, str] = field(default_factory=dict)
    log_path: str = ""
    stdin: bool = False            # somebody may want to type
    stdin_once: bool = False       # and when they stop, the input ends
    tty: bool = False              # to a terminal
    mounts: Mapping[str, str] = field(default_factory=dict)       # path in the container -> path on this machine
    memory_limit: int = 0          # bytes; 0 for none
    cpu_limit: int = 0             # thousandths of a CPU; 0 for none


@dataclass(frozen=True)
class Container:
    """What the runtime knows of a container, from its creation until it is removed."""

    id: str
    sandbox_id: str
    config: ContainerConfig
    image_ref: str
    state: str
    log_path: str                  # absolute
    created_at: float = 0
    started_at: float = 0
    finished_at: float = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class ContainerEvent:
    """Something happened to a pod's container; look at the pod."""

    pod_uid: str
    container_id: str
    type: str                      # CONTAINER_STARTED_EVENT, CONTAINER_STOPPED_EVENT


@dataclass(frozen=True)
class ContainerStats:
    """What a running container has used by a moment."""

    container_id: str
    at: float                      # seconds since 1970, as all times here
    started_at: float
    cpu: int                       # thousand-millionths of a second on one CPU, since it started
    memory: int                    # bytes that can't be taken from it


class Streams(Protocol):
    """The other end of a command or a container: somebody who types and reads, or only waits for what is said."""

    stdin: bool                    # whether they type
    tty: bool                      # whether at a terminal, where both outputs are one

    async def read(self) -> bytes:
        """What is typed next; empty at its end."""

    async def write(self, number: int, data: bytes) -> None:
        """Pass on what was said: 1 is stdout, 2 is stderr."""

    async def size(self) -> tuple[int, int]:
        """The columns and rows of the terminal, each time they change."""


class Runtime(Protocol):
    """A container runtime. All calls may raise CriError; stop and remove may be repeated."""

    name: str                      # the scheme of container ids: containerd://..., docker://..., process://...
    version: str

    async def start(self) -> None:
        """Get ready, and take up what is still running from before."""

    async def close(self) -> None:
        """Let go of everything without ending it, unless it lives and dies with us."""

    async def run_pod_sandbox(self, config: PodSandboxConfig) -> PodSandbox: ...
    async def stop_pod_sandbox(self, sandbox_id: str) -> None: ...
    async def remove_pod_sandbox(self, sandbox_id: str) -> None: ...
    async def list_pod_sandbox(self) -> list[PodSandbox]: ...
    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str: ...
    async def start_container(self, container_id: str) -> None: ...
    async def stop_container(self, container_id: str, timeout: float) -> None: ...  # noqa: ASYNC109
    async def remove_container(self, container_id: str) -> None: ...
    async def list_containers(self) -> list[Container]: ...
    async def container_status(self, container_id: str) -> Container: ...
    async def list_container_stats(self) -> list[ContainerStats]:
        """What the running containers use."""

    async def exec(self, container_id: str, command: list[str], streams: Streams) -> int:
        """Run a command inside a container; its exit code. Cancelled, it ends the command, too."""

    async def attach(self, container_id: str, streams: Streams) -> None:
        """Take part in what a container says and hears from now on, until it ends."""

    async def image_status(self, image: str) -> str | None: ...
    async def pull_image(self, image: str) -> str: ...
    def container_events(self) -> AsyncIterator[ContainerEvent]: ...


async def remove_everything(runtime: Runtime) -> int:
    """Stop and remove all of a runtime's pods; returns how many there were."""
    sandboxes = await runtime.list_pod_sandbox()
    for sandbox in sandboxes:
        await runtime.stop_pod_sandbox(sandbox.id)
        await runtime.remove_pod_sandbox(sandbox.id)
    return len(sandboxes)
