"""Sends objects to a genuine api-server and looks at what comes back, type by type.

A specimen (specimens.yaml) is sent as it is, then once without each of its fields, with each of its objects empty:
what the server fills in, and under which condition, shows in the difference. Then once
with each field holding one thing after the other that might be wrong: what it says becomes a rule, if the rule
predicts every answer. All requests are dry runs.
"""
from __future__ import annotations

import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tinykube.api.fields import holds
from tinykube.api.rules import faults_of

from genuine.controlplane import ControlPlane, control_plane
from genuine.schema import DATA
from genuine.schema import written as as_file

SPECIMENS = Path(__file__).with_name("specimens.yaml")
FLAGS: dict[str, Sequence[str]] = {"apiserver": ["--disable-admission-plugins=TaintNodesByCondition"]}
MISSING = "<missing>"
Object = dict[str, Any]
Steps = tuple[str | int, ...]
Ask = Callable[[str, str, Any], tuple[int, Object]]
# derived from other fields, from the time, from who asks or from other objects: these stay code
DERIVED = {
    "batch.v1.JobSpec": ["selector"], "batch.v1.Job": [], "certificates.v1.CertificateSigningRequestSpec": ["*"],
    "core.v1.Container": ["imagePullPolicy"], "core.v1.LimitRangeItem": ["*"], "core.v1.Namespace": ["*"],
    "core.v1.NodeSpec": ["*"], "core.v1.Pod": ["status"], "core.v1.PersistentVolume": ["status"],
    "core.v1.ReplicationControllerSpec": ["selector"], "core.v1.ResourceRequirements": ["*"], "core.v1.Secret": ["data"],
    "core.v1.ServicePort": ["targetPort", "nodePort"], "core.v1.Volume": ["*"],
    "core.v1.ServiceSpec": ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"],
    "core.v1.PodTemplateSpec": ["metadata"], "core.v1.EphemeralVolumeSource": [],
}
ADMITTED = ["priority", "preemptionPolicy", "tolerations"]      # by admission plugins


class Seen(NamedTuple):
    """One place of one object: what was sent there, and what came back."""

    where: str                           # kind and path, without indexes: Deployment.spec.strategy
    sent: Object
    got: Object


def specimens() -> list[Object]:
    """All specimens, each with a kind and a name."""
    return [each for each in yaml.safe_load_all(SPECIMENS.read_text()) if each]


def short(name: str) -> str:
    """A schema's name as our tables have it: apps.v1.DeploymentSpec."""
    return ".".join(name.split(".")[-3:])


class Schemas:
    """The OpenAPI v3 schemas of all groups, and the way from one type to the next."""

    def __init__(self, ask: Ask) -> None:
        self.all: dict[str, Object] = {}
        for each in ask("GET", "/openapi/v3", None)[1]["paths"].values():
            self.all |= ask("GET", each["serverRelativeURL"], None)[1].get("components", {}).get("schemas", {})
        self.of_kind = {("/".join(filter(None, (mark["group"], mark["version"]))), mark["kind"]): name
                        for name, schema in self.all.items() for mark in schema.get("x-kubernetes-group-version-kind", [])}

    def named(self, schema: Object) -> str:
        """The type that a schema refers to, or ''."""
        name = str((schema.get("allOf") or [schema])[0].get("$ref", "").rsplit("/", 1)[-1])
        return name if self.all.get(name, {}).get("properties") else ""

    def below(self, name: str, value: Object) -> Iterator[tuple[Steps, str]]:
        """(path from here, type) of each object below one of a type."""
        for field, schema in self.all[name].get("properties", {}).items():
            inner = value.get(field)
            if isinstance(inner, dict) and self.named(schema):
                yield (field,), self.named(schema)
            elif isinstance(inner, list) and self.named(items := schema.get("items", {})):
                yield from (((field, at), self.named(items)) for at in range(len(inner)))

    def places(self, obj: Object) -> Iterator[tuple[Steps, str]]:
        """(path, type) of an object and of all objects in it, but for its own metadata."""
        yield from self._places(self.of_kind[obj["apiVersion"], obj["kind"]], obj, ())

    def _places(self, name: str, value: Object, path: Steps) -> Iterator[tuple[Steps, str]]:
        yield path, name
        for step, inner in self.below(name, value):
            if not inner.endswith(".ObjectMeta"):
                yield from self._places(inner, at(value, step), path + step)


