"""What the kinds of the workload, of storage, of access and of policy do beyond the tables of defaults and rules.

Genuine counterpart: the strategies in k8s.io/kubernetes/pkg/registry, and the second halves of pkg/apis/*/validation.
"""
from __future__ import annotations

import base64
import json
import re
from ipaddress import ip_address
from typing import Any, ClassVar

from tinykube.api.admission import SYSTEM_PRIORITIES
from tinykube.api.certificates import RequestStrategy
from tinykube.api.codec import json_error
from tinykube.api.defaults import fill, items
from tinykube.api.relations import template_causes
from tinykube.api.services import ServiceStrategy
from tinykube.api.strategy import Causes, Fields, StatusStrategy, Strategy, paths
from tinykube.api.validation import validate_configmap
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, dig
from tinykube.machinery.quantity import format_quantity, parse_quantity
from tinykube.machinery.selectors import selector_of, subdomain_errors

MISMATCH = "`selector` does not match template `labels`"
ORDERLY = ("updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
           "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden")
WAYS = {"Deployment": ("strategy", ("Recreate", "RollingUpdate")),
        "DaemonSet": ("updateStrategy", ("RollingUpdate", "OnDelete"))}
UNREADABLE = {"Deployment": "invalid label selector", "ReplicaSet": "invalid label selector", "StatefulSet": ""}
COUNT = "deprecated.daemonset.template.generation"
HIGHEST = 1000000000                     # what users may give to a PriorityClass
SEALED = "field is immutable when `immutable` is set"


class Fixed(StatusStrategy):
    """A kind with fields that never change once they are set. Some of them are not repeated in the refusal."""

    fixed: ClassVar[tuple[str, ...]] = ()
    tells_value: ClassVar[bool] = True
    says: ClassVar[str] = "field is immutable"

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        found: Causes = []
        for field in self.fixed:
            value, before = (dig(each, *field.split(".")) for each in (obj, old))
            if value != before:
                found.append(errors.invalid_value(field, value if self.tells_value else None, self.says))
        return found


