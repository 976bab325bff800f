"""How a pod is, told from what its containers did: phase, conditions, container statuses. No effects, no clock.

Genuine counterpart: generateAPIPodStatus and pkg/kubelet/status of the kubelet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tinykube.kubelet.restart import Runs, is_sidecar, policy_of, should_run, succeeded
from tinykube.machinery.objects import Object, dig, format_time
from tinykube.runtime.interface import EXITED, READY, RUNNING, Container, PodSandbox

NOTHING: Mapping[str, Any] = {}
REPLACE = {"$patch": "replace"}        # addresses would otherwise be merged, and a pod have the old and the new one
LOST = {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": None, "finishedAt": None,
        "message": "The container could not be located when the pod was terminated"}


@dataclass(frozen=True)
class Health:
    """What is known of a container beyond that it runs: whether its startup is over, whether it is ready."""

    started: bool = True
    ready: bool = True


@dataclass(frozen=True)
class Waiting:
    """Why a container does not run although it should."""

    reason: str
    message: str = ""


HEALTHY = Health()


def state_of(container: Container | None, scheme: str, reason: str = "ContainerCreating") -> Object:
    """A container's `state`: waiting, running or terminated."""
    if container is None or container.state not in (RUNNING, EXITED):
        return {"waiting": {"reason": reason}}
    if container.state == RUNNING:
        return {"running": {"startedAt": when(container.started_at)}}
    terminated = {"exitCode": container.exit_code, "reason": container.reason, "startedAt": when(container.started_at),
                  "finishedAt": when(container.finished_at), "containerID": f"{scheme}://{container.id}"}
    return {"terminated": terminated | ({"message": container.message} if container.message else {})}


def when(seconds: float) -> str:
    """A moment as the API writes it."""
    return format_time(datetime.fromtimestamp(seconds, UTC))


def container_status(spec: Object, runs: list[Container], waiting: Waiting | None, scheme: str,
                     health: Health = HEALTHY, reason: str = "ContainerCreating") -> Object:
    """One entry of `containerStatuses`. With `waiting`, what the last run came to moves into `lastState`."""
    last = runs[-1] if runs else None
    state, before = state_of(last, scheme, reason), {} if len(runs) < 2 else state_of(runs[-2], scheme)
    if waiting:
        before = state if "terminated" in state else before
        state = {"waiting": {"reason": waiting.reason} | ({"message": waiting.message} if waiting.message else {})}
    status = {"name": spec["name"], "state": state, "lastState": before,
              "ready": "running" in state and health.ready, "started": "running" in state and health.started,
              "restartCount": last.config.attempt if last else 0,
              "image": last.config.image if last else spec["image"], "imageID": last.image_ref if last else ""}
    return status | ({"containerID": f"{scheme}://{last.id}"} if last else {})


def phase(pod: Object, statuses: list[Object], over: bool, inits: Sequence[Object] = ()) -> str:
    """Where in its life the pod is. `over`: it has been stopped for good, and restarts no more."""
    ends = [dig(status, "state", "terminated") or
            (dig(status, "lastState", "terminated") if "waiting" in status["state"] else None) for status in statuses]
    if failed_init(pod, inits):
        return "Failed"
    if any("running" in status["state"] for status in statuses):
        return "Running" if all("running" in status["state"] or end for status, end in zip(statuses, ends, strict=True)) \
            else "Pending"
    finished = [end for end in ends if end]
    if len(finished) < len(ends):
        return "Failed" if over else "Pending"
    policy = pod["spec"].get("restartPolicy", "Always")
    failed = any(end["exitCode"] for end in finished)
    if not over and (policy == "Always" or (policy == "OnFailure" and failed)):
        return "Running"
    return "Failed" if failed else "Succeeded"


def failed_init(pod: Object, inits: Sequence[Object]) -> bool:
    """Whether an init container failed that is not tried again."""
    specs = {each["name"]: each for each in pod["spec"].get("initContainers") or []}
    return any(dig(status, "state", "terminated", "exitCode", default=0) and policy_of(pod, specs[status["name"]]) == "Never"
               for status in inits)


def conditions(pod: Object, phase: str, inits: list[Object], statuses: list[Object], sandbox: PodSandbox | None,
               now: str) -> list[Object]:
    """The conditions that are the kubelet's to set, in the genuine order. That it has a place is said by the scheduler, too."""
    sidecars = {each["name"] for each in pod["spec"].get("initContainers") or [] if is_sidecar(each)}
    unready = [status["name"] for status in [*inits, *statuses]
               if not status["ready"] and (status["name"] in sidecars or status in statuses)]
    ended = {"Succeeded": {"reason": "PodCompleted"}, "Failed": {"reason": "PodFailed"}}.get(phase, {})
    ready: Object = {"status": "True"}
    if ended:
        ready = {"status": "False", **ended}
    elif unready:
        ready = {"status": "False", "reason": "ContainersNotReady",
                 "message": f"containers with unready status: [{' '.join(unready)}]"}
    return [condition(pod, kind, what, now) for kind, what in (
        ("PodReadyToStartContainers", place_condition(sandbox)), ("Initialized", initialized(pod, phase, inits, statuses, ended)),
        ("Ready", gated(pod, ready)), ("ContainersReady", ready), ("PodScheduled", {"status": "True"}))]


