"""A container runtime without containers: pods are groups of ordinary processes. Runs anywhere, needs no root.

What it keeps of a container: the image's commands and environment, a working directory, logs, signals, exit codes,
an end for everything that the pod started. What it has not: a file system, a network and process numbers of the
pod's own, and limits on memory and CPU.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import psutil

from tinykube.machinery.clock import Clock, SystemClock
from tinykube.runtime import pipes, shim
from tinykube.runtime.images import LabImage, full_name, lab_images
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
)

Queue = asyncio.Queue[ContainerEvent]
Publish = Callable[[ContainerEvent], None]
STATE = ("state", "started_at", "finished_at", "exit_code", "reason", "message")     # what a shim writes down


class ProcessRuntime:
    """Runs pods as processes below `directory`, where all of its state is.

    With `keep`, pods live on when this process ends, and the next runtime on the same directory takes them up (what
    a kubelet's own process wants). Without, they die with this process, however it ends (what a notebook wants).
    """

    name, version = "process", "1.0.0"

    def __init__(self, directory: str | Path, *, keep: bool = False, clock: Clock | None = None,
                 random: Random | None = None) -> None:
        self.directory, self.keep = Path(directory).absolute(), keep
        self.clock: Clock = clock or SystemClock()
        self.random = random or SystemRandom()
        self.images = lab_images()
        self.pods: dict[str, Pod] = {}
        self.listeners: list[Queue] = []

    async def start(self) -> None:
        """Take up every pod that an earlier runtime left in the directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in self.directory.glob("*/sandbox.json"):
            facts = json.loads(path.read_text())
            config = PodSandboxConfig(**facts.pop("config"))
            pod = Pod(PodSandbox(config=config, **facts), path.parent, self.publish)
            self.pods[pod.sandbox.id] = pod
            pod.adopt()

    async def close(self) -> None:
        """Stop listening. Pods live on if they are to be kept, else they end here."""
        if not self.keep:
            for pod in list(self.pods.values()):
                await self.remove_pod_sandbox(pod.sandbox.id)
        for pod in self.pods.values():
            pod.close()
        self.pods.clear()

    def publish(self, event: ContainerEvent) -> None:
        """Tell all who listen."""
        for queue in self.listeners:
            queue.put_nowait(event)

    async def container_events(self) -> AsyncIterator[ContainerEvent]:
        """What happens to containers from now on."""
        queue: Queue = asyncio.Queue()
        self.listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self.listeners.remove(queue)

    def pod(self, sandbox_id: str) -> Pod:
        """The pod in a sandbox."""
        if sandbox_id not in self.pods:
            raise CriError(f'sandbox "{sandbox_id}" not found')
        return self.pods[sandbox_id]

    def pod_of(self, container_id: str) -> Pod:
        """The pod that a container is in."""
        for pod in self.pods.values():
            if container_id in pod.containers:
                return pod
        raise CriError(f'container "{container_id}" not found')

    async def run_pod_sandbox(self, config: PodSandboxConfig) -> PodSandbox:
        """Make a directory and start the shim that will be the parent of the pod's containers."""
        sandbox_id = f"{self.random.getrandbits(256):064x}"
        ip = "127.{}.{}.{}".format(*(1 + byte % 254 for byte in bytes.fromhex(sandbox_id[:6])))
        sandbox = PodSandbox(sandbox_id, config, READY, time.time(), ip if sys.platform == "linux" else "127.0.0.1")
        directory = self.directory / sandbox_id[:12]
        directory.mkdir(parents=True)
        os.mkfifo(directory / "control", 0o600)
        os.mkfifo(directory / "events", 0o600)
        pod = self.pods[sandbox_id] = Pod(sandbox, directory, self.publish)
        write_json(directory / "sandbox.json", asdict(sandbox))
        try:
            await pod.launch(self.keep)
        except BaseException:
            del self.pods[sandbox_id]
            pod.discard()
            raise
        return sandbox

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        """End the shim, and with it whatever still runs in the pod."""
        if sandbox_id in self.pods:
            pod = self.pods[sandbox_id]
            pod.command("exit")
            await pod.gone.wait()

    async def remove_pod_sandbox(self, sandbox_id: str) -> None:
        """Stop the pod if need be, and remove its directory."""
        if sandbox_id in self.pods:
            await self.stop_pod_sandbox(sandbox_id)
            self.pods.pop(sandbox_id).discard()

    async def list_pod_sandbox(self) -> list[PodSandbox]:
        """All pods here, ready or not."""
        return [pod.sandbox for pod in self.pods.values()]

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        """Write down what is to run. Nothing runs yet."""
        pod, image = self.pod(sandbox_id), self.image(config.image)
        if not image.argv(config):
            raise CriError("failed to generate spec: no command specified")
        container_id = f"{self.random.getrandbits(256):064x}"
        log = Path(pod.sandbox.config.log_directory or pod.directory) / (config.log_path or f"{container_id}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        container = Container(container_id, sandbox_id, replace(config, image=image.name), image.ref, CREATED,
                              str(log), created_at=time.time())
        pod.add(container, self.plan(pod, image, container))
        return container_id

    def plan(self, pod: Pod, image: LabImage, container: Container) -> dict[str, object]:
        """What the shim has to know to start a container: program, directory, environment; or why it can't."""
        config, home = container.config, pod.directory / container.id / "rootfs"
        cwd = home / config.working_dir.lstrip("/")
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home),
               **{key: value for key, value in image.env.items() if key != "PATH"},
               "HOSTNAME": pod.sandbox.config.name, "ADDRESS": pod.sandbox.ip, **config.envs}
        argv, error = image.argv(config), ""
        try:
            argv = image.host_argv(argv)
        except CriError as refusal:
            error = str(refusal)
        env |= {"TERM": "xterm", **env} if config.tty else {}
        return {"argv": argv, "cwd": str(cwd), "env": env, "log": container.log_path, "error": error,
                "stdin": config.stdin, "tty": config.tty}

    async def start_container(self, container_id: str) -> None:
        """Have the shim start it; returns when it runs, raises CriError when it could not be started."""
        pod = self.pod_of(container_id)
        pod.command(f"start {container_id}")
        await pod.until(container_id, lambda container: container.state != CREATED)
        if pod.containers[container_id].reason == "StartError":
            raise CriError(pod.containers[container_id].message)

    async def stop_container(self, container_id: str, timeout: float) -> None:  # noqa: ASYNC109
        """Ask the first process to end (SIGTERM); after `timeout` seconds kill all of them (SIGKILL)."""
        pod = self.pod_of(container_id)
        ended = asyncio.ensure_future(pod.until(container_id, lambda container: container.state != RUNNING))
        patience = asyncio.ensure_future(self.clock.sleep(timeout))
        try:
            if timeout > 0:
                pod.command(f"kill {container_id} {signal.SIGTERM:d}")
                await asyncio.wait([ended, patience], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                pod.command(f"kill {container_id} {signal.SIGKILL:d}")
            await ended
        finally:
            patience.cancel()
            ended.cancel()

    async def exec(self, container_id: str, command: list[str], streams: Streams) -> int:
        """Run a command beside a container's own, in its directory and environment; its exit code."""
        pod = self.pod_of(container_id)
        container = pod.containers[container_id]
        if container.state != RUNNING:
            raise CriError(f'container "{container_id}" is not running')
        plan = json.loads((pod.directory / container_id / "config.json").read_text())
        plan |= {"argv": self.image(container.config.image).host_argv(command), "tty": streams.tty}
        plan["env"] |= {"TERM": "xterm"} if streams.tty else {}
        with pod.job(container_id, streams.tty) as (job, ends):
            write_json(pod.directory / job / "config.json", plan | {"files": ends.files})
            write_json(pod.directory / job / "state.json", {"state": CREATED})
            return await pod.execute(job, ends, streams)

    async def attach(self, container_id: str, streams: Streams) -> None:
        """Take part in what a container says and hears from now on, until it ends."""
        pod = self.pod_of(container_id)
        with pod.job(container_id, False) as (job, ends):
            pod.command(f"attach {container_id} {job}")
            await pod.wait(lambda: bool(pod.jobs[job]))
            with pod.console(container_id) as (typed, terminal, end):
                await pipes.talk(streams, ends.outputs, typed, end, terminal)

    async def remove_container(self, container_id: str) -> None:
        """Forget a container that has ended; its log stays where the kubelet wanted it."""
        try:
            pod = self.pod_of(container_id)
        except CriError:
            return
        await self.stop_container(container_id, 0)
        del pod.containers[container_id]
        shutil.rmtree(pod.directory / container_id, ignore_errors=True)

    async def list_containers(self) -> list[Container]:
        """All containers of all pods."""
        return [container for pod in self.pods.values() for container in pod.containers.values()]

    async def container_status(self, container_id: str) -> Container:
        """One container."""
        return self.pod_of(container_id).containers[container_id]

    async def list_container_stats(self) -> list[ContainerStats]:
        """What the running containers use."""
        running = [(each, int(self.pods[each.sandbox_id].facts(each.id).get("pid", 0)))
                   for each in await self.list_containers() if each.state == RUNNING]
        return await asyncio.to_thread(lambda: [
            ContainerStats(each.id, time.time(), each.started_at, *use_of(pid)) for each, pid in running if pid])

    def image(self, name: str) -> LabImage:
        """A lab image by its name, full or not."""
        full = full_name(name)
        if full not in self.images:
            known = ", ".join(image.removeprefix("docker.io/") for image in self.images)
            raise CriError(f'failed to pull and unpack image "{full}": not found: without containers there are '
                           f"only the lab images, {known}")
        return self.images[full]

    async def image_status(self, image: str) -> str | None:
        """The id of an image that is here, else None."""
        found = self.images.get(full_name(image))
        return found.ref if found else None

    async def pull_image(self, image: str) -> str:
        """Lab images are here already; any other can't be had."""
        return self.image(image).ref


class Pod:
    """A sandbox with its shim, seen from the runtime: commands go in by one FIFO, events come out by another."""

    def __init__(self, sandbox: PodSandbox, directory: Path, publish: Publish) -> None:
        self.sandbox, self.directory, self.publish = sandbox, directory, publish
        self.containers: dict[str, Container] = {}
        self.gone = asyncio.Event()
        self.waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}      # commands beside containers, and listeners -> how they are
        self.process: subprocess.Popen[bytes] | None = None
        self.events, self.text = -1, b""

    async def launch(self, keep: bool) -> None:
        """Start the shim and wait until it listens."""
        self.process = start_shim(self.directory, keep)
        assert self.process.stdout
        with self.process.stdout as ready:
            await pipes.ready(ready.fileno())
            if not ready.read():
                raise CriError(f"the shim in {self.directory} ended at once, with {self.process.wait()}")
        self.listen()

    def adopt(self) -> None:
        """Take up a pod from its directory. A shim that is not there any more has left its containers to us."""
        for path in self.directory.glob("*/state.json"):
            facts = json.loads((path.parent / "container.json").read_text())
            container = Container(**facts | {"config": ContainerConfig(**facts["config"])})
            self.containers[container.id] = self.read(container)
        self.listen()
        if self.events >= 0:
            self.hear()

    def listen(self) -> None:
        """Be told of what the shim writes to `events`, which ends when the shim does."""
        self.events = os.open(self.directory / "events", os.O_RDONLY | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self.events, self.hear)

    def hear(self) -> None:
        """Read again the state of each container that the shim names."""
        try:
            data = os.read(self.events, 65536)
        except BlockingIOError:
            return
        *lines, self.text = (self.text + data).split(b"\n")
        for name in dict.fromkeys(line.decode() for line in lines):
            if name in self.containers:
                self.update(self.read(self.containers[name]))
            elif name in self.jobs:
                self.jobs[name] = self.facts(name) or {"state": RUNNING}
        if not data:
            self.lost()
        for future, met in list(self.waiting.items()):
            if met() and not future.done():
                future.set_result(None)

    def read(self, container: Container) -> Container:
        """A container with what its state file says of it."""
        state = json.loads((self.directory / container.id / "state.json").read_text())
        return replace(container, **{key: state[key] for key in STATE if key in state})

    def update(self, container: Container) -> None:
        """Note a container's new state, and tell."""
        if self.containers[container.id] != container:
            self.containers[container.id] = container
            kind = "STARTED" if container.state == RUNNING else "STOPPED"
            self.publish(ContainerEvent(self.sandbox.config.uid, container.id, f"CONTAINER_{kind}_EVENT"))

    def lost(self) -> None:
        """The shim is gone: told to, or killed. What it had started, and nobody is left to wait for, goes too."""
        self.close()
        if self.process:
            self.process.wait()
        for container in self.containers.values():
            try:
                latest = self.read(container)
            except FileNotFoundError:        # the whole directory went first: nothing is left to tell
                continue
            if latest.state == RUNNING:
                self.kill_leftover(container.id)
                latest = replace(latest, state=EXITED, finished_at=time.time(), exit_code=137, reason="Error")
            self.update(latest)
        self.sandbox = replace(self.sandbox, state=NOT_READY)
        self.gone.set()
        self.publish(ContainerEvent(self.sandbox.config.uid, "", "CONTAINER_STOPPED_EVENT"))

    def kill_leftover(self, container_id: str) -> None:
        """Kill a container's processes without its shim, if its pid still means the same process."""
        state = json.loads((self.directory / container_id / "state.json").read_text())
        if state["born"] == shim.born(state["pid"]):
            shim.kill_group(state["pid"])

    def close(self) -> None:
        """Stop listening to the shim."""
        if self.events >= 0:
            asyncio.get_running_loop().remove_reader(self.events)
            os.close(self.events)
            self.events = -1

    def discard(self) -> None:
        """Remove all that is left of the pod, also of one whose shim did not get as far as to listen."""
        if self.process and not self.gone.is_set():
            self.process.kill()
            self.process.wait()
        if self.process and self.process.stdin:
            self.process.stdin.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def command(self, line: str) -> None:
        """Give the shim a command; one that is gone needs none."""
        try:
            fd = os.open(self.directory / "control", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return
        try:
            os.write(fd, f"{line}\n".encode())
        finally:
            os.close(fd)

    def add(self, container: Container, plan: dict[str, object]) -> None:
        """Write down a new container, for the shim and for whoever takes up this pod later."""
        home = self.directory / container.id
        Path(str(plan["cwd"])).mkdir(parents=True)
        for path, source in container.config.mounts.items():       # a link, as there is no file system of the pod's own
            link = home / "rootfs" / path.strip("/")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)
        if container.config.stdin:
            os.mkfifo(home / "stdin", 0o600)
        write_json(home / "config.json", plan)
        write_json(home / "container.json", asdict(container))
        write_json(home / "state.json", {"state": container.state})
        self.containers[container.id] = container

    async def until(self, container_id: str, met: Callable[[Container], bool]) -> None:
        """Return when a container is as wanted, or when the shim is gone and nothing will change any more."""
        await self.wait(lambda: container_id not in self.containers or met(self.containers[container_id]))

    async def wait(self, met: Callable[[], bool]) -> None:
        """Return when something is as wanted, or when the shim is gone."""
        def over() -> bool:
            return self.gone.is_set() or met()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting[future] = over
        try:
            if not over():
                await future
        finally:
            del self.waiting[future]


    @contextmanager
    def job(self, container_id: str, tty: bool) -> Iterator[tuple[str, pipes.Ends]]:
        """A command beside a container, or a listener: its name and directory for the shim, and our ends."""
        job = f"{container_id}/job-{secrets.token_hex(8)}"
        ends = pipes.Ends(self.directory / job, tty=tty)
        self.jobs[job] = {}
        try:
            yield job, ends
        finally:
            del self.jobs[job]
            ends.close()
            shutil.rmtree(self.directory / job, ignore_errors=True)

    def facts(self, name: str) -> dict[str, Any]:
        """What the shim wrote down of a container or a command; nothing for a listener."""
        path = self.directory / name / "state.json"
        return json.loads(path.read_text()) if path.exists() else {}

    async def execute(self, job: str, ends: pipes.Ends, streams: Streams) -> int:
        """Have the shim start a command, talk to it, and see it end."""
        def ended() -> bool:
            return self.jobs[job].get("state") == EXITED
        self.command(f"start {job}")
        try:
            await self.wait(lambda: bool(self.jobs[job]))
            if self.jobs[job].get("reason") == "StartError":
                raise CriError(self.jobs[job]["message"])
            ends.opened()
            if not streams.stdin:
                ends.end_input()
            await pipes.talk(streams, ends.outputs, ends.typed, ends.end_input, ends.terminal)
            await self.wait(ended)
            return int(self.jobs[job].get("exit_code", 137))
        finally:
            if not ended():
                self.command(f"kill {job} {signal.SIGKILL:d}")
                await self.wait(ended)

    @contextmanager
    def console(self, container_id: str) -> Iterator[tuple[int, int, Callable[[], None]]]:
        """Where to type for a container, its terminal, -1 for what it has not; and how to say that typing has ended."""
        path, terminal = self.directory / container_id / "stdin", self.facts(container_id).get("tty")
        with ExitStack() as stack:
            typed = stack.enter_context(open(path, "wb", 0, opener=to_write)) if path.exists() else None
            screen = stack.enter_context(open(terminal, "wb", 0, opener=to_write)) if terminal else None

            def end() -> None:
                if typed and self.containers[container_id].config.stdin_once:     # nobody will type any more
                    typed.close()
                    self.command(f"eof {container_id}")
            yield typed.fileno() if typed else -1, screen.fileno() if screen else -1, end


