"""Our event recorder beside the genuine one: what becomes of a dozen events that say nearly the same, on one server."""
from __future__ import annotations

import re
from typing import Any

import pytest
from bookkit.tiers import missing
from genuine import control_plane
from tinykube.client.correlator import SIMILAR
from tinykube.client.events import EventRecorder
from tinykube.client.http import HttpTransport
from tinykube.client.kubeconfig import load
from tinykube.client.rest import Client
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.objects import Object

from tests.behaviour.target import wait

pytestmark = [pytest.mark.skipif(bool(missing("genuine")), reason="; ".join(missing("genuine"))), pytest.mark.timeout(300)]
QUOTA = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
WEB = {"metadata": {"name": "web"}, "spec": {
    "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
    "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}


def about(events: list[Object], name: str) -> tuple[list[Object], list[Object]]:
    """The events about a ReplicaSet: those that stand for themselves, and those that stand for several."""
    mine = [each for each in events if each["involvedObject"]["name"] == name and each["reason"] == "FailedCreate"]
    return ([each for each in mine if not each["message"].startswith("(combined")],
            [each for each in mine if each["message"].startswith("(combined from similar events): ")])


def shape(event: Object) -> Any:
    """What an event says, but for who, when and how often."""
    told = {key: sorted(value) if isinstance(value, dict) else value for key, value in event.items()
            if key not in ("metadata", "firstTimestamp", "lastTimestamp", "count", "message", "reportingInstance", "source")}
    return {**told, "reportingComponent": bool(event["reportingComponent"]),
            "message": re.sub(r'"?web-\w+"?', "…", event["message"])}


async def test_a_dozen_of_a_kind() -> None:
    """A ReplicaSet that may not have a pod: at each try the pod has another name, and so the event another text."""
    with control_plane(["apiserver", "controller-manager"], audit=False) as plane:
        core = "/api/v1/namespaces/default"
        assert plane.request("POST", f"{core}/resourcequotas", QUOTA)[0] == 201
        code, web = plane.request("POST", "/apis/apps/v1/namespaces/default/replicasets", WEB)
        assert code == 201
        found = wait(lambda: about(plane.request("GET", f"{core}/events")[1]["items"], "web")[1], "combined events", 90)
        theirs = about(plane.request("GET", f"{core}/events")[1]["items"], "web")
        assert (len(theirs[0]), len(theirs[1])) == (SIMILAR - 1, 1), found
        text = theirs[0][0]["message"]
        async with HttpTransport.from_access(load(plane.kubeconfig)) as transport:
            recorder = EventRecorder(Client(transport), "replicaset-controller", clock=SystemClock())
            twin = {**web, "metadata": {**web["metadata"], "name": "twin"}}
            for number in range(12):
                recorder.event(twin, "Warning", "FailedCreate", re.sub(r"web-\w+", f"web-{number:05}", text))
            await recorder.stop(30)
        mine = about(plane.request("GET", f"{core}/events")[1]["items"], "twin")
        assert (len(mine[0]), len(mine[1])) == (SIMILAR - 1, 1)
        assert [each["count"] for each in (*mine[0], *mine[1])] == [1] * 9 + [3]
        assert shape(mine[0][0]) == shape(theirs[0][0])
        assert shape(mine[1][0]) == shape(theirs[1][0])
