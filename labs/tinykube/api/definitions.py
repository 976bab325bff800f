"""The rules of a CustomResourceDefinition, and of the objects of the kind that it defines.

Genuine counterpart: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation and pkg/registry.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tinykube.api.jsonpath import find
from tinykube.api.openapi import SCHEMAS
from tinykube.api.schemarules import schema_faults
from tinykube.api.strategy import Causes, StatusStrategy, Strategy
from tinykube.api.structural import faults, fill_in, prune
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, copy, dig
from tinykube.machinery.selectors import subdomain_errors

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
APPROVED = "api-approved.kubernetes.io"
METADATA = SCHEMAS["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]["properties"]
DNS_1035 = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")
DNS_1035_RULE = ("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
                 "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
                 "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')")
STAYS = ("missing from spec.versions; {0} was previously a storage version, and must remain in spec.versions until a storage "
         "migration ensures no data remains persisted in {0} and removes {0} from status.storedVersions")
UNSAID = {"Deprecated": False, "DeprecationWarning": None, "Schema": None, "Subresources": None,
          "AdditionalPrinterColumns": None, "SelectableFields": None}


def storage_version(crd: Object) -> str:
    """The version in which objects are stored, or ''."""
    return next((each["name"] for each in crd["spec"].get("versions", []) if each.get("storage")), "")


class DefinitionStrategy(StatusStrategy):
    """The rules of a definition: complete names, one version that is stored, schemas that are structural."""

    def default(self, obj: Object) -> None:
        names, spec = obj["spec"].setdefault("names", {}), obj["spec"]
        if names.get("kind"):
            names.setdefault("singular", names["kind"].lower())
            names.setdefault("listKind", f"{names['kind']}List")
        spec.setdefault("conversion", {"strategy": "None"})
        if service := dig(spec, "conversion", "webhook", "clientConfig", "service"):
            service.setdefault("port", 443)

    def prepare_for_create(self, obj: Object) -> None:
        stored = storage_version(obj)
        obj["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""},
                         "storedVersions": [stored] if stored else None}

    def prepare_for_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_for_update(obj, old, subresource)
        stored, known = storage_version(obj), dig(obj, "status", "storedVersions", default=[])
        if not subresource and stored and stored not in known:
            obj["status"] = {**obj["status"], "storedVersions": [*known, stored]}

    def validate(self, obj: Object) -> Causes:
        return list(definition_faults(obj))

    def going(self, obj: Object) -> Object:
        meta = {key: value for key, value in obj["metadata"].items() if key != "deletionGracePeriodSeconds"}
        if "generation" in meta:
            meta["generation"] -= 1              # the finalizer is no change of the spec
        return {**obj, "metadata": {**meta, "finalizers": sorted({*meta.get("finalizers", []), FINALIZER})}}

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Causes:
        frozen = ("scope", "names.kind", "names.plural", "group")
        return [errors.invalid_value(f"spec.{each}", dig(obj, "spec", *each.split(".")), "field is immutable")
                for each in frozen if dig(obj, "spec", *each.split(".")) != dig(old, "spec", *each.split("."))]


def definition_faults(crd: Object) -> Iterator[Object]:
    """What is wrong with a definition."""
    spec, names, group = crd["spec"], crd["spec"]["names"], crd["spec"].get("group", "")
    if crd["metadata"].get("name") != f"{names.get('plural', '')}.{group}":
        yield errors.invalid_value("metadata.name", crd["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group')
    if group.endswith((".k8s.io", ".kubernetes.io")) and APPROVED not in dig(crd, "metadata", "annotations", default={}):
        yield errors.required(f"metadata.annotations[{APPROVED}]", f'protected groups must have approval annotation '
                              f'"{APPROVED}", see https://github.com/kubernetes/enhancements/pull/1111')
    if spec.get("preserveUnknownFields"):
        yield errors.invalid_value("spec.preserveUnknownFields", True, "cannot set to true, set x-kubernetes-preserve-unknown-"
                                   "fields to true in spec.versions[*].schema instead")
    if not group:
        yield errors.required("spec.group")
    elif wrong := subdomain_errors(group) or ([] if "." in group else ["should be a domain with at least one dot"]):
        yield errors.invalid_value("spec.group", group, wrong[0])
    if not spec.get("scope"):
        yield errors.required("spec.scope")
    elif spec["scope"] not in ("Cluster", "Namespaced"):
        yield errors.unsupported_value("spec.scope", spec["scope"], ("Cluster", "Namespaced"))
    yield from name_faults(names)
    yield from version_faults(spec.get("versions") or [], dig(crd, "status", "storedVersions"))
    yield from conversion_faults(spec["conversion"])


def conversion_faults(how: Object) -> Iterator[Object]:
    """What is wrong with how versions become each other: a webhook must say where it is, and which questions it knows."""
    strategy, webhook, at = how.get("strategy"), how.get("webhook") or {}, "spec.conversion"
    config, reviews = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    if strategy not in ("None", "Webhook"):
        yield errors.unsupported_value(f"{at}.strategy", strategy, ("None", "Webhook"))
    if strategy != "Webhook":
        for field, value in (("webhookClientConfig", config), ("conversionReviewVersions", reviews)):
            if value or value == {}:
                yield errors.forbidden_value(f"{at}.{field}", "should not be set when strategy is not set to Webhook")
        return
    if config is None:
        yield errors.required(f"{at}.webhookClientConfig", "required when strategy is set to Webhook")
    else:
        yield from client_faults(config, f"{at}.webhookClientConfig")
    if not reviews:
        yield errors.required(f"{at}.conversionReviewVersions")
    elif not {"v1", "v1beta1"} & set(reviews):
        yield errors.invalid_value(f"{at}.conversionReviewVersions", reviews, "must include at least one of v1, v1beta1")
    for number, each in enumerate(reviews):
        if each in reviews[:number]:
            yield errors.invalid_value(f"{at}.conversionReviewVersions[{number}]", each, "duplicate version")
        elif not DNS_1035.fullmatch(each):
            yield errors.invalid_value(f"{at}.conversionReviewVersions[{number}]", each, DNS_1035_RULE)


def client_faults(config: Object, at: str) -> Iterator[Object]:
    """What is wrong with the address of a webhook: a URL, or a Service of the cluster."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        yield errors.required(at, "exactly one of url or service is required")
    elif url is not None:
        yield from url_faults(url, f"{at}.url")
    elif service is not None:
        yield from service_faults(service, f"{at}.service")


