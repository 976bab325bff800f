"""What a schema says of a value: fill in, drop what it doesn't know, and name what is wrong. Pure functions, no server.

Genuine counterpart: structural schemas in k8s.io/apiextensions-apiserver/pkg/apiserver/schema.
"""
from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from tinykube.machinery import errors
from tinykube.machinery.objects import Object, copy, parse_time

KEEP, EMBEDDED, INT_OR_STRING = (f"x-kubernetes-{each}" for each in (
    "preserve-unknown-fields", "embedded-resource", "int-or-string"))
LIST_TYPE, LIST_KEYS = "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
HEAD = ("apiVersion", "kind", "metadata")        # what every object has, whatever its schema says
JSON_NAMES: dict[type, str] = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer",
                               float: "number", type(None): "null"}
FORMATS: dict[str, Callable[[str], Any]] = {
    "date-time": parse_time, "date": date.fromisoformat, "ipv4": ipaddress.IPv4Address, "ipv6": ipaddress.IPv6Address,
    "cidr": ipaddress.ip_network, "byte": lambda text: base64.b64decode(text, validate=True)}


def below(at: str, name: str) -> str:
    """The path of a field."""
    return f"{at}.{name}" if at else name


def inner(schema: Object, name: str) -> Object | None:
    """The schema of a field: its own, or the one for all other fields; None if the schema knows no such field."""
    if name in schema.get("properties", {}):
        return schema["properties"][name]  # type: ignore[no-any-return]
    others = schema.get("additionalProperties")
    return others if isinstance(others, dict) else {KEEP: True} if others else None


def prune(schema: Object, value: Any, at: str = "", whole: bool = False) -> Iterator[str]:
    """Drop, in place, each field that the schema doesn't know, and tell its path. `whole`: the value is an object."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from prune(schema.get("items", {}), item, f"{at}[{index}]")
    elif isinstance(value, dict):
        for name in list(value):
            known = inner(schema, name)
            if known is not None and not ((whole or schema.get(EMBEDDED)) and name in HEAD):
                yield from prune(known, value[name], below(at, name)) if not only_keeps(known) else ()
            elif known is None and not schema.get(KEEP) and not ((whole or schema.get(EMBEDDED)) and name in HEAD):
                del value[name]
                yield below(at, name)


def only_keeps(schema: Object) -> bool:
    """Whether everything below is kept, and nothing below is known."""
    return bool(schema.get(KEEP)) and not schema.get("properties") and not schema.get("items")


def fill_in(schema: Object, value: Any) -> None:
    """Set, in place, what has a default and is missing. A null that may not be one counts as missing."""
    if isinstance(value, list):
        for item in value:
            fill_in(schema.get("items", {}), item)
    elif isinstance(value, dict):
        for name in {**schema.get("properties", {}), **value}:
            known = inner(schema, name) or {}
            if name in value and value[name] is None and not known.get("nullable") and known and not known.get(KEEP):
                del value[name]
            if name not in value and "default" in known:
                value[name] = copy(known["default"])
            fill_in(known, value.get(name))


def faults(schema: Object, value: Any, at: str = "") -> Iterator[Object]:
    """A cause for each place where a value is not what its schema asks for."""
    found = JSON_NAMES[type(value)]
    types = ["integer", "string"] if schema.get(INT_OR_STRING) else [schema["type"]] if schema.get("type") else []
    if value is None and schema.get("nullable"):
        return
    if types and found not in types and not (found == "integer" and "number" in types) and not (
            found == "number" and "integer" in types and value.is_integer()):
        yield errors.invalid_value(at, found, f'{at} in body must be of type {",".join(types)}: "{found}"')
        return
    if "enum" in schema and value not in schema["enum"]:
        yield errors.unsupported_value(at, value, schema["enum"])
    yield from RULES.get(found, no_faults)(schema, value, at)
    yield from joined_faults(schema, value, at)


def no_faults(schema: Object, value: Any, at: str) -> Iterator[Object]:
    """Of true, false and null there is nothing more to say."""
    yield from ()


def number_faults(schema: Object, value: float, at: str) -> Iterator[Object]:
    """Bounds and steps of a number."""
    if schema.get("multipleOf") and value % schema["multipleOf"]:
        yield errors.invalid_value(at, value, f"{at} in body should be a multiple of {schema['multipleOf']}")
    for bound, sign, word in (("minimum", 1, "greater"), ("maximum", -1, "less")):
        limit, strict = schema.get(bound), schema.get("exclusive" + bound.capitalize())
        if limit is not None and (sign * value < sign * limit or (strict and value == limit)):
            than = f"{word} than{'' if strict else ' or equal to'} {limit}"
            yield errors.invalid_value(at, value, f"{at} in body should be {than}")
    if schema.get("format") == "int32" and not -2**31 <= value < 2**31:
        yield errors.invalid_value("<nil>", "", f"Checked value must be of type integer with format int32 in {at}")


def string_faults(schema: Object, value: str, at: str) -> Iterator[Object]:
    """The first thing that is wrong with a text: its length, its pattern, its format."""
    check = FORMATS.get(schema.get("format", ""))
    if len(value) > schema.get("maxLength", len(value)):
        yield errors.too_long_value(at, schema["maxLength"])
    elif len(value) < schema.get("minLength", 0):
        yield errors.invalid_value(at, value, f"{at} in body should be at least {schema['minLength']} chars long")
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        yield errors.invalid_value(at, value, f"{at} in body should match '{schema['pattern']}'")
    elif check:
        try:
            check(value)
        except ValueError:
            yield errors.invalid_value(at, value, f'{at} in body must be of type {schema["format"]}: "{value}"')


def count_faults(schema: Object, size: int, at: str, what: str) -> Iterator[Object]:
    """Too few or too many `what`: Items, or Properties."""
    least, most = schema.get(f"min{what}", 0), schema.get(f"max{what}", size)
    if size < least:
        yield errors.invalid_value(at, size, f"{at} in body should have at least {least} {what.lower()}")
    if size > most:
        yield errors.too_many(at, size, most)


def list_faults(schema: Object, value: list[Any], at: str) -> Iterator[Object]:
    """A list's length, its items, and whether one is there twice in a list that is a set or a map."""
    yield from count_faults(schema, len(value), at, "Items")
    for index, item in enumerate(value):
        yield from faults(schema.get("items", {}), item, f"{at}[{index}]")
    keys, seen = schema.get(LIST_KEYS, []), list[Any]()
    for index, item in enumerate(value if schema.get(LIST_TYPE) in ("set", "map") else []):
        own = {key: item[key] for key in keys if key in item} if keys and isinstance(item, dict) else item
        if own in seen:
            yield errors.duplicate_value(f"{at}[{index}]", own)
        seen.append(own)


