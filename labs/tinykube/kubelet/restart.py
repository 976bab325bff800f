"""Whether a container should be started, and when: restart policy and back-off, decided without doing anything.

Genuine counterpart: computePodActions and ShouldContainerBeRestarted of the kubelet, client-go's util/flowcontrol.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field

from tinykube.machinery.objects import Object, dig
from tinykube.runtime.interface import CREATED, EXITED, READY, RUNNING, Container, PodSandbox

FIRST_DELAY, LONGEST_DELAY = 10.0, 300.0           # seconds
Runs = dict[str, list[Container]]                  # container name -> its containers, oldest first


def policy_of(pod: Object, container: Object) -> str:
    """Whether a container is restarted: as it says itself (a sidecar), else as its pod says; others that come first, on failure."""
    policy = container.get("restartPolicy") or pod["spec"].get("restartPolicy", "Always")
    return "OnFailure" if is_init(pod, container) and not is_sidecar(container) and policy == "Always" else str(policy)


def is_init(pod: Object, container: Object) -> bool:
    """Whether a container is one of those that come before the others."""
    return any(each["name"] == container["name"] for each in pod["spec"].get("initContainers") or [])


def is_sidecar(container: Object) -> bool:
    """Whether an init container stays while the others run."""
    return container.get("restartPolicy") == "Always"


def should_run(pod: Object, runs: list[Container], container: Object | None = None) -> bool:
    """Whether a container that has run like this should be started (again)."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    last = runs[-1] if runs else None
    if last is None or last.state == CREATED:
        return True
    policy = policy_of(pod, container or {"name": last.config.name})
    return last.state != RUNNING and (policy == "Always" or (policy == "OnFailure" and last.exit_code != 0))


@dataclass(frozen=True)
class Plan:
    """What to do about a pod now."""

    new_sandbox: bool = False
    start: list[Object] = field(default_factory=list)      # containers, as the pod's spec has them


def plan(pod: Object, sandbox: PodSandbox | None, runs: Runs, started: Collection[str] = ()) -> Plan:
    """What a pod lacks. A sandbox that died takes all its containers along: they are started in a new one.

    `started` names the containers whose startup is over; the next init container waits for that of a sidecar.
    """
    here = {name: [run for run in history if sandbox and run.sandbox_id == sandbox.id]
            for name, history in runs.items()}
    alive = sandbox is not None and sandbox.state == READY
    wanted = [container for container in pod["spec"]["containers"]
              if should_run(pod, (here if alive else runs).get(container["name"], []), container)]
    if not alive and not wanted:
        return Plan()
    first, done = before(pod, here if alive else {}, started)
    guests = [container for container in pod["spec"].get("ephemeralContainers") or [] if not runs.get(container["name"])]
    return Plan(new_sandbox=not alive, start=[*first, *(wanted if done else []), *(guests if alive else [])])


def before(pod: Object, runs: Runs, started: Collection[str]) -> tuple[list[Object], bool]:
    """Which init containers to start now, and whether the others may: one after the other, sidecars to stay."""
    begun = any(runs.get(container["name"]) for container in pod["spec"]["containers"])
    start = []
    for container in pod["spec"].get("initContainers") or []:
        history = runs.get(container["name"], [])
        if is_sidecar(container):
            start += [container] if should_run(pod, history, container) else []
            if not begun and (start or container["name"] not in started):
                return start, False
        elif not begun and not succeeded(history):
            return start + ([container] if should_run(pod, history, container) else []), False
    return start, True


def succeeded(runs: list[Container]) -> bool:
    """Whether the latest run ended well."""
    return bool(runs) and runs[-1].state == EXITED and runs[-1].exit_code == 0


def terminal(pod: Object) -> bool:
    """Whether the pod has run to its end; whatever happens, its containers are not started again."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")


@dataclass
class Delay:
    """How long the next failure has to wait, and when that was decided."""

    seconds: float
    since: float


class Backoff:
    """Waiting times that double from 10 s to 5 min, and are forgotten after ten minutes without trouble."""

    def __init__(self, first: float = FIRST_DELAY, longest: float = LONGEST_DELAY) -> None:
        self.first, self.longest = first, longest
        self.delays: dict[Hashable, Delay] = {}

    def remaining(self, key: Hashable, failed_at: float, now: float) -> float:
        """Seconds still to wait after a failure at `failed_at`; 0 for the first one."""
        delay = self.delays.get(key)
        if delay is None or failed_at - delay.since > 2 * self.longest:
            return 0
        return max(0, failed_at + delay.seconds - now)

    def next(self, key: Hashable, failed_at: float, now: float) -> None:
        """Another try begins: the wait after it will be twice as long."""
        delay = self.delays.get(key)
        if delay is None or failed_at - delay.since > 2 * self.longest:
            self.delays[key] = Delay(self.first, now)
        else:
            self.delays[key] = Delay(min(delay.seconds * 2, self.longest), now)

    def length(self, key: Hashable) -> float:
        """The current delay of a key, in seconds, for the message that people read."""
        return self.delays[key].seconds

    def forget(self, uid: str) -> None:
        """Drop the delays of a pod that is gone; keys begin with the pod's uid."""
        self.delays = {key: delay for key, delay in self.delays.items() if not (isinstance(key, tuple) and key[0] == uid)}


def pretty(seconds: float) -> str:
    """A duration as Go writes it: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def ended(runs: list[Container]) -> Container | None:
    """The latest run, if it is over."""
    return runs[-1] if runs and runs[-1].state == EXITED else None
