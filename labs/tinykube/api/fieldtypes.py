"""Does each field hold what its type allows? A text where a list was meant is refused before any rule looks at it.

Genuine counterpart: Go's types, which the genuine server decodes every body into.
"""
from __future__ import annotations

import calendar
import json
import re
from collections.abc import Container, Iterator
from typing import Any

from tinykube.api.protobuf import MESSAGES, SCALARS
from tinykube.machinery.objects import Object
from tinykube.machinery.patch import Typed
from tinykube.machinery.quantity import parse_quantity

GO_TYPES = {"string": "string", "boolean": "bool", "number": "float64", "integer": "int"}
JSON_TYPES: dict[type, str] = {dict: "object", list: "array", str: "string", bool: "bool"}
FITTING: dict[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "number": (int, float),
                                        "integer": (int,), "object": (dict,), "array": (list,)}


def kind_of(value: Any) -> str:
    """What a JSON value is called in Go's messages."""
    return JSON_TYPES.get(type(value), "number")


def type_errors(value: Any, place: Typed, struct: str = "", path: str = "") -> Iterator[str]:
    """A text for each value that is not of its field's type. `struct` is the Go type that `path` is a field of."""
    schema = place.resolved()
    if value is None or not schema:
        return
    if "oneOf" in schema:
        yield from quantity_errors(value, struct_name(place))
    elif type(value) not in FITTING.get(schema.get("type", ""), (type(value),)):
        yield f"json: cannot unmarshal {kind_of(value)} into Go struct field {struct}.{path} of type {go_type(place)}"
    elif schema.get("format") == "date-time":
        yield from time_errors(value, struct_name(place) == "MicroTime")
    elif schema.get("format") == "byte":
        yield from base64_errors(value)
    elif isinstance(value, dict):
        inner = struct_name(place) if "properties" in schema else struct
        for key, item in value.items():
            known = key in schema.get("properties", {})
            yield from type_errors(item, place.field(key), inner, f"{path}.{key}".lstrip(".") if known else path)
    elif isinstance(value, list):
        for item in value:
            yield from type_errors(item, place.items(), struct, path)


def restore_errors(value: Any, place: Typed) -> Iterator[str]:
    """As `type_errors`, in the words that a strategic merge patch is refused with: there, Go restores maps to structs."""
    schema = place.resolved()
    wanted, have = schema.get("type", ""), GO_KINDS[type(value)]
    if value is None or not schema:
        return
    if "oneOf" in schema or (schema.get("format") == "date-time" and have == "string"):
        yield from type_errors(value, place)
    elif type(value) in FITTING.get(wanted, (type(value),)):
        for inner, item in [(place.field(key), each) for key, each in value.items()] if have == "map" else [
                (place.items(), each) for each in value] if have == "slice" else []:
            yield from restore_errors(item, inner)
    elif wanted in ("array", "object"):
        yield f"cannot restore {'slice' if wanted == 'array' else 'struct' if 'properties' in schema else 'map'} from" \
              f"{':' if 'properties' in schema else ''} {have}"
    elif (have, wanted) in (("float64", "integer"), ("int64", "string")):
        yield f"cannot convert {have} to {go_type(place)}"
    else:
        yield f"unrecognized type: {go_type(place)}"


GO_KINDS = {dict: "map", list: "slice", str: "string", bool: "bool", int: "int64", float: "float64", type(None): "nil"}


DAY_AND_TIME = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3])(:[0-5]\d){2}"      # good, and soon known to be
USUAL_TIME, USUAL_MICRO = re.compile(f"{DAY_AND_TIME}Z", re.ASCII), re.compile(rf"{DAY_AND_TIME}\.\d{{6}}Z", re.ASCII)


def time_errors(text: str, micro: bool = False) -> Iterator[str]:
    """What is wrong with a text that should be a time: the first part that is none, as Go's parser names it."""
    if (USUAL_MICRO if micro else USUAL_TIME).fullmatch(text):
        return
    layout, rest, numbers = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00", text, list[int]()
    for part in re.findall(r"\d{4}|\.0+|Z07:00|\d\d|\D", layout):
        form = {"2006": r"\d{4}", "05": r"\d\d(\.\d+)?" if not micro else r"\d\d", "Z07:00": r"Z|[+-]\d\d:\d\d",
                ".000000": r"\.\d{6}"}.get(part, r"\d\d" if part.isdigit() else re.escape(part))
        found = re.match(form, rest)
        if not found:
            yield f'parsing time {json.dumps(text)} as "{layout}": cannot parse {json.dumps(rest)} as "{part}"'
            return
        rest = rest[found.end():]
        numbers += [int(found[0][:4].partition(".")[0])] if part.isdigit() else []
    year, month, day, *clock = numbers
    highest = calendar.monthrange(max(year, 1), month)[1] if 1 <= month <= 12 else 31
    ranges = (("month", month, 1, 12), ("day", day, 1, highest), ("hour", clock[0], 0, 23), ("minute", clock[1], 0, 59),
              ("second", clock[2], 0, 59))
    if wrong := next((name for name, number, low, high in ranges if not low <= number <= high), ""):
        yield f"parsing time {json.dumps(text)}: {wrong} out of range"
    elif rest:
        yield f"parsing time {json.dumps(text)}: extra text: {json.dumps(rest)}"


