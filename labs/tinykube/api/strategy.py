"""What is special about each kind when it is created, changed and deleted.

Genuine counterpart: the strategies in k8s.io/kubernetes/pkg/registry/core/*/strategy.go.
"""
from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar

from tinykube.api import validation
from tinykube.api.defaults import default_node, default_pod, fill_in
from tinykube.api.relations import related
from tinykube.api.rules import crowded, faults
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, copy, dig
from tinykube.machinery.quota import quality_of_service
from tinykube.machinery.wire import User

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

Causes = list[Object]
Fields = dict[str, tuple[str, ...]]


class Strategy:
    """The rules of a kind that has no status and nothing special. The other kinds start from here."""

    fields: ClassVar[Fields] = {}        # field selectors, beside metadata.name and metadata.namespace
    kept_by_main: ClassVar[tuple[tuple[str, ...], ...]] = ()        # paths beside the status that the main path may not write
    kept_by_status: ClassVar[tuple[tuple[str, ...], ...]] = ()      # paths beside the spec that /status may not write

    def __init__(self, facts: Collection[str] = ("unconditional_update",), status: Object | None = None) -> None:
        self.create_on_update = "create_on_update" in facts          # may a PUT create what is not there?
        self.unconditional_update = "unconditional_update" in facts  # may a PUT leave out what it was made from?
        self.returns_deleted = "returns_deleted" in facts            # a DELETE answers with the object, not a Status
        self.counts_generations = "counts_generations" in facts      # metadata.generation counts changes of the spec
        self.status = status                                         # what a new object's status is, if it has one

    def default(self, obj: Object) -> None:
        """Fill in, in place, what the client left out."""
        fill_in(obj)
        default_pod(obj)

    def prepare_for_create(self, obj: Object) -> None:
        """Drop what a client may not say about a new object."""

    def ascribe(self, obj: Object, user: User) -> None:
        """Write into a new object who made it, in the kinds that keep that."""

    def prepare_for_update(self, obj: Object, old: Object, subresource: str) -> None:
        """Take back what this path may not change: the status by the main path, all else by /status."""

    def validate(self, obj: Object) -> Causes:
        """What is wrong with an object."""
        return related(obj, [*faults(obj), *crowded(obj), *validation.validate_pod(obj)])

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        """What is wrong with a change, beside what is wrong with its outcome."""
        return []

    def going(self, obj: Object) -> Object:
        """An object that is to go, when it is told so: with what has to be done before."""
        return obj

    async def begin(self, server: ApiServer, obj: Object, old: Object | None, dry_run: bool) -> None:
        """Take what an object needs beyond itself, such as an address, before it is written."""

    async def end(self, server: ApiServer, obj: Object, kept: Object | None) -> None:
        """Give back what an object had and `kept`, which stands in its place (if anything does), does not have."""

    def grace(self, obj: Object, wanted: int | None) -> int:
        """How many seconds an object may take to go: for most, none."""
        return 0

    def field(self, obj: Object, name: str) -> str | None:
        """The value that a field selector compares, or None if it may not be used with this kind."""
        if name in ("metadata.name", "metadata.namespace"):
            return str(dig(obj, *name.split("."), default=""))
        if name not in self.fields:
            return None
        value = dig(obj, *self.fields[name], default="")
        return str(value).lower() if isinstance(value, bool) else str(value)


def paths(*names: str) -> Fields:
    """Field selectors that are called as the fields are."""
    return {name: tuple(name.split(".")) for name in names}


class StatusStrategy(Strategy):
    """The rules of a kind with a spec that users write and a status that the cluster writes."""

    def prepare_for_create(self, obj: Object) -> None:
        obj.pop("status", None)
        if self.status is not None:
            obj["status"] = copy(self.status)

    def prepare_for_update(self, obj: Object, old: Object, subresource: str) -> None:
        kept = "status" if subresource != "status" else "spec"
        if kept in old:
            obj[kept] = old[kept]
        else:
            obj.pop(kept, None)
        if subresource == "status":
            for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
                if field in old["metadata"]:
                    obj["metadata"][field] = old["metadata"][field]


