"""The same for the controllers of the cluster itself, of work that ends, and of volumes: they die anywhere, or run twice."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from tinykube.api.keys import PEM, new_key
from tinykube.controllers.certificates import Approver, Cleaner, Signer
from tinykube.controllers.cronjob import CronJobController
from tinykube.controllers.deployment import DeploymentController
from tinykube.controllers.disruption import DisruptionController
from tinykube.controllers.endpoints import EndpointsController, EndpointSliceController
from tinykube.controllers.garbagecollector import GarbageCollector
from tinykube.controllers.horizontal import HorizontalController
from tinykube.controllers.job import INDEX, TRACKING, JobController
from tinykube.controllers.namespace import NamespaceController
from tinykube.controllers.nodeipam import NodeIpamController
from tinykube.controllers.nodelifecycle import NodeLifecycleController, TaintEvictionController
from tinykube.controllers.podgc import PodGarbageCollector
from tinykube.controllers.replicaset import ReplicaSetController
from tinykube.controllers.resourcequota import ResourceQuotaController
from tinykube.controllers.serviceaccount import RootCaPublisher, ServiceAccountController, TokenController
from tinykube.controllers.ttlafterfinished import TtlAfterFinishedController
from tinykube.controllers.volumebinder import ClaimProtection, VolumeBinder, VolumeProtection
from tinykube.machinery.errors import ApiError
from tinykube.machinery.objects import Object, annotations, dig, labels, micro_timestamp, name, timestamp, uid

from tests.controllers.test_killed import Story, bystander, edit, make, settled, tell, twice
from tests.controllers.world import World, template

Act = Callable[[World], Awaitable[object]]


def create(resource: str, called: str, space: str | None = "default", **obj: Any) -> Act:
    """Make an object."""
    meta = {"name": called, **obj.pop("metadata", {})}
    return lambda w: w.client.create(resource, {"metadata": meta, **obj}, space)


def remove(resource: str, called: str, space: str | None = "default", policy: str = "Background") -> Act:
    """Ask for an object's deletion."""
    def act(w: World) -> Awaitable[object]:
        return w.client.call("DELETE", w.client.path(resource, space, called), None, {
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy})
    return act


def together(*acts: Act) -> Act:
    """Several things in one go."""
    async def act(w: World) -> None:
        for each in acts:
            await each(w)
    return act


def passes(seconds: float) -> Act:
    """Nothing but time."""
    return lambda w: w.clock.advance(seconds)


async def names(w: World, resource: str, space: str | None = "default") -> set[str]:
    return set(map(name, (await w.client.list(resource, space))["items"]))


async def there(w: World, resource: str, called: str, space: str | None = "default") -> Object:
    """An object; an empty one if there is none."""
    try:
        return await w.client.get(resource, called, space)
    except ApiError as error:
        if error.code != 404:
            raise
        return {}


# --- a namespace that goes

async def gone_with_all(w: World) -> bool:
    left = [await names(w, each, "old") for each in ("pods", "configmaps", "secrets", "deployments")]
    return not await there(w, "namespaces", "old", None) and not any(left) and "keep" in await names(w, "configmaps")


# --- owners and those that they own

def owned(called: str, *owners: str) -> Act:
    async def act(w: World) -> None:
        references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": each, "uid": uid(await w.client.get(
            "configmaps", each, "default")), "blockOwnerDeletion": True} for each in owners]
        await create("configmaps", called, metadata={"ownerReferences": references})(w)
    return act


async def only_whose_owner_lives(w: World) -> bool:
    shared, orphan = await there(w, "configmaps", "shared"), await there(w, "configmaps", "orphan")
    return (await names(w, "configmaps") == {"keep", "shared", "orphan"} and not dig(orphan, "metadata", "ownerReferences")
            and [each["name"] for each in dig(shared, "metadata", "ownerReferences", default=[])] == ["keep"])


# --- accounts and the authority

async def every_namespace_has_both(w: World) -> bool:
    spaces = await names(w, "namespaces", None)
    told = [dig(await there(w, "configmaps", "kube-root-ca.crt", each), "data", "ca.crt") for each in spaces]
    return (len(spaces) == 6 and all([await there(w, "serviceaccounts", "default", each) for each in spaces])
            and set(told) == {"the authority"} and await names(w, "secrets", "one") == {"other"})


TOKEN = {"type": "kubernetes.io/service-account-token", "metadata": {"annotations": {
    "kubernetes.io/service-account.name": "robot"}}}


