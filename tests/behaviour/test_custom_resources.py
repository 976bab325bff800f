# ruff: noqa: E501 - texts of the server stand in one line each
"""Custom resources: a definition and its rules, the objects of its kind, and how both come and go."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.behaviour.target import Namespace, Object, Target, wait
from tests.behaviour.test_objects import refused

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"
AT = "spec.validation.openAPIV3Schema"
DNS = "a DNS-1035 label must consist of lower case.*"


def fields(**properties: Any) -> Object:
    """The schema of an object."""
    return {"type": "object", "properties": properties}


def listed(**more: Any) -> Object:
    """The schema of a list of objects with a field `a`, as a map by default."""
    return {"type": "array", "x-kubernetes-list-type": "map", "items": fields(a={"type": "string"})} | more


def version(name: str = "v1", schema: Object | None = None, *, storage: bool = True, **more: Any) -> Object:
    """A version of a definition."""
    return {"name": name, "served": True, "storage": storage,
            "schema": {"openAPIV3Schema": schema or {"type": "object"}}} | more


def definition(plural: str = "widgets", kind: str = "Widget", schema: Object | None = None, *, name: str = "",
               group: str = "book.example", names: Object | None = None, **spec: Any) -> Object:
    """A definition as one would post it."""
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": name or f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": names or {"plural": plural, "kind": kind},
                     "versions": [version(schema=schema)]} | spec}


def wrong(schema: Object) -> Object:
    """A definition whose schema says this of `spec`."""
    return definition(schema=fields(spec=schema))


BAD: dict[str, tuple[Object, str]] = {
    "all fields kept": (definition(preserveUnknownFields=True), r"spec\.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec\.versions\[\*\]\.schema instead"),
    "column path": (definition(versions=[version(additionalPrinterColumns=[{"name": "A", "type": "string", "jsonPath": "spec.a"}])]), r'spec\.additionalPrinterColumns\[0\]\.JSONPath: Invalid value: "spec\.a": must be a simple json path starting with \.'),
    "column type": (definition(versions=[version(additionalPrinterColumns=[{"name": "A", "type": "text", "jsonPath": ".spec.a"}])]), r'spec\.additionalPrinterColumns\[0\]\.type: Invalid value: "text": must be one of boolean,date,integer,number,string'),
    "column of one version": (definition(versions=[version(), version("v2", storage=False, additionalPrinterColumns=[{"type": "string", "jsonPath": ".a"}])]), r"spec\.versions\[1\]\.additionalPrinterColumns\[0\]\.name: Required value"),
    "scale without paths": (definition(versions=[version(subresources={"scale": {}})]), r"spec\.subresources\.scale\.specReplicasPath: Required value, spec\.subresources\.scale\.statusReplicasPath: Required value"),
    "scale elsewhere": (definition(versions=[version(subresources={"scale": {"specReplicasPath": ".a.b", "statusReplicasPath": ".status.r"}})]), r'spec\.subresources\.scale\.specReplicasPath: Invalid value: "\.a\.b": should be a json path under \.spec'),
    "warning of what is not deprecated": (definition(versions=[version(deprecationWarning="x")]), r'spec\.versions\[0\]\.deprecationWarning: Invalid value: "x": can only be set for deprecated versions'),
    "name": (definition(name="foo.bar"), r'metadata\.name: Invalid value: "foo\.bar": must be spec\.names\.plural\+"\."\+spec\.group'),
    "group without a dot": (definition(group="book"), r'spec\.group: Invalid value: "book": should be a domain with at least one dot'),
    "protected group": (definition(group="foo.k8s.io"), r"metadata\.annotations\[api-approved\.kubernetes\.io\]: Required value: protected .*"),
    "scope": (definition(scope="Foo"), r'spec\.scope: Unsupported value: "Foo": supported values: "Cluster", "Namespaced"'),
    "no scope": (definition(scope=""), r"spec\.scope: Required value"),
    "kind": (definition(names={"plural": "widgets"}), r".*spec\.names\.kind: Required value.*"),
    "short name": (definition(names={"plural": "widgets", "kind": "Widget", "shortNames": ["W I"]}),
                   rf'spec\.names\.shortNames\[0\]: Invalid value: "W I": {DNS}'),
    "list kind": (definition(names={"plural": "widgets", "kind": "Widget", "listKind": "Widget"}),
                  r'spec\.names\.listKind: Invalid value: "Widget": kind and listKind may not be the same'),
    "no stored version": (definition(versions=[version(storage=False)]), r".*must have exactly one version marked as storage version.*"),
    "two stored versions": (definition(versions=[version(), version("v2")]), r".*must have exactly one version marked as storage version.*"),
    "same version twice": (definition(versions=[version(), version(storage=False)]), r".*must contain unique version names"),
    "no schema": (definition(versions=[{"name": "v1", "served": True, "storage": True}]),
                  r"spec\.versions\[0\]\.schema\.openAPIV3Schema: Required value"),
    "conversion": (definition(conversion={"strategy": "Foo"}), r'spec\.conversion\.strategy: Unsupported value: "Foo": .*'),
    "root type": (definition(schema={"type": "string"}), re.escape(f'{AT}.type: Invalid value: "string": must be object at the root')),
    "no root type": (definition(schema={"properties": {}}), re.escape(f"{AT}.type: Required value: must not be empty at the root")),
    "no field type": (wrong(fields(a={})), re.escape(
        f"{AT}.properties[spec].properties[a].type: Required value: must not be empty for specified object fields")),
    "no item type": (wrong({"type": "array", "items": {}}), re.escape(
        f"{AT}.properties[spec].items.type: Required value: must not be empty for specified array items")),
    "no items": (wrong({"type": "array"}), re.escape(f"{AT}.properties[spec].items: Required value: must be specified")),
    "unknown type": (wrong({"type": "int"}), re.escape(f'{AT}.properties[spec].type: Unsupported value: "int": supported values: ') + ".*"),
    "both": (wrong(fields(a={"type": "string"}) | {"additionalProperties": {"type": "string"}}), re.escape(
        f"{AT}.properties[spec].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive")),
    "unique items": (wrong({"type": "array", "uniqueItems": True, "items": {"type": "string"}}), r".*uniqueItems cannot be set to true.*"),
    "metadata": (definition(schema=fields(metadata=fields(labels={"type": "object"}))), re.escape(
        f"{AT}.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is ")
        + "implicitly specified"),
    "type below logic": (wrong(fields(a={"type": "string", "anyOf": [{"type": "string"}]})), re.escape(
        f"{AT}.properties[spec].properties[a].anyOf[0].type: Forbidden: must be empty to be structural")),
    "default of another type": (wrong(fields(a={"type": "string", "default": 3})), re.escape(
        f'{AT}.properties[spec].properties[a].default: Invalid value: "integer":  in body must be of type string: "integer"')),
    "default that is unknown": (wrong(fields(a={"type": "string"}) | {"default": {"z": 1}}), re.escape(
        f'{AT}.properties[spec].default: Invalid value: {{"z":1}}: must not have unknown fields')),
    "map without keys": (wrong(listed()), r".*x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"),
    "map with other keys": (wrong(listed(**{"x-kubernetes-list-map-keys": ["b"]})),
                            r'.*x-kubernetes-list-map-keys: Invalid value: \["b"\]: entries must all be names of item properties'),
    "key that may be missing": (wrong(listed(**{"x-kubernetes-list-map-keys": ["a"]})),
                                r".*items\.properties\[a\]\.default: Required value: this property is in x-kubernetes-list-map-keys.*"),
    "list type": (wrong(listed(**{"x-kubernetes-list-type": "bag"})), r'.*x-kubernetes-list-type: Unsupported value: "bag": .*'),
    "embedded": (wrong({"type": "object", "x-kubernetes-embedded-resource": True}),
                 r".*properties: Required value: must not be empty if x-kubernetes-embedded-resource is true.*"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_definitions_have_rules(target: Target, case: str) -> None:
    body, text = BAD[case]
    refused(target.call("POST", CRDS, body, dryRun="All"), 422, "Invalid",
            rf'CustomResourceDefinition\.apiextensions\.k8s\.io ".*" is invalid: \[?{text}\]?')


SCHEMA = fields(
    spec={"type": "object", "properties": {
        "text": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
        "choice": {"type": "string", "enum": ["a", "b"]},
        "number": {"type": "integer", "minimum": 1, "maximum": 10, "multipleOf": 2},
        "open": {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
        "few": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": listed(**{"x-kubernetes-list-map-keys": ["a"], "items": fields(a={"type": "string"}) | {"required": ["a"]}}),
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 2},
        "port": {"x-kubernetes-int-or-string": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "inner": {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True},
        "maybe": {"type": "string", "nullable": True},
        "deep": {"type": "object", "default": {}, "properties": {"way": {"type": "string", "default": "down"}}},
        "either": {"type": "object", "properties": {"p": {"type": "integer"}, "q": {"type": "integer"}},
                   "oneOf": [{"required": ["p"]}, {"required": ["q"]}]},
        "never": {"type": "string", "not": {"enum": ["z"]}},
        "when": {"type": "string", "format": "date-time"}, "small": {"type": "integer", "format": "int32"}}},
    status=fields(phase={"type": "string"}, replicas={"type": "integer"})) | {"required": ["spec"]}  # fmt: skip
COLUMNS = [{"name": name, "type": kind, "jsonPath": path} for name, kind, path in (
    ("Text", "string", ".spec.text"), ("Number", "integer", ".spec.number"), ("Few", "string", ".spec.few"),
    ("Of A", "string", '.spec.map[?(@.a=="x")].a'), ("Age", "date", ".metadata.creationTimestamp"))]


class Kind:
    """A kind of the tests' own, in a namespace."""

    def __init__(self, target: Target, plural: str, kind: str) -> None:
        self.target, self.plural, self.kind = target, plural, kind
        self.path = f"/apis/book.example/v1/namespaces/default/{plural}"

    def body(self, name: str = "x", spec: Any = None, **more: Any) -> Object:
        return {"apiVersion": "book.example/v1", "kind": self.kind, "metadata": {"name": name}, "spec": spec or {}} | more

    def make(self, name: str = "x", spec: Any = None, **query: Any) -> Any:
        return self.target.call("POST", self.path, self.body(name, spec), **query)


