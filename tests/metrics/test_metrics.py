"""What nodes and pods use: what a kubelet says, what follows from two answers, and how the API tells it."""
from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tinykube.client.rest import Client
from tinykube.kubelet.stats import NANO, PodUse, Use, resource_metrics, summary
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.wire import Request, Response
from tinykube.metrics.scrape import Memory, Point, points
from tinykube.metrics.server import MetricsServer

WEB = {"metadata": {"name": "web", "namespace": "default", "uid": "u1", "labels": {"app": "web"}},
       "spec": {"nodeName": "ant"}, "status": {"phase": "Running"}}


def use(at: float, cpu: float, memory: int = 1 << 20, since: float = 0.0) -> Use:
    return Use(at, since, round(cpu * NANO), 5, memory)


def text(at: float, **containers: tuple[float, int]) -> str:
    return resource_metrics([PodUse(WEB, {each: use(at, cpu, memory, 1000.0) for each, (cpu, memory) in containers.items()})])


def test_the_text_is_prometheus_form_and_read_back() -> None:
    told = text(1200.0, main=(1.5, 2048), side=(0.25, 1024))
    assert 'container_cpu_usage_seconds_total{container="main",namespace="default",pod="web"} 1.5 1200000\n' in told
    assert "# TYPE node_cpu_usage_seconds_total counter\nnode_cpu_usage_seconds_total 1.75 1200000\n" in told
    assert 'pod_memory_working_set_bytes{namespace="default",pod="web"} 3072 1200000\n' in told
    assert told.endswith("resource_scrape_error 0\n")
    assert points(told) == {("default", "web", "main"): Point(1200.0, 1.5, 2048, 1000.0),
                            ("default", "web", "side"): Point(1200.0, 0.25, 1024, 1000.0),
                            ("", "", ""): Point(1200.0, 1.75, 3072, 0.0)}


def test_a_genuine_kubelets_answer_is_read_too() -> None:
    told = """# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="etcd",namespace="kube-system",pod="etcd-a"} 4.654933779 1795593614661
container_memory_working_set_bytes{container="etcd",namespace="kube-system",pod="etcd-a"} 3.2518144e+07 1795593614661
container_start_time_seconds{container="etcd",namespace="kube-system",pod="etcd-a"} 1.7955934233940454e+09
container_swap_usage_bytes{container="etcd",namespace="kube-system",pod="etcd-a"} 0 1795593614661
container_cpu_usage_seconds_total{container="lost",namespace="kube-system",pod="etcd-a"} 1 1795593614661
node_cpu_usage_seconds_total 32.466977034 1795593616908
node_memory_working_set_bytes 5.25590528e+08 1795593616908
resource_scrape_error 0
"""
    assert points(told) == {("kube-system", "etcd-a", "etcd"): Point(1795593614.661, 4.654933779, 32518144, 1795593423.3940454),
                            ("", "", ""): Point(1795593616.908, 32.466977034, 525590528, 0.0)}


def test_the_summary() -> None:
    told = summary("ant", [PodUse(WEB, {"main": use(10.0, 2.0, 4096)})], 1 << 20)
    assert told["node"] | {"cpu": 0, "startTime": 0} == {
        "nodeName": "ant", "startTime": 0, "cpu": 0, "memory": {
            "time": "1970-01-01T00:00:10Z", "workingSetBytes": 4096, "rssBytes": 4096, "availableBytes": (1 << 20) - 4096}}
    assert told["pods"][0]["podRef"] == {"name": "web", "namespace": "default", "uid": "u1"}
    assert told["pods"][0]["containers"][0]["cpu"] == {
        "time": "1970-01-01T00:00:10Z", "usageNanoCores": 5, "usageCoreNanoSeconds": 2 * NANO}
    assert summary("ant", [], 5)["node"]["memory"]["availableBytes"] == 5


KEY = ("default", "web", "main")


def test_it_takes_two_answers() -> None:
    memory = Memory(15.0)
    memory.store({KEY: Point(100.0, 1.0, 10, 50.0)})
    assert memory.usage(KEY) is None
    assert memory.of_pod("default", "web") is None
    memory.store({KEY: Point(115.0, 4.0, 20, 50.0)})
    found = memory.usage(KEY)
    assert found
    assert (found.at, found.window, found.nano_cores, found.memory) == (115.0, 15.0, 200_000_000, 20)
    memory.store({KEY: Point(115.0, 4.0, 20, 50.0)})           # nothing new: what was known stays known
    assert memory.usage(KEY) == found
    memory.store({})
    assert memory.usage(KEY) is None


@pytest.mark.parametrize(("before", "after", "known"), [
    (Point(100, 9.0, 1, 50), Point(115, 0.2, 1, 110), False),      # started anew, and not long ago: nothing to compare with
    (Point(100, 9.0, 1, 50), Point(115, 0.2, 1, 103), True),       # started anew, and ran long enough: since its start
    (None, Point(112, 3.0, 1, 100), True), (None, Point(105, 3.0, 1, 100), False), (None, Point(120, 3.0, 1, 100), False),
    (Point(100, 9.0, 1, 50), Point(115, 8.0, 1, 50), False),       # a counter that fell counts nothing
])
def test_new_containers(before: Point | None, after: Point, known: bool) -> None:
    memory = Memory(15.0)
    if before:
        memory.store({KEY: before})
    memory.store({KEY: after})
    assert (memory.usage(KEY) is not None) is known