# --- Services

def address(called: str, ip: str) -> Act:
    return lambda w: w.client.patch("pods", called, {"status": {"podIP": ip, "podIPs": [{"ip": ip}]}}, "default",
                                    subresource="status")


def server(number: int) -> Act:
    made = create("pods", f"web-{number}", metadata={"labels": {"app": "web"}}, spec=template()["spec"] | {"nodeName": "ant"})
    return together(made, address(f"web-{number}", f"10.0.0.{number}"))


def service(called: str) -> Act:
    return create("services", called, spec={"selector": {"app": "web"}, "ports": [{"port": 80}]})


async def two_behind_it(w: World) -> bool:
    slices = await w.list("endpointslices")
    endpoints = await there(w, "endpoints", "web")
    ips = sorted(each["addresses"][0] for each in slices for each in each.get("endpoints") or [] if each["conditions"]["ready"])
    return (await names(w, "endpoints") == {"web"} and len(slices) == 1 and ips == ["10.0.0.2", "10.0.0.3"]
            and [each["ip"] for part in endpoints.get("subsets", []) for each in part.get("addresses", [])] == ips
            and [each["port"] for each in slices[0]["ports"]] == [8080])


# --- nodes

def node(called: str, **more: Any) -> Act:
    async def act(w: World) -> None:
        now = timestamp(w.clock)
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now}
        await create("nodes", called, None, status={"conditions": [ready]}, **more)(w)
    return act


def beats(called: str) -> Act:
    """From now on, a node's kubelet renews its lease."""
    async def act(w: World) -> None:
        await create("leases", called, "kube-node-lease", spec={})(w)

        async def renew() -> None:
            while True:
                await w.client.patch("leases", called, {"spec": {"renewTime": micro_timestamp(w.clock)}}, "kube-node-lease",
                                     type="merge")
                await w.clock.sleep(10)
        w.tasks.add(asyncio.create_task(renew()))
    return act


def on(where: str, called: str, *tolerations: Object) -> Act:
    return create("pods", called, spec=template()["spec"] | {"nodeName": where, "tolerations": list(tolerations)})


QUICK = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
UNREACHABLE = "node.kubernetes.io/unreachable"
TAINTS = {"taints": [{"key": UNREACHABLE, "effect": effect} for effect in ("NoSchedule", "NoExecute")]}


