"""Jobs and CronJobs. The test plays kubelet: it says of pods that nobody runs how they ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, wait

MERGE = "application/merge-patch+json"
TRACKING = "batch.kubernetes.io/job-tracking"


@pytest.fixture(autouse=True)
def controllers(need: Callable[[str], None]) -> None:
    """All of this is done by controllers."""
    need("controller-manager")


class Work:
    """One Job, and what becomes of it."""

    def __init__(self, ns: Namespace, name: str = "work", restart: str = "Never", **spec: Any) -> None:
        self.ns, self.name, self.path = ns, name, f"/apis/batch/v1/namespaces/{ns.name}/jobs"
        pod = {"restartPolicy": restart, "schedulerName": "nobody", "containers": [{"name": "main", "image": "x"}]}
        made = ns.target.call("POST", self.path, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
                                                  "spec": {"template": {"spec": pod}} | spec})
        assert made.status_code == 201, made.text

    def get(self) -> Object:
        """The Job as it is."""
        return self.ns.target.call("GET", f"{self.path}/{self.name}").json()  # type: ignore[no-any-return]

    def patch(self, **spec: Any) -> None:
        """Change its spec."""
        assert self.ns.target.call("PATCH", f"{self.path}/{self.name}", {"spec": spec}, kind=MERGE).status_code == 200

    def delete(self, policy: str = "Background") -> None:
        """Delete it."""
        self.ns.target.call("DELETE", f"{self.path}/{self.name}", {"propagationPolicy": policy})

    def pods(self) -> list[Object]:
        """All pods that belong to it."""
        found = self.ns.call("GET", "/pods", labelSelector=f"batch.kubernetes.io/job-name={self.name}").json()["items"]
        return sorted(found, key=lambda pod: pod["metadata"]["name"])

    def active(self, count: int, seconds: float = 30) -> list[Object]:
        """Wait for so many pods that have not ended."""
        def there() -> list[Object]:
            return [pod for pod in self.pods() if pod["status"]["phase"] in ("Pending", "Running")
                    and not pod["metadata"].get("deletionTimestamp")]
        return wait(lambda: len(found := there()) == count and (found or True), f"{count} active pods", seconds)  # type: ignore[no-any-return]

    def end(self, pod: Object, phase: str, code: int = 0, **status: Any) -> None:
        """Say how a pod has ended."""
        told = {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 0,
                "state": {"terminated": {"exitCode": code}}}
        body = {"status": {"phase": phase, "containerStatuses": [told]} | status}
        name = pod["metadata"]["name"]
        assert self.ns.call("PATCH", f"/pods/{name}/status", body, kind=MERGE).status_code == 200

    def status(self, **fields: Any) -> Object:
        """Wait until the status says this; what it says then."""
        return wait(lambda: all((found := self.get()["status"]).get(field) == value for field, value in fields.items())
                    and found, f"{fields}, not {self.get()['status']}")  # type: ignore[no-any-return]

    def condition(self, kind: str) -> Object:
        """Wait until a condition is True; the condition."""
        return wait(lambda: next((each for each in self.get()["status"].get("conditions") or []
                                  if each["type"] == kind and each["status"] == "True"), None), f"{kind} of {self.name}")  # type: ignore[no-any-return]

    def events(self) -> set[tuple[str, str, str]]:
        """What has been told about the Job: type, reason and message."""
        found = self.ns.call("GET", "/events", fieldSelector=f"involvedObject.kind=Job,involvedObject.name={self.name}")
        return {(each["type"], each["reason"], each["message"]) for each in found.json()["items"]}


def index(pod: Object) -> str:
    """The number of a pod."""
    return str(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"])


def test_a_job_runs_its_pod_to_the_end(ns: Namespace) -> None:
    work = Work(ns)
    pod, = work.active(1)
    owner, = pod["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"], owner["blockOwnerDeletion"]) == ("Job", "work", True, True)
    assert pod["metadata"]["finalizers"] == [TRACKING]
    assert pod["metadata"]["generateName"] == "work-"
    running = work.status(active=1)
    assert running["startTime"]
    assert running["uncountedTerminatedPods"] == {}
    work.end(pod, "Succeeded")
    for kind in ("SuccessCriteriaMet", "Complete"):
        told = work.condition(kind)
        assert (told["reason"], told["message"]) == ("CompletionsReached", "Reached expected number of succeeded pods")
    done = work.get()["status"]
    assert done["succeeded"] == 1
    assert done["completionTime"]
    assert "active" not in done
    assert "finalizers" not in work.pods()[0]["metadata"]
    created = f"Created pod: {pod['metadata']['name']}"
    wait(lambda: {("Normal", "Completed", "Job completed"), ("Normal", "SuccessfulCreate", created)} <= work.events(), "events")


@pytest.mark.parametrize(("parallelism", "completions", "first"), [(2, 3, 2), (5, 3, 3), (3, None, 3), (0, 2, 0)])
def test_so_many_at_a_time(ns: Namespace, parallelism: int, completions: int | None, first: int) -> None:
    work = Work(ns, parallelism=parallelism, **({"completions": completions} if completions else {}))
    work.status(ready=0, **({"active": first} if first else {}))
    assert len(work.active(first) if first else work.pods()) == first


def test_the_next_one_when_one_is_done(ns: Namespace) -> None:
    work = Work(ns, parallelism=1, completions=2)
    work.end(work.active(1)[0], "Succeeded")
    work.status(succeeded=1, active=1)
    work.end(work.active(1)[0], "Succeeded")
    work.condition("Complete")
    assert work.get()["status"]["succeeded"] == 2


def test_one_success_ends_a_queue(ns: Namespace) -> None:
    work = Work(ns, parallelism=2)
    ns.target.call("DELETE", f"{work.path}/{work.name}", {"propagationPolicy": "Background"})
    queue = Work(ns, "queue", parallelism=2, completions=None)
    first, second = queue.active(2)
    queue.end(first, "Succeeded")
    queue.status(succeeded=1, active=1)
    queue.end(second, "Succeeded")
    queue.condition("Complete")


def test_more_at_a_time_and_fewer(ns: Namespace) -> None:
    work = Work(ns, parallelism=1, completions=10)
    work.active(1)
    work.patch(parallelism=3)
    work.status(active=3)
    work.active(3)
    work.patch(parallelism=1)
    work.active(1)
    assert "failed" not in work.status(active=1)


def test_a_failure_is_tried_again(ns: Namespace) -> None:
    work = Work(ns)
    work.end(work.active(1)[0], "Failed", 1)
    assert "conditions" not in work.status(failed=1)
    again, = work.active(1)
    work.end(again, "Succeeded")
    work.condition("Complete")
    assert work.get()["status"]["failed"] == 1


def test_too_many_failures(ns: Namespace) -> None:
    work = Work(ns, backoffLimit=0)
    work.end(work.active(1)[0], "Failed", 1)
    for kind in ("FailureTarget", "Failed"):
        told = work.condition(kind)
        assert (told["reason"], told["message"]) == ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    wait(lambda: ("Warning", "BackoffLimitExceeded", "Job has reached the specified backoff limit") in work.events(), "an event")
    assert "completionTime" not in work.get()["status"]


def test_one_failure_ends_the_others(ns: Namespace) -> None:
    work = Work(ns, backoffLimit=0, parallelism=3, completions=3)
    work.end(work.active(3)[0], "Failed", 1)
    work.condition("Failed")
    work.active(0)
    assert work.get()["status"]["failed"] == 3


def test_restarts_in_place_count(ns: Namespace) -> None:
    work = Work(ns, restart="OnFailure", backoffLimit=2)
    pod, = work.active(1)
    told = {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 2, "state": {"running": {}}}
    ns.call("PATCH", f"/pods/{pod['metadata']['name']}/status", {"status": {"phase": "Running", "containerStatuses": [told]}},
            kind=MERGE)
    assert work.condition("Failed")["reason"] == "BackoffLimitExceeded"


def test_out_of_time(ns: Namespace) -> None:
    work = Work(ns, activeDeadlineSeconds=1)
    told = work.condition("Failed")
    assert (told["reason"], told["message"]) == ("DeadlineExceeded", "Job was active longer than specified deadline")
    work.active(0)
    assert work.get()["status"]["failed"] == 1


def test_suspended_from_the_beginning(ns: Namespace) -> None:
    work = Work(ns, suspend=True)
    told = work.condition("Suspended")
    assert (told["reason"], told["message"]) == ("JobSuspended", "Job suspended")
    assert "startTime" not in work.get()["status"]
    assert work.pods() == []
    work.patch(suspend=False)
    work.active(1)
    resumed, = work.status(active=1)["conditions"]
    assert (resumed["status"], resumed["reason"], resumed["message"]) == ("False", "JobResumed", "Job resumed")
    wait(lambda: {each[1] for each in work.events()} >= {"Suspended", "Resumed"}, "both events")


def test_suspended_on_the_way(ns: Namespace) -> None:
    work = Work(ns, parallelism=2, completions=2)
    work.active(2)
    work.patch(suspend=True)
    work.condition("Suspended")
    work.active(0)
    assert {"startTime", "active", "failed"} & work.get()["status"].keys() == set()


def test_pods_with_numbers(ns: Namespace) -> None:
    work = Work(ns, completionMode="Indexed", completions=3, parallelism=2)
    pods = work.active(2)
    assert [index(pod) for pod in pods] == ["0", "1"]
    assert pods[0]["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "0"
    assert pods[0]["metadata"]["generateName"] == "work-0-"
    assert pods[0]["spec"]["hostname"] == "work-0"
    told = {each["name"]: each for each in pods[0]["spec"]["containers"][0]["env"]}["JOB_COMPLETION_INDEX"]
    assert told["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['batch.kubernetes.io/job-completion-index']"
    work.end(pods[1], "Succeeded")
    work.status(completedIndexes="1", succeeded=1, active=2)
    assert [index(pod) for pod in work.active(2)] == ["0", "2"]
    for pod in work.active(2):
        work.end(pod, "Succeeded")
    work.condition("Complete")
    assert work.get()["status"]["completedIndexes"] == "0-2"


def test_a_number_that_failed_is_tried_again(ns: Namespace) -> None:
    work = Work(ns, completionMode="Indexed", completions=2, parallelism=2)
    first = work.active(2)[0]
    work.end(first, "Failed", 1)
    work.status(failed=1)
    assert [index(pod) for pod in work.active(2)] == ["0", "1"]


def test_each_number_fails_alone(ns: Namespace) -> None:
    work = Work(ns, completionMode="Indexed", completions=3, parallelism=3, backoffLimitPerIndex=0)
    for pod in work.active(3):
        assert pod["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"] == "0"
        work.end(pod, "Failed" if index(pod) == "1" else "Succeeded", 1)
    told = work.condition("Failed")
    assert (told["reason"], told["message"]) == ("FailedIndexes", "Job has failed indexes")
    done = work.get()["status"]
    assert (done["completedIndexes"], done["failedIndexes"]) == ("0,2", "1")
    assert (done["succeeded"], done["failed"]) == (2, 1)


def test_too_many_numbers_failed(ns: Namespace) -> None:
    work = Work(ns, completionMode="Indexed", completions=4, parallelism=4, backoffLimitPerIndex=0, maxFailedIndexes=1)
    for pod in work.active(4)[:2]:
        work.end(pod, "Failed", 1)
    told = work.condition("Failed")
    assert told["reason"] == "MaxFailedIndexesExceeded"
    assert told["message"] == "Job has exceeded the specified maximal number of failed indexes"


@pytest.mark.parametrize(("rule", "ends"), [({"succeededIndexes": "0"}, {"0"}), ({"succeededCount": 2}, {"1", "2"}),
                                            ({"succeededIndexes": "0-1", "succeededCount": 1}, {"1"})])
def test_success_before_the_end(ns: Namespace, rule: Object, ends: set[str]) -> None:
    work = Work(ns, completionMode="Indexed", completions=3, parallelism=3, successPolicy={"rules": [rule]})
    for pod in work.active(3):
        if index(pod) in ends:
            work.end(pod, "Succeeded")
    for kind in ("SuccessCriteriaMet", "Complete"):
        told = work.condition(kind)
        assert (told["reason"], told["message"]) == ("SuccessPolicy", "Matched rules at index 0")
    work.active(0)
    assert "failed" not in work.get()["status"]


def test_a_failure_that_ends_the_job(ns: Namespace) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    work = Work(ns, podFailurePolicy={"rules": [rule]})
    pod, = work.active(1)
    work.end(pod, "Failed", 42)
    told = work.condition("Failed")
    assert told["reason"] == "PodFailurePolicy"
    assert told["message"] == (f"Container main for pod {ns.name}/{pod['metadata']['name']} failed with exit code 42 matching "
                               "FailJob rule at index 0")


def test_a_failure_that_does_not_count(ns: Namespace) -> None:
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    work = Work(ns, backoffLimit=0, podFailurePolicy={"rules": [rule]})
    pod, = work.active(1)
    work.end(pod, "Failed", 1, conditions=[{"type": "DisruptionTarget", "status": "True"}])
    again = wait(lambda: [each for each in work.active(1) if each["metadata"]["name"] != pod["metadata"]["name"]], "another pod")
    assert "failed" not in work.get()["status"]
    work.end(again[0], "Succeeded")
    work.condition("Complete")


def test_a_pod_that_somebody_deletes_has_failed(ns: Namespace) -> None:
    work = Work(ns)
    pod, = work.active(1)
    ns.call("DELETE", f"/pods/{pod['metadata']['name']}")
    work.status(failed=1)
    wait(lambda: ns.call("GET", f"/pods/{pod['metadata']['name']}").status_code == 404, "it to be let go")


def test_pods_go_with_their_job(ns: Namespace) -> None:
    work = Work(ns, parallelism=2, completions=2)
    work.active(2)
    work.delete()
    wait(lambda: not work.pods(), "the pods to go")


def test_a_job_that_has_ended_goes_after_a_while(ns: Namespace) -> None:
    work = Work(ns, ttlSecondsAfterFinished=1)
    work.end(work.active(1)[0], "Succeeded")
    wait(lambda: ns.target.call("GET", f"{work.path}/work").status_code == 404, "the job to go")
    wait(lambda: not work.pods(), "its pods to go")


def test_an_ended_job_starts_nothing_more(ns: Namespace) -> None:
    work = Work(ns)
    work.end(work.active(1)[0], "Succeeded")
    work.condition("Complete")
    ns.call("DELETE", f"/pods/{work.pods()[0]['metadata']['name']}", {"gracePeriodSeconds": 0})
    other = Work(ns, "other")
    other.active(1)
    assert work.pods() == []


# --- schedules

def cronjob(ns: Namespace, name: str, **spec: Any) -> None:
    """A CronJob that is due each minute."""
    pod = {"restartPolicy": "Never", "schedulerName": "nobody", "containers": [{"name": "main", "image": "x"}]}
    template = {"metadata": {"labels": {"from": name}}, "spec": {"template": {"spec": pod}}}
    made = ns.target.call("POST", f"/apis/batch/v1/namespaces/{ns.name}/cronjobs", {
        "metadata": {"name": name}, "spec": {"schedule": "* * * * *", "jobTemplate": template} | spec})
    assert made.status_code == 201, made.text


@pytest.mark.timeout(240)
def test_each_minute(ns: Namespace) -> None:
    """One test for all that takes a minute."""
    def jobs(name: str) -> list[Object]:
        return ns.target.call("GET", f"/apis/batch/v1/namespaces/{ns.name}/jobs", labelSelector=f"from={name}").json()["items"]  # type: ignore[no-any-return]

    def cron(name: str) -> Object:
        return ns.target.call("GET", f"/apis/batch/v1/namespaces/{ns.name}/cronjobs/{name}").json()  # type: ignore[no-any-return]

    def reasons(name: str) -> set[str]:
        told = ns.call("GET", "/events", fieldSelector=f"involvedObject.kind=CronJob,involvedObject.name={name}").json()["items"]
        return {each["reason"] for each in told}

    cronjob(ns, "plain")
    cronjob(ns, "paused", suspend=True)
    cronjob(ns, "elsewhere", timeZone="Asia/Tokyo")
    cronjob(ns, "forbid", concurrencyPolicy="Forbid")
    cronjob(ns, "replace", concurrencyPolicy="Replace")
    cronjob(ns, "short", successfulJobsHistoryLimit=0)
    cronjob(ns, "never", schedule="0 0 31 2 *")
    made, = wait(lambda: jobs("plain"), "a job", 75)
    meta, at = made["metadata"], made["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    owner, = meta["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"], owner["blockOwnerDeletion"]) == ("CronJob", "plain", True, True)
    status = wait(lambda: cron("plain")["status"].get("active") and cron("plain")["status"], "it in the status")
    assert status["lastScheduleTime"] == at
    assert [(each["kind"], each["name"], each["uid"]) for each in status["active"]] == [("Job", meta["name"], meta["uid"])]
    wait(lambda: "SuccessfulCreate" in reasons("plain"), "an event")
    for name in ("elsewhere", "forbid", "replace", "short"):
        wait(lambda name=name: len(jobs(name)) == 1, f"the job of {name}")
    replaced, = jobs("replace")
    short, = jobs("short")
    work = Work.__new__(Work)
    work.ns, work.name, work.path = ns, short["metadata"]["name"], f"/apis/batch/v1/namespaces/{ns.name}/jobs"
    work.end(work.active(1)[0], "Succeeded")
    wait(lambda: {"SawCompletedJob", "SuccessfulDelete"} <= reasons("short"), "the job that has ended to go")
    assert cron("short")["status"]["lastSuccessfulTime"]
    wait(lambda: len(jobs("plain")) == 2, "a second job", 75)
    wait(lambda: "JobAlreadyActive" in reasons("forbid"), "the other to wait")
    assert len(jobs("forbid")) == 1
    wait(lambda: [each["metadata"]["uid"] for each in jobs("replace")] not in ([], [replaced["metadata"]["uid"]])
         and len(jobs("replace")) == 1, "the old job to be replaced")
    assert jobs("paused") == jobs("never") == []
