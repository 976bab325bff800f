"""Does each field hold what its type allows? A text where a list was meant is refused before any rule looks at it.

Genuine counterpart: Go's types, which the genuine server decodes every body into.
"""
from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

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
    elif isinstance(value, dict):
        inner = struct_name(place) if "properties" in schema else struct
        for key, item in value.items():
            known = key in schema.get("properties", {})
            yield from type_errors(item, place.field(key), inner, f"{path}.{key}".lstrip(".") if known else path)
    elif isinstance(value, list):
        for item in value:
            yield from type_errors(item, place.items(), struct, path)


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
        if known and (item is not None or may_be_null(key, kind)) and not (free and item in ({}, [])):
            found[key] = item
    return {**found, **zero(place, but=found)}


def zero(place: Typed, but: Container[str] = ()) -> Object:
    """The fields that Go writes even if nobody has set them: structs inside of others, and some empty texts and zeros."""
    found: Object = {}
    for name, field in place.resolved().get("properties", {}).items():
        if name not in but and "default" in field and not field["default"] and name != "minReadySeconds":
            found[name] = zero(place.field(name)) if field["default"] == {} else field["default"]
    return found


def may_be_null(key: str, kind: Object) -> bool:
    """Whether a field is written even if it is null: times of events and conditions are."""
    return kind.get("format") == "date-time" and key not in ("creationTimestamp", "deletionTimestamp")