class TemplateStrategy(Fixed):
    """A kind that makes pods from a template: its selector has to select what it makes."""

    fixed: ClassVar[tuple[str, ...]] = ("spec.selector",)

    def validate(self, obj: Object) -> Causes:
        labels, found = dig(obj, "spec", "template", "metadata", "labels", default={}), super().validate(obj)
        selector = dig(obj, "spec", "selector")
        wanted = selector_of({"matchLabels": selector} if obj["kind"] == "ReplicationController" else selector)
        if any(each["field"].startswith("spec.selector.match") for each in found):
            found += [errors.invalid_value("spec.selector", selector, UNREADABLE[obj["kind"]])] if obj["kind"] in UNREADABLE else []
        elif wanted and not wanted.matches(labels):
            at = next((at for at, each in enumerate(found) if each["field"].startswith("spec.template.")), len(found))
            found.insert(at, errors.invalid_value("spec.template.metadata.labels", labels or None, MISMATCH))
        field, kinds = WAYS.get(obj["kind"], ("", ()))
        if field and (way := dig(obj, "spec", field, default={})).get("type") not in kinds:
            found.append(errors.unsupported_value(f"spec.{field}", {"Type": way.get("type", ""), "RollingUpdate": None}, kinds))
        forbidden = tuple(f"{each['field']}." for each in found if each["reason"] == "FieldValueForbidden")
        return [*(each for each in found if not each["field"].startswith(forbidden)), *template_causes(obj)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        status = obj.get("status") or {} if subresource == "status" else {}
        limits = [*((field, "replicas", "status.replicas") for field in COUNTS),
                  ("availableReplicas", "readyReplicas", "readyReplicas")]
        more = [errors.invalid_value(f"status.{field}", status[field], f"cannot be greater than {name}")
                for field, limit, name in limits if status.get(field, 0) > status.get(limit, 0)]
        return [*super().validate_update(obj, old, subresource), *more]


COUNTS = ("fullyLabeledReplicas", "updatedReplicas", "readyReplicas", "availableReplicas")


class DeploymentStrategy(TemplateStrategy):
    """Deployments: whoever writes their status leaves their labels alone."""

    kept_by_status: ClassVar[tuple[tuple[str, ...], ...]] = (("f:metadata", "f:labels"),)

    def prepare_for_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_for_update(obj, old, subresource)
        if subresource == "status":
            obj["metadata"].pop("labels", None)
            obj["metadata"] |= {"labels": old["metadata"]["labels"]} if old["metadata"].get("labels") else {}


class ReplicationControllerStrategy(TemplateStrategy):
    """ReplicationControllers take their selector and labels from the template."""

    fields: ClassVar[Fields] = paths("status.replicas")
    fixed: ClassVar[tuple[str, ...]] = ()

    def default(self, obj: Object) -> None:
        super().default(obj)
        labels = dig(obj, "spec", "template", "metadata", "labels")
        if labels:
            fill(obj["spec"], selector=dict(labels))
            fill(obj["metadata"], labels=dict(labels))

    def validate(self, obj: Object) -> Causes:
        if obj["spec"].get("template"):
            return super().validate(obj)
        return [*([] if obj["spec"].get("selector") else [errors.required("spec.selector")]), *Fixed.validate(self, obj)]


class StatefulSetStrategy(TemplateStrategy):
    """StatefulSets: most of the spec is fixed."""

    fixed: ClassVar[tuple[str, ...]] = ("spec.serviceName", "spec.selector", "spec.podManagementPolicy")

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        found = super().validate_update(obj, old, subresource)
        if not found and dig(obj, "spec", "volumeClaimTemplates") != dig(old, "spec", "volumeClaimTemplates"):
            found.append(errors.forbidden_value("spec", ORDERLY))
        return found


class DaemonSetStrategy(TemplateStrategy):
    """DaemonSets count the changes of their template in an annotation, as they did before there were generations."""

    def default(self, obj: Object) -> None:
        super().default(obj)
        obj["metadata"]["annotations"] = {COUNT: "0", **(obj["metadata"].get("annotations") or {})}

    def prepare_for_create(self, obj: Object) -> None:
        super().prepare_for_create(obj)
        obj["metadata"]["annotations"][COUNT] = "1"

    def prepare_for_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_for_update(obj, old, subresource)
        count = int(dig(old, "metadata", "annotations", COUNT, default="0"))
        changed = dig(obj, "spec", "template") != dig(old, "spec", "template")
        obj["metadata"]["annotations"][COUNT] = str(count + changed)


def restarting(found: Causes, pod: Any, at: str) -> Causes:
    """Causes, with that of a Job whose pods would be started again and again: so it would never be done."""
    if dig(pod, "spec", "restartPolicy") != "Always":
        return found
    others = [each for each in found if each["field"] != f"{at}.spec.restartPolicy"]
    return [*others, errors.required(f"{at}.spec.restartPolicy", 'valid values: "OnFailure", "Never"')]


class CronJobStrategy(StatusStrategy):
    """CronJobs: what is said of Jobs holds for what they make."""

    def validate(self, obj: Object) -> Causes:
        template = dig(obj, "spec", "jobTemplate", "spec", "template")
        return restarting(super().validate(obj), template, "spec.jobTemplate.spec.template")


class JobStrategy(TemplateStrategy):
    """Jobs select their pods by their own uid, so that no two Jobs can quarrel about a pod."""

    fields: ClassVar[Fields] = paths("status.successful")
    fixed: ClassVar[tuple[str, ...]] = (
        "spec.completions", "spec.selector", "spec.completionMode", "spec.backoffLimitPerIndex", "spec.managedBy",
        "spec.podFailurePolicy", "spec.template")

    def default(self, obj: Object) -> None:
        super().default(obj)
        if labels := dig(obj, "spec", "template", "metadata", "labels"):
            fill(obj["metadata"], labels=dict(labels))

    def prepare_for_create(self, obj: Object) -> None:
        super().prepare_for_create(obj)
        meta, spec = obj["metadata"], obj.get("spec") or {}
        if spec.get("manualSelector") or not isinstance(spec.get("template"), dict):
            return
        labels = {"controller-uid": meta["uid"], "job-name": meta.get("name", ""),
                  "batch.kubernetes.io/controller-uid": meta["uid"], "batch.kubernetes.io/job-name": meta.get("name", "")}
        for where in (meta, spec["template"].setdefault("metadata", {})):
            where["labels"] = {**(where.get("labels") or {}), **labels}
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": meta["uid"]}}

    def validate(self, obj: Object) -> Causes:
        return restarting(super().validate(obj), dig(obj, "spec", "template"), "spec.template")

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        if dig(old, "spec", "suspend") and not dig(old, "status", "startTime"):
            return [each for each in super().validate_update(obj, old, subresource) if each["field"] != "spec.template"]
        return super().validate_update(obj, old, subresource)

    def field(self, obj: Object, name: str) -> str | None:
        return str(dig(obj, "status", "succeeded", default=0)) if name == "status.successful" else super().field(obj, name)


class SealedStrategy(Strategy):
    """ConfigMaps and Secrets that say so change no more: who mounted one need not look again."""

    def validate(self, obj: Object) -> Causes:
        return [*super().validate(obj), *(validate_configmap(obj) if obj["kind"] == "ConfigMap" else [])]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        if not old.get("immutable"):
            return []
        return [errors.forbidden_value(field, SEALED) for field in ("immutable", "data", "binaryData")
                if obj.get(field) != old.get(field)]


NEEDED = {"kubernetes.io/tls": ("tls.crt", "tls.key"), "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
          "kubernetes.io/dockercfg": (".dockercfg",), "kubernetes.io/ssh-auth": ("ssh-privatekey",)}


ACCOUNT = "kubernetes.io/service-account.name"


def json_mistake(text: bytes) -> str:
    """Why a text is no JSON, or ''."""
    try:
        json.loads(text)
        return ""
    except ValueError as error:
        return json_error(error)


class SecretStrategy(SealedStrategy):
    """Secrets: texts become bytes, types demand keys."""

    fields: ClassVar[Fields] = paths("type")

    def default(self, obj: Object) -> None:
        super().default(obj)
        for key, text in (obj.pop("stringData", None) or {}).items():
            obj["data"] = {**(obj.get("data") or {}), key: base64.b64encode(text.encode()).decode()}

    def validate(self, obj: Object) -> Causes:
        data = obj.get("data") or {}
        kind, found = obj.get("type", ""), [*super().validate(obj), *validate_configmap({"data": data})]
        if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
            found += [errors.required(f"data[{key}]") for key in ("username", "password")]
        if kind == "kubernetes.io/service-account-token" and not dig(obj, "metadata", "annotations", ACCOUNT):
            found.append(errors.required(f"metadata.annotations[{ACCOUNT}]"))
        for key in NEEDED.get(kind, ()):
            if key not in data:
                found.append(errors.required(f"data[{key}]"))
            elif "docker" in key and (why := json_mistake(base64.b64decode(data[key]))):
                found.append(errors.invalid_value(f"data[{key}]", "<secret contents redacted>", why))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        changed = [errors.invalid_value("type", obj["type"], "field is immutable")] if obj["type"] != old["type"] else []
        return [*changed, *super().validate_update(obj, old, subresource)]


class BindingStrategy(Strategy):
    """Bindings of roles: to change what somebody may do, make another."""

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        told = {field: obj["roleRef"].get(name, "") for field, name in (
            ("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"))}
        return [] if obj["roleRef"] == old["roleRef"] else [errors.invalid_value("roleRef", told, "field is immutable")]


class LimitRangeStrategy(Strategy):
    """LimitRanges: what may be had at most is the default, and the default is what is asked for."""

    def default(self, obj: Object) -> None:
        super().default(obj)
        for each in items(obj.get("spec"), "limits"):
            if each.get("type") == "Container":
                for target, sources in (("default", ("max",)), ("defaultRequest", ("default", "min"))):
                    for source in sources:
                        for name, amount in (each.get(source) or {}).items():
                            each.setdefault(target, {}).setdefault(name, amount)


class ClaimStrategy(Fixed):
    """PersistentVolumes, their claims and their attributes are kept as long as something uses them."""

    fixed: ClassVar[tuple[str, ...]] = ("volumeMode",)

    def prepare_for_create(self, obj: Object) -> None:
        super().prepare_for_create(obj)
        word = {"PersistentVolume": "pv", "PersistentVolumeClaim": "pvc"}.get(obj["kind"], "vac")
        kept, mine = obj["metadata"].get("finalizers") or [], f"kubernetes.io/{word}-protection"
        obj["metadata"]["finalizers"] = kept if mine in kept else [*kept, mine]
        if word == "pv":
            obj["status"]["lastPhaseTransitionTime"] = obj["metadata"]["creationTimestamp"]


class PriorityClassStrategy(Fixed):
    """PriorityClasses: pods have copied the value."""

    fixed: ClassVar[tuple[str, ...]] = ("preemptionPolicy",)

    def validate(self, obj: Object) -> Causes:
        name, wrong = obj["metadata"].get("name", ""), super().validate(obj)
        if name.startswith("system-"):
            return [*wrong, *([] if name in SYSTEM_PRIORITIES else [errors.forbidden_value(
                "metadata.name", "priority class names with 'system-' prefix are reserved for system use only. error: "
                f"{name} is not a known system priority class")])]
        return [*wrong, *([errors.forbidden_value(
            "value", f"maximum allowed value of a user defined priority is {HIGHEST}")] if obj.get("value", 0) > HIGHEST else [])]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        changed = obj.get("value") != old.get("value")
        return [*([errors.forbidden_value("value", "may not be changed in an update.")] if changed else []),
                *super().validate_update(obj, old, subresource)]


class IngressStrategy(StatusStrategy):
    """Ingresses: a host is a name, of which the first part may be a star."""

    def validate(self, obj: Object) -> Causes:
        found = super().validate(obj)
        for number, rule in enumerate(items(obj["spec"], "rules")):
            at, host = f"spec.rules[{number}].host", rule.get("host") or ""
            if re.fullmatch(r"[\d.]+|.*:.*", host) and is_address(host):
                found.append(errors.invalid_value(at, host, "must be a DNS name, not an IP address"))
            elif "*" in host:
                found = [each for each in found if each["field"] != at]
                if not host.startswith("*.") or subdomain_errors(host[2:]):
                    found.append(errors.invalid_value(at, host, WILDCARD))
        return found


WILDCARD = ("a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower "
            "case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used "
            "for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')")


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


class QuotaStrategy(Fixed):
    """ResourceQuotas: of what there is a count or a sum, at most how much, and of which pods."""

    fixed: ClassVar[tuple[str, ...]] = ("spec.scopes",)

    def validate(self, obj: Object) -> Causes:
        spec, found = obj["spec"], super().validate(obj)
        for name, amount in (spec.get("hard") or {}).items():
            found += hard_causes(name, parse_quantity(amount), f"spec.hard[{name}]")
        scopes = spec.get("scopes") or []
        found += [errors.invalid_value("spec.scopes", scopes, "unsupported scope") for scope in scopes if scope not in SCOPES]
        if not set(scopes) - set(SCOPES):
            found += [errors.invalid_value("spec.scopes", scopes, "unsupported scope applied to resource")
                      for scope in scopes for name in spec.get("hard") or {} if name not in scoped(scope)]
        found += [errors.invalid_value("spec.scopes", scopes, "conflicting scopes")
                  for pair in ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"}) if pair <= set(scopes)]
        return found


SCOPES = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity")
SUMS = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "ephemeral-storage",
        "requests.ephemeral-storage", "limits.ephemeral-storage")
COUNTED = ("pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
           "services.nodeports", "services.loadbalancers")


def scoped(scope: str) -> tuple[str, ...]:
    """What a quota of some pods alone can count."""
    return ("pods",) if scope == "BestEffort" else ("pods", *SUMS)


class AutoscalerStrategy(StatusStrategy):
    """Autoscalers: what they scale has a group, but for the one old kind."""

    def validate(self, obj: Object) -> Causes:
        found, target = super().validate(obj), dig(obj, "spec", "scaleTargetRef", default={})
        version = target.get("apiVersion") or ""
        if version.count("/") > 1:
            why = f"unexpected GroupVersion string: {version}"
            found.append(errors.invalid_value("spec.scaleTargetRef.apiVersion", version, why))
        elif "/" not in version and target.get("kind") != "ReplicationController":
            found.append(errors.invalid_value("spec.scaleTargetRef.apiVersion", version, "apiVersion must specify API group"))
        return found


def hard_causes(name: str, amount: Any, at: str) -> Causes:
    """What is wrong with one line of a quota: its name, or its amount."""
    found: Causes = []
    if "/" not in name and name not in (*SUMS, *COUNTED, "requests.storage"):
        found = [errors.invalid_value(at, name, why) for why in (
            "must be a standard resource type or fully qualified", "must be a standard resource for quota")]
    if name in COUNTED and amount % 1:
        found.append(errors.invalid_value(at, format_quantity(amount), "must be an integer"))
    return found


def fixed(*names: str, tells_value: bool = True) -> type[Fixed]:
    """The strategy of a kind of which nothing else is special."""
    return type("FixedStrategy", (Fixed,), {"fixed": names, "tells_value": tells_value})


STRATEGIES: dict[tuple[str, str], type[Strategy]] = {
    ("", "services"): ServiceStrategy, ("", "secrets"): SecretStrategy, ("", "configmaps"): SealedStrategy,
    ("", "limitranges"): LimitRangeStrategy, ("", "persistentvolumes"): ClaimStrategy,
    ("", "persistentvolumeclaims"): ClaimStrategy, ("storage.k8s.io", "volumeattributesclasses"): ClaimStrategy,
    ("", "replicationcontrollers"): ReplicationControllerStrategy,
    ("", "resourcequotas"): QuotaStrategy, ("networking.k8s.io", "ingresses"): IngressStrategy,
    ("apps", "deployments"): DeploymentStrategy, ("apps", "replicasets"): TemplateStrategy,
    ("apps", "statefulsets"): StatefulSetStrategy, ("apps", "daemonsets"): DaemonSetStrategy,
    ("apps", "controllerrevisions"): fixed("data"), ("batch", "jobs"): JobStrategy,
    ("batch", "cronjobs"): CronJobStrategy, ("autoscaling", "horizontalpodautoscalers"): AutoscalerStrategy,
    ("rbac.authorization.k8s.io", "rolebindings"): BindingStrategy,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): BindingStrategy,
    ("storage.k8s.io", "storageclasses"): fixed("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode",
                                                tells_value=False),
    ("scheduling.k8s.io", "priorityclasses"): PriorityClassStrategy,
    ("discovery.k8s.io", "endpointslices"): fixed("addressType", tells_value=False),
    ("networking.k8s.io", "ingressclasses"): fixed("spec.controller"),
    ("networking.k8s.io", "ipaddresses"): fixed("spec.parentRef", tells_value=False),
    ("resource.k8s.io", "resourceclaims"): fixed("spec", tells_value=False),
    ("resource.k8s.io", "resourceslices"): fixed("spec.driver", "spec.nodeName"),
    ("certificates.k8s.io", "certificatesigningrequests"): RequestStrategy,
}
