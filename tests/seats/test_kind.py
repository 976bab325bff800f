"""Ours in the seats of a living kind cluster and out again, with pods coming and going all the while.

The genuine api-server is the witness: its own count of bindings, and a watch of every pod from the first to the last.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from bookkit.boarding import SEATS, Boarding
from bookkit.tiers import missing
from genuine import kind_cluster

from tests.behaviour.target import Target, wait

pytestmark = [pytest.mark.skipif(bool(missing("kind")), reason="; ".join(missing("kind"))),
              pytest.mark.timeout(1500), pytest.mark.xdist_group("kind")]
PATIENCE = 180
SLEEP = ["sh", "-c", "trap exit TERM; while :; do sleep 1 & wait; done"]
MADE_IN_A_ROUND = {"web": 4 + 3, "once": 2}             # scaled from two to four, rolled out at three; a Job of two
LANES = ("seats-a", "seats-b")


def template(app: str, command: list[str], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": app}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [
        {"name": "main", "image": "kubernetes-by-hand/box:1", "command": command}], **spec}}


class Aside:
    """Something that goes on beside the test until it is told to end; what went wrong in it is kept."""

    def __init__(self) -> None:
        self.ended, self.trouble = threading.Event(), list[BaseException]()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        try:
            while not self.ended.is_set():
                self.round()
        except BaseException as error:       # told by those who wait for it
            self.trouble.append(error)

    def round(self) -> None:
        raise NotImplementedError


class History(Aside):
    """Every pod that was ever seen: its app, the nodes that it was on, whether it had to be scheduled, whether it is gone."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target, self.lock = target, threading.Lock()
        self.pods: dict[str, dict[str, Any]] = {}
        whole = target.call("GET", "/api/v1/pods").json()
        self.before = {pod["metadata"]["uid"] for pod in whole["items"]}
        self.version = whole["metadata"]["resourceVersion"]

    def round(self) -> None:
        for event in self.target.watch("/api/v1/pods", resourceVersion=self.version, timeoutSeconds="2"):
            assert event["type"] in ("ADDED", "MODIFIED", "DELETED"), event
            with self.lock:
                self.note(event["type"], event["object"])
            self.version = event["object"]["metadata"]["resourceVersion"]

    def note(self, what: str, pod: dict[str, Any]) -> None:
        meta, node = pod["metadata"], pod["spec"].get("nodeName")
        if meta["uid"] in self.before:
            return
        if meta["uid"] not in self.pods:
            assert what == "ADDED", (what, meta["name"])
            self.pods[meta["uid"]] = {"name": meta["name"], "space": meta["namespace"], "nodes": [], "gone": False,
                                      "app": meta.get("labels", {}).get("app"), "waited": not node}
        known = self.pods[meta["uid"]]
        known["gone"] |= what == "DELETED"
        if known["nodes"][-1:] != [node] and (node or known["nodes"]):
            known["nodes"].append(node)

    def of(self, space: str, app: str) -> list[dict[str, Any]]:
        with self.lock:
            return [pod for pod in self.pods.values() if (pod["space"], pod["app"]) == (space, app)]


class Lane(Aside):
    """One who orders, waits for what was ordered, and orders again, in a namespace of his own."""

    def __init__(self, target: Target, space: str) -> None:
        super().__init__()
        self.target, self.space, self.rounds = target, space, 0

    def call(self, method: str, path: str, body: Any = None, group: str = "apis/apps/v1", **more: Any) -> requests.Response:
        return self.target.call(method, f"/{group}/namespaces/{self.space}/{path}", body, **more)

    def ordered(self, method: str, path: str, body: Any, **more: Any) -> None:
        done = self.call(method, path, body, **more)
        assert done.status_code in (200, 201), done.text

    def round(self) -> None:
        """Two pods, four, three, three of a new version, none; and a Job of two beside them."""
        self.ordered("POST", "deployments", {"metadata": {"name": "web"}, "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("web", SLEEP),
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}})
        self.ordered("POST", "jobs", {"metadata": {"name": "once"}, "spec": {
            "completions": 2, "parallelism": 2, "template": template("once", ["true"], restartPolicy="Never")}},
            group="apis/batch/v1")
        self.served(2)
        for replicas in (4, 3):
            self.change({"replicas": replicas})
            self.served(replicas)
        self.change({"template": {"metadata": {"annotations": {"version": "2"}}}})
        self.served(3)
        wait(self.job_done, f"the Job in {self.space}", PATIENCE)
        for path, group in (("deployments/web", "apis/apps/v1"), ("jobs/once", "apis/batch/v1")):
            self.ordered("DELETE", path, {"propagationPolicy": "Background"}, group=group)
        wait(lambda: not self.call("GET", "pods", group="api/v1").json()["items"], f"no pod in {self.space}", PATIENCE)
        wait(lambda: not self.call("GET", "replicasets").json()["items"], f"no ReplicaSet in {self.space}", PATIENCE)
        self.rounds += 1

    def change(self, spec: dict[str, Any]) -> None:
        self.ordered("PATCH", "deployments/web", {"spec": spec}, kind="application/merge-patch+json")

    def served(self, count: int) -> None:
        """Wait until so many pods serve, all of the last version, and there are no others."""
        def so() -> bool:
            found = self.call("GET", "deployments/web").json()
            status = found["status"]
            return bool(status.get("observedGeneration") == found["metadata"]["generation"]
                        and all(status.get(each) == count for each in ("replicas", "updatedReplicas", "availableReplicas"))
                        and len(self.call("GET", "pods?labelSelector=app%3Dweb", group="api/v1").json()["items"]) == count)
        wait(so, f"{count} pods in {self.space}", PATIENCE)

    def job_done(self) -> bool:
        status = self.call("GET", "jobs/once", group="apis/batch/v1").json()["status"]
        return bool(status.get("succeeded") == 2 and any(each["type"] == "Complete" for each in status.get("conditions", [])))


