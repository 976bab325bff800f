"""Traces: read from all three sources, filtered, and drawn the same each time."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from bookkit.figures import PARTS, Drawing, bar_chart, cluster_picture, front_html, front_picture, pod_state
from bookkit.trace import Target, Trace, compare, component_of, lanes_of
from bookkit.widgets import player

PODS = "/api/v1/namespaces/default/pods"


def record(agent: str, method: str, path: str, status: int, second: int = 0, **more: Any) -> dict[str, Any]:
    return {"at": f"2026-01-01T00:00:{second:02}.000000Z", "component": "api", "verb": method, "who": agent,
            "path": path, "status": status, **more}


LOG = [
    {"at": "2026-01-01T00:00:00Z", "component": "scheduler", "verb": "started"},
    record("kubectl/v1.37.2 (linux/amd64)", "POST", PODS, 201, 1),
    record("scheduler", "GET", "/api/v1/pods?watch=1&allowWatchBookmarks=true", 200, 1),
    record("scheduler", "POST", f"{PODS}/web/binding", 201, 2),
    record("kubelet/ant", "PATCH", f"{PODS}/web/status", 409, 3),
    record("kubelet/ant", "PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/ant", 200, 4),
    record("kubelet/ant", "GET", f"{PODS}/other", 404, 5),
    record("kubectl/v1.37.2", "GET", "/healthz", 200, 6),
]


def audit(verb: str, uri: str, code: int, at: str, stage: str = "ResponseComplete") -> str:
    return json.dumps({"kind": "Event", "stage": stage, "verb": verb, "requestURI": uri, "userAgent": "kube-scheduler/v1",
                       "requestReceivedTimestamp": at, "stageTimestamp": at.replace(".0", ".5"),
                       "responseStatus": {"code": code}})


def pod(phase: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web"}, "spec": {}, "status": {"phase": phase, **status}}


def parsed(drawing: Drawing) -> ElementTree.Element:
    root = ElementTree.fromstring(drawing.svg)
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert root.find("{http://www.w3.org/2000/svg}desc") is not None
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for element in root.iter():         # nothing is drawn outside the picture
        for name, limit in (("x", width), ("x1", width), ("x2", width), ("y", height), ("y1", height), ("y2", height)):
            if name in element.attrib:
                assert -1 <= float(element.attrib[name]) <= limit + 1, ElementTree.tostring(element)
        if element.tag.endswith("rect"):
            assert float(element.attrib["x"]) + float(element.attrib["width"]) <= width + 1
            assert float(element.attrib["y"]) + float(element.attrib["height"]) <= height + 1
    return root


@pytest.mark.parametrize(("path", "target"), [
    (PODS, "pods"), (f"{PODS}/web", "pods/web"), (f"{PODS}/web/binding", "pods/web/binding"),
    ("/api/v1/namespaces", "namespaces"), ("/api/v1/namespaces/default", "namespaces/default"),
    ("/api/v1/namespaces/default/finalize", "namespaces/default/finalize"),
    ("/apis/coordination.k8s.io/v1/namespaces/x/leases/ant", "leases/ant"), ("/api/v1/nodes/ant/status", "nodes/ant/status"),
    ("/api/v1", ""), ("/healthz", ""), ("/openapi/v3", ""), ("/apis/apps/v1", "")])
def test_paths(path: str, target: str) -> None:
    assert str(Target.of(path)) == target


def test_from_log() -> None:
    trace = Trace.from_log(LOG)
    assert [(s.who, s.label, s.status) for s in trace.steps[:3]] == [
        ("kubectl", "POST pods", 201), ("scheduler", "WATCH pods", 200), ("scheduler", "POST pods/web/binding", 201)]
    assert [s.at for s in trace.steps[:3]] == [0, 0, 1]
    assert [s.label for s in trace.quiet().steps][-1] == "GET pods/other"
    assert [s.label for s in trace.about("pods/web").steps] == [
        "POST pods", "POST pods/web/binding", "PATCH pods/web/status"]
    assert len(trace.by("scheduler").writes()) == 1


async def test_from_the_log_of_a_real_api_server() -> None:
    from tinykube.api.filters import chain, log_requests
    from tinykube.machinery.clock import FakeClock
    from tinykube.machinery.eventlog import EventLog
    from tinykube.machinery.wire import Request, Response

    clock = FakeClock()
    log = EventLog(clock)

    async def last(request: Request) -> Response:
        return Response(201, {}, {})
    serve = chain([log_requests(log, clock)], last)
    await serve(Request("POST", f"{PODS}", (("fieldManager", "x"),), {"user-agent": "kubectl/v1.37.2 (linux)"}, b"{}"))
    await serve(Request("GET", "/api/v1/pods", (("watch", "1"),), {"user-agent": "scheduler"}))
    assert [(s.who, s.label, s.status) for s in Trace.from_log(log).steps] == [
        ("kubectl", "POST pods", 201), ("scheduler", "WATCH pods", 201)]


def test_from_audit_orders_by_arrival_and_takes_each_request_once() -> None:
    lines = [audit("create", f"{PODS}/web/binding", 201, "2026-01-01T00:00:02.0Z"), "",
             audit("watch", "/api/v1/pods?watch=true", 200, "2026-01-01T00:00:01.0Z", "ResponseStarted"),
             audit("watch", "/api/v1/pods?watch=true", 200, "2026-01-01T00:00:01.0Z"),
             audit("get", PODS, 200, "2026-01-01T00:00:03.0Z", "RequestReceived")]
    steps = Trace.from_audit(lines).steps
    assert [(s.who, s.label, s.seconds) for s in steps] == [
        ("kube-scheduler", "WATCH pods", 0.5), ("kube-scheduler", "POST pods/web/binding", 0.5)]


def test_sequence() -> None:
    drawing = Trace.from_log(LOG).about("pods/web").writes().sequence()
    parsed(drawing)
    assert str(drawing) == (
        "step  from       to          request                answer\n"
        "1     kubectl    api-server  POST pods              201\n"
        "2     scheduler  api-server  POST pods/web/binding  201\n"
        "3     kubelet    api-server  PATCH pods/web/status  409")
    assert "00:00" not in drawing.svg
    assert "2000 ms" in Trace.from_log(LOG).sequence(times=True).svg
    assert drawing.html() == Trace.from_log(LOG).about("pods/web").writes().sequence().html()


def test_names_from_outside_are_escaped() -> None:
    drawing = Trace.from_log([record("<b>&", "GET", '/api/v1/pods/<script>"', 200)]).sequence()
    parsed(drawing)
    assert "<script>" not in drawing.html()
    assert "<b>" not in drawing.html()


def test_long_names_stay_inside() -> None:
    parsed(Trace.from_log([record("a-component-with-quite-a-name", "PATCH", f"{PODS}/{'x' * 90}/status", 200),
                           record("z" * 60, "GET", f"{PODS}/web", 200)]).sequence())


def test_nothing_to_draw() -> None:
    assert str(Trace().sequence()) == "no requests"
    parsed(Trace().timeline())
    assert len(Trace().stepper().children) == 2


def test_timeline_and_compare() -> None:
    events = [{"type": "ADDED", "object": pod("Pending")},
              {"type": "MODIFIED", "object": pod("Running", containerStatuses=[
                  {"name": "web", "state": {"running": {"startedAt": "x"}, "waiting": None}, "restartCount": 1}])},
              {"type": "DELETED", "object": pod("Running")}]
    history = Trace.from_watch(events)
    both = compare({"tiny": history, "genuine": Trace.from_watch([(1.5, events[0])])})
    parsed(both)
    assert str(both) == (
        "run      event       changed\n"
        "tiny     1 ADDED     phase=Pending\n"
        "tiny     2 MODIFIED  phase=Running, container web=running, restart 1\n"
        "tiny     3 DELETED   gone\n"
        "genuine  1 ADDED     phase=Pending")


@pytest.mark.parametrize(("state", "said"), [
    ({"waiting": {"reason": "CrashLoopBackOff"}}, "CrashLoopBackOff"), ({"terminated": {"exitCode": 3, "reason": "Error"}},
                                                                       "Error (3)"),
    ({"running": {}}, "running"), ({}, "waiting")])
def test_container_states(state: dict[str, Any], said: str) -> None:
    assert lanes_of(pod("Running", containerStatuses=[{"name": "c", "state": state}]))["container c"] == said


def test_components() -> None:
    assert component_of("python-requests/2.32") == "you"
    assert component_of("kube-controller-manager/v1.37.2 (linux/amd64) x/leader-election") == "kube-controller-manager"
    assert component_of("") == "client"


def test_stepper_has_a_frame_a_step_and_links_without_a_kernel() -> None:
    box = Trace.from_log(LOG).stepper()
    controls, stack = box.children
    assert len(stack.children) == 7
    assert controls.children[0].max == 6
    assert "7 of 7" in stack.children[6].value


def test_player_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="no frames"):
        player([])
    with pytest.raises(ValueError, match="2 frames and 1 labels"):
        player(["a", "b"], ["x"])
    assert "&lt;x&gt;" in player(["a <x>"]).children[1].children[0].value


def test_cluster_picture() -> None:
    nodes = [{"metadata": {"name": n}} for n in ("bee", "ant", "cat", "dog", "eel")]
    gone = {"metadata": {"name": "late"}, "spec": {"nodeName": "long-gone"}, "status": {"phase": "Running"}}
    bound = {"metadata": {"name": "w"}, "spec": {"nodeName": "ant"}, "status": {
        "phase": "Running", "containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}}
    drawing = cluster_picture(nodes, [gone, bound, pod("Pending")])
    parsed(drawing)
    assert str(drawing).splitlines() == [
        "ant: w (ErrImagePull)", "bee: no pods", "cat: no pods", "dog: no pods", "eel: no pods",
        "no node yet: late (Running), web (Pending)"]
    parsed(cluster_picture([], []))
    assert pod_state({"metadata": {"deletionTimestamp": "x"}, "status": {"phase": "Running"}}) == "Terminating"


def test_bars() -> None:
    drawing = bar_chart({"ant": (512, 1024), "bee": (9, 3), "cat": 0}, unit=" Mi")
    parsed(drawing)
    assert str(drawing) == "ant: 512 Mi of 1024 Mi\nbee: 9 Mi of 3 Mi, too much\ncat: 0 Mi"
    parsed(bar_chart({}))


def test_front_picture_links_every_part() -> None:
    root = ElementTree.fromstring(front_picture(["store"]))
    links = [e.attrib for e in root.iter() if e.tag.endswith("}a")]
    assert len(links) == len(PARTS)
    assert {"href": "05-store.html", "aria-label": "store, built"} in links
    with pytest.raises(ValueError, match="no part is called 'nonsense'"):
        front_picture(["nonsense"])
    assert front_html(["api"]).count("<li>") == len(PARTS)
