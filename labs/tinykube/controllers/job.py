"""Jobs: pods that run to their end, so many at a time, until so many have succeeded, or too many have failed.

Genuine counterpart: job-controller, https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tinykube.controllers.conditions import condition, holds, said
from tinykube.controllers.expectations import Expectations
from tinykube.controllers.following import Following
from tinykube.controllers.owners import Claimer, candidates, controller_of
from tinykube.controllers.pods import PodControl, is_active, namespace_ends, pod_from_template
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, annotations, dig, format_time, key_of, name, namespace, parse_time, uid
from tinykube.machinery.selectors import selector_of

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX, INDEX_FAILURES = "batch.kubernetes.io/job-completion-index", "batch.kubernetes.io/job-index-failure-count"
FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 600.0          # seconds, doubled with each failure in a row
AT_ONCE = 500                                         # pods that one sync creates
MESSAGES = {"BackoffLimitExceeded": "Job has reached the specified backoff limit",
            "DeadlineExceeded": "Job was active longer than specified deadline",
            "FailedIndexes": "Job has failed indexes",
            "MaxFailedIndexesExceeded": "Job has exceeded the specified maximal number of failed indexes",
            "CompletionsReached": "Reached expected number of succeeded pods"}


def parse_indexes(text: str | None) -> set[int]:
    """`0-2,5` as the indexes that it stands for."""
    ends = [part.partition("-") for part in (text or "").split(",") if part]
    return {index for first, _, last in ends for index in range(int(first), int(last or first) + 1)}


def format_indexes(indexes: Iterable[int]) -> str:
    """Indexes as a Job's status has them: `0-2,5`. Two that are neighbors stay apart."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)


def index_of(pod: Object) -> int:
    """The completion index of a pod; -1 if it has none."""
    text = annotations(pod).get(INDEX, "")
    return int(text) if text.isdigit() else -1


def succeeded(pod: Object) -> bool:
    """Whether a pod has done what it was for."""
    return bool(dig(pod, "status", "phase") == "Succeeded")


def failed(job: Object, pod: Object) -> bool:
    """Whether a pod counts as failed: it says so; or it is being deleted, and the Job replaces such pods at once."""
    at_once = pod["metadata"].get("deletionTimestamp") and job["spec"].get("podReplacementPolicy") != "Failed"
    return dig(pod, "status", "phase") == "Failed" or bool(at_once and not succeeded(pod))


def statuses(pod: Object) -> list[Object]:
    """What a pod says of its containers, those first that run before the others."""
    return [each for kind in ("initContainerStatuses", "containerStatuses") for each in dig(pod, "status", kind, default=[])]


def finish_time(pod: Object) -> str:
    """When a pod came to its end, as far as it says."""
    ends = [dig(each, "state", "terminated", "finishedAt", default="") for each in statuses(pod)]
    return str(max(ends, default="") or pod["metadata"].get("deletionTimestamp") or pod["metadata"]["creationTimestamp"])


def failure_rule(job: Object, pod: Object) -> tuple[str, str]:
    """What a Job's podFailurePolicy does about a failed pod: its action, and why in words. Without a rule, it counts."""
    for number, rule in enumerate(dig(job, "spec", "podFailurePolicy", "rules", default=[])):
        codes, matching = rule.get("onExitCodes") or {}, f"matching {rule['action']} rule at index {number}"
        for status in statuses(pod) if codes else ():
            code = dig(status, "state", "terminated", "exitCode", default=0)
            if code and codes.get("containerName") in (None, status["name"]) and (
                    code in codes["values"]) == (codes["operator"] == "In"):
                return rule["action"], f"Container {status['name']} for pod {key_of(pod)} failed with exit code {code} {matching}"
        for pattern in rule.get("onPodConditions") or ():
            if said(pod, pattern["type"]).get("status") == pattern.get("status", "True"):
                return rule["action"], f"Pod {key_of(pod)} has condition {pattern['type']} {matching}"
    return "Count", ""