def url_faults(url: str, at: str) -> Iterator[Object]:
    """What is wrong with the URL of a webhook."""
    form, parts = "desired format: https://host[/path]", urlsplit(url)
    if escape := re.search("%(?![0-9a-fA-F]{2}).{0,2}", url):
        yield errors.required(at, f'url must be a valid URL: parse "{url}": invalid URL escape "{escape[0]}"; {form}')
        return
    if parts.scheme != "https":
        yield errors.invalid_value(at, parts.scheme, f"'https' is the only allowed URL scheme; {form}")
    who, _, host = parts.netloc.rpartition("@")
    if not host:
        yield errors.invalid_value(at, "", f"host must be specified; {form}")
    for value, what in ((who, "user information is"), (parts.fragment, "fragments are"), (parts.query, "query parameters are")):
        if value:
            yield errors.invalid_value(at, value, f"{what} not permitted in the URL")


def service_faults(service: Object, at: str) -> Iterator[Object]:
    """What is wrong with a reference to a Service, and a path at it."""
    port, path = service["port"], service.get("path")
    yield from (errors.required(f"{at}.{field}") for field in ("name", "namespace") if not service.get(field))
    if not 0 < port < 65536:
        yield errors.invalid_value(f"{at}.port", port, "port is not valid: must be between 1 and 65535, inclusive")
    if not path or path == "/":
        return
    if not path.startswith("/"):
        yield errors.invalid_value(f"{at}.path", path, "must start with a '/'")
    segments = path[1:].removesuffix("/").split("/")
    for number, segment in enumerate(segments):
        if not segment:
            yield errors.invalid_value(f"{at}.path", path, f"segment[{number}] may not be empty")
        else:
            yield from (errors.invalid_value(f"{at}.path", path, f"segment[{number}]: {why}") for why in subdomain_errors(segment))


