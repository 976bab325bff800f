"""The REST client's paths and errors; the event recorder's counting."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from tinykube.client.events import EventRecorder
from tinykube.client.rest import Client
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.errors import ApiError, not_found
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import Request, Response


class Recording:
    """Remembers requests; answers with what `answer` says, else with the body that came."""

    def __init__(self, answer: Response | None = None) -> None:
        self.requests: list[Request] = []
        self.answer = answer

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answer or Response(200, json.loads(request.body or b"{}"))

    @property
    def last(self) -> Request:
        return self.requests[-1]


async def test_paths_and_verbs() -> None:
    server = Recording()
    client = Client(server, "me/1")
    obj = {"metadata": {"name": "web", "namespace": "lab"}}
    await client.get("pods", "web", "lab", "status")
    await client.list("nodes", labelSelector="a=b", limit=5, allowWatchBookmarks=True, fieldSelector=None)
    await client.create("pods", obj)
    await client.create("pods", {"target": {}}, "lab", name="web", subresource="binding")
    await client.update("leases", obj)
    await client.patch("pods", "web", {"x": 1}, "lab", type="merge")
    await client.delete("pods", "a b", "lab", grace_seconds=0, uid="u")
    assert [(request.method, request.path) for request in server.requests] == [
        ("GET", "/api/v1/namespaces/lab/pods/web/status"), ("GET", "/api/v1/nodes"),
        ("POST", "/api/v1/namespaces/lab/pods"), ("POST", "/api/v1/namespaces/lab/pods/web/binding"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/lab/leases/web"),
        ("PATCH", "/api/v1/namespaces/lab/pods/web"), ("DELETE", "/api/v1/namespaces/lab/pods/a b")]
    assert server.requests[1].query == (("labelSelector", "a=b"), ("limit", "5"), ("allowWatchBookmarks", "true"))
    assert server.requests[5].headers["content-type"] == "application/merge-patch+json"
    assert server.requests[0].headers["user-agent"] == "me/1"
    options = json.loads(server.last.body)
    assert (options["gracePeriodSeconds"], options["preconditions"]) == (0, {"uid": "u"})


async def test_unknown_resource_says_what_is_known() -> None:
    with pytest.raises(KeyError, match=r"unknown resource 'podz': known are certificatesigningrequests, clusterrolebindings"):
        await Client(Recording()).get("podz", "x")


async def test_a_name_cannot_reach_beyond_its_place() -> None:
    with pytest.raises(ValueError, match="contains no slash"):
        await Client(Recording()).get("pods", "../../secrets", "lab")


@pytest.mark.parametrize(("body", "message"), [
    (not_found("pods", "web").status(), 'pods "web" not found'),
    (json.dumps(not_found("pods", "web").status()).encode(), 'pods "web" not found'),
    (b"Bad Gateway", "Bad Gateway"),
    (b"\xff\xfe", "without a Status"),
])
async def test_errors_become_exceptions(body: bytes | Object, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        await Client(Recording(Response(404, body))).get("pods", "web")
    assert caught.value.code == 404


async def test_a_watch_closes_its_stream_when_the_reader_leaves() -> None:
    closed = []

    async def flow() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n{"type":"ADD'
                yield b'ED","object":{}}\n\n'
        finally:
            closed.append(True)
    watch = Client(Recording(Response(200, flow()))).watch("pods")
    assert [(await anext(watch))["type"], (await anext(watch))["object"]] == ["ADDED", {}]
    await watch.aclose()
    assert closed == [True]


async def test_discovery_tells_where_a_kind_is_served() -> None:
    served = {"resources": [{"name": "deployments", "kind": "Deployment", "namespaced": True},
                            {"name": "deployments/scale", "kind": "Scale", "namespaced": True}]}
    client = Client(Recording(Response(200, served)))
    assert await client.resource_of({"apiVersion": "apps/v1", "kind": "Deployment"}) == ("deployments", True)
    assert client.path("deployments", "lab", "web") == "/apis/apps/v1/namespaces/lab/deployments/web"
    with pytest.raises(KeyError, match='no matches for kind "Sale" in version "apps/v1"'):
        await client.resource_of({"apiVersion": "apps/v1", "kind": "Sale"})
    with pytest.raises(ValueError, match="needs apiVersion and kind"):
        await client.resource_of({"kind": "Pod"})


POD: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "lab", "uid": "u1"}}


async def test_the_same_event_again_raises_the_count() -> None:
    server, clock = Recording(), FakeClock()
    recorder = EventRecorder(Client(server), "kubelet", clock=clock, host="ant")
    for _ in range(3):
        recorder.event(POD, "Warning", "BackOff", "restarting", "spec.containers{main}")
        await recorder.flush()
        await clock.advance(10)
    recorder.event(POD, "Warning", "BackOff", "another text")
    await recorder.stop()
    assert [request.method for request in server.requests] == ["POST", "PATCH", "PATCH", "POST"]
    first = json.loads(server.requests[0].body)
    assert first["involvedObject"] == {"apiVersion": "v1", "kind": "Pod", "name": "web", "namespace": "lab",
                                       "uid": "u1", "fieldPath": "spec.containers{main}"}
    assert (first["source"], first["count"]) == ({"component": "kubelet", "host": "ant"}, 1)
    assert json.loads(server.requests[2].body) == {"count": 3, "lastTimestamp": "2030-01-01T00:00:20Z"}
    assert first["metadata"]["name"] != json.loads(server.last.body)["metadata"]["name"]


async def test_events_of_a_node_go_to_the_default_namespace() -> None:
    server = Recording()
    recorder = EventRecorder(Client(server), "kubelet", clock=FakeClock())
    recorder.event({"kind": "Node", "metadata": {"name": "ant", "uid": "ant"}}, "Normal", "NodeReady", "ready")
    await recorder.stop()
    assert server.last.path == "/api/v1/namespaces/default/events"


async def test_a_server_that_refuses_loses_events_and_nothing_else() -> None:
    recorder = EventRecorder(Client(Recording(Response(500, b"no"))), "kubelet", clock=FakeClock())
    for _ in range(2000):
        recorder.event(POD, "Normal", "Pulled", "x")
    await recorder.stop()