@dataclass
class State:
    """Everything that decisions about a Job need, from its status and its pods."""

    job: Object
    active: list[Object] = field(default_factory=list)
    terminating: int = 0
    succeeded: int = 0                                      # counted in the status, or to be counted now
    failed: int = 0
    finished: list[Object] = field(default_factory=list)    # pods that still carry the finalizer: to be counted, then let go
    completed: set[int] = field(default_factory=set)
    failed_indexes: set[int] = field(default_factory=set)
    policy_failure: str = ""

    def __post_init__(self) -> None:
        self.spec: Object = self.job["spec"]
        self.indexed = self.spec.get("completionMode") == "Indexed"


def uncounted(status: Object) -> dict[str, set[str]]:
    """The uids of pods that the status is about to count."""
    return {side: set(dig(status, "uncountedTerminatedPods", side, default=[])) for side in ("succeeded", "failed")}


def state_of(job: Object, pods: Iterable[Object]) -> State:
    """Look at a Job and all pods that are its own."""
    status, state, known = job.get("status", {}), State(job), uncounted(job.get("status", {}))
    state.succeeded = status.get("succeeded", 0) + len(known["succeeded"])
    state.failed = status.get("failed", 0) + len(known["failed"])
    state.completed = {each for each in parse_indexes(status.get("completedIndexes")) if each < state.spec["completions"]}
    state.failed_indexes = parse_indexes(status.get("failedIndexes"))
    for pod in pods:
        if is_active(pod):
            state.active.append(pod)
            continue
        ended = succeeded(pod) or dig(pod, "status", "phase") == "Failed"
        state.terminating += not ended
        if TRACKING in dig(pod, "metadata", "finalizers", default=[]) and (ended or failed(job, pod)):
            note(state, pod, uid(pod) in known["succeeded"] | known["failed"])
    return state


def note(state: State, pod: Object, known: bool) -> None:
    """Count a pod that has ended, as far as the Job's rules let it count, and unless the status has it already."""
    state.finished.append(pod)
    if succeeded(pod):
        state.succeeded += not known
        state.completed |= {index_of(pod)} & set(range(state.spec["completions"])) if state.indexed else set()
        return
    action, message = failure_rule(state.job, pod)
    if action == "FailJob":
        state.policy_failure = state.policy_failure or message
    if action != "Ignore":
        state.failed += not known
        limit = state.spec.get("backoffLimitPerIndex")
        if limit is not None and (action == "FailIndex" or int(annotations(pod).get(INDEX_FAILURES, "0")) >= limit):
            state.failed_indexes.add(index_of(pod))


def success_rule(state: State) -> int | None:
    """The number of the rule of the successPolicy that is met."""
    for number, rule in enumerate(dig(state.spec, "successPolicy", "rules", default=[])):
        wanted = parse_indexes(rule.get("succeededIndexes")) or set(range(state.spec["completions"]))
        if len(state.completed & wanted) >= rule.get("succeededCount", len(wanted)):
            return number
    return None


def verdict(state: State, now: datetime) -> tuple[str, str, str] | None:
    """Whether a Job has come to its end: SuccessCriteriaMet or FailureTarget, the reason and the message; or None."""
    for kind in ("FailureTarget", "SuccessCriteriaMet"):
        if holds(state.job, kind):
            return kind, said(state.job, kind)["reason"], said(state.job, kind)["message"]
    if state.policy_failure:
        return "FailureTarget", "PodFailurePolicy", state.policy_failure
    if (rule := success_rule(state)) is not None:
        return "SuccessCriteriaMet", "SuccessPolicy", f"Matched rules at index {rule}"
    if reason := failure_reason(state, now):
        return "FailureTarget", reason, MESSAGES[reason]
    wanted, done = state.spec.get("completions"), len(state.completed) if state.indexed else state.succeeded
    complete = done >= wanted if wanted is not None else state.succeeded > 0 and not state.active
    return ("SuccessCriteriaMet", "CompletionsReached", MESSAGES["CompletionsReached"]) if complete else None


