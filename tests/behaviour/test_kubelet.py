"""What a kubelet makes of a pod: what comes first, probes, hooks, environment, volumes. Paths are relative to the root
directory, where the images' commands start: without containers there is no other file system than the machine's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, wait

BOX = "kubernetes-by-hand/box:1"
STAY = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


@pytest.fixture(autouse=True)
def kubelet(need: Callable[[str], None]) -> None:
    need("kubelet")
    need("scheduler")


def box(name: str, script: str = STAY, **more: Any) -> Object:
    return {"name": name, "image": BOX, "command": ["sh", "-c", script], **more}


def start(ns: Namespace, name: str, *containers: Object, **spec: Any) -> None:
    ns.make("pods", {"metadata": {"name": name, "labels": {"app": name}}, "spec": {
        "containers": list(containers), "terminationGracePeriodSeconds": 1, **spec}})


def until(ns: Namespace, name: str, met: Callable[[Object], Any], what: str, seconds: float = 60) -> Object:
    def look() -> Object | None:
        pod = ns.get("pods", name)
        return pod if met(pod.get("status", {})) else None
    found: Object = wait(look, f"pod {name} {what}", seconds)
    return found


def phase(wanted: str) -> Callable[[Object], bool]:
    return lambda status: status.get("phase") == wanted


def condition(status: Object, kind: str) -> str:
    return next((each["status"] for each in status.get("conditions", []) if each["type"] == kind), "")


def ready(status: Object) -> bool:
    return condition(status, "Ready") == "True"


def of(status: Object, name: str) -> Object:
    every = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return next((each for each in every if each["name"] == name), {"state": {}, "lastState": {}, "restartCount": 0})


def log(ns: Namespace, pod: str, container: str = "main") -> str:
    return ns.call("GET", f"/pods/{pod}/log", container=container).text


def reasons(ns: Namespace, pod: str) -> set[str]:
    events = ns.call("GET", "/events", fieldSelector=f"involvedObject.name={pod}").json()["items"]
    return {event["reason"] for event in events}


VOLUME = {"volumes": [{"name": "shared", "emptyDir": {}}]}
MOUNT = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}


def test_init_containers_run_one_after_the_other_before_the_rest(ns: Namespace) -> None:
    start(ns, "web", box("main", f"cat shared/said; {STAY}", **MOUNT), initContainers=[
        box("first", "echo one > shared/said", **MOUNT), box("second", "echo two >> shared/said", **MOUNT)], **VOLUME)
    status = until(ns, "web", ready, "to be ready")["status"]
    assert wait(lambda: log(ns, "web"), "its log") == "one\ntwo\n"
    assert [each["name"] for each in status["initContainerStatuses"]] == ["first", "second"]
    for each in status["initContainerStatuses"]:
        assert (each["ready"], each["started"], each["state"]["terminated"]["reason"]) == (True, False, "Completed")
    assert condition(status, "Initialized") == "True"


def test_a_pod_waits_for_its_init_containers(ns: Namespace) -> None:
    start(ns, "web", box("main"), initContainers=[box("first"), box("second")])
    status = until(ns, "web", lambda status: of(status, "first")["state"].get("running"), "to run its first")["status"]
    assert status["phase"] == "Pending"
    assert of(status, "main")["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert of(status, "second")["state"] == {"waiting": {"reason": "PodInitializing"}}
    told = next(each for each in status["conditions"] if each["type"] == "Initialized")
    assert (told["status"], told["reason"]) == ("False", "ContainersNotInitialized")
    assert told["message"] == "containers with incomplete status: [first second]"


@pytest.mark.parametrize(("policy", "ends"), [("Never", "Failed"), ("OnFailure", "Pending"), ("Always", "Pending")])
def test_an_init_container_that_fails(ns: Namespace, policy: str, ends: str) -> None:
    start(ns, "web", box("main"), restartPolicy=policy, initContainers=[box("first", "exit 3")])
    if policy == "Never":
        status = until(ns, "web", phase("Failed"), "to fail")["status"]
        assert of(status, "first")["state"]["terminated"]["exitCode"] == 3
        return
    status = until(ns, "web", lambda status: of(status, "first")["restartCount"] > 0, "to try again")["status"]
    assert status["phase"] == ends
    assert of(status, "first")["lastState"]["terminated"]["exitCode"] == 3


def test_a_sidecar_runs_beside_the_others_and_ends_with_them(ns: Namespace) -> None:
    start(ns, "job", box("main", "cat shared/ready", **MOUNT), restartPolicy="Never", initContainers=[
        box("side", f"echo up > shared/ready; {STAY}", restartPolicy="Always", **MOUNT,
            startupProbe={"exec": {"command": ["cat", "shared/ready"]}, "periodSeconds": 1})], **VOLUME)
    status = until(ns, "job", phase("Succeeded"), "to succeed")["status"]
    assert log(ns, "job") == "up\n"
    wait(lambda: "terminated" in of(ns.get("pods", "job")["status"], "side")["state"], "the sidecar to end")
    assert of(status, "main")["state"]["terminated"]["exitCode"] == 0


def test_a_sidecar_that_ends_is_started_again(ns: Namespace) -> None:
    start(ns, "web", box("main"), restartPolicy="Never", initContainers=[box("side", "sleep 1", restartPolicy="Always")])
    until(ns, "web", lambda status: of(status, "side")["restartCount"] > 0, "to restart its sidecar")


def test_readiness_comes_and_goes(ns: Namespace) -> None:
    probe = {"exec": {"command": ["cat", "here"]}, "periodSeconds": 1, "failureThreshold": 1}
    start(ns, "web", box("main", readinessProbe=probe))
    status = until(ns, "web", lambda status: of(status, "main")["state"].get("running"), "to run")["status"]
    assert (of(status, "main")["ready"], of(status, "main")["started"]) == (False, True)
    told = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert (told["reason"], told["message"]) == ("ContainersNotReady", "containers with unready status: [main]")
    wait(lambda: "Unhealthy" in reasons(ns, "web"), "an event")
    assert ns.kubectl("exec", "web", "--", "touch", "here").returncode == 0
    until(ns, "web", ready, "to be ready")
    assert ns.kubectl("exec", "web", "--", "rm", "here").returncode == 0
    status = until(ns, "web", lambda status: not ready(status), "to be unready")["status"]
    assert of(status, "main")["restartCount"] == 0


def test_a_failed_liveness_probe_restarts(ns: Namespace) -> None:
    probe = {"exec": {"command": ["cat", "alive"]}, "periodSeconds": 1, "failureThreshold": 2}
    start(ns, "web", box("main", f"touch alive; {STAY}", livenessProbe=probe))
    until(ns, "web", ready, "to be ready")
    assert ns.kubectl("exec", "web", "--", "rm", "alive").returncode == 0
    status = until(ns, "web", lambda status: of(status, "main")["restartCount"] == 1, "to restart")["status"]
    assert of(status, "main")["lastState"]["terminated"]["exitCode"] in (0, 137, 143)
    assert {"Unhealthy", "Killing"} <= wait(lambda: (found := reasons(ns, "web")) >= {"Unhealthy", "Killing"} and found, "events")


def test_nothing_is_asked_until_the_startup_probe_says_yes(ns: Namespace) -> None:
    start(ns, "web", box("main", startupProbe={"exec": {"command": ["cat", "started"]}, "periodSeconds": 1, "failureThreshold": 60},
                         livenessProbe={"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}))
    wait(lambda: "Unhealthy" in reasons(ns, "web"), "the startup probe to fail")
    status = ns.get("pods", "web")["status"]
    assert (of(status, "main")["started"], of(status, "main")["restartCount"]) == (False, 0)
    assert ns.kubectl("exec", "web", "--", "touch", "started").returncode == 0
    until(ns, "web", lambda status: of(status, "main")["restartCount"] > 0, "to be restarted for its liveness")


@pytest.mark.parametrize("probe", [
    {"httpGet": {"port": "http", "path": "/healthz"}}, {"httpGet": {"port": 8080}}, {"tcpSocket": {"port": "http"}}])
def test_probes_by_the_network(ns: Namespace, probe: Object) -> None:
    ns.make("pods", {"metadata": {"name": "web"}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [
        {"name": "main", "image": "kubernetes-by-hand/web:1", "ports": [{"name": "http", "containerPort": 8080}],
         "readinessProbe": {**probe, "periodSeconds": 1}}]}})
    until(ns, "web", ready, "to be ready")


@pytest.mark.parametrize("probe", [
    {"httpGet": {"port": 8080, "path": "/nothing"}}, {"tcpSocket": {"port": 9}}, {"grpc": {"port": 9}},
    {"exec": {"command": ["sleep", "5"]}}])
def test_probes_that_fail(ns: Namespace, probe: Object) -> None:
    ns.make("pods", {"metadata": {"name": "web"}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [
        {"name": "main", "image": "kubernetes-by-hand/web:1", "readinessProbe": {**probe, "periodSeconds": 1}}]}})
    wait(lambda: "Unhealthy" in reasons(ns, "web"), "the probe to fail")
    assert not ready(ns.get("pods", "web")["status"])


def test_hooks_after_the_start_and_before_the_end(ns: Namespace) -> None:
    hooks = {"postStart": {"exec": {"command": ["sh", "-c", "echo begun > hooked"]}},
             "preStop": {"exec": {"command": ["sh", "-c", "echo ending > hooked; sleep 1"]}}}
    start(ns, "web", box("main", "while :; do cat hooked; sleep 0.2; done", lifecycle=hooks), terminationGracePeriodSeconds=10)
    until(ns, "web", ready, "to be ready")
    wait(lambda: "begun" in log(ns, "web"), "the first hook")
    ns.call("DELETE", "/pods/web")
    wait(lambda: "ending" in log(ns, "web"), "the second hook")


def test_a_hook_that_fails_ends_the_container(ns: Namespace) -> None:
    start(ns, "web", box("main", lifecycle={"postStart": {"exec": {"command": ["false"]}}}))
    wait(lambda: "FailedPostStartHook" in reasons(ns, "web"), "the hook to fail")
    assert not ready(ns.get("pods", "web")["status"])


def settings(ns: Namespace) -> None:
    ns.make("configmaps", {"metadata": {"name": "colors"}, "data": {"sky": "blue", "grass": "green"}})
    ns.make("secrets", {"metadata": {"name": "word"}, "stringData": {"pass": "sesame", "user": "ali"}})


def test_environment(ns: Namespace) -> None:
    settings(ns)
    env = [{"name": "SKY", "valueFrom": {"configMapKeyRef": {"name": "colors", "key": "sky"}}},
           {"name": "PASS", "valueFrom": {"secretKeyRef": {"name": "word", "key": "pass"}}},
           {"name": "BOTH", "value": "$(SKY)-$(PASS)-$(NOBODY)-$$(SKY)"},
           {"name": "MISSING", "valueFrom": {"secretKeyRef": {"name": "nothing", "key": "x", "optional": True}}},
           {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
           {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
           {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
           {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}}]
    names = "$SKY $PASS $BOTH [$MISSING] $POD $APP $MEMORY $CPU $C_grass $user"
    start(ns, "web", box("main", f'echo "{names}"', env=env, envFrom=[
        {"prefix": "C_", "configMapRef": {"name": "colors"}}, {"secretRef": {"name": "word"}}],
        resources={"limits": {"memory": "64Mi", "cpu": "100m"}}), restartPolicy="Never")
    until(ns, "web", phase("Succeeded"), "to succeed")
    assert log(ns, "web") == "blue sesame blue-sesame-$(NOBODY)-$(SKY) [] web web 64 1 green ali\n"


@pytest.mark.parametrize(("ref", "says"), [
    ({"secretKeyRef": {"name": "nothing", "key": "x"}}, 'secret "nothing" not found'),
    ({"secretKeyRef": {"name": "word", "key": "x"}}, "couldn't find key x in Secret {ns}/word"),
    ({"configMapKeyRef": {"name": "colors", "key": "x"}}, "couldn't find key x in ConfigMap {ns}/colors")])
def test_environment_that_can_not_be_had(ns: Namespace, ref: Object, says: str) -> None:
    settings(ns)
    start(ns, "web", box("main", env=[{"name": "X", "valueFrom": ref}]))
    status = until(ns, "web", lambda status: of(status, "main")["state"].get("waiting", {}).get("reason")
                   == "CreateContainerConfigError", "to say why")["status"]
    assert of(status, "main")["state"]["waiting"]["message"] == says.format(ns=ns.name)


def test_files_from_objects_and_fields(ns: Namespace) -> None:
    settings(ns)
    volumes = [{"name": "colors", "configMap": {"name": "colors", "items": [{"key": "sky", "path": "above/sky", "mode": 0o400}]}},
               {"name": "word", "secret": {"secretName": "word"}},
               {"name": "me", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
               {"name": "all", "projected": {"sources": [{"configMap": {"name": "colors"}}, {"secret": {"name": "word"}}]}}]
    mounts = [{"name": each["name"], "mountPath": f"/in/{each['name']}"} for each in volumes]
    script = ("cd in; cat colors/above/sky; echo; cat word/pass; echo; cat me/labels; echo; ls all; "
              "stat -L -c %a colors/above/sky word/pass")
    start(ns, "web", box("main", script, volumeMounts=mounts), volumes=volumes, restartPolicy="Never")
    until(ns, "web", phase("Succeeded"), "to succeed")
    assert log(ns, "web") == 'blue\nsesame\napp="web"\ngrass\npass\nsky\nuser\n400\n644\n'


def test_a_file_changes_with_its_object(ns: Namespace) -> None:
    settings(ns)
    start(ns, "web", box("main", "while :; do cat in/sky; echo; sleep 0.2; done", volumeMounts=[{"name": "c", "mountPath": "/in"}]),
          volumes=[{"name": "c", "configMap": {"name": "colors"}}])
    until(ns, "web", ready, "to be ready")
    ns.call("PATCH", "/configmaps/colors", {"data": {"sky": "red"}}, kind="application/merge-patch+json")
    wait(lambda: "red" in log(ns, "web"), "the change to reach the pod", 110)


def test_a_volume_that_can_not_be_had_holds_the_pod_until_it_can(ns: Namespace) -> None:
    start(ns, "web", box("main", "cat in/sky", volumeMounts=[{"name": "c", "mountPath": "/in"}]), restartPolicy="Never",
          volumes=[{"name": "c", "configMap": {"name": "colors"}}])
    wait(lambda: "FailedMount" in reasons(ns, "web"), "the mount to fail")
    assert of(ns.get("pods", "web")["status"], "main")["state"] == {"waiting": {"reason": "ContainerCreating"}}
    settings(ns)
    until(ns, "web", phase("Succeeded"), "to succeed", 110)
    assert log(ns, "web") == "blue"


def test_an_empty_directory_is_shared_and_outlives_its_containers(ns: Namespace) -> None:
    script = f"if [ -f shared/seen ]; then echo again; {STAY}; fi; touch shared/seen; exit 1"
    start(ns, "web", box("main", script, **MOUNT), **VOLUME)
    wait(lambda: ns.get("pods", "web").get("status", {}).get("containerStatuses", [{}])[0].get("restartCount") and
         "again" in log(ns, "web"), "the second container to find what the first has left")


def test_an_ephemeral_container_joins(ns: Namespace) -> None:
    start(ns, "web", box("main"))
    until(ns, "web", ready, "to be ready")
    ns.call("PATCH", "/pods/web/ephemeralcontainers", {"spec": {"ephemeralContainers": [box("guest", "echo hello")]}},
            kind="application/strategic-merge-patch+json")
    def over(status: Object) -> bool:
        return any("terminated" in each["state"] for each in status.get("ephemeralContainerStatuses", []))
    until(ns, "web", over, "to have had a guest")
    assert log(ns, "web", "guest") == "hello\n"


def test_a_token_of_its_own(ns: Namespace) -> None:
    """Good for this pod, and for whom it was made; it goes with the pod."""
    ns.make("serviceaccounts", {"metadata": {"name": "robot"}})
    source = {"serviceAccountToken": {"path": "token", "audience": "somebody", "expirationSeconds": 700}}
    start(ns, "web", box("main", f"cat in/token; echo; {STAY}", volumeMounts=[{"name": "t", "mountPath": "/in"}]),
          serviceAccountName="robot", automountServiceAccountToken=False,
          volumes=[{"name": "t", "projected": {"sources": [source]}}])
    pod = until(ns, "web", ready, "to be ready")
    token = wait(lambda: log(ns, "web"), "its log").strip()

    def review(*audiences: str) -> Object:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, "audiences": audiences}}
        return dict(ns.target.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body).json()["status"])
    known = review("somebody")
    assert known["authenticated"]
    assert known["user"]["username"] == f"system:serviceaccount:{ns.name}:robot"
    assert known["user"]["extra"]["authentication.kubernetes.io/pod-uid"] == [pod["metadata"]["uid"]]
    assert not review("somebody-else").get("authenticated")
    ns.call("DELETE", "/pods/web")
    wait(lambda: ns.call("GET", "/pods/web").status_code == 404, "the pod to be gone")
    wait(lambda: not review("somebody").get("authenticated"), "the token to be good no more")     # a yes is remembered for a while
