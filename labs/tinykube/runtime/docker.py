"""The same interface over Docker: a pod is one container that holds the network, and others that join it.

Genuine counterpart: cri-dockerd, and the dockershim that the kubelet had until 1.24.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.errors import DockerException, ImageNotFound, NotFound

from tinykube.machinery.clock import Clock
from tinykube.runtime.images import full_name
from tinykube.runtime.interface import (
    CREATED,
    EXITED,
    NOT_READY,
    READY,
    RUNNING,
    Container,
    ContainerConfig,
    ContainerEvent,
    ContainerStats,
    CriError,
    PodSandbox,
    PodSandboxConfig,
    Streams,
    remove_everything,
)

OURS, KIND, CONFIG, LOG = "tinykube.runtime", "tinykube.kind", "tinykube.config", "tinykube.log"
PAUSE_IMAGE = "kubernetes-by-hand/box:1"
PAUSE = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 3600 & wait $!; done"]
NO_DAEMON = "Docker does not answer ({}). Start it, or use the process runtime, which needs none."
Result = TypeVar("Result")


class DockerRuntime:
    """Runs pods as Docker containers, which carry all of our state in their labels. `directory` names what is ours.

    With `keep`, pods live on when this process ends; without, a watchdog removes them, however it ends.
    """

    name, version = "docker", "1.0.0"

    def __init__(self, directory: str | Path, *, keep: bool = False, clock: Clock | None = None) -> None:
        self.directory, self.keep = str(Path(directory).absolute()), keep
        self.listeners: list[asyncio.Queue[ContainerEvent]] = []
        self.commands: dict[str, asyncio.Event] = {}       # commands that run beside containers -> when they end
        self.watchdog: subprocess.Popen[bytes] | None = None
        self.client: Any = None
        self.stream: Any = None

    async def start(self) -> None:
        """Connect, listen to Docker's events, and follow again the logs of what runs already."""
        if self.client is not None:
            return
        try:
            self.client = await asyncio.to_thread(docker.from_env)
            self.version = (await self.call(self.client.version))["Version"]
        except (DockerException, CriError) as error:
            self.client = None
            raise CriError(NO_DAEMON.format(error)) from None
        if not self.keep:
            self.watchdog = start_watchdog(self.directory)
        self.stream = self.client.events(decode=True, filters={"label": f"{OURS}={self.directory}"})
        in_thread(self.listen, self.stream, asyncio.get_running_loop())
        for raw in await self.raw("container"):
            if raw.status == "running":
                self.follow_log(raw)

    async def close(self) -> None:
        """Let go. Pods that are not to be kept end here."""
        if self.client is None:
            return
        if not self.keep:
            await remove_everything(self)
        if self.watchdog and self.watchdog.stdin:
            self.watchdog.stdin.close()
            await asyncio.to_thread(self.watchdog.wait)
        self.stream.close()
        self.client.close()
        self.client = None

    async def call(self, what: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """One call of Docker's SDK, which blocks, in a thread; its errors become ours."""
        try:
            return await asyncio.to_thread(what, *args, **kwargs)
        except DockerException as error:
            raise CriError(str(getattr(error, "explanation", None) or error)) from None

    def listen(self, events: Any, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread: pass on what happens to our containers."""
        for event in events:
            attributes = event["Actor"]["Attributes"]
            if event["Action"] == "exec_die" and (ended := self.commands.get(attributes["execID"])):
                loop.call_soon_threadsafe(ended.set)
            kind = {"start": "CONTAINER_STARTED_EVENT", "die": "CONTAINER_STOPPED_EVENT"}.get(event["Action"])
            if kind:
                config = json.loads(attributes[CONFIG])
                told = ContainerEvent(attributes.get("tinykube.uid", config.get("uid", "")), event["Actor"]["ID"], kind)
                loop.call_soon_threadsafe(self.publish, told)

    def publish(self, event: ContainerEvent) -> None:
        """Tell all who listen."""
        for queue in self.listeners:
            queue.put_nowait(event)

    async def container_events(self) -> AsyncIterator[ContainerEvent]:
        """What happens to containers from now on."""
        queue: asyncio.Queue[ContainerEvent] = asyncio.Queue()
        self.listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.listeners.remove(queue)

    def labels(self, kind: str, config: PodSandboxConfig | ContainerConfig, **more: str) -> dict[str, str]:
        """What we write on a container, to know it again."""
        return {OURS: self.directory, KIND: kind, CONFIG: json.dumps(asdict(config)), **more}

    async def raw(self, kind: str) -> list[Any]:
        """Docker's own view of our sandboxes, or of our containers."""
        filters = {"label": [f"{OURS}={self.directory}", f"{KIND}={kind}"]}
        found: list[Any] = await self.call(self.client.containers.list, all=True, filters=filters, ignore_removed=True)
        return found

    async def get(self, container_id: str) -> Any:
        """One container as Docker sees it."""
        return await self.call(self.client.containers.get, container_id)

    async def run_pod_sandbox(self, config: PodSandboxConfig) -> PodSandbox:
        """Start the container that does nothing but hold the pod's network, as `pause` does elsewhere."""
        raw = await self.call(
            self.client.containers.run, PAUSE_IMAGE, PAUSE, detach=True, hostname=config.name[:63],
            ipc_mode="shareable", labels=self.labels("sandbox", config, **{"tinykube.uid": config.uid}))
        await self.call(raw.reload)
        return sandbox_of(raw)

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """Stop a pod's containers, then what holds its network."""
        for container in await self.list_containers():
            if container.sandbox_id == sandbox_id:
                await self.stop_container(container.id, 0)
        try:
            await self.call((await self.get(sandbox_id)).stop, timeout=1)
        except CriError:
            return                                 # it is gone already

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Remove a pod with all that it had."""
        for container in await self.list_containers():
            if container.sandbox_id == sandbox_id:
                await self.remove_container(container.id)
        await self.remove_container(sandbox_id)

    async def list_pod_sandbox(self) -> list[PodSandbox]:
        """All our pods."""
        return [sandbox_of(raw) for raw in await self.raw("sandbox")]

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Create a container that shares the sandbox's network and IPC."""
        sandbox = sandbox_of(await self.get(sandbox_id))
        log = Path(sandbox.config.log_directory or self.directory) / (config.log_path or f"{config.name}.log")
        image = await self.call(self.client.images.get, config.image)
        command = config.args or ([] if config.command else image.attrs["Config"]["Cmd"])
        if not [*config.command, *(image.attrs["Config"]["Entrypoint"] or []), *(command or [])]:
            raise CriError("failed to generate spec: no command specified")
        raw = await self.call(
            self.client.containers.create, config.image, command or None, entrypoint=config.command or None,
            environment={"HOSTNAME": sandbox.config.name, **config.envs}, working_dir=config.working_dir or None,
            network_mode=f"container:{sandbox_id}", ipc_mode=f"container:{sandbox_id}",
            stdin_open=config.stdin, tty=config.tty, detach=not config.stdin_once,
            volumes=[f"{source}:{path}" for path, source in config.mounts.items()],
            mem_limit=config.memory_limit or None, nano_cpus=config.cpu_limit * 10**6 or None,
            labels=self.labels("container", config, **{
                "tinykube.sandbox": sandbox_id, "tinykube.uid": sandbox.config.uid, LOG: str(log)}))
        return str(raw.id)

    async def start_container(self, container_id: str) -> None:
        """Start it; what it says goes into its log from the first byte on."""
        raw = await self.get(container_id)
        await self.call(raw.start)
        self.follow_log(raw)

    def follow_log(self, raw: Any) -> None:
        """Copy both outputs from Docker into the log, from their beginning, in two threads."""
        path = Path(raw.labels[LOG])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        for name in ("stdout", "stderr"):
            chunks = raw.logs(stream=True, follow=True, timestamps=True, stdout=name == "stdout", stderr=name == "stderr")
            in_thread(copy_log, chunks, name.encode(), path)

    async def stop_container(self, container_id: str, timeout: float) -> None:  # noqa: ASYNC109
        """SIGTERM, and after `timeout` seconds SIGKILL."""
        raw = await self.get(container_id)
        if raw.status == "running":
            await self.call(raw.stop, timeout=int(timeout))

    async def remove_container(self, container_id: str) -> None:
        """Remove a container, running or not; its log stays where the kubelet wanted it."""
        try:
            await self.call((await self.get(container_id)).remove, force=True, v=True)
        except CriError:
            return                                 # it is gone already

    async def list_containers(self) -> list[Container]:
        """All containers of all our pods."""
        return [container_of(raw) for raw in await self.raw("container")]

    async def container_status(self, container_id: str) -> Container:
        """One container."""
        return container_of(await self.get(container_id))

    async def list_container_stats(self) -> list[ContainerStats]:
        """What the running containers use."""
        return [await self.call(self.stats_of, container_of(raw)) for raw in await self.raw("container") if raw.status == "running"]

    def stats_of(self, container: Container) -> ContainerStats:
        """What one container uses; of its memory, files that are in it only because they were read don't count."""
        told = self.client.api.stats(container.id, stream=False, one_shot=True)
        memory, cpu = told.get("memory_stats", {}), told.get("cpu_stats", {}).get("cpu_usage", {})
        details = memory.get("stats", {})
        spare = details.get("total_inactive_file", details.get("inactive_file", 0))
        return ContainerStats(container.id, seconds(told["read"]), container.started_at, cpu.get("total_usage", 0),
                              max(0, memory.get("usage", 0) - spare))

    async def exec(self, container_id: str, command: list[str], streams: Streams) -> int:
        """Run a command in a container; its exit code."""
        api = self.client.api
        made = (await self.call(api.exec_create, container_id, command, stdin=streams.stdin, tty=streams.tty))["Id"]
        ended = self.commands[made] = asyncio.Event()
        try:
            socket = await self.call(api.exec_start, made, socket=True, tty=streams.tty)
            await self.talk(socket, streams, streams.tty, lambda width, height: api.exec_resize(made, height, width))
            if (await self.call(api.exec_inspect, made))["Running"]:
                await ended.wait()                 # its outputs end a moment earlier than it does
            return int((await self.call(api.exec_inspect, made))["ExitCode"])
        finally:
            await asyncio.shield(self.end_command(made))

    async def end_command(self, command: str) -> None:
        """End a command whose user has left. Docker has no call for that, but it tells us the process."""
        facts = await self.call(self.client.api.exec_inspect, command)
        del self.commands[command]
        if facts["Running"]:
            with suppress(OSError):
                os.kill(facts["Pid"], signal.SIGKILL)

    async def attach(self, container_id: str, streams: Streams) -> None:
        """Take part in what a container says and hears from now on, until it ends."""
        api, config = self.client.api, container_of(await self.get(container_id)).config
        what = {"stream": 1, "stdout": 1, "stderr": 1, "stdin": int(streams.stdin)}
        socket = await self.call(api.attach_socket, container_id, what)
        await self.talk(socket, streams, config.tty, lambda width, height: api.resize(container_id, height, width))

    async def talk(self, raw: Any, streams: Streams, tty: bool, resize: Callable[[int, int], None]) -> None:
        """Pass on everything between somebody and the connection that Docker gave us, until it says no more."""
        reader, writer = await asyncio.open_unix_connection(sock=raw._sock)
        more = [asyncio.create_task(type_in(writer, streams, tty))] if streams.stdin else []
        more += [asyncio.create_task(self.follow_size(resize, streams))] if tty else []
        try:
            while data := await (reader.read(1 << 16) if tty else reader.read(8)):
                if not tty:                        # a head: which output, and how many bytes of it follow
                    head = data + await reader.readexactly(8 - len(data))
                    data = await reader.readexactly(int.from_bytes(head[4:], "big"))
                await streams.write(1 if tty else head[0], data)
        finally:
            for task in more:
                task.cancel()
            await asyncio.gather(*more, return_exceptions=True)
            writer.close()

    async def follow_size(self, resize: Callable[[int, int], None], streams: Streams) -> None:
        """Give a terminal the size that its user sees."""
        while True:
            with suppress(CriError):               # it is gone, or not there yet
                await self.call(resize, *await streams.size())

    async def image_status(self, image: str) -> str | None:
        """The id of an image that is here, else None."""
        full_name(image)
        try:
            return str((await asyncio.to_thread(self.client.images.get, image)).id)
        except ImageNotFound:
            return None

    async def pull_image(self, image: str) -> str:
        """Have Docker fetch an image."""
        try:
            pulled = await self.call(self.client.images.pull, full_name(image))
        except CriError as error:
            raise CriError(f'failed to pull and unpack image "{full_name(image)}": {error}') from None
        return str(pulled.id)


def sandbox_of(raw: Any) -> PodSandbox:
    """A sandbox, read from Docker's description of its container."""
    config = PodSandboxConfig(**json.loads(raw.labels[CONFIG]))
    networks = raw.attrs["NetworkSettings"]["Networks"].values()
    ip = next((network["IPAddress"] for network in networks if network["IPAddress"]), "")
    return PodSandbox(raw.id, config, READY if raw.status == "running" else NOT_READY, seconds(raw.attrs["Created"]), ip)


def container_of(raw: Any) -> Container:
    """A container, read from Docker's description of it. One with an error that never ran could not be started."""
    state, config = raw.attrs["State"], ContainerConfig(**json.loads(raw.labels[CONFIG]))
    refused = state["Status"] == "created" and state["Error"]
    now = {"running": RUNNING, "created": EXITED if refused else CREATED}.get(state["Status"], EXITED)
    reason = "" if now != EXITED else "StartError" if refused else "OOMKilled" if state["OOMKilled"] else \
        "Error" if state["ExitCode"] else "Completed"
    return Container(raw.id, raw.labels["tinykube.sandbox"], config, raw.attrs["Image"], now, raw.labels[LOG],
                     seconds(raw.attrs["Created"]), seconds(state["StartedAt"]), seconds(state["FinishedAt"]),
                     128 if refused else state["ExitCode"], reason, state["Error"])


async def type_in(writer: asyncio.StreamWriter, streams: Streams, tty: bool) -> None:
    """Pass on what is typed, and its end; at a terminal, as Ctrl-D."""
    while data := await streams.read():
        writer.write(data)
        await writer.drain()
    if tty:
        writer.write(b"\x04")
    else:
        writer.write_eof()


def seconds(text: str) -> float:
    """Docker's way to write a moment, in seconds since 1970; 0 for none."""
    moment = datetime.fromisoformat(text[:19] + "+00:00")
    return max(0.0, moment.timestamp() + float("0" + text[19:].rstrip("Z") if text[19:20] == "." else 0))


def copy_log(chunks: Any, stream: bytes, path: Path) -> None:
    """Write lines in the format that CRI prescribes, with the time that Docker noted for each."""
    rest = b""
    with path.open("ab", buffering=0) as log:
        for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                stamp, _, text = line.partition(b" ")
                log.write(b"%s %s F %s\n" % (stamp, stream, text))
        if rest:
            stamp, _, text = rest.partition(b" ")
            log.write(b"%s %s P %s\n" % (stamp, stream, text))


def in_thread(what: Callable[..., None], *args: Any) -> None:
    """Run something that blocks until Docker has no more to say; a stream that was closed ends it, too."""
    def run() -> None:
        try:
            what(*args)
        except (DockerException, OSError, ValueError):
            return
    threading.Thread(target=run, daemon=True).start()


def start_watchdog(directory: str) -> subprocess.Popen[bytes]:
    """A process that removes our containers when its standard input ends, which it does with us."""
    command = [sys.executable, "-m", "tinykube.runtime.docker", directory]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            start_new_session=True)


def remove_ours(directory: str) -> None:
    """Remove every container that a runtime on this directory made."""
    client = docker.from_env()
    for raw in client.containers.list(all=True, filters={"label": f"{OURS}={directory}"}, ignore_removed=True):
        try:
            raw.remove(force=True, v=True)
        except NotFound:
            continue
    client.close()


if __name__ == "__main__":
    sys.stdin.buffer.read()
    remove_ours(sys.argv[1])
