"""kubectl top: the real one, with our metrics server behind a tiny and behind a genuine api-server."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from bookkit import kubectl
from tinykube.api.http import serve
from tinykube.api.keys import Authority
from tinykube.api.tls import server_tls
from tinykube.cluster import Cluster, background
from tinykube.machinery.wire import Object, Request, Response
from tinykube.metrics.server import GROUP, ROOT, VERSION

PODS = """
apiVersion: v1
kind: Pod
metadata: {name: busy, labels: {app: busy}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "kubernetes-by-hand/box:1", command: [sh, -c, "while :; do :; done"]}
  - {name: side, image: "kubernetes-by-hand/box:1", command: [sleep, "100000"]}
---
apiVersion: v1
kind: Pod
metadata: {name: idle, labels: {app: idle}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "kubernetes-by-hand/box:1", command: [sleep, "100000"]}]
"""


@pytest.fixture(scope="module")
def tiny() -> Iterator[Any]:
    cluster = Cluster(["ant", "bee"])
    cluster.resolution = 1.0
    with background(cluster) as c:
        c.apply(PODS)
        c.wait("pod/busy Ready", timeout=60)
        c.wait("pod/idle Ready", timeout=60)
        c.start_component("metrics-server")
        c.call(known, cluster, 2, 2)
        yield c


async def known(c: Cluster, nodes: int, pods: int) -> None:
    """Wait until there are figures."""
    for kind, count in (("nodes", nodes), ("pods", pods)):
        while True:
            found = await c.client.call("GET", f"{ROOT}/{kind}")
            if len(found["items"]) >= count:
                break
            await c.clock.sleep(0.2)


def said(words: str, kubeconfig: Any) -> tuple[int, str, str]:
    done = kubectl(words, kubeconfig, quiet=True)
    return done.status, str(done), done.stderr


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_nodes(tiny: Any) -> None:
    code, text, _ = said("top node", tiny.kubeconfig)
    head, *nodes = rows(text)
    assert (code, head) == (0, ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"])
    assert [each[0] for each in nodes] == ["ant", "bee"]
    assert all(re.fullmatch(r"\d+m \d+% \d+Mi \d+%", " ".join(each[1:])) for each in nodes)
    assert rows(said("top node ant --no-headers", tiny.kubeconfig)[1])[0][0] == "ant"
    by_cpu = [int(each[1][:-1]) for each in rows(said("top node --sort-by=cpu --no-headers", tiny.kubeconfig)[1])]
    assert by_cpu == sorted(by_cpu, reverse=True)
    assert by_cpu[0] > by_cpu[1]                       # one of them has the pod that never rests
    assert said("top node -l kubernetes.io/hostname=bee --no-headers", tiny.kubeconfig)[1].split()[0] == "bee"


def test_pods(tiny: Any) -> None:
    head, *pods = rows(said("top pod", tiny.kubeconfig)[1])
    assert (head, [each[0] for each in pods]) == (["NAME", "CPU(cores)", "MEMORY(bytes)"], ["busy", "idle"])
    busy, idle = (int(each[1][:-1]) for each in pods)
    assert busy > 10 * (idle + 1)
    assert rows(said("top pod --sort-by=cpu --no-headers", tiny.kubeconfig)[1])[0][0] == "busy"
    assert [each[0] for each in rows(said("top pod -l app=idle --no-headers", tiny.kubeconfig)[1])] == ["idle"]
    assert [each[0] for each in rows(said("top pod idle --no-headers", tiny.kubeconfig)[1])] == ["idle"]
    assert rows(said("top pod -A", tiny.kubeconfig)[1])[0][0] == "NAMESPACE"
    head, *containers = rows(said("top pod --containers", tiny.kubeconfig)[1])
    assert head == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert sorted(each[:2] for each in containers) == [["busy", "main"], ["busy", "side"], ["idle", "main"]]
    *_, total = rows(said("top pod --sum", tiny.kubeconfig)[1])
    assert re.fullmatch(r"\d+m \d+Mi", " ".join(total))


def test_what_can_not_be_told(tiny: Any) -> None:
    assert said("top pod none", tiny.kubeconfig)[2] == 'Error from server (NotFound): pods "none" not found\n'
    assert said("top node none", tiny.kubeconfig)[2] == 'Error from server (NotFound): node "none" not found\n'
    assert said("top pod -n kube-system", tiny.kubeconfig) == (0, "", "No resources found in kube-system namespace.\n")
    assert said("top pod -l app=none", tiny.kubeconfig)[2] == "No resources found in default namespace.\n"
    assert "--sort-by accepts only cpu" in said("top pod --sort-by=age", tiny.kubeconfig)[2]


def test_it_has_the_rights_that_it_needs(tiny: Any) -> None:
    me = "--as=system:serviceaccount:kube-system:metrics-server"
    for words, answer in (("list pods", "yes"), ("get nodes --subresource=metrics", "yes"), ("get nodes --subresource=proxy", "no"),
                          ("delete pods", "no"), ("list secrets", "no")):
        assert said(f"auth can-i {words} {me}", tiny.kubeconfig)[1].strip() == answer


WORK = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: work}
spec:
  selector: {matchLabels: {app: work}}
  template:
    metadata: {labels: {app: work}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "kubernetes-by-hand/box:1", command: [sh, -c, "while :; do :; done"],
         resources: {requests: {cpu: 10m}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: work}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: work}
  maxReplicas: 2
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
"""