def establish(target: Target, body: Object) -> None:
    """Post a definition, and wait until it is served."""
    made = target.call("POST", CRDS, body)
    assert made.status_code == 201, made.text
    spec = body["spec"]
    path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
    wait(lambda: target.call("GET", path).status_code == 200, f"{path} to be served")


@pytest.fixture(scope="module")
def gadgets(target: Target) -> Iterator[Kind]:
    """A kind with a rich schema."""
    plural = f"gadgets{uuid.uuid4().hex[:6]}"
    kind = plural.capitalize()
    rich = version(schema=SCHEMA, additionalPrinterColumns=COLUMNS, selectableFields=[{"jsonPath": ".spec.choice"}], subresources={
        "status": {}, "scale": {"specReplicasPath": ".spec.number", "statusReplicasPath": ".status.replicas"}})
    names = {"plural": plural, "kind": kind, "shortNames": [plural[-6:] if plural[-6].isalpha() else f"x{plural[-5:]}"]}
    establish(target, definition(plural, kind, names=names, versions=[rich]))
    yield Kind(target, plural, kind)
    target.call("DELETE", f"{CRDS}/{plural}.book.example")


FAULTS: dict[str, tuple[Object, str]] = {
    "too short": ({"text": "x"}, r'spec\.text: Invalid value: "x": spec\.text in body should be at least 2 chars long'),
    "too long": ({"text": "abcdef"}, r"spec\.text: Too long: may not be more than 4 bytes"),
    "pattern": ({"text": "AB"}, r"spec\.text: Invalid value: \"AB\": spec\.text in body should match '\^\[a-z\]\+\$'"),
    "enum": ({"choice": "c"}, r'spec\.choice: Unsupported value: "c": supported values: "a", "b"'),
    "minimum": ({"number": 0}, r"spec\.number: Invalid value: 0: spec\.number in body should be greater than or equal to 1"),
    "maximum": ({"number": 12}, r"spec\.number: Invalid value: 12: spec\.number in body should be less than or equal to 10"),
    "steps": ({"number": 3}, r"spec\.number: Invalid value: 3: spec\.number in body should be a multiple of 2"),
    "exclusive": ({"open": 1}, r"spec\.open: Invalid value: 1: spec\.open in body should be greater than 1"),
    "type": ({"open": "1"}, r'spec\.open: Invalid value: "string": spec\.open in body must be of type integer: "string"'),
    "too few": ({"few": []}, r"spec\.few: Invalid value: 0: spec\.few in body should have at least 1 items"),
    "too many": ({"few": ["a", "b", "c"]}, r"spec\.few: Too many: 3: must have at most 2 items"),
    "item": ({"few": [1]}, r'spec\.few\[0\]: Invalid value: "integer": spec\.few\[0\] in body must be of type string: "integer"'),
    "twice in a set": ({"set": ["a", "a"]}, r'spec\.set\[1\]: Duplicate value: "a"'),
    "twice in a map": ({"map": [{"a": "x"}, {"a": "x"}]}, r'spec\.map\[1\]: Duplicate value: \{"a":"x"\}'),
    "missing key": ({"map": [{}]}, r"spec\.map\[0\]\.a: Required value"),
    "no properties": ({"counts": {}}, r"spec\.counts: Invalid value: 0: spec\.counts in body should have at least 1 properties"),
    "many properties": ({"counts": {"a": 1, "b": 2, "c": 3}}, r"spec\.counts: Too many: 3: must have at most 2 items"),
    "value of a map": ({"counts": {"a": "x"}}, r'spec\.counts\.a: Invalid value: "string": spec\.counts\.a in body must be of type integer: "string"'),
    "int or string": ({"port": 1.5}, r'spec\.port: Invalid value: "number": spec\.port in body must be of type integer,string: "number"'),
    "embedded": ({"inner": {"a": 1}}, r"\[spec\.inner\.apiVersion: Required value, spec\.inner\.kind: Required value\]"),
    "one of": ({"either": {"p": 1, "q": 1}}, r'<nil>: Invalid value: "": "spec\.either" must validate one and only one schema \(oneOf\)\. '
               "Found 2 valid alternatives"),
    "not": ({"never": "z"}, r'<nil>: Invalid value: "": "spec\.never" must not validate the schema \(not\)'),
    "date": ({"when": "yesterday"}, r'spec\.when: Invalid value: "yesterday": spec\.when in body must be of type date-time: "yesterday"'),
    "int32": ({"small": 2**40}, r'<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec\.small'),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_objects_are_checked_by_their_schema(gadgets: Kind, case: str) -> None:
    spec, text = FAULTS[case]
    refused(gadgets.make(spec=spec, dryRun="All"), 422, "Invalid", rf'{gadgets.kind}\.book\.example "x" is invalid: {text}')


def test_what_is_required(gadgets: Kind) -> None:
    body = gadgets.body()
    del body["spec"]
    refused(gadgets.target.call("POST", gadgets.path, body), 422, "Invalid", r'.* "x" is invalid: spec: Required value')


def test_defaults_and_nulls(gadgets: Kind) -> None:
    made = gadgets.make(spec={"maybe": None, "text": None}, dryRun="All").json()
    assert made["spec"] == {"maybe": None, "deep": {"way": "down"}}


def test_unknown_fields_are_dropped_with_a_warning(gadgets: Kind) -> None:
    answer = gadgets.make(spec={"zz": 1, "free": {"kept": {"as": "it is"}}}, dryRun="All")
    assert answer.json()["spec"] == {"free": {"kept": {"as": "it is"}}, "deep": {"way": "down"}}
    assert answer.headers["Warning"] == r'299 - "unknown field \"spec.zz\""'


def test_unknown_fields_are_refused_if_one_asks(gadgets: Kind) -> None:
    refused(gadgets.make(spec={"zz": 1}, dryRun="All", fieldValidation="Strict"), 400, "BadRequest",
            rf'{gadgets.kind} in version "v1" cannot be handled as a {gadgets.kind}: strict decoding error: unknown field "spec\.zz"')


def test_unknown_fields_are_dropped_silently_if_one_asks(gadgets: Kind) -> None:
    answer = gadgets.make(spec={"zz": 1}, dryRun="All", fieldValidation="Ignore")
    assert answer.status_code == 201
    assert "Warning" not in answer.headers


def test_body_of_another_kind_or_version(gadgets: Kind) -> None:
    call, path = gadgets.target.call, gadgets.path
    refused(call("POST", path, gadgets.body(kind="Foo")), 422, "Invalid",
            rf'Foo\.book\.example "x" is invalid: kind: Invalid value: "Foo": must be {gadgets.kind}')
    refused(call("POST", path, gadgets.body(apiVersion="book.example/v2")), 400, "BadRequest",
            r"the API version in the data \(book\.example/v2\) does not match the expected API version \(book\.example/v1\)")


def test_status_and_spec_have_paths_of_their_own(gadgets: Kind) -> None:
    assert "status" not in gadgets.target.call("POST", gadgets.path, gadgets.body("two", status={"phase": "x"})).json()
    path = f"{gadgets.path}/two"
    changed = gadgets.target.call("PATCH", f"{path}/status", {"status": {"phase": "ok"}, "spec": {"text": "zz"}}, kind=MERGE).json()
    assert changed["status"] == {"phase": "ok"}
    assert "text" not in changed["spec"]
    assert changed["metadata"]["generation"] == 1
    changed = gadgets.target.call("PATCH", path, {"status": {"phase": "no"}, "spec": {"text": "zz"}}, kind=MERGE).json()
    assert (changed["status"], changed["spec"]["text"], changed["metadata"]["generation"]) == ({"phase": "ok"}, "zz", 2)


def test_scale(gadgets: Kind) -> None:
    gadgets.make("scaled", {"number": 4})
    path = f"{gadgets.path}/scaled/scale"
    seen = gadgets.target.call("GET", path).json()
    assert (seen["kind"], seen["apiVersion"], seen["spec"], seen["status"]) == (
        "Scale", "autoscaling/v1", {"replicas": 4}, {"replicas": 0})
    assert gadgets.target.call("PATCH", path, {"spec": {"replicas": 8}}, kind=MERGE).json()["spec"] == {"replicas": 8}
    seen["spec"]["replicas"], seen["metadata"] = 2, {"name": "scaled"}
    assert gadgets.target.call("PUT", path, seen).json()["spec"] == {"replicas": 2}
    assert gadgets.target.call("GET", f"{gadgets.path}/scaled").json()["spec"]["number"] == 2


def test_replace_needs_a_version(gadgets: Kind) -> None:
    gadgets.make("replaced")
    refused(gadgets.target.call("PUT", f"{gadgets.path}/replaced", gadgets.body("replaced")), 422, "Invalid",
            r'.* "replaced" is invalid: metadata\.resourceVersion: Invalid value: 0: must be specified for an update')


def test_no_strategic_merge(gadgets: Kind) -> None:
    gadgets.make("merged")
    answer = gadgets.target.call("PATCH", f"{gadgets.path}/merged", {}, kind="application/strategic-merge-patch+json")
    refused(answer, 415, "UnsupportedMediaType", r"the body of the request was in an unknown format - accepted media types include: .*")


def test_selectable_fields(gadgets: Kind) -> None:
    gadgets.make("chosen", {"choice": "b"})
    found = gadgets.target.call("GET", gadgets.path, fieldSelector="spec.choice=b").json()
    assert [each["metadata"]["name"] for each in found["items"]] == ["chosen"]
    assert found["items"][0]["kind"] == gadgets.kind
    refused(gadgets.target.call("GET", gadgets.path, fieldSelector="spec.text=a"), 400, "BadRequest",
            r"field label not supported: spec\.text")


def test_columns(gadgets: Kind) -> None:
    gadgets.make("printed", {"text": "abc", "number": 4, "few": ["p", "q"], "map": [{"a": "x"}]})
    answer = gadgets.target.call("GET", f"{gadgets.path}/printed", headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    table = answer.json()
    assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "Text", "Number", "Few", "Of A", "Age"]
    assert table["rows"][0]["cells"][:5] == ["printed", "abc", 4, '["p","q"]', "x"]
    assert table["columnDefinitions"][1]["description"] == "Custom resource definition column (in JSONPath format): .spec.text"


def test_discovery_and_openapi(gadgets: Kind) -> None:
    found = gadgets.target.call("GET", "/apis/book.example/v1").json()["resources"]
    mine = {each["name"]: each for each in found if each["name"].startswith(gadgets.plural)}
    assert set(mine) == {gadgets.plural, f"{gadgets.plural}/status", f"{gadgets.plural}/scale"}
    assert mine[f"{gadgets.plural}/scale"]["kind"] == "Scale"
    document = wait(lambda: gadgets.target.call("GET", "/openapi/v3/apis/book.example/v1").json(), "OpenAPI")
    wait(lambda: f"example.book.v1.{gadgets.kind}" in gadgets.target.call(
        "GET", "/openapi/v3/apis/book.example/v1").json()["components"]["schemas"], "the schema in OpenAPI")
    assert document["openapi"].startswith("3.")


def test_kubectl_knows_the_kind(gadgets: Kind) -> None:
    manifest = json.dumps(gadgets.body("by-kubectl", {"text": "abc"}))
    made = wait(lambda: (answer := gadgets.target.kubectl("create", "-f", "-", stdin=manifest)).returncode == 0 and answer, "kubectl create")
    assert made.stdout == f"{gadgets.kind.lower()}.book.example/by-kubectl created\n"
    lines = gadgets.target.kubectl("get", gadgets.plural, "by-kubectl").stdout.splitlines()
    assert lines[0].split() == ["NAME", "TEXT", "NUMBER", "FEW", "OF", "A", "AGE"]
    assert lines[1].split()[:2] == ["by-kubectl", "abc"]
    assert "maxLength" not in gadgets.target.kubectl("explain", f"{gadgets.plural}.spec").stdout
    assert "text\t<string>" in gadgets.target.kubectl("explain", f"{gadgets.plural}.spec").stdout
    scaled = gadgets.target.kubectl("scale", f"{gadgets.plural}/by-kubectl", "--replicas=2")
    assert scaled.stdout == f"{gadgets.kind.lower()}.book.example/by-kubectl scaled\n", scaled.stderr
    assert gadgets.target.kubectl("delete", gadgets.plural, "by-kubectl").returncode == 0


def test_kubectl_waits_for_a_definition(target: Target) -> None:
    plural = f"waited{uuid.uuid4().hex[:6]}"
    body = definition(plural, plural.capitalize())
    assert target.kubectl("create", "-f", "-", stdin=json.dumps(body)).returncode == 0
    answer = target.kubectl("wait", "--for=condition=Established", f"crd/{plural}.book.example", "--timeout=20s")
    assert answer.stdout == f"customresourcedefinition.apiextensions.k8s.io/{plural}.book.example condition met\n"
    assert target.kubectl("delete", "crd", f"{plural}.book.example", "--timeout=30s").returncode == 0


def test_conditions(gadgets: Kind) -> None:
    status = gadgets.target.call("GET", f"{CRDS}/{gadgets.plural}.book.example").json()["status"]
    told = [(each["type"], each["status"], each["reason"], each["message"]) for each in status["conditions"]]
    assert told == [("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
                    ("Established", "True", "InitialNamesAccepted", "the initial names have been accepted")]
    assert status["storedVersions"] == ["v1"]
    assert status["acceptedNames"]["listKind"] == f"{gadgets.kind}List"


def test_names_that_are_taken(gadgets: Kind) -> None:
    plural = f"rivals{uuid.uuid4().hex[:6]}"
    name = f"{plural}.book.example"
    assert gadgets.target.call("POST", CRDS, definition(plural, gadgets.kind)).status_code == 201
    conditions = wait(lambda: gadgets.target.call("GET", f"{CRDS}/{name}").json()["status"]["conditions"], "conditions")
    assert (conditions[0]["status"], conditions[0]["reason"]) == ("False", "ListKindConflict")
    assert conditions[0]["message"] == f'"{gadgets.kind}List" is already in use'
    assert (conditions[1]["status"], conditions[1]["reason"]) == ("False", "NotAccepted")
    assert gadgets.target.call("GET", f"/apis/book.example/v1/{plural}").status_code == 404
    gadgets.target.call("DELETE", f"{CRDS}/{name}")


@pytest.mark.parametrize(("change", "text"), [
    ({"scope": "Cluster"}, r'spec\.scope: Invalid value: "Cluster": field is immutable'),
    ({"names": {"kind": "Other"}}, r'.*spec\.names\.kind: Invalid value: "Other": field is immutable.*')])
def test_what_can_never_change(gadgets: Kind, change: Object, text: str) -> None:
    answer = gadgets.target.call("PATCH", f"{CRDS}/{gadgets.plural}.book.example", {"spec": change}, kind=MERGE)
    refused(answer, 422, "Invalid", rf"CustomResourceDefinition\.apiextensions\.k8s\.io .* is invalid: {text}")


def test_two_versions_without_conversion(target: Target) -> None:
    plural = f"twins{uuid.uuid4().hex[:6]}"
    kept = fields(spec={"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    establish(target, definition(plural, plural.capitalize(), versions=[
        version(schema=kept), version("v2", kept, storage=False, deprecated=True)]))
    old, new = (f"/apis/book.example/{each}/namespaces/default/{plural}" for each in ("v1", "v2"))
    wait(lambda: target.call("GET", new).status_code == 200, "the second version")
    body = {"apiVersion": "book.example/v2", "kind": plural.capitalize(), "metadata": {"name": "a"}, "spec": {"x": 1}}
    made = target.call("POST", new, body)
    assert made.json()["apiVersion"] == "book.example/v2"
    assert made.headers["Warning"] == f'299 - "book.example/v2 {plural.capitalize()} is deprecated"'
    assert target.call("GET", f"{old}/a").json()["apiVersion"] == "book.example/v1"
    assert target.call("GET", new).json()["items"][0]["spec"] == {"x": 1}
    target.call("DELETE", f"{CRDS}/{plural}.book.example")


def test_the_objects_go_with_their_kind(target: Target) -> None:
    plural = f"doomed{uuid.uuid4().hex[:6]}"
    establish(target, definition(plural, plural.capitalize()))
    path, crd = f"/apis/book.example/v1/namespaces/default/{plural}", f"{CRDS}/{plural}.book.example"
    for name, finalizers in (("a", []), ("b", ["book.example/wait"])):
        body = {"apiVersion": "book.example/v1", "kind": plural.capitalize(), "metadata": {"name": name, "finalizers": finalizers}}
        assert wait(lambda body=body: target.call("POST", path, body).status_code in (201, 409), "an object")
    answer = target.call("DELETE", crd)
    assert answer.json()["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    wait(lambda: [each["metadata"]["name"] for each in target.call("GET", path).json()["items"]] == ["b"], "all others to go")
    late = {"apiVersion": "book.example/v1", "kind": plural.capitalize(), "metadata": {"name": "late"}}
    refused(target.call("POST", path, late), 403, "Forbidden",
            rf'{plural}\.book\.example "late" is forbidden: create not allowed while custom resource definition is terminating')
    conditions = target.call("GET", crd).json()["status"]["conditions"]
    assert [(each["type"], each["reason"]) for each in conditions][-1] == ("Terminating", "InstanceDeletionInProgress")
    target.call("PATCH", f"{path}/b", {"metadata": {"finalizers": None}}, kind=MERGE)
    wait(lambda: target.call("GET", crd).status_code == 404, "the definition to go", 60)
    wait(lambda: target.call("GET", path).status_code == 404, "the kind to go")


def test_a_watch_of_custom_resources(gadgets: Kind, ns: Namespace) -> None:
    path = f"/apis/book.example/v1/namespaces/{ns.name}/{gadgets.plural}"
    mark = gadgets.target.call("GET", path).json()["metadata"]["resourceVersion"]
    gadgets.target.call("POST", path, gadgets.body("seen"))
    gadgets.target.call("DELETE", f"{path}/seen")
    events = gadgets.target.watch(path, resourceVersion=mark, timeoutSeconds="2")
    assert [(each["type"], each["object"]["kind"]) for each in events] == [("ADDED", gadgets.kind), ("DELETED", gadgets.kind)]