def test_a_pod_is_known_when_all_its_containers_are() -> None:
    memory, side = Memory(15.0), ("default", "web", "side")
    memory.store({KEY: Point(100, 1.0, 1, 1)})
    memory.store({KEY: Point(115, 2.0, 1, 1), side: Point(115, 0.1, 1, 112)})
    assert memory.of_pod("default", "web") is None
    memory.store({KEY: Point(130, 3.0, 1, 1), side: Point(130, 0.2, 1, 112)})
    assert set(memory.of_pod("default", "web") or {}) == {"main", "side"}


@pytest.fixture
def server() -> MetricsServer:
    async def nobody(request: Request) -> Response:
        raise AssertionError(request)

    async def ask(node: Any, request: Request) -> Response:
        assert request.target == "/metrics/resource"
        if node["metadata"]["name"] == "bee":
            raise ConnectionRefusedError("nobody there")
        return answers.pop(0)
    answers = [Response(200, text(1200.0, main=(1.0, 2 << 20), side=(0.0, 1 << 20)).encode()),
               Response(200, text(1215.0, main=(2.5, 3 << 20), side=(0.003, 1 << 20)).encode()),
               Response(503, b"busy")]
    made = MetricsServer(Client(nobody), ask, clock=FakeClock(), random=Random(0), log=EventLog())
    for node in ("ant", "bee"):
        made.nodes.cache[node] = {"metadata": {"name": node, "labels": {"kubernetes.io/hostname": node}}, "spec": {}}
    for pod in (WEB, {**WEB, "metadata": {**WEB["metadata"], "name": "new", "labels": {}}}):
        made.pods.cache[f"default/{pod['metadata']['name']}"] = pod
    return made


async def get(server: MetricsServer, path: str, method: str = "GET", **query: str) -> tuple[int, Any]:
    answer = await server.handle(Request(method, path, tuple(query.items())))
    return answer.status, answer.body


ROOT = "/apis/metrics.k8s.io/v1beta1"
ANT = {"kind": "NodeMetrics", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {
    "name": "ant", "creationTimestamp": "2030-01-01T00:00:00Z", "labels": {"kubernetes.io/hostname": "ant"}},
    "timestamp": "1970-01-01T00:20:15Z", "window": "15.000s", "usage": {"cpu": "100200u", "memory": "4096Ki"}}
PODS = {"kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {
    "name": "web", "namespace": "default", "creationTimestamp": "2030-01-01T00:00:00Z", "labels": {"app": "web"}},
    "timestamp": "1970-01-01T00:20:15Z", "window": "15.000s", "containers": [
        {"name": "main", "usage": {"cpu": "100m", "memory": "3072Ki"}},
        {"name": "side", "usage": {"cpu": "200u", "memory": "1024Ki"}}]}


async def test_the_api(server: MetricsServer) -> None:
    assert (await get(server, f"{ROOT}/nodes"))[1]["items"] == []
    await server.round()
    assert (await get(server, f"{ROOT}/nodes"))[1]["items"] == []
    await server.round()
    assert await get(server, f"{ROOT}/nodes") == (200, {
        "kind": "NodeMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": [ANT]})
    assert await get(server, f"{ROOT}/nodes/ant") == (200, ANT)
    for path in (f"{ROOT}/pods", f"{ROOT}/namespaces/default/pods"):
        assert (await get(server, path))[1]["items"] == [PODS]
        assert (await get(server, path, labelSelector="app=web"))[1]["items"] == [PODS]
        assert (await get(server, path, labelSelector="app=db"))[1]["items"] == []
        assert (await get(server, path, fieldSelector="metadata.name=new"))[1]["items"] == []
    assert (await get(server, f"{ROOT}/namespaces/other/pods"))[1]["items"] == []
    assert await get(server, f"{ROOT}/namespaces/default/pods/web") == (200, PODS)
    assert [record["node"] for record in server.log.records] == ["bee", "bee"]
    await server.round()                                   # ant answers 503: nothing of it is known any more
    assert (await get(server, f"{ROOT}/nodes"))[1]["items"] == []


@pytest.mark.parametrize(("path", "code", "said"), [
    (f"{ROOT}/nodes/cow", 404, 'node "cow" not found'),
    (f"{ROOT}/nodes/bee", 404, 'nodes.metrics.k8s.io "bee" not found'),
    (f"{ROOT}/namespaces/default/pods/new", 404, 'pods.metrics.k8s.io "default/new" not found'),
    (f"{ROOT}/namespaces/default/pods/none", 404, 'pods "none" not found'),
    (f"{ROOT}/services", 404, "the server could not find the requested resource"),
    ("/api/v1/pods", 404, "the server could not find the requested resource")])
async def test_what_is_not_there(server: MetricsServer, path: str, code: int, said: str) -> None:
    await server.round()
    await server.round()
    status, body = await get(server, path)
    assert (status, body["code"], body["message"], body["kind"]) == (code, code, said, "Status")


async def test_it_only_tells(server: MetricsServer) -> None:
    assert (await get(server, f"{ROOT}/nodes", "POST"))[0] == 405
    assert (await get(server, f"{ROOT}/nodes", labelSelector="a b"))[0] == 400
    kinds = (await get(server, ROOT))[1]["resources"]
    assert [(each["name"], each["namespaced"], each["kind"]) for each in kinds] == [
        ("nodes", False, "NodeMetrics"), ("pods", True, "PodMetrics")]
