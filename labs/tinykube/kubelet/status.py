"""How a pod is, told from what its containers did: phase, conditions, container statuses. No effects, no clock.

Genuine counterpart: generateAPIPodStatus and pkg/kubelet/status of the kubelet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tinykube.kubelet.restart import Runs, should_run
from tinykube.machinery.objects import Object, dig, format_time
from tinykube.runtime.interface import EXITED, READY, RUNNING, Container, PodSandbox

REPLACE = {"$patch": "replace"}        # addresses would otherwise be merged, and a pod have the old and the new one
LOST = {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": None, "finishedAt": None,
        "message": "The container could not be located when the pod was terminated"}


@dataclass(frozen=True)
class Waiting:
    """Why a container does not run although it should."""

    reason: str
    message: str = ""


def state_of(container: Container | None, scheme: str) -> Object:
    """A container's `state`: waiting, running or terminated."""
    if container is None or container.state not in (RUNNING, EXITED):
        return {"waiting": {"reason": "ContainerCreating"}}
    if container.state == RUNNING:
        return {"running": {"startedAt": when(container.started_at)}}
    terminated = {"exitCode": container.exit_code, "reason": container.reason, "startedAt": when(container.started_at),
                  "finishedAt": when(container.finished_at), "containerID": f"{scheme}://{container.id}"}
    return {"terminated": terminated | ({"message": container.message} if container.message else {})}


def when(seconds: float) -> str:
    """A moment as the API writes it."""
    return format_time(datetime.fromtimestamp(seconds, UTC))


def container_status(spec: Object, runs: list[Container], waiting: Waiting | None, scheme: str) -> Object:
    """One entry of `containerStatuses`. With `waiting`, what the last run came to moves into `lastState`."""
    last = runs[-1] if runs else None
    state, before = state_of(last, scheme), {} if len(runs) < 2 else state_of(runs[-2], scheme)
    if waiting:
        before = state if "terminated" in state else before
        state = {"waiting": {"reason": waiting.reason} | ({"message": waiting.message} if waiting.message else {})}
    status = {"name": spec["name"], "state": state, "lastState": before, "ready": "running" in state,
              "started": "running" in state, "restartCount": last.config.attempt if last else 0,
              "image": last.config.image if last else spec["image"], "imageID": last.image_ref if last else ""}
    return status | ({"containerID": f"{scheme}://{last.id}"} if last else {})


def phase(pod: Object, statuses: list[Object], over: bool) -> str:
    """Where in its life the pod is. `over`: it has been stopped for good, and restarts no more."""
    ends = [dig(status, "state", "terminated") or
            (dig(status, "lastState", "terminated") if "waiting" in status["state"] else None) for status in statuses]
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


def conditions(pod: Object, phase: str, statuses: list[Object], sandbox: PodSandbox | None, now: str) -> list[Object]:
    """The four conditions that are the kubelet's to set, in the genuine order."""
    unready = [status["name"] for status in statuses if not status["ready"]]
    ended = {"Succeeded": {"reason": "PodCompleted"}, "Failed": {"reason": "PodFailed"}}.get(phase, {})
    ready: Object = {"status": "True"}
    if ended:
        ready = {"status": "False", **ended}
    elif unready:
        ready = {"status": "False", "reason": "ContainersNotReady",
                 "message": f"containers with unready status: [{' '.join(unready)}]"}
    place: Object = {"status": "True"}
    if sandbox is None or sandbox.state != READY:
        place = {"status": "False"}
        if sandbox is not None:
            place |= {"reason": "PodSandboxNotReady", "message": "pod sandbox is not ready"}
    initialized = {"status": "True", **(ended if phase == "Succeeded" else {})}
    return [condition(pod, kind, what, now) for kind, what in (
        ("PodReadyToStartContainers", place), ("Initialized", initialized), ("Ready", ready),
        ("ContainersReady", ready))]


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
               host_ip: str, now: str, over: bool = False) -> Object:
    """The whole status, as a patch to the one that the server has (which keeps PodScheduled, for instance)."""
    statuses = []
    for spec in sorted(pod["spec"]["containers"], key=lambda spec: str(spec["name"])):
        history = runs.get(spec["name"], [])
        why = waiting.get(spec["name"]) if should_run(pod, history) and not over else None
        statuses.append(container_status(spec, history, why, scheme))
        if over and "terminated" not in statuses[-1]["state"]:
            statuses[-1]["state"] = {"terminated": LOST}
    reached = phase(pod, statuses, over)
    status: Object = {
        "phase": reached, **ordered(pod, conditions(pod, reached, statuses, sandbox, now)), "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}, REPLACE], "startTime": dig(pod, "status", "startTime") or now,
        "containerStatuses": statuses, **generation(pod)}
    if sandbox is not None and sandbox.ip:
        status |= {"podIP": sandbox.ip, "podIPs": [{"ip": sandbox.ip}, REPLACE]}
    return status


def ordered(pod: Object, ours: list[Object]) -> Object:
    """Our conditions, and the order of all of them: ours first, then those that others set, such as PodScheduled."""
    types = [each["type"] for each in ours]
    types += [each["type"] for each in dig(pod, "status", "conditions", default=[]) if each["type"] not in types]
    return {"conditions": ours, "$setElementOrder/conditions": [{"type": kind} for kind in types]}


def rejected_status(pod: Object, reason: str, message: str, now: str) -> Object:
    """The status of a pod that this node refused to run."""
    return {"phase": "Failed", "reason": reason, "message": f"Pod was rejected: {message}", "startTime": now,
            **generation(pod)}
