"""The kubelet's decisions, each against what a genuine 1.37 kubelet was seen to do with the same pod."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tinykube.kubelet.admit import admit
from tinykube.kubelet.environment import ConfigError, environment, expand, service_variables
from tinykube.kubelet.restart import Backoff, plan, pretty, should_run
from tinykube.kubelet.status import Waiting, pod_status, rejected_status
from tinykube.kubelet.volumes import ClaimError, Volumes, claimed_place
from tinykube.runtime.interface import (
    EXITED,
    NOT_READY,
    READY,
    RUNNING,
    Container,
    ContainerConfig,
    PodSandbox,
    PodSandboxConfig,
)

NOW = "2030-01-01T00:00:00Z"
BOX = PodSandbox("box", PodSandboxConfig("web", "default", "uid"), READY, 0, "127.0.0.9")
DEAD_BOX = PodSandbox("box", PodSandboxConfig("web", "default", "uid"), NOT_READY, 0, "127.0.0.9")


def pod(policy: str = "Always", *names: str, **status: Any) -> dict[str, Any]:
    containers = [{"name": name, "image": "box:1"} for name in names or ("web",)]
    return {"metadata": {"name": "web", "namespace": "default", "uid": "uid", "generation": 1},
            "spec": {"restartPolicy": policy, "containers": containers}, "status": status}


def run(state: str = RUNNING, code: int = 0, attempt: int = 0, name: str = "web", reason: str = "") -> Container:
    reason = reason or ("" if state == RUNNING else "Error" if code else "Completed")
    return Container(f"{name}{attempt}", "box", ContainerConfig(name, "docker.io/box:1", attempt), "sha256:1", state,
                     "", 1, 2, 3 if state == EXITED else 0, code, reason)


def status(pod: dict[str, Any], *runs: Container, box: PodSandbox | None = BOX, over: bool = False,
           waiting: dict[str, Waiting] | None = None) -> dict[str, Any]:
    by_name: dict[str, list[Container]] = {}
    for one in runs:
        by_name.setdefault(one.config.name, []).append(one)
    return pod_status(pod, box, by_name, waiting or {}, scheme="process", host_ip="127.0.0.1", now=NOW, over=over)


@pytest.mark.parametrize(("policy", "code", "again"), [
    ("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True), ("Never", 0, False),
    ("Never", 1, False)])
def test_restart_policy(policy: str, code: int, again: bool) -> None:
    assert should_run(pod(policy), [run(EXITED, code)]) is again
    assert should_run(pod(policy), [])
    assert not should_run(pod(policy), [run(RUNNING)])
    deleted = pod(policy)
    deleted["metadata"]["deletionTimestamp"] = NOW
    assert not should_run(deleted, [run(EXITED, code)])


def test_plan_starts_what_lacks_and_makes_room_first() -> None:
    both = pod("Always", "a", "b")
    assert plan(both, None, {}).new_sandbox
    assert [one["name"] for one in plan(both, BOX, {"a": [run(name="a")]}).start] == ["b"]
    assert not plan(both, BOX, {"a": [run(name="a")]}).new_sandbox
    after = plan(both, DEAD_BOX, {"a": [run(EXITED, 137, name="a")], "b": [run(EXITED, 137, name="b")]})
    assert after.new_sandbox
    assert len(after.start) == 2
    done = plan(pod("Never"), DEAD_BOX, {"web": [run(EXITED, 1)]})
    assert not done.new_sandbox
    assert not done.start


def test_backoff_is_none_then_ten_seconds_then_doubles_to_five_minutes_and_is_forgotten_after_ten() -> None:
    backoff, now, waits = Backoff(), 1000.0, []
    for _ in range(9):
        wait = backoff.remaining("web", now, now)
        waits.append(wait)
        now += wait
        assert backoff.remaining("web", now - wait, now) == 0
        backoff.next("web", now - wait, now)
        now += 1
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300, 300]
    assert backoff.remaining("web", now + 599, now + 599) > 0
    assert backoff.remaining("web", now + 601, now + 601) == 0
    assert [pretty(each) for each in (10, 80, 300)] == ["10s", "1m20s", "5m0s"]


@pytest.mark.parametrize(("policy", "runs", "waiting", "phase"), [
    ("Always", [], None, "Pending"),
    ("Always", [], "ErrImagePull", "Pending"),
    ("Always", [run()], None, "Running"),
    ("Always", [run(EXITED, 3)], "CrashLoopBackOff", "Running"),
    ("Always", [run(EXITED, 128, reason="StartError")], "RunContainerError", "Running"),
    ("OnFailure", [run(EXITED, 3)], None, "Running"),
    ("OnFailure", [run(EXITED, 0)], None, "Succeeded"),
    ("Never", [run(EXITED, 0)], None, "Succeeded"),
    ("Never", [run(EXITED, 3)], None, "Failed"),
])
def test_phase(policy: str, runs: list[Container], waiting: str | None, phase: str) -> None:
    reasons = {"web": Waiting(waiting)} if waiting else {}
    assert status(pod(policy), *runs, waiting=reasons)["phase"] == phase


def test_phase_of_a_pod_with_one_container_done_and_one_running() -> None:
    two = status(pod("OnFailure", "good", "done"), run(name="good"), run(EXITED, 0, name="done"))
    assert two["phase"] == "Running"
    assert [one["name"] for one in two["containerStatuses"]] == ["done", "good"]
    ready = next(each for each in two["conditions"] if each["type"] == "Ready")
    assert (ready["status"], ready["reason"], ready["message"]) == \
        ("False", "ContainersNotReady", "containers with unready status: [done]")


def test_a_crash_moves_into_last_state_while_it_waits() -> None:
    message = "back-off 10s restarting failed container=web pod=web_default(uid)"
    one = status(pod(), run(EXITED, 3, 0), run(EXITED, 3, 1), waiting={"web": Waiting("CrashLoopBackOff", message)})
    container = one["containerStatuses"][0]
    assert container["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
    assert container["lastState"]["terminated"]["exitCode"] == 3
    assert container["lastState"]["terminated"]["containerID"] == "process://web1"
    assert (container["restartCount"], container["ready"], container["started"]) == (1, False, False)


def test_a_deleted_pod_ends_failed_or_succeeded_whatever_its_policy() -> None:
    assert status(pod("Always"), run(EXITED, 0), over=True, box=DEAD_BOX)["phase"] == "Succeeded"
    assert status(pod("Always"), run(EXITED, 137), over=True, box=DEAD_BOX)["phase"] == "Failed"
    never_ran = status(pod("Always"), over=True, box=DEAD_BOX, waiting={"web": Waiting("ImagePullBackOff")})
    assert never_ran["phase"] == "Failed"
    assert never_ran["containerStatuses"][0]["state"]["terminated"]["reason"] == "ContainerStatusUnknown"


def test_conditions_of_a_finished_pod() -> None:
    done = status(pod("Never"), run(EXITED, 0), box=DEAD_BOX)
    assert [(each["type"], each["status"], each["reason"]) for each in done["conditions"]] == [
        ("PodReadyToStartContainers", "False", "PodSandboxNotReady"), ("Initialized", "True", "PodCompleted"),
        ("Ready", "False", "PodCompleted"), ("ContainersReady", "False", "PodCompleted"), ("PodScheduled", "True", None)]
    failed = status(pod("Never"), run(EXITED, 3), box=DEAD_BOX)
    assert [each["reason"] for each in failed["conditions"]] == ["PodSandboxNotReady", None, "PodFailed", "PodFailed", None]


def test_transition_times_move_only_with_the_status() -> None:
    old = [{"type": "Ready", "status": "True", "lastTransitionTime": "then"},
           {"type": "ContainersReady", "status": "False", "lastTransitionTime": "then"},
           {"type": "PodScheduled", "status": "True", "lastTransitionTime": "then"}]
    now = status(pod("Always", conditions=old), run())
    times = {each["type"]: each["lastTransitionTime"] for each in now["conditions"]}
    assert times["Ready"] == "then"
    assert times["ContainersReady"] == NOW
    assert [each["type"] for each in now["$setElementOrder/conditions"]][-1] == "PodScheduled"


def node() -> dict[str, Any]:
    return {"metadata": {"name": "n", "labels": {"disk": "ssd"}},
            "status": {"allocatable": {"cpu": "2", "memory": "1Gi", "pods": "3"}}}


def asking(**requests: str) -> dict[str, Any]:
    made = pod()
    made["spec"]["containers"][0]["resources"] = {"requests": requests}
    return made


def test_admission_says_what_is_missing_as_the_genuine_one_does() -> None:
    assert admit(asking(cpu="2", memory="1Gi"), node(), []) is None
    refused = admit(asking(cpu="100"), node(), [asking(cpu="860m")])
    assert refused
    assert (refused.reason, refused.message) == (
        "OutOfcpu", "Node didn't have enough resource: cpu, requested: 100000, used: 860, capacity: 2000")
    memory = admit(asking(memory="1Ti"), node(), [])
    assert memory
    assert memory.message == "Node didn't have enough resource: memory, requested: 1099511627776, used: 0, " \
                             "capacity: 1073741824"
    full = admit(pod(), node(), [pod(), pod(), pod()])
    assert full
    assert full.reason == "OutOfpods"
    choosy = pod()
    choosy["spec"]["nodeSelector"] = {"disk": "tape"}
    wrong = admit(choosy, node(), [])
    assert wrong
    assert (wrong.reason, wrong.message) == (
        "NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector")
    told = rejected_status(choosy, wrong.reason, wrong.message, NOW)
    assert told["message"] == f"Pod was rejected: {wrong.message}"
    assert told["phase"] == "Failed"


@pytest.mark.parametrize(("text", "value"), [
    ("$(A)-b", "1-b"), ("$$(A)", "$(A)"), ("$(UNKNOWN)", "$(UNKNOWN)"), ("$A ${A} $", "$A ${A} $"), ("$$$$", "$$")])
def test_expansion(text: str, value: str) -> None:
    assert expand(text, {"A": "1"}) == value


async def test_environment() -> None:
    async def objects(kind: str, name: str) -> dict[str, Any] | None:
        return {"kind": kind, "data": {"color": "blue"}} if name == "settings" else None

    def ref(name: str, key: str, **more: bool) -> dict[str, Any]:
        return {"name": "C", "valueFrom": {"configMapKeyRef": {"name": name, "key": key, **more}}}

    def field(path: str) -> dict[str, Any]:
        return {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": path}}}

    async def value(*env: dict[str, Any]) -> dict[str, str]:
        return await environment(pod(), {"env": list(env)}, {"status.podIP": "127.0.0.9"}, objects)

    assert await value({"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2"}) == {"A": "1", "B": "12"}
    assert await value(ref("settings", "color")) == {"C": "blue"}
    assert await value(ref("nosuch", "color", optional=True)) == {}
    assert await value(field("metadata.name")) == {"C": "web"}
    assert await value(field("status.podIP")) == {"C": "127.0.0.9"}
    with pytest.raises(ConfigError, match=r'^configmap "nosuch" not found$'):
        await value(ref("nosuch", "color"))
    with pytest.raises(ConfigError, match=r"^couldn't find key k in ConfigMap default/settings$"):
        await value(ref("settings", "k"))
    with pytest.raises(ConfigError, match="fileKeyRef is not supported"):
        await value({"name": "C", "valueFrom": {"fileKeyRef": {}}})


def service(name: str, space: str, address: str | None, *ports: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": space}, "spec": {
        "ports": list(ports), **({} if address is None else {"clusterIP": address})}}


def test_service_variables_are_of_the_own_namespace_and_of_the_api_server() -> None:
    master = service("kubernetes", "default", "10.0.0.1", {"name": "https", "port": 443})
    others = [service("web", "shop", "10.0.0.2", {"port": 80}), service("web", "other", "10.0.0.3", {"port": 80}),
              service("headless", "shop", "None", {"port": 80}), service("far", "shop", None),
              service("odd", "shop", "", {"port": 80})]

    def hosts(space: str, links: bool = True, *more: dict[str, Any]) -> dict[str, str]:
        found = service_variables([*more, *others, master], space, links)
        return {key: value for key, value in found.items() if key.endswith("_HOST")}
    assert hosts("shop") == {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "WEB_SERVICE_HOST": "10.0.0.2"}
    assert hosts("other") == {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "WEB_SERVICE_HOST": "10.0.0.3"}
    assert hosts("shop", False) == hosts("none") == hosts("default") == {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    mine = service("kubernetes", "shop", "10.0.0.9", {"port": 1})          # somebody's own of that name, in their namespace
    assert hosts("shop", True, mine)["KUBERNETES_SERVICE_HOST"] == "10.0.0.9"
    assert hosts("shop", False, mine) == hosts("other", False, mine) == {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


class Answers:
    """A client, as far as volumes need one, that knows one claim and one volume."""

    def __init__(self, claimed_by: str) -> None:
        self.objects: dict[str, dict[str, Any]] = {
            "persistentvolumeclaims": {"metadata": {"uid": "me"}, "spec": {"volumeName": "disk"}, "status": {"phase": "Bound"}},
            "persistentvolumes": {"metadata": {"name": "disk"}, "spec": {"claimRef": {"uid": claimed_by}, "nfs": {}}}}
        self.asked: list[str] = []

    async def get(self, resource: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        self.asked.append(name)
        return self.objects[resource]


async def claimed(claimed_by: str, volume: dict[str, Any]) -> tuple[Answers, dict[str, Any]]:
    client = Answers(claimed_by)
    volumes = object.__new__(Volumes)
    volumes.kubelet = SimpleNamespace(client=client)  # type: ignore[assignment]
    return client, await volumes.claimed_volume(pod(), {"name": "d", **volume})


async def test_a_volume_that_is_another_claims() -> None:
    with pytest.raises(ClaimError, match=r"PVC default/data: found PV object disk but its pv\.Spec\.ClaimRef\.UID you does not "
                                         r"point to claim\.UID me"):
        await claimed("you", {"persistentVolumeClaim": {"claimName": "data"}})


async def test_an_ephemeral_volume_is_claimed_by_the_names_of_pod_and_volume() -> None:
    client, found = await claimed("me", {"ephemeral": {}})
    assert client.asked == ["web-d", "disk"]
    with pytest.raises(ClaimError, match="disk is not supported by this kubelet, which mounts hostPath and local ones"):
        claimed_place(found)