async def the_silent_one_is_left(w: World) -> bool:
    taints = {each: {(taint["key"], taint["effect"]) for taint in dig(await there(w, "nodes", each, None), "spec", "taints",
                                                                     default=[])} for each in ("ant", "bee", "cat")}
    ready = {name(pod): each["status"] for pod in await w.list("pods") for each in dig(pod, "status", "conditions", default=[])
             if each["type"] == "Ready"}
    both = {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
    return taints == {"ant": set(), "bee": both, "cat": set()} and ready == {
        "bystander": "True", "well": "True", "stays": "False"}


async def each_its_own_range(w: World) -> bool:
    ranges = [dig(each, "spec", "podCIDR", default="") for each in (await w.client.list("nodes"))["items"]]
    return len(ranges) == 5 and len(set(ranges)) == 5 and all(each.startswith("10.244.") for each in ranges)


class SmallHeap(PodGarbageCollector):
    """Keeps no more than two pods that have ended."""

    threshold = 2


def ended(called: str) -> Act:
    def act(w: World) -> Awaitable[object]:
        w.verdict = lambda pod: "Succeeded" if name(pod).startswith("done") else "Running"
        return create("pods", called, spec=template()["spec"] | {"nodeName": "ant"})(w)
    return act


async def nobody_is_orphaned(w: World) -> bool:
    return await names(w, "pods") == {"bystander", "well", "done-3", "done-4"}


# --- budgets and quotas

async def one_may_go(w: World) -> bool:
    wanted = {"fixed": (3, 2, 1), "share": (3, 1, 2)}            # healthy, needed, allowed
    found = {name(each): each.get("status", {}) for each in await w.list("poddisruptionbudgets")}
    return found.keys() == wanted.keys() and all(
        (status.get("currentHealthy"), status.get("desiredHealthy"), status.get("disruptionsAllowed")) == wanted[each]
        and status["expectedPods"] == 3 for each, status in found.items())


async def charged_for_what_is_there(w: World) -> bool:
    quota = await there(w, "resourcequotas", "few")             # the one Service is kubernetes
    return bool(dig(quota, "status", "used", default={}) == {"count/configmaps": "2", "pods": "2", "services": "1"})


# --- work that ends

def jobs_end(*first_fail: str) -> Act:
    """Pods of Jobs end at once; those of these indexes fail at their first try."""
    async def act(w: World) -> None:
        tried = set[str]()

        def verdict(pod: Object) -> str:
            index = annotations(pod).get(INDEX, "-")
            if "batch.kubernetes.io/job-name" not in labels(pod):
                return "Running"
            again = index in first_fail and index not in tried
            tried.add(index)
            return "Failed" if again else "Succeeded"
        w.verdict = verdict
    return act


def job(called: str, **spec: Any) -> Act:
    pods = {"metadata": {}, "spec": template()["spec"] | {"restartPolicy": "Never"}}
    return create("jobs", called, spec={"template": pods, **spec})


async def all_counted(w: World) -> bool:
    status = {name(each): each.get("status", {}) for each in await w.list("jobs")}
    held = [name(pod) for pod in await w.list("pods") if TRACKING in dig(pod, "metadata", "finalizers", default=[])]
    done = {called: [each["type"] for each in each.get("conditions", []) if each["type"] in ("Complete", "Failed")]
            for called, each in status.items()}
    return (done == {"plain": ["Complete"], "numbered": ["Complete"]} and not held
            and (status["numbered"].get("completedIndexes"), status["numbered"].get("succeeded")) == ("0-2", 3)
            and status["plain"]["succeeded"] >= 3
            and not any(dig(each, "uncountedTerminatedPods") for each in status.values()))


async def no_pod_too_many(w: World) -> None:
    pods, numbered = await w.list("pods"), await there(w, "jobs", "numbered")
    assert numbered["status"].get("failed") == 1, "counted, and counted once"
    by_job = [sum(labels(pod).get("batch.kubernetes.io/job-name") == each for pod in pods) for each in ("plain", "numbered")]
    assert by_job == [3, 4], "three to succeed; of the numbered ones one failed and was tried again"


async def all_ended_are_gone(w: World) -> bool:
    return await names(w, "jobs") == {"runs", "for-ever"} and await names(w, "pods") == {"bystander"}


def finish(called: str) -> Act:
    async def act(w: World) -> None:
        now = timestamp(w.clock)
        ends = [{"type": each, "status": "True", "lastTransitionTime": now, "lastProbeTime": now}
                for each in ("SuccessCriteriaMet", "Complete")]
        await w.client.patch("jobs", called, {"status": {"conditions": ends, "startTime": now, "completionTime": now}},
                             "default", subresource="status")
    return act


def its_pod(called: str) -> Act:
    async def act(w: World) -> None:
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": called, "uid": uid(await w.client.get("jobs", called, "default")),
                 "controller": True, "blockOwnerDeletion": True}
        await create("pods", f"{called}-pod", metadata={"ownerReferences": [owner]}, spec=template()["spec"])(w)
    return act


async def one_job_kept(w: World) -> bool:
    cronjob, jobs = await there(w, "cronjobs", "tick"), await w.list("jobs")
    return (len(jobs) == 1 and bool(dig(cronjob, "status", "lastScheduleTime")) and not dig(cronjob, "status", "active")
            and dig(cronjob, "spec", "suspend") is True)


# --- as many as their work asks for

async def four_that_work(w: World) -> bool:
    hpa = await there(w, "horizontalpodautoscalers", "web")
    return dig(hpa, "status", "desiredReplicas") == dig(hpa, "status", "currentReplicas") == 4 and await settled(
        w, "deployments", replicas=4, availableReplicas=4)


def busy(w: World) -> Awaitable[object]:
    """Each pod uses twice what it should."""
    async def metrics(selector: str) -> list[Object]:
        pods = (await w.client.list("pods", "default", labelSelector=selector))["items"]
        return [{"metadata": {"name": name(pod)}, "containers": [{"name": "main", "usage": {"cpu": "200m"}}]} for pod in pods]
    w.metrics = metrics
    return asyncio.sleep(0)


AUTOSCALER = {"minReplicas": 1, "maxReplicas": 4, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
              "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue",
                                                                                     "averageValue": "100m"}}}]}


# --- volumes

def volume(called: str, size: str, policy: str = "Retain") -> Act:
    return create("persistentvolumes", called, None, spec={
        "capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": f"/data/{called}"},
        "persistentVolumeReclaimPolicy": policy})