class PodStrategy(StatusStrategy):
    """Pods: many defaults, nearly nothing that may change, and time to say goodbye."""

    fields: ClassVar[Fields] = paths(
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName")

    def prepare_for_create(self, obj: Object) -> None:
        if obj["spec"]["terminationGracePeriodSeconds"] < 0:
            obj["spec"]["terminationGracePeriodSeconds"] = 1
        obj["status"] = {"phase": "Pending", "qosClass": quality_of_service(obj)}
        if obj["spec"].get("schedulingGates"):
            obj["status"]["conditions"] = [{
                "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "lastProbeTime": None,
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastTransitionTime": obj["metadata"]["creationTimestamp"]}]

    def prepare_for_update(self, obj: Object, old: Object, subresource: str) -> None:
        wanted = obj.get("spec") or {}
        super().prepare_for_update(obj, old, subresource)
        if subresource == "ephemeralcontainers":
            obj["spec"] = {**old["spec"], "ephemeralContainers": wanted.get("ephemeralContainers") or []}
        elif subresource == "resize":
            asked = {each.get("name"): each.get("resources") or {} for each in wanted.get("containers") or []}
            obj["spec"] = {**old["spec"], "containers": [
                {**each, "resources": asked.get(each["name"], {})} for each in old["spec"]["containers"]]}
        elif subresource == "status":
            obj.setdefault("status", {}).setdefault("qosClass", dig(old, "status", "qosClass", default="BestEffort"))

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        if subresource == "ephemeralcontainers":
            return validation.validate_ephemeral(obj, old)
        if subresource == "resize" and quality_of_service(obj) != dig(old, "status", "qosClass"):
            return [errors.invalid_value("spec", old["status"]["qosClass"],
                                         "Pod QOS Class may not change as a result of resizing")]
        return [] if subresource else validation.validate_pod_update(obj, old)

    def grace(self, obj: Object, wanted: int | None) -> int:
        if not dig(obj, "spec", "nodeName") or dig(obj, "status", "phase") in ("Succeeded", "Failed"):
            return 0                     # nobody runs it: there is nothing to wait for
        period = dig(obj, "spec", "terminationGracePeriodSeconds", default=30) if wanted is None else wanted
        return int(period) if period >= 0 else 1

    def field(self, obj: Object, name: str) -> str | None:
        found = super().field(obj, name)
        return found or "false" if name == "spec.hostNetwork" else found


class NodeStrategy(StatusStrategy):
    """Nodes: their status may come along when a kubelet registers."""

    fields: ClassVar[Fields] = paths("spec.unschedulable")

    def default(self, obj: Object) -> None:
        super().default(obj)
        default_node(obj)

    def prepare_for_create(self, obj: Object) -> None:
        """Keep the status: a kubelet describes its machine when it registers."""

    def validate(self, obj: Object) -> Causes:
        return [*super().validate(obj), *validation.validate_node(obj)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        return validation.validate_node_update(obj, old)

    def field(self, obj: Object, name: str) -> str | None:
        found = super().field(obj, name)
        return found or "false" if name == "spec.unschedulable" else found


class NamespaceStrategy(StatusStrategy):
    """Namespaces: they end when the last finalizer in their spec is gone."""

    fields: ClassVar[Fields] = {**paths("status.phase"), "name": ("metadata", "name")}

    def default(self, obj: Object) -> None:
        super().default(obj)
        name = dig(obj, "metadata", "name")
        if name:
            labels = obj["metadata"].get("labels") or {}
            obj["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": name}

    def prepare_for_create(self, obj: Object) -> None:
        finalizers = dig(obj, "spec", "finalizers", default=[])
        obj["spec"] = {"finalizers": finalizers if "kubernetes" in finalizers else [*finalizers, "kubernetes"]}
        obj["status"] = {"phase": "Active"}

    def prepare_for_update(self, obj: Object, old: Object, subresource: str) -> None:
        wanted = obj.get("spec") or {}
        super().prepare_for_update(obj, old, subresource)
        if subresource == "finalize":
            obj["spec"] = {"finalizers": wanted["finalizers"]} if wanted.get("finalizers") else {}

    def validate(self, obj: Object) -> Causes:
        return [*super().validate(obj), *validation.validate_namespace(obj)]


class EventStrategy(Strategy):
    """Events: what happened, and to whom; the genuine field selectors."""

    fields: ClassVar[Fields] = {**paths(
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
        "reason", "reportingComponent", "type"), "source": ("source", "component")}

    def validate(self, obj: Object) -> Causes:
        return [*super().validate(obj), *validation.validate_event(obj)]


class NewEventStrategy(EventStrategy):
    """Events, asked for in their newer version, which checks more when they are made."""

    def validate(self, obj: Object) -> Causes:
        strict = validation.validate_new_event(obj) if "resourceVersion" not in obj["metadata"] else []
        return [*Strategy.validate(self, obj), *validation.validate_event(obj, "reportingController"), *strict]


STRATEGIES: dict[tuple[str, str], type[Strategy]] = {
    ("", "pods"): PodStrategy, ("", "nodes"): NodeStrategy, ("", "namespaces"): NamespaceStrategy,
    ("", "events"): EventStrategy, ("events.k8s.io", "events"): NewEventStrategy,
}