@contextmanager
def space(target: Target, name: str) -> Iterator[None]:
    made = target.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert made.status_code == 201, made.text
    wait(lambda: target.call("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default").status_code == 200, "an account")
    try:
        yield
    finally:
        target.call("DELETE", f"/api/v1/namespaces/{name}")
        wait(lambda: target.call("GET", f"/api/v1/namespaces/{name}").status_code == 404, f"{name} to go", PATIENCE)


def whole_round(lanes: list[Lane], history: History) -> None:
    """Wait until every lane has ended the round that it is in, and gone through a whole one after it."""
    aims = {lane.space: lane.rounds + 2 for lane in lanes}

    def so() -> bool:
        for each in (history, *lanes):
            if each.trouble:
                raise each.trouble[0]
        return all(lane.rounds >= aims[lane.space] for lane in lanes)
    wait(so, "a round of every lane", 3 * PATIENCE)


def test_seats_change_hands_while_pods_come_and_go() -> None:
    with kind_cluster() as kind:
        targets = [Target("kind", str(kind.kubeconfig), frozenset()) for _ in range(2 + len(LANES))]
        try:
            sail(Boarding(kind), *targets)
        finally:
            for target in targets:
                target.close()


def sail(boarding: Boarding, target: Target, watched: Target, *others: Target) -> None:
    with space(target, LANES[0]), space(target, LANES[1]), space(target, "seats"):
        history, before = History(watched), boarding.bindings()
        lanes = [Lane(each, name) for each, name in zip(others, LANES, strict=True)]
        witness = {"metadata": {"name": "witness"}, "spec": template("witness", SLEEP)["spec"]}
        born = target.call("POST", "/api/v1/namespaces/seats/pods", witness).json()["metadata"]["uid"]
        for each in (history, *lanes):
            each.thread.start()
        try:
            with boarding:
                whole_round(lanes, history)
                for kind in ("tiny", "genuine"):
                    for seat in SEATS:
                        boarding.swap(seat, kind)
                        whole_round(lanes, history)
        finally:
            for each in lanes:
                each.ended.set()
            for each in lanes:
                each.thread.join()
            history.ended.set()
            history.thread.join()
            history.round()                  # two seconds more, for what has just happened
        assert not [each.trouble for each in (history, *lanes) if each.trouble]
        judge(history, lanes, boarding.bindings() - before)
        pod = target.call("GET", "/api/v1/namespaces/seats/pods/witness").json()
        assert (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) == (born, 0)


def judge(history: History, lanes: list[Lane], bindings: Counter[str]) -> None:
    """None lost, none scheduled twice."""
    pods = list(history.pods.values())
    assert not [pod for pod in pods if len(pod["nodes"]) > 1], "a pod stays where it was put"
    bound = [pod for pod in pods if pod["waited"] and pod["nodes"]]
    assert bindings == {"201": len(bound)}, "one binding for each pod, and nobody wanted a second one"
    for lane in lanes:
        assert lane.rounds >= 6
        for app, number in MADE_IN_A_ROUND.items():
            mine = history.of(lane.space, app)
            assert len(mine) == number * lane.rounds, f"as many pods of {app} as were ordered in {lane.rounds} rounds"
            assert all(pod["nodes"] and pod["gone"] for pod in mine), "each was scheduled, and went when it was to go"