def failure_reason(state: State, now: datetime) -> str:
    """Why a Job has failed, in one word; empty if it has not."""
    spec, limit, deadline = state.spec, state.spec.get("backoffLimit", 6), state.spec.get("activeDeadlineSeconds")
    in_place = dig(spec, "template", "spec", "restartPolicy") == "OnFailure"
    restarts = sum(each.get("restartCount", 0) for pod in state.active for each in statuses(pod)) if in_place else 0
    if state.failed > limit or restarts >= max(limit, 1):
        return "BackoffLimitExceeded"
    start = dig(state.job, "status", "startTime")
    if deadline is not None and start and not spec.get("suspend") and now >= parse_time(start) + timedelta(seconds=deadline):
        return "DeadlineExceeded"
    if len(state.failed_indexes) > int(spec.get("maxFailedIndexes", len(state.failed_indexes))):
        return "MaxFailedIndexesExceeded"
    every = state.failed_indexes and len(state.failed_indexes | state.completed) >= spec["completions"]
    return "FailedIndexes" if every else ""


def wanted_active(state: State) -> int:
    """How many pods should be on their way now."""
    parallelism, completions = int(state.spec.get("parallelism", 1)), state.spec.get("completions")
    if state.spec.get("suspend"):
        return 0
    if completions is None:
        return len(state.active) if state.succeeded else parallelism
    done = len(state.completed | state.failed_indexes) if state.indexed else state.succeeded
    return max(0, min(parallelism, int(completions) - done))


def missing_indexes(state: State, count: int) -> list[int]:
    """The lowest numbers that nobody works on."""
    taken = state.completed | state.failed_indexes | {index_of(pod) for pod in state.active}
    return [each for each in range(state.spec["completions"]) if each not in taken][:count]


def superfluous(state: State, count: int) -> list[Object]:
    """The active pods to end: all whose number is done or taken, then those that have done the least."""
    by_progress = sorted(state.active, key=lambda pod: (bool(dig(pod, "spec", "nodeName")), holds(pod, "Ready")))
    seen, twice = set(state.completed), []
    for pod in reversed(by_progress) if state.indexed else ():
        twice += [pod] if index_of(pod) in seen else []
        seen.add(index_of(pod))
    rest = [pod for pod in by_progress if not any(pod is each for each in twice)]
    return [*twice, *rest[:max(0, count - len(twice))]]


def backoff(failures: list[str], now: datetime) -> float:
    """How many seconds to wait before another pod: longer with each failure since the last success."""
    if not failures:
        return 0.0
    delay = min(FIRST_BACKOFF * 2.0 ** min(len(failures) - 1, 20), LONGEST_BACKOFF)
    return max(0.0, (parse_time(failures[-1]) + timedelta(seconds=delay) - now).total_seconds())


def pod_for(job: Object, index: int | None, failures: int = 0) -> Object:
    """A new pod of a Job. One with a number carries it as annotation, label, host name and environment variable."""
    pod = pod_from_template(job["spec"]["template"], {"apiVersion": "batch/v1", "kind": "Job", **job})
    meta = pod["metadata"]
    meta["finalizers"] = [*meta.get("finalizers", []), TRACKING]
    if index is None:
        return pod
    meta["generateName"] = f"{name(job)}-{index}-"
    meta["labels"] = {**meta.get("labels", {}), INDEX: str(index)}
    meta["annotations"] = {**meta.get("annotations", {}), INDEX: str(index)}
    if job["spec"].get("backoffLimitPerIndex") is not None:
        meta["annotations"][INDEX_FAILURES] = str(failures)
    pod["spec"].setdefault("hostname", f"{name(job)}-{index}")
    told = {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}}
    for container in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]):
        if all(each["name"] != told["name"] for each in container.setdefault("env", [])):
            container["env"].append(told)
    return pod


def with_condition(status: Object, kind: str, value: str, reason: str, message: str, now: str) -> Object:
    """A status with one condition set; the time changes only if its status does."""
    told = status.get("conditions", [])
    if any(each["type"] == kind and each["status"] == value for each in told):
        return status
    fresh = condition(kind, value, reason, message, now)
    return {**status, "conditions": [*(each for each in told if each["type"] != kind), fresh]}