def name_faults(names: Object) -> Iterator[Object]:
    """What is wrong with the names of a kind."""
    texts = [(f"spec.names.{field}", names.get(field), field in ("kind", "listKind"))
             for field in ("plural", "singular", "kind", "listKind")]
    texts += [(f"spec.names.{field}[{at}]", each, False) for field in ("shortNames", "categories")
              for at, each in enumerate(names.get(field, []))]
    for field, text, mixed in texts:
        if not text:
            yield errors.required(field)
        elif not DNS_1035.fullmatch(text.lower() if mixed else text):
            also = "may have mixed case, but should otherwise match: " if mixed else ""
            yield errors.invalid_value(field, text, also + DNS_1035_RULE)
    if names.get("kind") and names["kind"] == names.get("listKind"):
        yield errors.invalid_value("spec.names.listKind", names["listKind"], "kind and listKind may not be the same")


COLUMN_TYPES = "boolean,date,integer,number,string"
COLUMN_FORMATS = "byte,date,date-time,double,float,int32,int64,password"


def version_faults(versions: list[Object], stored: list[str] | None) -> Iterator[Object]:
    """What is wrong with the versions: their names, which of them is stored, and what each says of its objects."""
    told = [{"Name": each["name"], "Served": each["served"], "Storage": each["storage"], **UNSAID} for each in versions]
    storage = [each["name"] for each in versions if each["storage"]]
    if len({each["name"] for each in versions}) < len(versions):
        yield errors.invalid_value("spec.versions", told, "must contain unique version names")
    if len(storage) != 1:
        yield errors.invalid_value("spec.versions", told, "must have exactly one version marked as storage version")
    if not stored:
        yield errors.invalid_value("status.storedVersions", None, "must have at least one stored version")
    for at, name in enumerate(stored or []):
        if name not in {each["name"] for each in versions}:
            yield errors.invalid_value(f"status.storedVersions[{at}]", name, STAYS.format(name))
    for at, each in enumerate(versions):
        where = f"spec.versions[{at}]"
        if not DNS_1035.fullmatch(each["name"]):
            yield errors.invalid_value(f"{where}.name", each["name"], DNS_1035_RULE)
        if dig(each, "schema", "openAPIV3Schema") is None:
            yield errors.required(f"{where}.schema.openAPIV3Schema")
            continue
        same = all(other.get("schema") == each.get("schema") for other in versions)
        yield from schema_faults(each["schema"]["openAPIV3Schema"],
                                 "spec.validation.openAPIV3Schema" if same else f"{where}.schema.openAPIV3Schema")
        if same:
            break
    yield from presentation_faults(versions)


def presentation_faults(versions: list[Object]) -> Iterator[Object]:
    """What is wrong with how versions are shown, scaled and warned of. What all have in common is named once."""
    yield from (errors.invalid_value(f"spec.versions[{at}].deprecationWarning", each["deprecationWarning"],
                                     "can only be set for deprecated versions")
                for at, each in enumerate(versions) if each.get("deprecationWarning") and not each.get("deprecated"))
    for name, faults_of in (("additionalPrinterColumns", column_faults), ("subresources", scale_faults)):
        same = all(each.get(name) == versions[0].get(name) for each in versions)
        for at, each in enumerate(versions[:1] if same else versions):
            yield from faults_of(each.get(name), f"spec.{name}" if same else f"spec.versions[{at}].{name}")


def column_faults(columns: list[Object] | None, at: str) -> Iterator[Object]:
    """What is wrong with the columns that a version has itself shown in."""
    for number, column in enumerate(columns or []):
        where, path = f"{at}[{number}]", column.get("jsonPath", "")
        if not column.get("name"):
            yield errors.required(f"{where}.name")
        for field, known in (("type", COLUMN_TYPES), ("format", COLUMN_FORMATS)):
            if column.get(field) and column[field] not in known.split(","):
                yield errors.invalid_value(f"{where}.{field}", column[field], f"must be one of {known}")
        if not path.startswith("."):
            yield errors.invalid_value(f"{where}.JSONPath", path, "must be a simple json path starting with .")