def at(value: Any, path: Steps) -> Any:
    """What lies at a path, or None."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def changed(obj: Object, path: Steps, value: Any) -> Object:
    """A copy of an object with another value at a path; without the field if the value is None."""
    other: Object = deepcopy(obj)
    parent = at(other, path[:-1])
    if value is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = deepcopy(value)
    return other


def variants(schemas: Schemas, obj: Object) -> Iterator[Object]:
    """The object, then the object without each of its fields, with each of its objects empty."""
    yield obj
    for path, _ in schemas.places(obj):
        if path:
            yield changed(obj, path, {})
        for field in at(obj, path):
            if path or field not in ("apiVersion", "kind", "metadata"):
                yield changed(obj, (*path, field), None)


class Server:
    """The genuine server, asked for dry runs of creates."""

    def __init__(self, ask: Ask) -> None:
        self.ask, self.schemas = ask, Schemas(ask)
        self.paths: dict[tuple[str, str], str] = {}
        versions = ["/api/v1", *(f"/apis/{version['groupVersion']}" for group in ask("GET", "/apis", None)[1]["groups"]
                                 for version in group["versions"])]
        for base in versions:
            for each in ask("GET", base, None)[1]["resources"]:
                if "/" not in each["name"]:
                    where = f"{base}/namespaces/default" if each["namespaced"] else base
                    self.paths[base.split("/", 2)[2], each["kind"]] = f"{where}/{each['name']}"

    def path(self, obj: Object) -> str:
        """Where objects of this kind are created."""
        return self.paths[obj["apiVersion"], obj["kind"]]

    def tried(self, objects: list[Object]) -> list[tuple[int, Object]]:
        """What a create of each would be answered with."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda obj: self.ask("POST", f"{self.path(obj)}?dryRun=All", obj), objects))


# ---- what is filled in

def seen(server: Server) -> dict[str, list[Seen]]:
    """All places of all objects that the server accepted, by their type."""
    found: dict[str, list[Seen]] = defaultdict(list)
    objects = [each for specimen in specimens() for each in variants(server.schemas, specimen)]
    for obj, (code, got) in zip(objects, server.tried(objects), strict=True):
        if code == 201:
            for path, name in server.schemas.places(obj):
                found[name].append(Seen(place_of(obj, path), at(obj, path), at(got, path) or {}))
    return found


def place_of(obj: Object, path: Steps) -> str:
    """A path without indexes, below the object's kind: Deployment.spec.strategy."""
    return ".".join([obj["kind"], *(step for step in path if isinstance(step, str))])


def outcome(each: Seen, field: str) -> str:
    """What the server made of a field."""
    return json.dumps(each.got[field], sort_keys=True) if field in each.got else MISSING


def given(each: Seen, key: str) -> bool:
    """Whether a field was sent with something in it."""
    return each.sent.get(key) not in (None, "", [])


def condition(field: str, value: str, cases: list[Seen]) -> str | None:
    """What tells the cases where `field` became `value` from the others: '' for nothing, None if it can't be told."""
    yes = [each for each in cases if outcome(each, field) == value]
    no = [each for each in cases if outcome(each, field) != value]
    if not no:
        return ""
    siblings = sorted({key for each in cases for key in each.sent} - {field})
    for key in sorted({key for each in cases for key in each.got} - {field}):
        having, lacking = ({json.dumps(each.got.get(key)) for each in side} for side in (yes, no))
        texts = [json.loads(each) for each in having]
        if not having & lacking and len(having) < 4 and all(isinstance(text, str) for text in texts):
            return f"{key}={'|'.join(sorted(texts))}"
    for key in siblings:
        if all(given(each, key) for each in yes) and not any(given(each, key) for each in no):
            return key
        if not any(given(each, key) for each in yes) and all(given(each, key) for each in no):
            return f"!{key}"
    return None