class JobController(Following):
    """Creates and ends the pods of Jobs, and counts each that has ended exactly once."""

    name = "job-controller"

    def setup(self) -> None:
        """Follow Jobs and their pods."""
        self.expectations = Expectations(self.clock)
        self.failures: dict[str, dict[str, str]] = {}         # job -> finish time of each failed pod since the last success
        self.jobs = self.watch("jobs")
        self.pods = self.follow("pods", self.pod_added, self.pod_changed, self.pod_deleted)
        self.claimer, self.control = Claimer(self.client, "jobs", "pods"), PodControl(self.client, self.recorder)

    def job_of(self, pod: Object) -> str:
        """The key of the Job that a pod belongs to, or nothing."""
        owner = controller_of(pod)
        return f"{namespace(pod)}/{owner['name']}" if owner and owner["kind"] == "Job" else ""

    def pod_added(self, pod: Object) -> None:
        """A pod has appeared: one of those that we wait for, perhaps."""
        if is_active(pod):
            self.expectations.created(self.job_of(pod))
        self.pod_changed(pod, pod)

    def pod_changed(self, before: Object, after: Object) -> None:
        """A pod has changed, or its owner has."""
        for key in (self.job_of(before), self.job_of(after)):
            if key:
                self.queue.add(key)

    def pod_deleted(self, pod: Object) -> None:
        """A pod is gone."""
        self.pod_changed(pod, pod)

    async def sync(self, key: str) -> None:
        """Bring one Job nearer to its end."""
        job, now = self.jobs.get(key), self.clock.now()
        if job is None:
            self.failures.pop(key, None)
            self.expectations.forget(key)
            where = key.partition("/")[0]
            return await self.let_go([pod for pod in self.pods.by("namespace", where) if self.job_of(pod) == key])
        if holds(job, "Complete") or holds(job, "Failed"):
            return await self.let_go(self.pods.by("controller", uid(job)))
        pods = await self.claimer.claim(job, selector_of(job["spec"].get("selector")), candidates(self.pods, job), is_active)
        if job["metadata"].get("deletionTimestamp"):
            return await self.let_go([pod for pod in pods if not is_active(pod)])
        state = state_of(job, pods)
        ending, status = verdict(state, now), self.start(state, now)
        if ending and ending[0] == "FailureTarget":
            for pod in state.active:                   # with our finalizer on them: they will be counted as failed
                await self.control.delete(pod, job)
        elif ending:
            await self.end_pods(state, state.active)
        elif self.expectations.satisfied(key):
            await self.manage(key, state, now)
        return await self.count(state, status, ending)

    def start(self, state: State, now: datetime) -> Object:
        """The status with what begins or pauses a Job: its start time, and whether it is suspended."""
        job, status, at = state.job, dict(state.job.get("status", {})), format_time(now)
        if state.spec.get("suspend"):
            if not holds(job, "Suspended"):
                self.recorder.event(job, "Normal", "Suspended", "Job suspended")
            status.pop("startTime", None)
            return with_condition(status, "Suspended", "True", "JobSuspended", "Job suspended", at)
        status.setdefault("startTime", at)
        if holds(job, "Suspended"):
            self.recorder.event(job, "Normal", "Resumed", "Job resumed")
            status = with_condition({**status, "startTime": at}, "Suspended", "False", "JobResumed", "Job resumed", at)
        if (deadline := state.spec.get("activeDeadlineSeconds")) is not None:
            left = parse_time(status["startTime"]) + timedelta(seconds=deadline) - now
            self.queue.add_after(key_of(job), max(0.001, left.total_seconds()))
        return status

    async def manage(self, key: str, state: State, now: datetime) -> None:
        """Create the pods that are missing, or end those that are too many."""
        wanted = wanted_active(state)
        await self.end_pods(state, superfluous(state, max(0, len(state.active) - wanted)))
        waited_for = state.terminating if state.spec.get("podReplacementPolicy") == "Failed" else 0
        missing = min(wanted - len(state.active), AT_ONCE) - waited_for
        if missing <= 0:
            return
        delay = backoff(self.recent_failures(key, state), now)
        if delay and "backoffLimitPerIndex" not in state.spec:
            return self.queue.add_after(key, delay)
        indexes: list[int] | list[None] = missing_indexes(state, missing) if state.indexed else [None] * missing
        self.expectations.expect(key, creations=len(indexes))
        for position, index in enumerate(indexes):
            try:
                pod = pod_for(state.job, index, self.index_failures(state, index))
                state.active.append(await self.control.create(pod, state.job))
            except BaseException as error:
                for _ in indexes[position:]:
                    self.expectations.created(key)
                if isinstance(error, ApiError) and namespace_ends(error):
                    return
                raise

    def recent_failures(self, key: str, state: State) -> list[str]:
        """When the pods failed that have failed since the last success, in order."""
        known = self.failures.setdefault(key, {})
        if any(succeeded(pod) for pod in state.finished):
            known.clear()
        known.update({uid(pod): finish_time(pod) for pod in state.finished if not succeeded(pod)})
        return sorted(known.values())

    def index_failures(self, state: State, index: int | None) -> int:
        """How often the pods with this number have failed before."""
        mine = [pod for pod in self.pods.by("controller", uid(state.job)) if index is not None and index_of(pod) == index]
        return max((int(annotations(pod).get(INDEX_FAILURES, "0")) + 1 for pod in mine
                    if failed(state.job, pod) and failure_rule(state.job, pod)[0] != "Ignore"), default=0)

    async def end_pods(self, state: State, pods: list[Object]) -> None:
        """Delete pods that are not wanted any more; our finalizer goes first, so that they are not counted."""
        await self.let_go(pods)
        for pod in [*pods]:
            await self.control.delete(pod, state.job)
        state.active = [pod for pod in state.active if not any(pod is each for each in pods)]

    async def count(self, state: State, status: Object, ending: tuple[str, str, str] | None) -> None:
        """Write the status; between "about to count" and "counted" the finalizers go, so that no crash counts twice.

        First the uids of pods that have ended are written down as uncounted; then the pods lose the finalizer; then the
        numbers are raised and the list is emptied. Whoever comes after a crash finds the list, and goes on from there.
        """
        job, now, known = state.job, format_time(self.clock.now()), uncounted(status)
        known["succeeded"] |= {uid(pod) for pod in state.finished if succeeded(pod) and not state.indexed}
        known["failed"] |= {uid(pod) for pod in state.finished
                            if not succeeded(pod) and failure_rule(job, pod)[0] != "Ignore"}
        status = {**status, "active": len(state.active), "ready": sum(holds(pod, "Ready") for pod in state.active),
                  "terminating": state.terminating,
                  "uncountedTerminatedPods": {side: sorted(uids) for side, uids in known.items() if uids}}
        if state.indexed:
            status |= {"completedIndexes": format_indexes(state.completed), "succeeded": len(state.completed)}
            status |= {"failedIndexes": format_indexes(state.failed_indexes)} if "backoffLimitPerIndex" in state.spec else {}
        if ending:
            status = with_condition(status, ending[0], "True", *ending[1:], now)
        job = await self.write(job, status)
        await self.let_go(state.finished)
        status = {**status, "uncountedTerminatedPods": {}, "failed": state.failed,
                  "succeeded": len(state.completed) if state.indexed else state.succeeded}
        if not ending or state.active or state.terminating:
            await self.write(job, status)
            return
        done = ending[0] == "SuccessCriteriaMet"
        status |= {"completionTime": now} if done else {}
        await self.write(job, with_condition(status, "Complete" if done else "Failed", "True", *ending[1:], now))
        self.recorder.event(job, *(("Normal", "Completed", "Job completed") if done else ("Warning", *ending[1:])))

    async def write(self, job: Object, status: Object) -> Object:
        """Write a status, if it says something new; the Job as it is then."""
        kept = {key: value for key, value in status.items()
                if value or key in ("ready", "terminating", "uncountedTerminatedPods", "failedIndexes")}
        if kept == job.get("status"):
            return job
        return await self.client.update("jobs", {**job, "status": kept}, subresource="status")

    async def let_go(self, pods: Iterable[Object]) -> None:
        """Take our finalizer off pods."""
        for pod in pods:
            if TRACKING in dig(pod, "metadata", "finalizers", default=[]):
                patch: Object = {"metadata": {"uid": uid(pod), "$deleteFromPrimitiveList/finalizers": [TRACKING]}}
                await self.claimer.patch(pod, patch)