def place_condition(sandbox: PodSandbox | None) -> Object:
    """Whether there is a place for the containers."""
    if sandbox is not None and sandbox.state == READY:
        return {"status": "True"}
    return {"status": "False"} | ({"reason": "PodSandboxNotReady", "message": "pod sandbox is not ready"} if sandbox else {})


def initialized(pod: Object, phase: str, inits: list[Object], statuses: list[Object], ended: Object) -> Object:
    """Whether all that has to come before the containers is done."""
    begun = any("waiting" not in status["state"] or status["lastState"] for status in statuses)
    missing = [status["name"] for status in inits if not begun and not (
        status["ready"] if "terminated" in status["state"] else status["started"])]
    if missing and not ended:
        return {"status": "False", "reason": "ContainersNotInitialized",
                "message": f"containers with incomplete status: [{' '.join(missing)}]"}
    return {"status": "False" if missing else "True", **(ended if missing or phase == "Succeeded" else {})}


def gated(pod: Object, ready: Object) -> Object:
    """Readiness, if all conditions say yes that others have been asked for by `readinessGates`."""
    known = {each["type"]: each["status"] for each in dig(pod, "status", "conditions", default=[])}
    for gate in (each["conditionType"] for each in pod["spec"].get("readinessGates") or []):
        if ready["status"] == "True" and known.get(gate) != "True":
            why = f'corresponding condition of pod readiness gate "{gate}" does not exist.' if gate not in known else \
                f'the status of pod readiness gate "{gate}" is not "True", but {known[gate]}'
            return {"status": "False", "reason": "ReadinessGatesNotReady", "message": why}
    return ready


def condition(pod: Object, kind: str, what: Object, now: str) -> Object:
    """One condition. Its transition time moves only when its status does."""
    old: Object = next((each for each in dig(pod, "status", "conditions", default=[]) if each["type"] == kind), {})
    since = old["lastTransitionTime"] if old.get("status") == what["status"] else now
    return {"type": kind, "lastProbeTime": None, "lastTransitionTime": since, "reason": None, "message": None,
            **what, **generation(pod)}


def generation(pod: Object) -> Object:
    """Which version of the pod's spec a status speaks of, if the server counts versions."""
    known = pod["metadata"].get("generation")
    return {"observedGeneration": known} if known else {}


def pod_status(pod: Object, sandbox: PodSandbox | None, runs: Runs, waiting: Mapping[str, Waiting], *, scheme: str,
               host_ip: str, now: str, over: bool = False, health: Mapping[str, Health] = NOTHING, evicted: str = "") -> Object:
    """The whole status, as a patch to the one that the server has (which keeps PodScheduled, for instance)."""
    spec = pod["spec"]

    def status_of(container: Object, reason: str) -> Object:
        history = runs.get(container["name"], [])
        why = waiting.get(container["name"]) if should_run(pod, history, container) and not over else None
        return container_status(container, history, why, scheme, health.get(container["name"], HEALTHY), reason)
    blank = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
    inits = [init_status(each, status_of(each, "PodInitializing"), runs) for each in spec.get("initContainers") or []]
    statuses = [status_of(each, blank) for each in sorted(spec["containers"], key=lambda each: str(each["name"]))]
    guests = [status_of(each, "ContainerCreating") | {"ready": False} for each in spec.get("ephemeralContainers") or []]
    for each in statuses if over else ():
        if "terminated" not in each["state"]:
            each["state"] = {"terminated": LOST}
    reached = "Failed" if evicted else phase(pod, statuses, over, inits)
    told = conditions(pod, reached, inits, statuses, sandbox, now)
    if evicted:
        why = {"status": "True", "reason": "TerminationByKubelet", "message": evicted}
        told.insert(0, condition(pod, "DisruptionTarget", why, now))
    status: Object = {
        "phase": reached, **ordered(pod, told), "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}, REPLACE], "startTime": dig(pod, "status", "startTime") or now,
        "containerStatuses": statuses, **generation(pod)}
    if evicted:
        status |= {"reason": "Evicted", "message": evicted}
    if inits:
        status["initContainerStatuses"] = inits
    if guests:
        status["ephemeralContainerStatuses"] = guests
    if sandbox is not None and sandbox.ip:
        status |= {"podIP": sandbox.ip, "podIPs": [{"ip": sandbox.ip}, REPLACE]}
    return status


def init_status(container: Object, status: Object, runs: Runs) -> Object:
    """The status of an init container: one that has succeeded is ready; only a sidecar is ever started."""
    if is_sidecar(container):
        return status
    return status | {"ready": succeeded(runs.get(container["name"], [])), "started": False}


def ordered(pod: Object, ours: list[Object]) -> Object:
    """Our conditions, and the order of all of them: ours first, then those that others set, such as PodScheduled."""
    types = [each["type"] for each in ours]
    types += [each["type"] for each in dig(pod, "status", "conditions", default=[]) if each["type"] not in types]
    return {"conditions": ours, "$setElementOrder/conditions": [{"type": kind} for kind in types]}


def rejected_status(pod: Object, reason: str, message: str, now: str) -> Object:
    """The status of a pod that this node refused to run."""
    return {"phase": "Failed", "reason": reason, "message": f"Pod was rejected: {message}", "startTime": now,
            **generation(pod)}
