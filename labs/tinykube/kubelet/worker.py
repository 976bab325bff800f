"""One pod's worker: look at what is, compare with what should be, do one step, report; again when something changes.

Genuine counterpart: pod_workers.go, SyncPod and the status manager of the kubelet.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinykube.kubelet.environment import ConfigError, environment, expand, service_variables
from tinykube.kubelet.http import ask
from tinykube.kubelet.prober import Prober
from tinykube.kubelet.restart import Backoff, Runs, ended, is_sidecar, plan, pretty, terminal
from tinykube.kubelet.status import Waiting, pod_status, rejected_status
from tinykube.kubelet.volumes import PLURALS, Volumes
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, dig, key_of, name, namespace, timestamp, uid
from tinykube.machinery.quantity import milli, whole
from tinykube.runtime.interface import (
    CREATED,
    READY,
    RUNNING,
    Container,
    ContainerConfig,
    CriError,
    PodSandbox,
    PodSandboxConfig,
)

if TYPE_CHECKING:
    from tinykube.kubelet.kubelet import Kubelet

LOOK_AGAIN = 1.0             # seconds after a failure, to see whether it still fails
TRY_AGAIN = 10.0             # seconds until something that has no back-off of its own is tried again
LEAST_GRACE = 2              # seconds that even a pod in a hurry gets


class NotStarted(Exception):
    """A container could not be started: what to say in the pod's status, and when to look again."""

    def __init__(self, reason: str, message: str, again: float = TRY_AGAIN) -> None:
        super().__init__(f"{reason}: {message}")
        self.waiting, self.again = Waiting(reason, message), again