def scale_faults(parts: Object | None, at: str) -> Iterator[Object]:
    """What is wrong with where a version keeps how many it wants, and has."""
    if dig(parts, "scale") is None:
        return
    for name, below in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")):
        path = dig(parts, "scale", name, default="")
        if not path:
            yield errors.required(f"{at}.scale.{name}")
        elif not path.startswith(f"{below}."):
            yield errors.invalid_value(f"{at}.scale.{name}", path, f"should be a json path under {below}")


class CustomStrategy(Strategy):
    """The rules of a kind that somebody defined: its schema says most of them."""

    def __init__(self, crd: Object, version: Object) -> None:
        super().__init__(("counts_generations",))
        self.schema: Object = version["schema"]["openAPIV3Schema"]
        self.has_status = "status" in version.get("subresources", {})
        self.ending = bool(crd["metadata"].get("deletionTimestamp"))
        self.resource = crd["spec"]["names"]["plural"], crd["spec"]["group"]
        self.columns: list[Object] = version.get("additionalPrinterColumns", [])
        scale = version.get("subresources", {}).get("scale", {})
        self.scale_paths = tuple(scale.get(f"{each}Path", "") for each in ("specReplicas", "statusReplicas", "labelSelector"))
        self.selectable = [each["jsonPath"] for each in version.get("selectableFields", [])]

    def default(self, obj: Object) -> None:
        list(prune(self.schema, obj, whole=True))
        for name in set(obj["metadata"]) - set(METADATA):
            del obj["metadata"][name]
        fill_in(self.schema, obj)

    def unknown(self, obj: Object) -> list[str]:
        """The paths of fields that the schema doesn't know."""
        strange = [f"metadata.{name}" for name in obj["metadata"] if name not in METADATA]
        return sorted([*prune(self.schema, copy(obj), whole=True), *strange])

    def prepare_for_create(self, obj: Object) -> None:
        if self.ending:
            plural, group = self.resource
            raise errors.forbidden(plural, obj["metadata"].get("name", ""), "create not allowed while custom resource "
                                   "definition is terminating", group)
        if self.has_status:
            obj.pop("status", None)

    def prepare_for_update(self, obj: Object, old: Object, subresource: str) -> None:
        if not self.has_status:
            return
        if subresource == "status":
            kept, meta = {"status": obj["status"]} if "status" in obj else {}, obj["metadata"]
            meta.clear()
            meta.update(copy(old["metadata"]))
            obj.clear()
            obj.update({**{key: copy(value) for key, value in old.items() if key != "status"}, **kept, "metadata": meta})
            return
        obj.pop("status", None)
        if "status" in old:
            obj["status"] = old["status"]

    def validate(self, obj: Object) -> Causes:
        path = self.scale_paths[0]
        below = [each for each in find(obj, path) if path and isinstance(each, int) and each < 0]
        return [*faults(self.schema, obj), *(errors.invalid_value(path, each, "should be a non-negative integer")
                                             for each in below)]

    def field(self, obj: Object, name: str) -> str | None:
        if f".{name}" not in self.selectable:
            return super().field(obj, name)
        value: Any = next(iter(find(obj, f".{name}")), "")
        return str(value).lower() if isinstance(value, bool) else str(value)


class RegistrationStrategy(StatusStrategy):
    """The rules of an APIService: it is called what it registers, and of another server it says how to trust it."""

    def validate(self, obj: Object) -> Causes:
        spec, found = obj["spec"], list[Object]()
        name, wanted = obj["metadata"].get("name"), f"{spec.get('version', '')}.{spec.get('group', '')}"
        if name != wanted:
            found.append(errors.invalid_value("metadata.name", name, f'must be `spec.version+"."+spec.group`: "{wanted}"'))
        insecure = "spec.insecureSkipTLSVerify" if spec.get("insecureSkipTLSVerify") else ""
        if insecure and not spec.get("service"):
            found.append(errors.invalid_value(insecure, True, "local APIServices may not have insecureSkipTLSVerify"))
        if insecure and spec.get("caBundle"):
            found.append(errors.invalid_value(insecure, True, "may not be true if caBundle is present"))
        return [*found, *super().validate(obj)]


STRATEGIES: dict[tuple[str, str], type[Strategy]] = {
    ("apiregistration.k8s.io", "apiservices"): RegistrationStrategy,
    ("apiextensions.k8s.io", "customresourcedefinitions"): DefinitionStrategy}
