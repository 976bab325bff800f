"""Every seat swapped, in every combination, in one living cluster: nothing is lost, and nothing runs twice.

`make seats` sails through all sixteen; `make test` through four of them, in each of which other neighbors meet.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bookkit.ship import KINDS, SEATS, Ship
from bookkit.tiers import missing

from tests.behaviour.target import wait

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))),
              pytest.mark.timeout(1500), pytest.mark.xdist_group("ship")]
KUBECTL = str(Path(sys.executable).with_name("kubectl"))
PATIENCE = 120
SLEEP = ["sh", "-c", "trap exit TERM; while :; do sleep 1 & wait; done"]
QUICK = [{"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
         for what in ("not-ready", "unreachable")]
ALL = os.environ.get("VOYAGE") == "all"
# Gray's code: from each to the next, one seat changes.
ROUTE = [number ^ number >> 1 for number in range(16)] if ALL else [0b0000, 0b0110, 0b1111, 0b1001]
WHOLE = {0b0000, 0b0111, 0b1111, 0b1000} if ALL else {0b1111}   # where a node dies, too, and a namespace goes


def planks(number: int) -> dict[str, str]:
    """The kind of each seat, by the bits of a number; the store is the highest."""
    return {seat: KINDS[number >> 3 - at & 1] for at, seat in enumerate(SEATS)}


def pod_spec() -> dict[str, Any]:
    return {"terminationGracePeriodSeconds": 1, "tolerations": QUICK,
            "containers": [{"name": "main", "image": "kubernetes-by-hand/box:1", "command": SLEEP}]}


class Crew:
    """What is done aboard, with the real kubectl."""

    def __init__(self, ship: Ship) -> None:
        self.ship = ship

    def kubectl(self, *words: str, stdin: str = "") -> str:
        done = subprocess.run([KUBECTL, "--kubeconfig", str(self.ship.kubeconfig), *words], capture_output=True, text=True,
                              input=stdin, timeout=PATIENCE + 30, check=False)
        assert done.returncode == 0, f"{self.ship.planks}: kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def create(self, **obj: Any) -> None:
        self.kubectl("create", "-f", "-", stdin=json.dumps(obj))

    def deploy(self, name: str, replicas: int, namespace: str = "default") -> None:
        self.create(apiVersion="apps/v1", kind="Deployment", metadata={"name": name, "namespace": namespace}, spec={
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec()}})

    def pods(self, app: str, namespace: str = "default") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl(
            "get", "pods", "-n", namespace, "-l", f"app={app}", "-o", "json"))["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def rolled_out(self, name: str, namespace: str = "default") -> None:
        self.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, f"--timeout={PATIENCE}s")

    def settle(self, app: str, count: int, namespace: str = "default") -> None:
        """Wait until there are so many pods, all of them ready, and nothing else."""
        def settled() -> bool:
            pods = self.pods(app, namespace)
            ready = [pod for pod in pods for each in pod["status"].get("conditions", [])
                     if each["type"] == "Ready" and each["status"] == "True"]
            return len(pods) == len(ready) == count
        wait(settled, f"{count} pods of {app} aboard {self.ship.planks}", PATIENCE)

    def nothing_runs_twice(self) -> None:
        """No pod has a sandbox on two nodes, or two on one."""
        running = Counter(pod.sandbox.config.uid for node in self.ship.nodes.values()
                          for pod in node.runtime.pods.values())  # type: ignore[attr-defined]
        assert not [uid for uid, times in running.items() if times > 1], self.ship.planks

    def leg(self, number: int) -> None:
        """On each leg of the voyage: roll out, scale, and look at the one who has been here since the beginning."""
        self.kubectl("set", "env", "deployment/web", f"LEG={number}")
        self.rolled_out("web")
        self.kubectl("scale", "deployment/web", f"--replicas={3 + number % 3}")
        self.settle("web", 3 + number % 3)
        assert {pod["spec"]["containers"][0]["env"][0]["value"] for pod in self.pods("web")} == {str(number)}
        self.nothing_runs_twice()

    def storm(self, number: int) -> None:
        """Twenty pods, more, back to what was; a node dies and its pods move; a namespace goes with all that is in it."""
        space = f"storm-{number}"
        self.kubectl("create", "namespace", space)
        self.deploy("fleet", 20, space)
        self.rolled_out("fleet", space)
        self.settle("fleet", 20, space)
        self.kubectl("set", "env", "deployment/fleet", "-n", space, "COURSE=north")
        self.rolled_out("fleet", space)
        self.kubectl("scale", "deployment/fleet", "-n", space, "--replicas=24")
        self.settle("fleet", 24, space)
        self.kubectl("rollout", "undo", "deployment/fleet", "-n", space)
        self.rolled_out("fleet", space)
        self.settle("fleet", 24, space)
        assert not [pod for pod in self.pods("fleet", space) if pod["spec"]["containers"][0].get("env")]
        self.ship.stop_node("bee")
        wait(lambda: {pod["spec"].get("nodeName") for pod in self.pods("fleet", space)} == {"ant"},
             f"all pods on the other node, aboard {self.ship.planks}", PATIENCE)
        self.settle("fleet", 24, space)
        self.ship.start_node("bee")
        self.kubectl("wait", "node/bee", "--for=condition=Ready", f"--timeout={PATIENCE}s")
        self.kubectl("delete", "namespace", space, f"--timeout={PATIENCE}s")


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Ship(**planks(0)) as ship:
        crew = Crew(ship)
        crew.deploy("web", 3)
        stays = {"nodeName": "ant", "tolerations": [{"operator": "Exists"}]}     # whatever is thought of its node, on a busy day
        crew.create(apiVersion="v1", kind="Pod", metadata={"name": "anchor", "labels": {"app": "anchor"}},
                    spec=pod_spec() | stays)
        crew.settle("web", 3)
        crew.settle("anchor", 1)
        yield crew


def test_the_voyage(crew: Crew) -> None:
    anchor = crew.pods("anchor")[0]["metadata"]["uid"]
    for number in ROUTE:
        for seat, kind in planks(number).items():
            crew.ship.swap(seat, kind)
        crew.leg(number)
        if number in WHOLE:
            crew.storm(number)
        held, = crew.pods("anchor")
        status, = held["status"]["containerStatuses"]
        assert (held["metadata"]["uid"], status["restartCount"], status["ready"]) == (anchor, 0, True), crew.ship.planks
    for seat in SEATS:
        crew.ship.swap(seat, "tiny")
    crew.leg(99)