def claim(called: str, size: str) -> Act:
    return create("persistentvolumeclaims", called, spec={
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": ""})


async def bound_one_to_one(w: World) -> bool:
    volumes = {name(each): each for each in (await w.client.list("persistentvolumes"))["items"]}
    claims = {name(each): each for each in await w.list("persistentvolumeclaims")}
    if claims.keys() != {"small", "large"} or volumes.keys() != {"one", "ten", "kept"}:
        return False
    pairs = [(claims["small"], volumes["one"]), (claims["large"], volumes["ten"])]
    return (all(dig(mine, "status", "phase") == dig(its, "status", "phase") == "Bound" and mine["spec"]["volumeName"] == name(its)
                and dig(its, "spec", "claimRef", "uid") == uid(mine) for mine, its in pairs)
            and dig(volumes["kept"], "status", "phase") == "Released")


def uses(called: str, which: str) -> Act:
    return create("pods", called, spec=template()["spec"] | {"nodeName": "ant", "volumes": [
        {"name": "data", "persistentVolumeClaim": {"claimName": which}}]})


# --- certificates

def request(called: str, signer: str, subject: str, *groups: str) -> Act:
    parts = [*((NameOID.ORGANIZATION_NAME, group) for group in groups), (NameOID.COMMON_NAME, subject)]
    built = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(*part) for part in parts]))
    text = built.sign(new_key(), hashes.SHA256()).public_bytes(PEM)
    return create("certificatesigningrequests", called, None, spec={
        "request": base64.b64encode(text).decode(), "signerName": f"kubernetes.io/{signer}",
        "usages": ["digital signature", "client auth"]})


def decide(called: str, verdict: str) -> Act:
    async def act(w: World) -> None:
        found = await w.client.get("certificatesigningrequests", called)
        told = {"type": verdict, "status": "True", "reason": "ByHand", "lastUpdateTime": timestamp(w.clock)}
        await w.client.update("certificatesigningrequests", {**found, "status": {"conditions": [told]}}, subresource="approval")
    return act


async def signed_and_kept(w: World) -> bool:
    listed = (await w.client.list("certificatesigningrequests"))["items"]
    found = {name(each): each["status"] for each in listed if "status" in each}
    kinds = {each: [told["type"] for told in status.get("conditions", [])] for each, status in found.items()}
    return (kinds == {"node": ["Approved"], "jane": ["Approved"], "wrong": ["Approved", "Failed"], "no": ["Denied"],
                      "later": ["Approved"]}
            and [each for each, status in found.items() if status.get("certificate")] == ["jane", "later", "node"])