def base64_errors(text: str) -> Iterator[str]:
    """What is wrong with a text that should be bytes in base64: the place at which Go's reader gives up."""
    at = len(re.match(r"[A-Za-z0-9+/\r\n]*", text)[0])  # type: ignore[index]
    over, end = len(re.sub(r"[\r\n]", "", text[:at])) % 4, text[at:].rstrip("\r\n")
    if end == "" and over:
        yield f"illegal base64 data at input byte {len(text) - over}"
    elif end and end != (wanted := {2: "==", 3: "="}.get(over, "")):
        after = at + len(wanted) if end.startswith(wanted) else at
        yield f"illegal base64 data at input byte {len(text) if over == 2 and end == '=' else after}"


def without_nulls(value: Any, place: Typed) -> Any:
    """`value` as Go reads it: a field that is null is not there; a null in a map or a list is its type's zero."""
    inner = place.items() if isinstance(value, list) else place.field("")
    zero = ZEROS.get(inner.resolved().get("type", ""))
    if isinstance(value, list):
        return [zero if item is None else without_nulls(item, inner) for item in value]
    if not isinstance(value, dict):
        return value
    if "additionalProperties" in place.resolved():
        return {key: zero if item is None else without_nulls(item, inner) for key, item in value.items()}
    return {key: without_nulls(item, place.field(key)) for key, item in value.items() if item is not None}


ZEROS = {"string": "", "integer": 0, "number": 0, "boolean": False}


def quantity_errors(value: Any, name: str) -> Iterator[str]:
    """What is wrong with a value that may be a number or a text. Of those, only quantities have a form."""
    if name == "Quantity":
        try:
            parse_quantity(value)
        except ValueError as error:
            yield str(error)


def struct_name(place: Typed) -> str:
    """The name of the Go type behind a place in the schema: Container, PodSpec."""
    schema = (place.schema.get("allOf") or [place.schema])[0]
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit(".", 1)[-1]
    return str((schema.get("x-kubernetes-group-version-kind") or [{}])[0].get("kind", ""))


def go_type(place: Typed) -> str:
    """The Go type of a place, as messages have it: `[]v1.Container`, `map[string]string`, `int64`."""
    schema = place.resolved()
    if schema.get("type") == "array":
        return f"[]{go_type(place.items())}"
    if "additionalProperties" in schema and struct_name(place.field("")) == "Quantity":
        return "v1.ResourceList"
    if "additionalProperties" in schema:
        return f"map[string]{go_type(Typed(place.schemas, schema['additionalProperties']))}"
    if schema.get("type") == "object":
        return f"v1.{struct_name(place)}"
    return str(schema.get("format") or "int64") if schema.get("type") == "integer" else GO_TYPES[schema["type"]]


def tidy(value: Any, place: Typed) -> Any:
    """A value as Go would write it: without null and unknown fields, and without lists and maps that are empty."""
    if isinstance(value, list):
        return [tidy(item, place.items()) for item in value]
    schema = place.resolved()
    if not isinstance(value, dict) or not ("properties" in schema or "additionalProperties" in schema):
        return value
    found = {}
    for key, item in value.items():
        below = place.field(key)
        kind = below.resolved()
        if item is None and "additionalProperties" in schema and kind.get("type") == "string":
            item = ""
        item = tidy(item, below)
        known = key in schema.get("properties", (key,))
        free = key not in schema.get("required", ()) and (kind.get("type") == "array" or "additionalProperties" in kind)
        unsaid = (free and item in ({}, [])) or (item in ("", 0) and (struct_name(place), key) in UNSAID)
        if known and (item is not None or may_be_null(key, kind)) and not unsaid:
            found[key] = item
    return {**found, **zero(place, but=found)}


def unsaid_fields() -> set[tuple[str, str]]:
    """(struct, field) where Go can't tell an empty text, a 0 or a false from nothing, and so writes nothing."""
    found = [(name.partition(".")[2], key, how if kind in SCALARS else "") for name, message in MESSAGES.items()
             if isinstance(message, dict) and name != "packages" for key, kind, how in message.values()]
    return {(name, key) for name, key, how in found if how == "omit"} - {(name, key) for name, key, how in found if how != "omit"}


UNSAID = unsaid_fields()


def zero(place: Typed, but: Container[str] = ()) -> Object:
    """The fields that Go writes even if nobody has set them: structs inside of others, and some empty texts and zeros."""
    found: Object = {}
    for name, field in place.resolved().get("properties", {}).items():
        if name not in but and "default" in field and not field["default"] and name != "minReadySeconds":
            found[name] = zero(place.field(name)) if field["default"] == {} else field["default"]
        elif name not in but and name.startswith("last") and name.endswith("Time") and struct_name(place).endswith("Condition"):
            found[name] = None
    return found


def may_be_null(key: str, kind: Object) -> bool:
    """Whether a field is written even if it is null: times of events and conditions are."""
    return kind.get("format") == "date-time" and key not in ("creationTimestamp", "deletionTimestamp")