class PodWorker:
    """Makes one pod come true. `pod` is the latest version of it; `dirty` says that it is worth a look."""

    def __init__(self, kubelet: Kubelet, pod: Object) -> None:
        self.kubelet, self.pod = kubelet, pod
        self.runtime, self.clock, self.log = kubelet.runtime, kubelet.clock, kubelet.log
        self.dirty = asyncio.Event()
        self.forgotten = False                     # the api-server has no such pod any more
        self.admitted = False                      # counts among those that the node's resources are for
        self.evicted = ""                          # why it has to go, if it has to
        self.ended = asyncio.Event()               # and it has
        self.waiting: dict[str, Waiting] = {}
        self.pull_error = ""
        self.reported: Object = {}
        self.told = ""                             # the uid of the object that we reported it of
        self.reported_at = 0                       # the version of the pod that our last report made
        self.restarts, self.pulls = Backoff(), Backoff()
        self.prober, self.volumes = Prober(self), Volumes(self)
        self.task = asyncio.create_task(self.run(), name=f"pod {key_of(pod)}")

    async def run(self) -> None:
        """Sync until the pod is gone. A sync that fails is tried again, and breaks nothing else."""
        while True:
            self.dirty.clear()
            try:
                again = await self.sync()
                if again is None:
                    break
            except (ApiError, CriError, OSError) as error:
                self.log.add("kubelet", "sync-failed", node=self.kubelet.name, pod=key_of(self.pod), error=str(error))
                again = LOOK_AGAIN
            await pause(self.clock, self.dirty, again)
        await self.stop_helpers()
        self.kubelet.workers.pop(uid(self.pod), None)

    async def stop_helpers(self) -> None:
        """No more probes, and nothing followed."""
        self.prober.stop()
        await self.volumes.stop()

    async def sync(self) -> float | None:
        """One look at the pod. Returns in how many seconds to look again unless something happens; None: never."""
        sandbox, runs = await self.observe()
        if self.forgotten or "deletionTimestamp" in self.pod["metadata"]:
            return await self.terminate(sandbox)
        if terminal(self.pod) or terminal({"status": self.reported}):
            await self.stop(sandbox)
            if "reason" not in self.pod.get("status", {}):
                await self.report(*await self.observe())
            return float("inf")
        if self.evicted:
            await self.stop(sandbox)
            await self.report(*await self.observe(), over=True)
            self.ended.set()
            return float("inf")
        rejection = None if sandbox or self.admitted else self.kubelet.admit(self.pod)
        self.admitted = rejection is None
        if rejection:
            self.event("Warning", rejection.reason, rejection.message)
            await self.patch(rejected_status(self.pod, rejection.reason, rejection.message, timestamp(self.clock)))
            return float("inf")
        return await self.start_what_lacks(sandbox, runs)

    def evict(self, why: str) -> None:
        """Have the pod go, because the node needs what it uses."""
        self.evicted = why
        self.event("Warning", "Evicted", why)
        self.dirty.set()

    async def observe(self) -> tuple[PodSandbox | None, Runs]:
        """What the runtime has of this pod: its latest sandbox, and its containers by name, oldest first."""
        boxes = sorted((box for box in await self.runtime.list_pod_sandbox() if box.config.uid == uid(self.pod)),
                       key=lambda box: box.config.attempt)
        ids = {box.id for box in boxes}
        runs: Runs = {}
        for container in sorted(await self.runtime.list_containers(), key=lambda one: one.config.attempt):
            if container.sandbox_id in ids and container.state != CREATED:
                runs.setdefault(container.config.name, []).append(container)
        return boxes[-1] if boxes else None, runs

    async def start_what_lacks(self, sandbox: PodSandbox | None, runs: Runs) -> float:
        """Make a sandbox if there is none that lives, start the containers that should run, report."""
        todo = plan(self.pod, sandbox, runs, self.prober.started(runs))
        if todo.new_sandbox:
            await self.report(sandbox, runs)
        try:
            again = await self.volumes.set_up(self.pod)
        except ConfigError as error:
            self.event("Warning", "FailedMount", str(error))
            await self.report(sandbox, runs)
            return LOOK_AGAIN
        if todo.new_sandbox:
            sandbox = await self.new_sandbox(sandbox)
        for container in todo.start:
            assert sandbox
            history = runs.get(container["name"], [])
            try:
                await self.start_container(sandbox, container, history)
                self.waiting.pop(container["name"], None)
            except NotStarted as failure:
                self.waiting[container["name"]] = failure.waiting
                again = min(again, failure.again)
        sandbox, runs = await self.observe()
        if sandbox:
            self.prober.follow(containers_of(self.pod), runs, sandbox.ip)
        if self.prober.started(runs) & {each["name"] for each in todo.start if is_sidecar(each)}:
            self.dirty.set()                       # whoever comes next may come
        await self.end_unwell(runs)
        await self.report(sandbox, runs)
        return again

    async def end_unwell(self, runs: Runs) -> None:
        """End the containers whose probes have failed for too long; they are started again as if they had failed."""
        for run in [history[-1] for history in runs.values() if history[-1].id in self.prober.unwell]:
            kind, probe = self.prober.unwell.pop(run.id)
            name = run.config.name
            self.event("Normal", "Killing", f"Container {name} failed {kind} probe, will be restarted",
                       f"spec.containers{{{name}}}")
            grace = probe.get("terminationGracePeriodSeconds") or self.pod["spec"].get("terminationGracePeriodSeconds", 30)
            await self.stop_one(run, float(grace))

    async def new_sandbox(self, old: PodSandbox | None) -> PodSandbox:
        """A place for the pod's containers. After the death of one, the next attempt."""
        attempt = old.config.attempt + 1 if old else 0
        config = PodSandboxConfig(name(self.pod), namespace(self.pod), uid(self.pod), attempt, str(self.log_directory()))
        try:
            return await self.runtime.run_pod_sandbox(config)
        except CriError as error:
            self.event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            raise

    async def start_container(self, sandbox: PodSandbox, spec: Object, history: list[Container]) -> None:
        """Start one container: wait out its back-off, find its image, create it, start it. Raises NotStarted."""
        where = f"spec.containers{{{spec['name']}}}"
        self.wait_out(spec, ended(history), where)
        await self.find_image(spec, where)
        attempt = history[-1].config.attempt + 1 if history else 0
        config = await self.container_config(sandbox, spec, attempt, where)
        try:
            container_id = await self.runtime.create_container(sandbox.id, config)
        except CriError as error:
            self.event("Warning", "Failed", f"Error: {error}", where)
            raise NotStarted("CreateContainerError", str(error)) from None
        self.event("Normal", "Created", "Container created", where)
        try:
            await self.runtime.start_container(container_id)
        except CriError as error:
            self.event("Warning", "Failed", f"Error: {error}", where)
            raise NotStarted("RunContainerError", str(error), LOOK_AGAIN) from None
        self.event("Normal", "Started", "Container started", where)
        if hook := dig(spec, "lifecycle", "postStart"):
            await self.after_start(container_id, spec, hook, sandbox.ip, where)
        for old in history[:-1]:
            await self.runtime.remove_container(old.id)
            remove_log(old)

    async def after_start(self, container_id: str, spec: Object, hook: Object, ip: str, where: str) -> None:
        """Run a container's postStart hook; until it is done, nothing else happens to the pod. Raises NotStarted."""
        run = await self.runtime.container_status(container_id)
        good, said = await ask(self.kubelet, run, spec, hook, ip, float("inf"))
        if not good:
            self.event("Warning", "FailedPostStartHook", "PostStartHook failed", where)
            self.event("Normal", "Killing", "FailedPostStartHook", where)
            await self.stop_one(run, self.grace())
            raise NotStarted("PostStartHookError", f"PostStartHook failed: {said}", LOOK_AGAIN)

    def wait_out(self, spec: Object, last: Container | None, where: str) -> None:
        """Let a container that failed wait: at once, after 10 s, 20 s, 40 s, ... 5 min. Raises NotStarted."""
        if last is None:
            return
        key, now = (uid(self.pod), spec["name"], spec["image"]), self.clock.now().timestamp()
        left = self.restarts.remaining(key, last.finished_at, now)
        if left > 0:
            pod = f"{name(self.pod)}_{namespace(self.pod)}({uid(self.pod)})"
            self.event("Warning", "BackOff", f"Back-off restarting failed container {spec['name']} in pod {pod}", where)
            raise NotStarted("CrashLoopBackOff", f"back-off {pretty(self.restarts.length(key))} restarting failed "
                                                 f"container={spec['name']} pod={pod}", left)
        self.restarts.next(key, last.finished_at, now)

    async def find_image(self, spec: Object, where: str) -> None:
        """Have the image here: it is, or it is pulled, unless a pull failed a moment ago. Raises NotStarted."""
        image, policy = spec["image"], spec.get("imagePullPolicy", "IfNotPresent")
        try:
            present = await self.runtime.image_status(image)
        except CriError as error:
            self.event("Warning", "InspectFailed", str(error), where)
            self.event("Warning", "Failed", "Error: InvalidImageName", where)
            raise NotStarted("InvalidImageName", str(error)) from None
        if present and policy != "Always":
            self.event("Normal", "Pulled",
                       f'Container image "{image}" already present on machine and can be accessed by the pod', where)
            return
        if policy == "Never":
            message = f'Container image "{image}" is not present with pull policy of Never'
            self.event("Warning", "ErrImageNeverPull", message, where)
            self.event("Warning", "Failed", "Error: ErrImageNeverPull", where)
            raise NotStarted("ErrImageNeverPull", message)
        await self.pull(image, where)

    async def pull(self, image: str, where: str) -> None:
        """Pull an image. Raises NotStarted when that fails, or failed so short a time ago that we don't try."""
        key, now = (uid(self.pod), image), self.clock.now().timestamp()
        delay = self.pulls.delays.get(key)
        left = self.pulls.remaining(key, delay.since, now) if delay else 0
        if left > 0:
            self.event("Normal", "BackOff", f'Back-off pulling image "{image}"', where)
            self.event("Warning", "Failed", "Error: ImagePullBackOff", where)
            raise NotStarted("ImagePullBackOff", f'Back-off pulling image "{image}": {self.pull_error}', left)
        self.event("Normal", "Pulling", f'Pulling image "{image}"', where)
        try:
            await self.runtime.pull_image(image)
        except CriError as error:
            self.pulls.next(key, now, now)
            self.pull_error = f"ErrImagePull: {error}"
            self.event("Warning", "Failed", f'Failed to pull image "{image}": {error}', where)
            self.event("Warning", "Failed", "Error: ErrImagePull", where)
            raise NotStarted("ErrImagePull", str(error), LOOK_AGAIN) from None
        self.event("Normal", "Pulled", f'Successfully pulled image "{image}"', where)

    async def container_config(self, sandbox: PodSandbox, spec: Object, attempt: int, where: str) -> ContainerConfig:
        """What the runtime needs to create a container. Raises NotStarted if the spec can't be carried out."""
        addresses = {"status.podIP": sandbox.ip, "status.podIPs": sandbox.ip,
                     "status.hostIP": self.kubelet.machine.address}
        try:
            envs = await environment(self.pod, spec, addresses, self.object,
                                     dig(self.kubelet.node, "status", "allocatable", default={}), await self.services())
            mounts = self.mounts(spec)
        except ConfigError as error:
            self.event("Warning", "Failed", f"Error: {error}", where)
            raise NotStarted("CreateContainerConfigError", str(error)) from None
        limits: Mapping[str, str] = dig(spec, "resources", "limits", default={})
        return ContainerConfig(
            name=spec["name"], image=spec["image"], attempt=attempt, command=expand_all(spec.get("command"), envs),
            args=expand_all(spec.get("args"), envs), working_dir=spec.get("workingDir", ""), envs=envs,
            log_path=f"{spec['name']}/{attempt}.log", stdin=spec.get("stdin", False),
            stdin_once=spec.get("stdinOnce", False), tty=spec.get("tty", False), mounts=mounts,
            memory_limit=whole(limits.get("memory", 0)),
            cpu_limit=milli(limits.get("cpu", 0)))

    async def services(self) -> dict[str, str]:
        """The variables that say where Services are, as far as we know by now."""
        if self.kubelet.static.shown_as(self.pod) is self.pod:     # a static pod may be the api-server, and waits for nobody
            await self.kubelet.services.wait_synced()
        return service_variables(self.kubelet.services.cache.values(), namespace(self.pod),
                                 self.pod["spec"].get("enableServiceLinks", True))

    def mounts(self, spec: Object) -> dict[str, str]:
        """Path in the container -> path here, for each of its mounts."""
        places = {volume["name"]: self.volumes.place(volume) for volume in self.pod["spec"].get("volumes") or []}
        found = {}
        for mount in spec.get("volumeMounts") or []:
            place = places[mount["name"]] / (mount.get("subPath") or "")
            if not place.exists():
                place.mkdir(parents=True)
            found[str(mount["mountPath"])] = str(place)
        return found

    async def object(self, kind: str, wanted: str) -> Object | None:
        """A ConfigMap or a Secret in the pod's namespace, or None."""
        try:
            return {"kind": kind, **await self.kubelet.client.get(PLURALS[kind], wanted, namespace(self.pod))}
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    async def terminate(self, sandbox: PodSandbox | None) -> float | None:
        """Stop a pod that was deleted, report its end, and let the api-server drop it."""
        finished = terminal(self.pod) and "reason" in self.pod["status"]
        await self.stop(sandbox)
        if not self.forgotten:
            sandbox, runs = await self.observe()
            if not finished:
                await self.report(sandbox, runs, over=True)
            await self.delete()
        for box in await self.runtime.list_pod_sandbox():
            if box.config.uid == uid(self.pod):
                await self.runtime.remove_pod_sandbox(box.id)
        shutil.rmtree(self.log_directory(), ignore_errors=True)
        await self.volumes.tear_down()
        return None

    def grace(self) -> float:
        """Seconds between SIGTERM and SIGKILL now: what the deletion says, little for what nobody knows any more."""
        if "deletionTimestamp" not in self.pod["metadata"]:
            return LEAST_GRACE
        return max(LEAST_GRACE, float(dig(self.pod, "metadata", "deletionGracePeriodSeconds", default=30)))

    async def stop(self, sandbox: PodSandbox | None) -> None:
        """Stop the containers, all at the same time, then the sandbox."""
        if sandbox is None or sandbox.state != READY:
            return
        running = [container for container in await self.runtime.list_containers()
                   if container.sandbox_id == sandbox.id and container.state == RUNNING]
        for container in running:
            self.event("Normal", "Killing", f"Stopping container {container.config.name}",
                       f"spec.containers{{{container.config.name}}}")
        began = self.clock.monotonic()
        for group in in_order(self.pod, running):
            await self.stop_containers(group, began)
        await self.runtime.stop_pod_sandbox(sandbox.id)

    async def stop_containers(self, running: list[Container], began: float) -> None:
        """Stop containers within the grace that began then; begin again with less when somebody asks for less meanwhile."""
        while running:
            grace = self.grace()
            left = max(LEAST_GRACE, grace - (self.clock.monotonic() - began))
            stopping = asyncio.gather(*(self.stop_one(one, left) for one in running))
            try:
                while not stopping.done() and self.grace() >= grace:
                    self.dirty.clear()
                    changed: asyncio.Future[Any] = asyncio.ensure_future(self.dirty.wait())
                    await asyncio.wait([stopping, changed], return_when=asyncio.FIRST_COMPLETED)
                    changed.cancel()
                if stopping.done():
                    await stopping
                    return
            finally:
                stopping.cancel()
                await asyncio.gather(stopping, return_exceptions=True)

    async def stop_one(self, run: Container, grace: float) -> None:
        """Stop a container: its preStop hook first, then SIGTERM with the time that the hook has left."""
        spec, began = containers_of(self.pod).get(run.config.name, {}), self.clock.monotonic()
        if hook := dig(spec, "lifecycle", "preStop"):
            sandbox, _ = await self.observe()
            good, _ = await ask(self.kubelet, run, spec, hook, sandbox.ip if sandbox else "", grace)
            if not good:
                self.event("Warning", "FailedPreStopHook", "PreStopHook failed", f"spec.containers{{{run.config.name}}}")
        await self.runtime.stop_container(run.id, max(LEAST_GRACE, grace - (self.clock.monotonic() - began)) if hook else grace)

    async def report(self, sandbox: PodSandbox | None, runs: Runs, *, over: bool = False) -> None:
        """Tell the api-server how the pod is, if that is news."""
        status = pod_status(self.pod, sandbox, runs, self.waiting, scheme=self.runtime.name, over=over,
                            health=self.prober.health(runs), evicted=self.evicted if over else "",
                            host_ip=self.kubelet.machine.address, now=timestamp(self.clock))
        await self.patch(status)

    async def patch(self, status: Object) -> None:
        """PATCH the status as a strategic merge: conditions and addresses merge by their keys, the rest replaces."""
        shown = self.kubelet.static.shown_as(self.pod)
        if shown is None or (self.told == uid(shown) and without_times(status) == without_times(self.reported)
                             and not self.contradicted(shown)):
            return
        patch: Object = {"metadata": {"uid": uid(shown)}, "status": status}
        try:
            answer = await self.kubelet.client.patch("pods", name(self.pod), patch, namespace(self.pod),
                                                     subresource="status")
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            return
        self.reported, self.reported_at, self.told = status, version(answer), uid(shown)
        self.pod = {**self.pod, "status": answer.get("status", status)}
        self.log.add("kubelet", "status", node=self.kubelet.name, pod=key_of(self.pod), phase=status["phase"])

    def contradicted(self, shown: Object) -> bool:
        """Whether somebody has written over what we reported: a controller that took us for dead, for instance."""
        told = {each["type"]: each["status"] for each in self.reported.get("conditions", [])}
        there = {each["type"]: each["status"] for each in dig(shown, "status", "conditions", default=[])}
        return version(shown) > self.reported_at and any(there.get(kind) != status for kind, status in told.items())

    async def delete(self) -> None:
        """The second half of a graceful deletion: the pod has stopped, so the object may go, if it is still the same."""
        try:
            await self.kubelet.client.delete("pods", name(self.pod), namespace(self.pod), grace_seconds=0,
                                             uid=uid(self.pod))
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    def log_directory(self) -> Path:
        """Where the pod's logs are, named as under /var/log/pods."""
        return self.kubelet.directory / "pods" / f"{namespace(self.pod)}_{name(self.pod)}_{uid(self.pod)}"

    def event(self, kind: str, reason: str, message: str, where: str = "") -> None:
        """Leave a note for people, who find it in `kubectl describe pod`."""
        self.kubelet.recorder.event({"apiVersion": "v1", "kind": "Pod", **self.pod}, kind, reason, message, where)
        self.log.add("kubelet", "event", node=self.kubelet.name, pod=key_of(self.pod), reason=reason, message=message)


