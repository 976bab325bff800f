"""The horizontal autoscaler: as many pods as their work asks for.

Genuine counterpart: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterable
from math import ceil

from tinykube.controllers.conditions import holds, said
from tinykube.controllers.following import Following
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, copy, dig, labels, name, namespace, timestamp
from tinykube.machinery.quantity import format_quantity, milli
from tinykube.machinery.selectors import parse_label_selector

PERIOD = 15.0                           # seconds between two looks
TOLERANCE = 0.1                         # a ratio that is so near to 1 changes nothing
WINDOWS = {"scaleUp": 0, "scaleDown": 300}      # seconds of earlier recommendations that count as well
FASTEST_PODS = 4                        # in one period at most so many more, or twice as many, whichever is more


class NoMetric(Exception):
    """A number that a decision needs is not to be had."""


def usage_of(metrics: Iterable[Object], resource: str) -> dict[str, int]:
    """What each pod uses, in thousandths, by its name, from the objects of the metrics API."""
    return {name(each): sum(milli(container["usage"][resource]) for container in each["containers"]) for each in metrics}


def targets(pods: Iterable[Object], resource: str, target: Object) -> dict[str, float]:
    """What each pod should use, in thousandths: an amount, or a share of its requests. NoMetric where one does not say."""
    if target["type"] != "Utilization":
        return {name(pod): float(milli(target["averageValue"])) for pod in pods}
    found = {}
    for pod in pods:
        asked = [(each["name"], dig(each, "resources", "requests", resource)) for each in pod["spec"]["containers"]]
        if silent := [container for container, amount in asked if amount is None]:
            raise NoMetric(f"missing request for {resource} in container {silent[0]} of Pod {name(pod)}")
        found[name(pod)] = sum(milli(amount) for _, amount in asked) * target["averageUtilization"] / 100
    return found


def replicas_for(current: int, pods: Iterable[Object], usage: dict[str, int], wanted: dict[str, float]) -> int:
    """How many replicas bring the usage of pods to what is wanted of each.

    What is missing is assumed to speak against a change: a pod without a number uses what it should on the way down and
    nothing on the way up, like one that is not ready yet.
    """
    there = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and dig(pod, "status", "phase") != "Failed"]
    unready = {name(pod) for pod in there
               if dig(pod, "status", "phase") == "Pending" or (name(pod) in usage and not holds(pod, "Ready"))}
    measured = [name(pod) for pod in there if name(pod) in usage and name(pod) not in unready]
    if not measured:
        raise NoMetric("did not receive metrics for targeted pods (pods might be unready)")

    def ratio_of(names: list[str], uses: dict[str, float]) -> float:
        return sum(uses[each] for each in names) / sum(wanted[each] for each in names)

    ratio = ratio_of(measured, {**usage})
    up, missing = ratio > 1, [name(pod) for pod in there if name(pod) not in usage and name(pod) not in unready]
    counted = [*measured, *missing, *(unready if up else ())]
    assumed = {each: 0.0 if up else wanted[each] for each in (*missing, *unready)}
    fresh = ratio_of(counted, {**usage, **assumed})
    if abs(1 - fresh) <= TOLERANCE or (fresh > 1) != up:
        return current
    replicas = ceil(round(fresh * len(counted), 9))
    return max(current, replicas) if up else min(current, replicas)


def stabilized(wanted: int, current: int, earlier: list[tuple[float, int]], now: float, behavior: Object) -> int:
    """A recommendation in the light of earlier ones: no lower than the highest of late, no higher than the lowest."""
    late = {side: [each for at, each in earlier if now - at < dig(behavior, side, "stabilizationWindowSeconds", default=window)]
            for side, window in WINDOWS.items()}
    return min(max(current, min([wanted, *late["scaleUp"]])), max([wanted, *late["scaleDown"]]))


def limited(spec: Object, current: int, wanted: int, started: int) -> tuple[int, str, str]:
    """The replicas within all limits; and for the condition reason and message. `started`: replicas a period ago."""
    fastest = max(2 * started, started + FASTEST_PODS)
    least, most, the = spec.get("minReplicas", 1), spec["maxReplicas"], "the desired replica count is"
    if current < wanted > fastest < most:
        return max(current, fastest), "ScaleUpLimit", f"{the} increasing faster than the maximum scale rate"
    if wanted < least:
        return least, "TooFewReplicas", f"{the} less than the minimum replica count"
    if wanted > most:
        return most, "TooManyReplicas", f"{the} more than the maximum replica count"
    return wanted, "DesiredWithinRange", "the desired count is within the acceptable range"


class HorizontalController(Following):
    """Looks at each autoscaler every few seconds, and writes the number of replicas that its target should have."""

    name, account = "horizontal-pod-autoscaler-controller", "horizontal-pod-autoscaler"
    component = "horizontal-pod-autoscaler"

    def setup(self) -> None:
        """Watch autoscalers; remember what was recommended, and how many there were, and when."""
        self.recommended: dict[str, list[tuple[float, int]]] = {}
        self.sizes: dict[str, list[tuple[float, int]]] = {}
        self.autoscalers, self.pods = self.watch("horizontalpodautoscalers"), self.context.informer("pods")

    async def sync(self, key: str) -> None:
        """Look at one autoscaler, and again after a while."""
        hpa = copy(self.autoscalers.get(key))
        if hpa is None:
            self.recommended.pop(key, None)
            self.sizes.pop(key, None)
            return
        self.queue.add_after(key, PERIOD)
        before = copy(hpa.setdefault("status", {}))
        with contextlib.suppress(NoMetric):
            await self.reconcile(key, hpa)
        if hpa["status"] != before:
            await self.client.update("horizontalpodautoscalers", hpa, subresource="status")

    def say(self, hpa: Object, kind: str, status: str, reason: str, message: str) -> None:
        """Set a condition; its time is that of the last change of its status."""
        old, told = said(hpa, kind), hpa["status"].setdefault("conditions", [])
        since = old["lastTransitionTime"] if old.get("status") == status else timestamp(self.clock)
        fresh = {"type": kind, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
        told[:] = [fresh if each is old else each for each in told] if old else [*told, fresh]

    async def reconcile(self, key: str, hpa: Object) -> None:
        """From the target's size and the metrics to a new size. Raises NoMetric when that can't be said."""
        spec, status, target, now = hpa["spec"], hpa["status"], hpa["spec"]["scaleTargetRef"], self.clock.monotonic()
        try:
            resource, _ = await self.client.resource_of({"apiVersion": target.get("apiVersion", "v1"), "kind": target["kind"]})
            scale = await self.client.get(resource, target["name"], namespace(hpa), "scale")
        except (ApiError, KeyError) as error:
            self.recorder.event(hpa, "Warning", "FailedGetScale", str(error))
            self.say(hpa, "AbleToScale", "False", "FailedGetScale",
                     f"the HPA controller was unable to get the target's current scale: {error}")
            status.setdefault("desiredReplicas", 0)
            raise NoMetric from error
        self.say(hpa, "AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")
        current, least = dig(scale, "spec", "replicas", default=0), spec.get("minReplicas", 1)
        status.update(observedGeneration=hpa["metadata"].get("generation"), desiredReplicas=status.get("desiredReplicas", 0))
        if current == 0 and least != 0:
            return self.say(hpa, "ScalingActive", "False", "ScalingDisabled",
                            "scaling is disabled since the replica count of the target is zero")
        status["currentReplicas"] = current
        if current > spec["maxReplicas"]:
            wanted, why = spec["maxReplicas"], "Current number of replicas above Spec.MaxReplicas"
        elif current < least:
            wanted, why = least, "Current number of replicas below Spec.MinReplicas"
        else:
            wanted, why = await self.recommend(key, hpa, scale, current, now)
        return await self.rescale(key, hpa, resource, scale, wanted, why)

    async def recommend(self, key: str, hpa: Object, scale: Object, current: int, now: float) -> tuple[int, str]:
        """How many replicas there should be, and why, by metrics, earlier recommendations and limits."""
        best, words = await self.measure(hpa, scale, current)
        earlier = self.recommended.setdefault(key, [(now, current)])
        steady = stabilized(best, current, earlier, now, hpa["spec"].get("behavior", {}))
        earlier[:] = [(at, each) for at, each in earlier if now - at < 3600] + [(now, best)]
        side, high = ("Down", "high") if steady > best else ("Up", "low")
        self.say(hpa, "AbleToScale", "True", *(
            ("ReadyForNewScale", "recommended size matches current size") if steady == best else
            (f"Scale{side}Stabilized", f"recent recommendations were {high}er than current one, applying the {high}est recent "
             "recommendation")))
        started = min((size for at, size in self.sizes.get(key, []) if now - at < PERIOD), default=current)
        wanted, reason, message = limited(hpa["spec"], current, steady, started)
        self.say(hpa, "ScalingLimited", "False" if reason == "DesiredWithinRange" else "True", reason, message)
        return wanted, f"{words} above target" if wanted > current else "All metrics below target"

    async def measure(self, hpa: Object, scale: Object, current: int) -> tuple[int, str]:
        """The largest of what the metrics ask for, and which of them it is."""
        selector = parse_label_selector(dig(scale, "status", "selector", default=""))
        pods = [pod for pod in self.pods.by("namespace", namespace(hpa)) if selector.matches(labels(pod))]
        found, told, failures = [], [], []
        for metric in hpa["spec"].get("metrics") or []:
            resource, target = metric["resource"]["name"], metric["resource"]["target"]
            share = target["type"] == "Utilization"
            try:
                usage = await self.usage(resource, scale, namespace(hpa))
                wanted = targets(pods, resource, target)
                found.append((replicas_for(current, pods, usage, wanted), f"{resource} resource"
                              + (" utilization (percentage of request)" if share else "")))
                told.append(current_metric(resource, usage, wanted, target))
            except NoMetric as error:
                failures.append((resource, f"failed to get {resource} {'utilization' if share else 'usage'}: {error}"))
        hpa["status"]["currentMetrics"] = told or [{"type": ""}]
        if failures and (not found or max(found)[0] < current):
            resource, message = failures[0]
            self.recorder.event(hpa, "Warning", "FailedGetResourceMetric", message)
            self.recorder.event(hpa, "Warning", "FailedComputeMetricsReplicas", (
                f"invalid metrics ({len(failures)} invalid out of {len(failures) + len(found)}), first error is: "
                f"failed to get {resource} resource metric value: {message}"))
            self.say(hpa, "ScalingActive", "False", "FailedGetResourceMetric",
                     f"the HPA was unable to compute the replica count: {message}")
            raise NoMetric(message)
        self.say(hpa, "ScalingActive", "True", "ValidMetricFound",
                 f"the HPA was able to successfully calculate a replica count from {max(found)[1]}")
        return max(found)

    async def usage(self, resource: str, scale: Object, where: str) -> dict[str, int]:
        """What the pods of the target use, from the metrics API."""
        path, selector = f"/apis/metrics.k8s.io/v1beta1/namespaces/{where}/pods", dig(scale, "status", "selector", default="")
        try:
            listed = await self.client.call("GET", path, {"labelSelector": selector})
        except ApiError as error:
            raise NoMetric(f"unable to get metrics for resource {resource}: unable to fetch metrics from resource metrics API: "
                           f"{error.message} (get pods.metrics.k8s.io)") from error
        if not listed.get("items"):
            raise NoMetric(f"unable to get metrics for resource {resource}: no metrics returned from resource metrics API")
        return usage_of(listed["items"], resource)

    async def rescale(self, key: str, hpa: Object, resource: str, scale: Object, wanted: int, why: str) -> None:
        """Write the new size into the target, and what was done into the autoscaler."""
        current, now = dig(scale, "spec", "replicas", default=0), self.clock.monotonic()
        hpa["status"]["desiredReplicas"] = wanted
        if wanted == current:
            return
        try:
            await self.client.update(resource, {**scale, "spec": {**scale["spec"], "replicas": wanted}}, namespace(hpa),
                                     subresource="scale")
        except ApiError as error:
            self.recorder.event(hpa, "Warning", "FailedRescale", f"New size: {wanted}; reason: {why}; error: {error.message}")
            return self.say(hpa, "AbleToScale", "False", "FailedUpdateScale",
                            f"the HPA controller was unable to update the target scale: {error.message}")
        self.sizes[key] = [each for each in self.sizes.get(key, []) if now - each[0] < PERIOD] + [(now, current)]
        message = f"the HPA controller was able to update the target scale to {wanted}"
        self.say(hpa, "AbleToScale", "True", "SucceededRescale", message)
        self.recorder.event(hpa, "Normal", "SuccessfulRescale", f"New size: {wanted}; reason: {why}")
        hpa["status"]["lastScaleTime"] = timestamp(self.clock)


def current_metric(resource: str, usage: dict[str, int], wanted: dict[str, float], target: Object) -> Object:
    """A metric as `status.currentMetrics` has it."""
    measured = [each for each in wanted if each in usage]
    used = sum(usage[each] for each in measured)
    now: Object = {"averageValue": f"{used // max(1, len(measured))}m" if resource == "cpu" else format_quantity(
        used // 1000 // max(1, len(measured)))}
    if target["type"] == "Utilization":
        asked = sum(wanted[each] for each in measured) * 100 / target["averageUtilization"]
        now["averageUtilization"] = int(used * 100 / max(1.0, asked))
    return {"type": "Resource", "resource": {"name": resource, "current": now}}