STORIES: dict[str, Story] = {
    "namespace": Story([NamespaceController], [
        bystander, create("configmaps", "keep"), create("namespaces", "old", None),
        together(*(create("pods", f"p{number}", "old", spec=template()["spec"]) for number in range(2)),
                 create("configmaps", "c", "old"), create("secrets", "s", "old")),
        remove("namespaces", "old", None)], gone_with_all),
    "garbage": Story([GarbageCollector], [
        bystander, together(*(create("configmaps", each) for each in ("keep", "back", "fore", "leave"))),
        together(owned("child", "back"), owned("shared", "back", "keep"), owned("front", "fore"), owned("orphan", "leave")),
        owned("grandchild", "child"), owned("behind", "front"),
        together(remove("configmaps", "back"), remove("configmaps", "fore", policy="Foreground"),
                 remove("configmaps", "leave", policy="Orphan"))], only_whose_owner_lives),
    "accounts": Story([ServiceAccountController, RootCaPublisher, TokenController], [
        bystander, create("namespaces", "one", None), create("namespaces", "two", None),
        together(create("serviceaccounts", "robot", "one"), create("secrets", "token", "one", **TOKEN),
                 create("secrets", "other", "one")),
        remove("serviceaccounts", "robot", "one"), remove("serviceaccounts", "default", "one"),
        lambda w: w.client.patch("configmaps", "kube-root-ca.crt", {"data": {"ca.crt": "another"}}, "two", type="merge")],
        every_namespace_has_both),
    "services": Story([EndpointsController, EndpointSliceController, GarbageCollector], [
        bystander, together(service("web"), service("old")), together(*(server(number) for number in (1, 2))), server(3),
        remove("pods", "web-1"), remove("services", "old"),
        lambda w: w.change("services", "web", {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}})], two_behind_it),
    "nodes": Story([NodeLifecycleController, TaintEvictionController], [
        bystander, together(node("ant"), beats("ant"), node("bee"), node("cat", spec=TAINTS), beats("cat")),
        together(on("ant", "well"), on("bee", "goes", QUICK), on("bee", "stays", {"operator": "Exists"})), passes(70)],
        the_silent_one_is_left, patience=150),
    "addresses": Story([NodeIpamController], [
        bystander, together(*(node(f"n{number}") for number in range(4))), remove("nodes", "n1", None), node("n5"), node("n6")],
        each_its_own_range),
    "ended": Story([SmallHeap], [
        bystander, together(node("ant"), node("bee"), on("ant", "well"), on("bee", "lost"), on("nowhere", "stray")),
        remove("nodes", "bee", None), ended("done-1"), passes(1), ended("done-2"), passes(1), ended("done-3"), passes(1),
        ended("done-4"), passes(45)], nobody_is_orphaned, patience=120),
    "budgets": Story([DisruptionController, ReplicaSetController], [
        bystander, make("ReplicaSet", replicas=2),
        create("poddisruptionbudgets", "fixed", spec={"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}),
        create("poddisruptionbudgets", "share", spec={"maxUnavailable": "50%", "selector": {"matchLabels": {"app": "web"}}}),
        edit("replicasets", replicas=3)], one_may_go),
    "quotas": Story([ResourceQuotaController], [
        bystander, create("resourcequotas", "few", spec={"hard": {"count/configmaps": "9", "pods": "9", "services": "9"}}),
        together(*(create("configmaps", f"c{number}") for number in range(3)), service("web")),
        remove("services", "web"), remove("configmaps", "c0"), ended("done"), on("ant", "well")], charged_for_what_is_there),
    "jobs": Story([JobController], [
        bystander, jobs_end("1"), job("plain", completions=3, parallelism=2),
        job("numbered", completions=3, parallelism=2, completionMode="Indexed")], all_counted, exactly=no_pod_too_many),
    "leftovers": Story([TtlAfterFinishedController, GarbageCollector], [
        bystander, together(*(job(each, ttlSecondsAfterFinished=5) for each in ("a", "b", "runs")), job("for-ever")),
        together(its_pod("a"), its_pod("b")), finish("a"), finish("b"), finish("for-ever"), passes(5)], all_ended_are_gone),
    "schedule": Story([CronJobController, JobController, GarbageCollector], [
        bystander, jobs_end(), create("cronjobs", "tick", spec={
            "schedule": "* * * * *", "successfulJobsHistoryLimit": 1, "jobTemplate": {"spec": {
                "template": {"spec": template()["spec"] | {"restartPolicy": "Never"}}}}}),
        passes(60), passes(60), lambda w: w.change("cronjobs", "tick", {"spec": {"suspend": True}})], one_job_kept),
    "autoscaler": Story([HorizontalController, DeploymentController, ReplicaSetController], [
        bystander, busy, make("Deployment", replicas=1), create("horizontalpodautoscalers", "web", spec=AUTOSCALER), passes(30)],
        four_that_work),
    "volumes": Story([VolumeBinder, ClaimProtection, VolumeProtection], [
        bystander, together(volume("one", "1Gi"), volume("ten", "10Gi"), volume("kept", "5Gi"), volume("spent", "3Gi", "Delete")),
        together(claim("small", "1Gi"), claim("large", "7Gi")), together(claim("brief", "3Gi"), claim("used", "4Gi")),
        uses("reader", "used"), remove("persistentvolumeclaims", "used"), remove("persistentvolumeclaims", "brief"),
        remove("pods", "reader")], bound_one_to_one),
    "certificates": Story([Approver, Signer, Cleaner], [
        bystander, together(*(request(each, "kube-apiserver-client", each) for each in ("jane", "no", "old"))),
        decide("old", "Approved"), passes(3600),
        request("node", "kube-apiserver-client-kubelet", "system:node:ant", "system:nodes"),
        request("later", "kube-apiserver-client-kubelet", "system:node:bee", "system:nodes"),
        request("wrong", "kubelet-serving", "system:node:ant", "system:nodes"),
        together(decide("jane", "Approved"), decide("no", "Denied"), decide("wrong", "Approved"))], signed_and_kept),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", STORIES)
async def test_killed_between_any_two_requests(which: str) -> None:
    writes = await tell(STORIES[which], None)
    assert len(writes) > 3
    for at in range(len(writes)):
        await tell(STORIES[which], at)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("which", STORIES)
async def test_run_twice_at_once(which: str, seed: int) -> None:
    await twice(STORIES[which], seed)