def object_faults(schema: Object, value: Object, at: str) -> Iterator[Object]:
    """An object's size, what must be there, and each field."""
    yield from count_faults(schema, len(value), at, "Properties")
    needed = [*schema.get("required", []), *(("apiVersion", "kind") if schema.get(EMBEDDED) else ())]
    for name in needed:
        if name not in value:
            yield errors.required(below(at, name))
    for name, item in value.items():
        if not (at == "" and name in HEAD):
            yield from faults(inner(schema, name) or {}, item, below(at, name))


RULES: dict[str, Callable[[Object, Any, str], Iterator[Object]]] = {
    "object": object_faults, "array": list_faults, "string": string_faults,
    "integer": number_faults, "number": number_faults}


def joined_faults(schema: Object, value: Any, at: str) -> Iterator[Object]:
    """What schemas joined by allOf, anyOf, oneOf and not have to say."""
    found = {word: [list(faults(each, value, at)) for each in schema.get(word, [])] for word in ("allOf", "anyOf", "oneOf")}
    fitting = sum(not each for each in found["oneOf"])
    if any(found["allOf"]):
        yield from (fault for each in found["allOf"] for fault in each)
        yield joint(at, "must validate all the schemas (allOf)")
    if found["anyOf"] and all(found["anyOf"]):
        yield joint(at, "must validate at least one schema (anyOf)")
        yield from found["anyOf"][0]
    if found["oneOf"] and fitting != 1:
        told = f"Found {fitting or 'none'} valid{' alternatives' if fitting else ''}"
        yield joint(at, f"must validate one and only one schema (oneOf). {told}")
        yield from found["oneOf"][0]
    if "not" in schema and not list(faults(schema["not"], value, at)):
        yield joint(at, "must not validate the schema (not)")


def joint(at: str, why: str) -> Object:
    """A cause of several schemas together. The genuine server names no field for it."""
    return errors.invalid_value("<nil>", "", f'"{at}" {why}')
