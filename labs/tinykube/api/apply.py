"""Server-side apply: a client says which fields it cares about, and the server remembers whose they are.

Genuine counterpart: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import yaml

from tinykube.api.codec import JsonLoader
from tinykube.api.convert import from_stored, to_stored
from tinykube.api.fieldset import Fields, compact, differences, fields_of, grouped, shape
from tinykube.api.fieldtypes import tidy, zero
from tinykube.api.listing import plain_error
from tinykube.api.managed import (
    Change,
    Manager,
    Owned,
    Owners,
    conflict,
    entries,
    item_text,
    known_owners,
    laid_over,
    manager_name,
    updated,
)
from tinykube.api.verbs import (
    Call,
    answer,
    as_it_is,
    change,
    check_name,
    check_options,
    guarded,
    insert,
    tell,
    types_of,
)
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, dig, timestamp
from tinykube.machinery.patch import Typed, go_text
from tinykube.machinery.wire import Response

if TYPE_CHECKING:
    from tinykube.api.resources import Resource
    from tinykube.api.server import ApiServer

APPLY = "application/apply-patch+yaml"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BEFORE = "before-first-apply"
REPLICAS = ("f:spec", "f:replicas")
NULLS: dict[str, Object] = {"Event": {"eventTime": None, "firstTimestamp": None, "lastTimestamp": None}}


def install(server: ApiServer) -> None:
    """Let a server keep book of who wrote which field, and take what clients apply."""
    server.own, server.appliers[APPLY] = own, apply


def ignored(resource: Resource, subresource: str) -> Fields:
    """What a path may not write, whatever is sent to it: the status by the main path, nearly all else by /status."""
    if "status" not in resource.subresources:
        return frozenset()
    return frozenset({("f:status",), *resource.strategy.kept_by_main} if subresource != "status" else {
        ("f:spec",), *resource.strategy.kept_by_status})


def untouched(call: Call) -> Object:
    """The object that a create starts from: nobody has written to it, and what can't be left out is there, empty."""
    place = types_of(call)
    return {**unset(place), **NULLS.get(call.resource.kind, {}), "metadata": {}}


def unset(place: Typed) -> Object:
    """A struct in which nothing is set: what Go writes all the same, and null for lists that can't be left out."""
    schema = place.resolved()
    lists = [name for name in schema.get("required", ()) if shape(place.field(name), None) in ("keyed", "whole")]
    found: Object = dict.fromkeys(lists) | zero(place)
    inner = [name for name in found if schema["properties"][name].get("default") == {}]
    return found | {name: unset(place.field(name)) for name in inner}


def own(call: Call, old: Object | None, obj: Object) -> None:
    """Write into `obj` who owns what after this create, update or patch."""
    part = call.info.subresource
    who = Manager(manager_name(call.request), "Update", call.resource.api_version, part)
    owners = known_owners(old or {"metadata": {}}, obj, part)
    if old and not owners:               # nobody kept book so far: only an apply starts to
        obj["metadata"].pop("managedFields", None)
        return
    if part == "scale" and not any(REPLICAS in owned.fields for owned in owners.values()):
        return                           # nor does a Scale start to, of a number that nobody has said
    old = old or untouched(call)
    try:
        before, after = (bare(from_stored(call.resource, each)) for each in (old, obj))
        changed = Change.between(before, after, types_of(call), ignored(call.resource, part))
        note(obj, old, updated(owners, who, changed, timestamp(call.server.clock)))
    except ValueError:                   # a list whose items can't be told apart: nobody knows whose what is
        obj["metadata"].pop("managedFields", None)


def bare(obj: Object) -> Object:
    """An object without its managedFields."""
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}


def note(obj: Object, old: Object, owners: Owners) -> None:
    """Write owners into `obj`. If nothing but their times is new, these stay, and so does the object."""
    listed, was = entries(owners), old["metadata"].get("managedFields") or []
    timeless = [[{**entry, "time": ""} for entry in each] for each in (listed, was)]
    if timeless[0] == timeless[1] and bare(obj) == bare(old):
        listed = was
    obj["metadata"].pop("managedFields", None)
    if listed:
        obj["metadata"]["managedFields"] = listed