def test_the_autoscaler_reads_it(tiny: Any) -> None:
    tiny.apply(WORK)
    tiny.wait("deployment/work", lambda found: found and found["spec"]["replicas"] == 2, timeout=90)
    hpa = tiny.wait("horizontalpodautoscaler/work", lambda found: found and found["status"].get("desiredReplicas") == 2)
    assert hpa["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"] > 50
    tiny.delete("horizontalpodautoscaler/work", "deployment/work")


def test_without_a_metrics_server() -> None:
    with background(Cluster(["ant"])) as c:
        assert said("top node", c.kubeconfig)[2] == "error: Metrics API not available\n"
        assert said("top pod", c.kubeconfig)[2] == "error: Metrics API not available\n"


@contextmanager
def another(kind: str) -> Iterator[Path]:
    """The kubeconfig of an api-server without nodes, tiny or genuine."""
    if kind == "tiny":
        with background(Cluster([], without=("scheduler", "controller-manager", "proxy"))) as c:
            yield Path(c.kubeconfig)
        return
    from bookkit.tiers import missing
    if missing("genuine"):
        pytest.skip("; ".join(missing("genuine")))
    from genuine import control_plane
    with control_plane(("apiserver",)) as plane:
        yield plane.kubeconfig


@pytest.mark.parametrize("kind", ["tiny", "genuine"])
def test_behind_another_api_server(tiny: Any, kind: str) -> None:
    """Its aggregation layer asks our metrics server over TLS; nodes of the same names are there."""
    authority, asked = Authority(), list[tuple[str, str]]()

    async def handle(request: Request) -> Response:
        asked.append((request.user.name if request.user else "", request.headers.get("x-remote-user", "")))
        return await tiny.cluster.metrics[0].handle(request)
    with another(kind) as kubeconfig, start_blocking_portal() as portal:
        trust = json.loads(said("get configmap extension-apiserver-authentication -n kube-system -o json", kubeconfig)[1])["data"]
        front = trust["requestheader-client-ca-file"].encode()
        http = portal.call(lambda: serve(handle, tls=server_tls(authority.server("metrics"), front)))
        for each in service(http.port):
            kubectl("create -f -", kubeconfig, input=json.dumps(each), quiet=True, check=True)
        for node in tiny.list("nodes"):
            slim = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node["metadata"]["name"]}, "status": {
                "allocatable": node["status"]["allocatable"], "capacity": node["status"]["capacity"]}}
            kubectl("create -f -", kubeconfig, input=json.dumps(slim), quiet=True, check=True)
        kubectl(f"wait --for=condition=Available apiservice/v1beta1.{GROUP} --timeout=60s", kubeconfig, quiet=True, check=True)
        for words in ("top node", "top node --sort-by=cpu", "top pod", "top pod --containers", "top pod --sum", "top pod none",
                      "top pod -n kube-system", "top node none"):
            ours, theirs = (said(words, each) for each in (tiny.kubeconfig, kubeconfig))
            assert ours[0] == theirs[0]
            ours, theirs = ([re.sub(r"\d+", "N", text).split() for text in each[1:]] for each in (ours, theirs))
            assert ours == theirs, words      # asked at two moments: a column may be a digit wider
        portal.call(http.close)
    assert ("front-proxy-client", "kubernetes-admin") in asked


def service(port: int) -> list[Object]:
    """A service that leads to this machine, and a group that is served behind it."""
    return [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "metrics", "namespace": "kube-system"},
             "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}},
            {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"v1beta1.{GROUP}"},
             "spec": {"group": GROUP, "version": VERSION.partition("/")[2], "groupPriorityMinimum": 100, "versionPriority": 100,
                      "insecureSkipTLSVerify": True,
                      "service": {"name": "metrics", "namespace": "kube-system", "port": port}}}]