def defaults(server: Server) -> dict[str, list[Object]]:
    """Entries by type, or by place where one type is treated in two ways. What can't be told is printed."""
    table: dict[str, list[Object]] = {}
    for name, places in sorted(seen(server).items()):
        skip = DERIVED.get(short(name), []) + (ADMITTED if name.endswith(".PodSpec") else [])
        fields = {field for each in places for field in each.got if each.sent.get(field) is None} - set(skip)
        for field in sorted(fields) if "*" not in skip else ():
            cases = [each for each in places if each.sent.get(field) is None]
            values = sorted({outcome(each, field) for each in cases} - {MISSING})
            for where, entry in entries_for(field, values, cases, short(name)):
                table.setdefault(where, []).append(entry)
    for where, entries in table.items():
        for entry in entries:
            if entry["value"] and isinstance(entry["value"], str | int) and entry["field"] not in ("apiVersion", "kind"):
                entry |= {"zero": True} if zero_counts(server, where, entry) else {}
    return {name: sorted(entries, key=lambda each: "=" in each.get("if", "")) for name, entries in table.items()}


def zero_counts(server: Server, where: str, entry: Object) -> bool:
    """Whether an empty text, or 0, is filled in as if it were missing."""
    places = [(obj, path) for obj in specimens() for path, name in server.schemas.places(obj)
              if where in (short(name), place_of(obj, path))][:4]
    zero = type(entry["value"])()
    sent = [changed(obj, (*path, entry["field"]), zero) for obj, path in places]
    answers = zip(places, server.tried(sent), strict=True) if zero is not False else ()
    return any(code == 201 and at(got, (*path, entry["field"])) == entry["value"] for (_, path), (code, got) in answers)


def entries_for(field: str, values: list[str], cases: list[Seen], name: str) -> Iterator[tuple[str, Object]]:
    """(type or place, entry) for each value that a field may become."""
    whole = {value: condition(field, value, cases) for value in values}
    if list(whole.values()) == [""]:
        yield name, {"field": field, "value": json.loads(values[0])}
        return
    places = sorted({each.where for each in cases})
    for value in values:
        split = {where: condition(field, value, [each for each in cases if each.where == where]) for where in places
                 if any(each.where == where and outcome(each, field) == value for each in cases)}
        if (len(split) < len(places) and None not in split.values()) or (len(places) > 1 and set(split.values()) == {""}):
            chosen = {(where, why) for where, why in split.items()}
        else:
            chosen = {(name, whole[value])}
        for where, why in sorted(chosen, key=str):
            if why is None:
                print(f"not told: {where}: {field}: {value[:70]}")
            else:
                yield where, {"field": field, "value": json.loads(value)} | ({"if": why} if why else {})


# ---- what is refused