async def pause(clock: Clock, event: asyncio.Event, seconds: float) -> None:
    """Wait until something happens, or for so many seconds if nothing does."""
    waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(event.wait())]
    if seconds != float("inf"):
        waits.append(asyncio.ensure_future(clock.sleep(seconds)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def containers_of(pod: Object) -> dict[str, Object]:
    """All containers of a pod by name, of whatever kind."""
    kinds = ("initContainers", "containers", "ephemeralContainers")
    return {each["name"]: each for kind in kinds for each in pod["spec"].get(kind) or []}


def in_order(pod: Object, running: list[Container]) -> list[list[Container]]:
    """Containers in the order in which they are stopped: all but the sidecars, then these, the last one first."""
    sidecars = [each["name"] for each in pod["spec"].get("initContainers") or [] if is_sidecar(each)]
    first = [run for run in running if run.config.name not in sidecars]
    return [first] + [[run for run in running if run.config.name == name] for name in reversed(sidecars)]


def remove_log(container: Container) -> None:
    """The log of a container goes with it."""
    Path(container.log_path).unlink(missing_ok=True)


def expand_all(words: list[str] | None, envs: Mapping[str, str]) -> list[str]:
    """Command or arguments with their $(NAME)s replaced."""
    return [expand(word, envs) for word in words or []]


def version(pod: Object) -> int:
    """The resourceVersion of a pod; versions of one pod can be compared."""
    return int(dig(pod, "metadata", "resourceVersion", default=0))


def without_times(status: Object) -> Object:
    """A status without what changes all the time and means nothing."""
    conditions = [{key: value for key, value in each.items() if key != "lastTransitionTime"}
                  for each in status.get("conditions", [])]
    return {**status, "conditions": conditions, "startTime": None}
