"""Whether a cluster is as it should be, asked of the store and of the machines themselves: a list of what is not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from tinykube.controllers.owners import controller_of, deleting
from tinykube.controllers.pods import is_ready
from tinykube.machinery.objects import Object, dig, key_of, labels, name, parse_time, uid
from tinykube.machinery.quantity import milli, whole
from tinykube.runtime.interface import READY

from bookkit.simulation.world import World

SETTLE = 60.0               # seconds that a machine has to be well before it is asked for
JOB_TIME = 900.0            # seconds after which a Job should be done


def ended(pod: Object) -> bool:
    """Whether a pod has run to its end."""
    return dig(pod, "status", "phase") in ("Succeeded", "Failed")


class Look:
    """One look at everything."""

    def __init__(self, world: World) -> None:
        self.world, self.now = world, world.clock.now()
        self.pods = list(world.objects("pods"))
        self.nodes = {name(each): each for each in world.objects("nodes")}
        self.up = {each for each in world.machines if world.up(each)}
        self.by_owner: dict[str, list[Object]] = defaultdict(list)
        for pod in self.pods:
            self.by_owner[dig(controller_of(pod), "uid", default="")].append(pod)
        self.down = {node for node in self.nodes if node not in self.up}

    def problems(self) -> list[str]:
        """All that is not as it should be."""
        return [text for part in (self.about_nodes, self.about_pods, self.about_machines, self.about_deployments,
                                  self.about_statefulsets, self.about_daemonsets, self.about_jobs, self.about_endpoints,
                                  self.about_budgets, self.about_orphans) for text in part()]

    def about_nodes(self) -> Iterator[str]:
        """The Nodes tell the truth about the machines, and none is promised more than it has."""
        for machine in sorted(self.up - self.nodes.keys()):
            yield f"{machine} is up and has no Node"
        for node, obj in self.nodes.items():
            conditions = {each["type"]: each["status"] for each in dig(obj, "status", "conditions", default=[])}
            if node not in self.world.machines:
                yield f"Node {node} has no machine any more"
            elif node in self.up and conditions.get("Ready") != "True":
                yield f"Node {node} is up and not Ready"
            elif node not in self.up and conditions.get("Ready") == "True":
                yield f"Node {node} is down and Ready"
            taints = [each["key"] for each in dig(obj, "spec", "taints", default=[])]
            if node in self.up and taints and not dig(obj, "spec", "unschedulable"):
                yield f"Node {node} is up and has taints {taints}"
        asked: dict[str, Counter[str]] = defaultdict(Counter)
        for pod in self.pods:
            if node := dig(pod, "spec", "nodeName"):
                if ended(pod):
                    continue
                asked[node]["pods"] += 1
                for container in pod["spec"]["containers"]:
                    wants = dig(container, "resources", "requests", default={})
                    asked[node]["cpu"] += milli(wants.get("cpu", 0))
                    asked[node]["memory"] += whole(wants.get("memory", 0))
        for node, used in asked.items():
            offers = dig(self.nodes.get(node), "status", "allocatable", default={})
            for what, count in used.items():
                if offers and count > (milli(offers[what]) if what == "cpu" else whole(offers[what])):
                    yield f"Node {node} is promised {count} {what}, and has {offers[what]}"

    def about_pods(self) -> Iterator[str]:
        """Each pod that stays runs, where the store says it runs, and its status tells the truth."""
        for pod in self.pods:
            node, key = dig(pod, "spec", "nodeName", default=""), key_of(pod)
            if deleting(pod):
                if node not in self.down:
                    yield f"pod {key} is being deleted, and {node or 'no node'} is not down"
                continue
            if ended(pod) or self.is_of_job(pod):
                continue
            if not node:
                yield f"pod {key} waits for a node"
            elif node in self.down:
                if not self.is_daemon(pod):
                    yield f"pod {key} is on {node}, which is down"
            else:
                yield from self.about_pod(pod, node, key)

    def about_pod(self, pod: Object, node: str, key: str) -> Iterator[str]:
        """A pod on a machine that is up."""
        if node not in self.world.machines:
            yield f"pod {key} is on {node}, which is gone"
            return
        runtime = self.world.machines[node].runtime
        boxes = [box for box in runtime.boxes.values() if box.config.uid == uid(pod) and box.state == READY]
        running = {one.config.name for one in runtime.running() if boxes and one.sandbox_id == boxes[0].id}
        if len(boxes) != 1 or running != {each["name"] for each in pod["spec"]["containers"]}:
            yield f"pod {key} has {len(boxes)} sandboxes on {node}, and of its containers run {sorted(running)}"
        elif dig(pod, "status", "podIP") != boxes[0].ip:
            yield f"pod {key} says that it has {dig(pod, 'status', 'podIP')}, and has {boxes[0].ip}"
        if dig(pod, "status", "phase") != "Running" or not is_ready(pod):
            yield f"pod {key} on {node} is {dig(pod, 'status', 'phase')} and {'' if is_ready(pod) else 'not '}ready"

    def is_of_job(self, pod: Object) -> bool:
        return bool(dig(controller_of(pod), "kind") == "Job")

    def is_daemon(self, pod: Object) -> bool:
        return bool(dig(controller_of(pod), "kind") == "DaemonSet")

    def about_machines(self) -> Iterator[str]:
        """Nothing runs on a machine in reach that the store does not know."""
        known = {uid(pod): pod for pod in self.pods}
        for machine in sorted(self.up):
            runtime, count = self.world.machines[machine].runtime, Counter[str]()
            for box in runtime.boxes.values():
                pod = known.get(box.config.uid)
                if pod is None or dig(pod, "spec", "nodeName") != machine:
                    yield f"{machine} has a sandbox of {box.config.namespace}/{box.config.name}, which is not its pod"
                count[box.config.uid] += box.state == READY
            for key, number in count.items():
                if number > 1:
                    yield f"{machine} has {number} sandboxes of {key_of(known.get(key, {}))} at once"
            for one in runtime.running():
                if one.sandbox_id not in runtime.boxes or runtime.boxes[one.sandbox_id].state != READY:
                    yield f"{machine} runs container {one.config.name} outside of any sandbox"

    def about_deployments(self) -> Iterator[str]:
        """As many pods as are wanted, all of the newest template, under one ReplicaSet."""
        sets = list(self.world.objects("replicasets"))
        for each in self.world.objects("deployments"):
            status, wanted = each.get("status") or {}, each["spec"]["replicas"]
            numbers = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")]
            if status.get("observedGeneration") != each["metadata"]["generation"] or numbers != [wanted] * 4:
                yield (f"Deployment {name(each)} wants {wanted} and has {numbers}, "
                       f"generation {status.get('observedGeneration')} of {each['metadata']['generation']}")
            mine = [one for one in sets if dig(controller_of(one), "uid") == uid(each)]
            sizes = sorted(one["spec"]["replicas"] for one in mine)
            if not sizes or sizes[-1] != wanted or any(sizes[:-1]):
                yield f"Deployment {name(each)} wants {wanted} and has ReplicaSets of {sizes}"
            images = {dig(pod, "spec", "containers", 0, "image") for one in mine for pod in self.by_owner[uid(one)]
                      if not deleting(pod)}
            if images - {dig(each, "spec", "template", "spec", "containers", 0, "image")}:
                yield f"Deployment {name(each)} runs {sorted(images)}"
        for one in sets:
            count = sum(not deleting(pod) and not ended(pod) for pod in self.by_owner[uid(one)])
            if count != one["spec"]["replicas"] or dig(one, "status", "replicas") != count:
                yield f"ReplicaSet {name(one)} wants {one['spec']['replicas']}, has {count}, says {dig(one, 'status', 'replicas')}"

    def about_statefulsets(self) -> Iterator[str]:
        """Every number has its pod, but for those whose pod nobody can end."""
        for each in self.world.objects("statefulsets"):
            pods = {name(pod): pod for pod in self.by_owner[uid(each)]}
            stuck = [pod for pod in pods.values() if deleting(pod) and dig(pod, "spec", "nodeName") in self.down]
            wanted, status = each["spec"]["replicas"], each.get("status") or {}
            if stuck:
                continue
            if sorted(pods) != sorted(f"{name(each)}-{number}" for number in range(wanted)):
                yield f"StatefulSet {name(each)} wants {wanted} and has {sorted(pods)}"
            numbers = [status.get(field, 0) for field in ("replicas", "readyReplicas", "updatedReplicas")]
            if numbers != [wanted] * 3 or status.get("observedGeneration") != each["metadata"]["generation"]:
                yield f"StatefulSet {name(each)} wants {wanted} and says {numbers}"

    def about_daemonsets(self) -> Iterator[str]:
        """One pod on each machine that is up."""
        for each in self.world.objects("daemonsets"):
            there = Counter(dig(pod, "spec", "nodeName", default="") for pod in self.by_owner[uid(each)] if not deleting(pod))
            expected = {node for node in self.up if node in self.nodes}
            if any(there[node] != 1 for node in expected) or there.keys() - self.nodes.keys():
                yield f"DaemonSet {name(each)} has {sorted(there.items())}"
            status = each.get("status") or {}
            if status.get("observedGeneration") != each["metadata"]["generation"]:
                yield f"DaemonSet {name(each)} has not been looked at since it was changed"
            if not self.down and status.get("updatedNumberScheduled", 0) != len(expected):
                yield f"DaemonSet {name(each)} runs {status.get('updatedNumberScheduled', 0)} of its newest template"
            if any(dig(each, "status", field, default=0) != len(expected) for field in ("desiredNumberScheduled", "numberReady")):
                yield f"DaemonSet {name(each)} says {each.get('status')} on {len(self.nodes)} nodes, {len(expected)} up"

    def about_jobs(self) -> Iterator[str]:
        """Jobs come to their end, and there are not too many of them."""
        for each in self.world.objects("jobs"):
            age = (self.now - parse_time(each["metadata"]["creationTimestamp"])).total_seconds()
            done = [one["type"] for one in dig(each, "status", "conditions", default=[]) if one["status"] == "True"]
            if age > JOB_TIME and not {"Complete", "Failed"} & set(done):
                yield f"Job {name(each)} is not done after {age:.0f} s"
        for each in self.world.objects("cronjobs"):
            mine = [job for job in self.world.objects("jobs") if dig(controller_of(job), "uid") == uid(each)]
            if len(mine) > 5:
                yield f"CronJob {name(each)} has {len(mine)} Jobs"

    def about_endpoints(self) -> Iterator[str]:
        """The endpoints of a Service are its pods that are ready, in both forms."""
        slices: dict[str, list[Object]] = defaultdict(list)
        for each in self.world.objects("endpointslices"):
            slices[labels(each).get("kubernetes.io/service-name", "")].append(each)
        endpoints = {name(each): each for each in self.world.objects("endpoints")}
        for each in self.world.objects("services"):
            if not (selector := each["spec"].get("selector")):
                continue
            ready = sorted(pod["status"]["podIP"] for pod in self.pods if selector.items() <= labels(pod).items()
                           and is_ready(pod) and not deleting(pod) and not ended(pod))
            told = sorted(address["ip"] for subset in dig(endpoints.get(name(each)), "subsets", default=[])
                          for address in subset.get("addresses", []))
            if told != ready:
                yield f"Endpoints {name(each)} are {told}, and ready are {ready}"
            told = sorted(address for one in slices[name(each)] for point in one.get("endpoints") or []
                          if point["conditions"]["ready"] for address in point["addresses"])
            if told != ready:
                yield f"EndpointSlices of {name(each)} are {told}, and ready are {ready}"

    def about_budgets(self) -> Iterator[str]:
        """Budgets count what is there."""
        for each in self.world.objects("poddisruptionbudgets"):
            selector = dig(each, "spec", "selector", "matchLabels", default={})
            ready = sum(selector.items() <= labels(pod).items() and is_ready(pod) and not deleting(pod) for pod in self.pods)
            if dig(each, "status", "currentHealthy") != ready:
                yield f"budget {name(each)} counts {dig(each, 'status', 'currentHealthy')}, and ready are {ready}"

    def about_orphans(self) -> Iterator[str]:
        """Whatever has an owner has one that is there."""
        kinds = ("deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "services", "nodes", "endpoints")
        there = {uid(each) for kind in kinds for each in self.world.objects(kind)}
        for kind in ("pods", "replicasets", "controllerrevisions", "jobs", "endpointslices", "leases"):
            for each in self.world.objects(kind):
                if deleting(each) and dig(each, "spec", "nodeName", default="") in self.down:
                    continue                         # nobody there can end it
                for owner in dig(each, "metadata", "ownerReferences", default=[]):
                    if owner["uid"] not in there:
                        yield f"{kind} {key_of(each)} has an owner that is gone: {owner['kind']} {owner['name']}"


def problems(world: World) -> list[str]:
    """What is not as it should be now."""
    return Look(world).problems()