async def apply(call: Call) -> Response:
    """PATCH an object to what a client wants of it, unless something is another's. Create it if it is not there."""
    check_options(call, "PatchOptions")
    config = configuration(call)
    while call.info.subresource or await call.registry.find(call.where, call.info.name):
        record = await change(call, lambda old: applied(call, old, config), as_it_is)
        return answer(call, record)
    if uid := dig(config, "metadata", "uid"):
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise errors.conflict(call.resource.plural, call.info.name, why, call.resource.group)
    obj = applied(call, untouched(call), config)
    obj["metadata"].pop("resourceVersion", None)
    return answer(call, await insert(call, obj, as_it_is), 201)


def applied(call: Call, old: Object, config: Object) -> Object:
    """The object after an apply, with its owners. Raises ApiError 409 if that would take what others own."""
    place, live, part = types_of(call), bare(from_stored(call.resource, old)), call.info.subresource
    version, now, off = call.resource.api_version, timestamp(call.server.clock), ignored(call.resource, part)
    who = Manager(manager_name(call.request), "Apply", "", part)
    owners = known_owners(old, {"metadata": {}}, part)
    try:
        check_types(config, place)
        if not owners:
            first = Manager(BEFORE, "Update", version, part)
            owners = updated({}, first, Change.between(untouched(call), live, place, off), now)
        obj, left, taken = laid_over(live, config, owners, who, place, off, version, now)
    except ValueError as error:
        raise plain_error(500, f"failed to create typed patch object ({call_text(config)}): {error}") from error
    taken = allowed(taken, who, live, place)
    if taken and call.request.param("force", "0").lower() in ("0", "false"):
        raise conflict(taken)
    obj = to_stored(call.resource, dict(tidy(obj, place)))
    if who.name == "kubectl" and LAST_APPLIED in dig(obj, "metadata", "annotations", default={}):
        obj["metadata"]["annotations"][LAST_APPLIED] = json.dumps(config, sort_keys=True, separators=(",", ":")) + "\n"
    guarded(call, call.resource.strategy.default, obj)
    check_name(call, obj)
    note(obj, old, left)
    return obj


def allowed(taken: Owners, who: Manager, live: Object, place: Typed) -> Owners:
    """Conflicts that count: not those of kubectl with itself, in fields that it applied before there were owners."""
    text = dig(live, "metadata", "annotations", LAST_APPLIED)
    if who.name != "kubectl" or not text or not taken:
        return taken
    last = json.loads(text)
    mine = frozenset(fields_of(last, place)) - {path for _, path in differences(last, live, place)}
    left = {other: Owned(owned.fields - mine, owned.version) for other, owned in taken.items()}
    return {other: owned for other, owned in left.items() if owned.fields}


def call_text(config: Object) -> str:
    """What an object is called in messages: its namespace and name, as far as it says them, and its type."""
    return f"{dig(config, 'metadata', 'namespace', default='')}/{dig(config, 'metadata', 'name', default='')}; " \
        + type_text(config)


def type_text(config: Object) -> str:
    """The type that an object says it is of: `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`."""
    version = str(config.get("apiVersion") or "")
    return f"{version if '/' in version else '/' + version}, Kind={config.get('kind') or ''}"