WORDS = ["", "-bad-", "Bad_Value", "a b", "x" * 300, "a.b", "a/b", "/a/../b", "1a"]
NUMBERS = [-1, 0, 70000, 2147483647]
DOTTED = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+"
OPERATOR = "not a valid selector operator"
PATTERNS = {
    "must not contain dots": f"(?!{DOTTED}$).*", "may not contain '/'": "[^/]*", "must start with a '/'": "/.*",
    "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)": "[-a-z0-9]*",
    "must contain at least one letter (a-z)": ".*[a-z].*", "must not begin or end with a hyphen": "(?!-).*(?<!-)",
    "must be a relative path": "[^/].*", "must not contain '..'": r"(?!(.*/)?\.\.(/|$)).*",
    "must not be greater than 100%": r"(100|\d{1,2})%|.*[^%]|-.*|\D+%", "must not contain '/../'": "(?!.*/\\.\\./).*",
    OPERATOR: "In|NotIn|Exists|DoesNotExist",
    "must be a domain-prefixed path (such as \"acme.io/foo\")": 
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/.+",
    "must not contain consecutive hyphens": "(?!.*--).*", "must be an absolute path": "/.*",
    "must be 'OrderedReady' or 'Parallel'": "OrderedReady|Parallel",
    "must be either Utilization, Value, or AverageValue": "Utilization|Value|AverageValue",
}
FORMS = ("ip", "cidr", "schedule", "time zone")
# words of sentences that speak of other fields, too: such a rule counts only with a condition
DEPENDS = "more than 1|mutually|only$|only be |when |exactly one|scoped|one of name|validations or|without|set to|raw value"
# (form of the sentence, lower and upper bound)
BOUNDS: list[tuple[str, Callable[[str, str], tuple[int | None, int | None]]]] = [
    (r"between (-?\d+) and (0?\d+)\b", lambda a, b: (int(a), int(b, 8 if b.startswith("0") else 10))),
    (r"in the range (\d+)-(\d+)$", lambda a, b: (int(a), int(b))),
    (r"between (\d+) and (\d+) seconds$", lambda a, b: (int(a), int(b))),
    (r"greater than or equal to (\d+|zero)$", lambda a, b: (int(a.replace("zero", "0")), None)),
    (r"greater than (\d+|zero)$", lambda a, b: (int(a.replace("zero", "0")) + 1, None)),
    (r"less than or equal to (\d+)$", lambda a, b: (None, int(a))),
    (r"positive and less than (\d+)$", lambda a, b: (1, int(a))),
    (r"^must be positive$", lambda a, b: (1, None)), (r"^must be (\d+)$", lambda a, b: (int(a), int(a))),
]


class Tried(NamedTuple):
    """One answer to one value of one field."""

    where: str
    holder: Object                       # the object that has the field, as it was sent
    value: Any
    at: str                              # the field's path as causes have it
    code: int
    causes: tuple[tuple[str, str, str], ...]      # (reason, message, what follows the path)


def suspects(schema: Object, value: Any) -> Iterator[Any]:
    """Values that a field of a schema may refuse."""
    reference = str((schema.get("allOf") or [schema])[0].get("$ref", ""))
    if schema.get("type") == "string":
        yield from WORDS
    elif schema.get("type") == "integer":
        yield from NUMBERS
    elif schema.get("type") == "array":
        yield []
        yield from ([word] for word in WORDS if schema["items"].get("type") == "string")
    elif reference.endswith("IntOrString"):
        yield from [-1, 0, 70000, "150%", "abc", "-5%", "a_b", "-a-", "x" * 70, "8"]
    elif (schema.get("additionalProperties") or {}).get("type") == "string":
        yield from [{"bad key": "a"}, {"a": "bad value"}, {"a": "x" * 64}, {}]
    else:
        yield {}


def trials(server: Server) -> dict[tuple[str, str], list[Tried]]:
    """All answers to all suspects, by (type, field)."""
    todo = []
    found: dict[tuple[str, str], list[Tried]] = defaultdict(list)
    often: Counter[str] = Counter()
    for obj in specimens():
        for path, name in server.schemas.places(obj):
            holder, where = at(obj, path), place_of(obj, path)
            often[where] += 1
            for field, schema in server.schemas.all[name]["properties"].items():
                if path or field not in ("apiVersion", "kind", "metadata", "status"):
                    found[short(name), field].append(Tried(where, holder, holder.get(field), written((*path, field)), 201, ()))
                    tries = [*suspects(schema, holder.get(field)), *([None] if field in holder else [])]
                    if often[where] > 2 and "emplate" in where and field not in holder:
                        continue
                    todo += [(short(name), field, obj, path, value) for value in tries]
    answers = server.tried([changed(obj, (*path, field), value) for _, field, obj, path, value in todo])
    for (name, field, obj, path, value), (code, got) in zip(todo, answers, strict=True):
        where = written((*path, field))
        causes = tuple((each["reason"], each["message"], each["field"].removeprefix(where))
                       for each in got.get("details", {}).get("causes", []) if code == 422
                       and re.fullmatch(re.escape(where) + r"(\[[^\]]*\])?", each["field"]))
        found[name, field].append(Tried(place_of(obj, path), at(changed(obj, (*path, field), value), path), value, where,
                                        code, causes))
    return found


