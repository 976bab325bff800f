"""Whether a container should be started, and when: restart policy and back-off, decided without doing anything.

Genuine counterpart: computePodActions and ShouldContainerBeRestarted of the kubelet, client-go's util/flowcontrol.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from tinykube.machinery.objects import Object, dig
from tinykube.runtime.interface import CREATED, EXITED, READY, RUNNING, Container, PodSandbox

FIRST_DELAY, LONGEST_DELAY = 10.0, 300.0           # seconds
Runs = dict[str, list[Container]]                  # container name -> its containers, oldest first


def should_run(pod: Object, runs: list[Container]) -> bool:
    """Whether a container that has run like this should be started (again)."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    last = runs[-1] if runs else None
    if last is None or last.state == CREATED:
        return True
    if last.state == RUNNING or pod["spec"].get("restartPolicy") == "Never":
        return False
    return not (pod["spec"].get("restartPolicy") == "OnFailure" and last.exit_code == 0)


@dataclass(frozen=True)
class Plan:
    """What to do about a pod now."""

    new_sandbox: bool = False
    start: list[Object] = field(default_factory=list)      # containers, as the pod's spec has them


def plan(pod: Object, sandbox: PodSandbox | None, runs: Runs) -> Plan:
    """What a pod lacks. A sandbox that died takes all its containers along: they are started in a new one."""
    here = {name: [run for run in history if sandbox and run.sandbox_id == sandbox.id]
            for name, history in runs.items()}
    alive = sandbox is not None and sandbox.state == READY
    wanted = [container for container in pod["spec"]["containers"]
              if should_run(pod, (here if alive else runs).get(container["name"], []))]
    return Plan(new_sandbox=bool(wanted) and not alive, start=wanted)


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