def configuration(call: Call) -> Object:
    """The object in the body. Of fields that are in it twice, the client is warned. Raises ApiError 400."""
    try:
        loader = ApplyLoader(call.request.body)
        config = loader.get_single_data()
        config = {} if config is None else json.loads(json.dumps(config))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        why = getattr(error, "problem", None) or error
        raise errors.bad_request(f"error decoding patch: error converting YAML to JSON: yaml: {why}") from None
    if not isinstance(config, dict):
        what = "array" if isinstance(config, list) else "string" if isinstance(config, str) else "number"
        raise errors.bad_request("error decoding patch: error unmarshaling JSON: while decoding JSON: json: cannot "
                                 f"unmarshal {what} into Go value of type map[string]interface {{}}")
    if (config.get("apiVersion"), config.get("kind")) != (call.resource.api_version, call.resource.kind):
        raise errors.bad_request(f"invalid object type: {type_text(config)}")
    if dig(config, "metadata", "managedFields") is not None:
        raise errors.bad_request("metadata.managedFields must be nil")
    if loader.twice and call.request.param("fieldValidation") == "Strict":
        raise errors.bad_request("error strict decoding patch: error converting YAML to JSON: yaml: unmarshal errors:"
                                 + "".join(f"\n  {text}" for text in loader.twice))
    tell(call, [] if call.request.param("fieldValidation") == "Ignore" else loader.twice)
    return config


class ApplyLoader(JsonLoader):
    """YAML that remembers which keys a mapping has twice."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.twice: list[str] = []

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """As always, but look at the keys before one hides the other."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                self.twice.append(f'line {key.start_mark.line + 1}: key "{key.value}" already set in map')
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def check_types(config: Object, place: Typed) -> None:
    """Raise ValueError that lists what is in `config` and can't be, in the words of the genuine server."""
    wrong = sorted(mistakes(config, place))
    if wrong:
        raise ValueError(wrong[0] if len(wrong) == 1 else "errors:" + "".join(f"\n  {text}" for text in wrong))


def mistakes(value: Any, place: Typed, path: str = "") -> Iterator[str]:
    """A text for each value of another type than its field, each unknown field, each item that is there twice."""
    schema, kind = place.resolved(), shape(place, value)
    wanted = TYPES.get(schema.get("type", "any" if "oneOf" in schema else ""))
    if value is None or wanted is None:
        return
    if not isinstance(value, wanted[1]) or (isinstance(value, bool) and bool not in wanted[1]):
        yield f"{path}: expected {wanted[0]}, got {got(value, wanted[0])}"
    elif isinstance(value, dict):
        unknown = sorted(set(value) - set(schema["properties"])) if kind == "struct" else []
        if unknown:
            yield f"{path}.{unknown[0]}: field not declared in schema"
            return
        for key, item in value.items():
            yield from mistakes(item, place.field(key), f"{path}.{key}")
    elif isinstance(value, list):
        yield from item_mistakes(value, place, kind, path)


def item_mistakes(value: list[Any], place: Typed, kind: str, path: str) -> Iterator[str]:
    """The mistakes in a list, and those that make its items look alike."""
    if kind == "whole":
        for at, item in enumerate(value):
            yield from mistakes(item, place.items(), f"{path}[{at}]")
        return
    for at in range(len(value)):
        try:
            found = grouped(place, kind, value[at:at + 1])
        except ValueError as error:
            yield f"{path}: element {at}: {error}"
            return
        for step, (below, item) in found.items():
            yield from mistakes(item, below, f"{path}[{item_text(step)}]")
    for step, (_, item) in grouped(place, kind, value).items():
        if value.count(item) == 0:
            yield f"{path}: duplicate entries for key [{item_text(step)}]"


TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
    "string": ("string", (str,)), "boolean": ("boolean", (bool,)), "integer": ("numeric (int or float)", (int, float)),
    "number": ("numeric (int or float)", (int, float)), "array": ("list", (list,)), "object": ("map", (dict,)),
    "any": ("any scalar", (str, int, float, bool))}


def got(value: Any, wanted: str) -> str:
    """A value of a wrong type, as the genuine server shows it."""
    if wanted == "string":
        return f"&value.valueUnstructured{{Value:{compact(value)}}}"
    if wanted.startswith("numeric"):
        return {dict: "map", list: "list", bool: "boolean"}.get(type(value), "string")
    return f"&{{{go_text(value)}}}"