def written(path: Steps) -> str:
    """A path as causes have it: spec.containers[0].name."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def candidates(field: str, tried: list[Tried]) -> list[Object]:
    """Rules that could stand behind the answers, one for each text."""
    found: dict[str, Object] = {}
    for each in tried:
        for reason, message, rest in each.causes:
            if rule := rule_of(reason, message, each.value):
                rule = {"field": field} | rule | each_of(message, rest, each.value)
                kept = found.setdefault(json.dumps(rule), rule)
                value = each.value[0] if "each" in rule else each.value
                if value in ("", 0, {}) and (rule["check"] != "required" or value != ""):
                    kept["zero"] = True
    return list(found.values())


def each_of(message: str, rest: str, value: Any) -> Object:
    """How a rule speaks of the items of a list: by their index, or of the list as if it were the item."""
    if not isinstance(value, list) or not value:
        return {}
    return {"each": "named"} if rest else {"each": "whole"} if f": {json.dumps(value[0])}: " in message else {}


def rule_of(reason: str, message: str, value: Any) -> Object | None:
    """The rule that one cause is a case of, or None if we know no such rule."""
    says = message.partition(": ")[2]
    if reason == "FieldValueRequired":
        return {"check": "required"} | ({"says": says} if says else {})
    if reason == "FieldValueNotSupported" and (values := says.partition("supported values: ")[2]):
        return {"check": "one of", "of": json.loads(f"[{values}]")}
    says = re.sub(r'^("(\\.|[^"\\])*"|-?\d+|\{.*?\}|\[.*?\]): ', "", says)
    if reason == "FieldValueForbidden" and says:
        return {"check": "absent", "says": says}
    if reason != "FieldValueInvalid":
        return None
    if says.startswith("empty selector"):
        return {"check": "not empty", "says": says}
    if isinstance(value, dict) and (says.startswith(("name part", "a valid label")) or "than 63 bytes" in says):
        return {"check": "labels"}
    if says.startswith(("name part", "prefix part", "a valid label key")):
        return {"check": "label key"}
    if longest := re.fullmatch(r"must be no more than (\d+) (bytes|characters)", says):
        return {"check": "longest", "of": int(longest[1]), "says": says}
    pattern = re.search(r"regex used for validation is '(.*)'\)$", says)
    if pattern or says in PATTERNS:
        return {"check": "match", "of": pattern[1] if pattern else PATTERNS[says], "says": says}
    if says.startswith("unknown time zone"):
        return {"check": "time zone"}
    if says.startswith("expected exactly 5 fields"):
        return {"check": "schedule"}
    if says.startswith("must be a valid IP address"):
        return {"check": "ip", "says": says}
    if says.startswith("must be a valid CIDR"):
        return {"check": "cidr", "says": says}
    for form, bounds in BOUNDS:
        if match := re.search(form, says):
            low, high = bounds(*(*match.groups(), "", "")[:2])
            return {"check": "between", "of": [low, high], "says": says}
    return {"check": "match", "of": "(?!)", "says": says}        # perhaps it is never right


def wrong(rule: Object, tried: list[Tried]) -> list[Tried]:
    """The answers that contradict a rule: it speaks, the server does not say so."""
    return [each for each in tried if speaks(rule, each) and contradicts(rule, each)]


def speaks(rule: Object, each: Tried) -> bool:
    return holds(rule.get("if", ""), each.holder, set(each.holder)) and bool(faults_of(rule, each.value, each.at))


def contradicts(rule: Object, each: Tried) -> bool:
    """Whether an answer lacks what a rule says. An answer about other fields alone says nothing about this one."""
    if each.code not in (201, 422) or (each.code == 422 and not each.causes):
        return False
    told = {(reason, message) for reason, message, _ in each.causes}
    return not {(cause["reason"], cause["message"]) for cause in faults_of(rule, each.value, each.at)} <= told


def rules(server: Server) -> dict[str, list[Object]]:
    """Rules by type or place: those that predict each answer that they speak of."""
    table: dict[str, list[Object]] = {}
    for (name, field), tried in sorted(trials(server).items()):
        for rule in candidates(field, tried):
            for where, kept in fitted(rule, tried, name):
                table.setdefault(where, []).append(kept)
    for rule in table.get("core.v1.NodeSelectorRequirement", []):
        if rule.get("of") == PATTERNS[OPERATOR]:              # nodes are picked by size, too, which the sentence keeps silent
            rule["of"] += "|Gt|Lt"
    return table


def fitted(rule: Object, tried: list[Tried], name: str) -> Iterator[tuple[str, Object]]:
    """A rule where it holds: for the whole type, or under a condition, or at some places; nowhere, if it can't be told."""
    spoken = [each for each in tried if speaks(rule, each)]
    if not any(not contradicts(rule, each) and each.causes for each in spoken):
        return
    if rule["check"] == "match" and wrong(rule, tried):          # a name with dots is told that alone
        dotted = rule | {"of": f"{rule['of']}|{DOTTED}"}
        rule = rule if wrong(dotted, tried) else dotted
    if rule["check"] == "required" and wrong(rule, tried):
        rule = rule | {"if": f"!{rule['field']}"}
    depends = re.search(DEPENDS, rule.get("says", ""))
    if not wrong(rule, tried) and not depends:
        yield name, rule
        return
    siblings = {key: {str(each.holder[key]) for each in spoken if isinstance(each.holder.get(key), str)}
                for key in ("type", "action", "kind", "operator")}
    for key, texts in siblings.items():
        good = [text for text in sorted(texts) if not wrong(rule | {"if": f"{key}={text}"}, tried)]
        if good and rule["field"] != key and any(speaks(rule | {"if": f"{key}={'|'.join(good)}"}, each) for each in tried):
            yield name, rule | {"if": f"{key}={'|'.join(good)}"}
            return
    for where in sorted({each.where for each in spoken}) if not depends else ():
        here = [each for each in tried if each.where == where]
        if not wrong(rule, here) and any(each.causes and speaks(rule, each) for each in here):
            yield where, rule


# ---- the files

def asker(plane: ControlPlane) -> Ask:
    """ask(method, path, body) -> (status, JSON) of a control plane, with a connection of its own in each thread."""
    local = threading.local()

    def ask(method: str, path: str, body: Any) -> tuple[int, Object]:
        if not hasattr(local, "session"):
            local.session = plane.session()
        answer = local.session.request(method, plane.url + path, json=body, timeout=30)
        return answer.status_code, answer.json()
    return ask


def files(plane: ControlPlane) -> dict[str, str]:
    """The texts of defaults.json and rules.json, by file name, as a control plane would have them."""
    ask = asker(plane)
    server = Server(ask)
    version = ask("GET", "/version", None)[1]["gitVersion"].split("+")[0]
    origin = f"kube-apiserver {version}, dry runs of labs/genuine/specimens.yaml and their variants"
    return {"defaults.json": as_file(defaults(server), origin), "rules.json": as_file(rules(server), origin)}


def main() -> None:
    """Ask a genuine control plane, and write both files."""
    with control_plane(("apiserver",), flags=FLAGS, audit=False, fsync=False) as plane:
        for name, text in files(plane).items():
            (DATA / name).write_text(text)


if __name__ == "__main__":
    main()