def use_of(pid: int) -> tuple[int, int]:
    """CPU time of a process and all that came from it, in nanoseconds, and the memory that they have now, in bytes.

    Memory that several of them share is counted for each.
    """
    seconds, memory = 0.0, 0
    with suppress(psutil.Error):
        first = psutil.Process(pid)
        for each in (first, *first.children(recursive=True)):
            with suppress(psutil.Error):           # it ended while we counted
                seconds += sum(each.cpu_times()[:4])       # its own, and that of its children that have ended
                memory += each.memory_info().rss
    return round(seconds * 1e9), memory


def to_write(path: str, flags: int) -> int:
    """Open a FIFO or a terminal that is somebody else's, without waiting."""
    return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)


def start_shim(directory: Path, keep: bool) -> subprocess.Popen[bytes]:
    """Start a shim, in a session of its own; unless pods are to be kept, with a pipe that ends when we do."""
    command = [sys.executable, "-I", "-S", shim.__file__, str(directory), "keep" if keep else "die"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL if keep else subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, start_new_session=True)


def write_json(path: Path, value: object) -> None:
    """Write a file in one step: whoever reads it finds all of it or the one before."""
    partial = path.with_name(path.name + ".new")
    partial.write_text(json.dumps(value))
    os.replace(partial, path)
