"""What a schema itself must be: structural, so that each field's type is known before any value is seen.

Genuine counterpart: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""
from __future__ import annotations

import re
from collections.abc import Iterator

from tinykube.api.structural import EMBEDDED, INT_OR_STRING, KEEP, LIST_KEYS, LIST_TYPE, faults, prune
from tinykube.machinery import errors
from tinykube.machinery.objects import Object, copy

TYPES = ("array", "boolean", "integer", "number", "object", "string")
MAP_TYPE = "x-kubernetes-map-type"
FORBIDDEN = {"$ref": "$ref is not supported",
             "uniqueItems": "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"}
UNSAID = {"additionalProperties": "undefined", "default": "undefined", "description": "empty", "nullable": "false",
          "title": "empty", "type": "empty", KEEP: "false", EMBEDDED: "false"}
WORDS = {LIST_TYPE: ("atomic", "set", "map"), MAP_TYPE: ("atomic", "granular")}


def schema_faults(schema: Object, at: str, what: str = "at the root") -> Iterator[Object]:
    """A cause for each place where a schema is not structural. `what` is the place that it speaks of."""
    kind, open_typed = schema.get("type"), schema.get(INT_OR_STRING) or schema.get(KEEP)
    if not kind and (not open_typed or what == "at the root"):
        yield errors.required(f"{at}.type", f"must not be empty {what}")
    elif kind and kind not in TYPES:
        yield errors.unsupported_value(f"{at}.type", kind, TYPES)
    elif kind != "object" and what == "at the root":
        yield errors.invalid_value(f"{at}.type", kind, "must be object at the root")
    yield from word_faults(schema, at)
    yield from list_rules(schema, at)
    yield from default_faults(schema, at)
    for name, each in schema.get("properties", {}).items():
        if what == "at the root" and name == "metadata":
            yield from metadata_faults(each, f"{at}.properties[metadata]")
        else:
            yield from schema_faults(each, f"{at}.properties[{name}]", "for specified object fields")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from schema_faults(schema["additionalProperties"], f"{at}.additionalProperties", "for specified object fields")
    if isinstance(schema.get("items"), dict):
        yield from schema_faults(schema["items"], f"{at}.items", "for specified array items")
    for place, each in joined(schema, at):
        yield from unsaid(each, place, bool(schema.get(INT_OR_STRING)))


def word_faults(schema: Object, at: str) -> Iterator[Object]:
    """Words that no schema here may use, or not together."""
    yield from (errors.forbidden_value(f"{at}.{word}", why) for word, why in FORBIDDEN.items() if schema.get(word))
    if schema.get("properties") and schema.get("additionalProperties"):
        yield errors.forbidden_value(f"{at}.additionalProperties",
                                     "additionalProperties and properties are mutual exclusive")
    if schema.get(EMBEDDED) and not schema.get(KEEP) and not schema.get("properties"):
        yield errors.required(f"{at}.properties", f"must not be empty if {EMBEDDED} is true without {KEEP}")
    if schema.get(KEEP) is False:
        yield errors.invalid_value(f"{at}.{KEEP}", False, "must be true or undefined")
    for word, known in WORDS.items():
        if schema.get(word) and schema[word] not in known:
            yield errors.unsupported_value(f"{at}.{word}", schema[word], known)
    try:
        re.compile(schema.get("pattern", ""))
    except re.error as error:
        yield errors.invalid_value(f"{at}.pattern", schema["pattern"],
                                   f"must be a valid regular expression, but isn't: {error}")


def list_rules(schema: Object, at: str) -> Iterator[Object]:
    """What a list has to say of its items, most of all if it is a set or a map."""
    word, keys, items = schema.get(LIST_TYPE), schema.get(LIST_KEYS), schema.get("items")
    if isinstance(items, list):
        yield errors.forbidden_value(f"{at}.items", "items must be a schema object and not an array")
    elif schema.get("type") == "array" and items is None:
        yield errors.required(f"{at}.items", "must be specified")
    if word and schema.get("type") != "array":
        yield errors.invalid_value(f"{at}.type", schema.get("type", ""), f"must be array if {LIST_TYPE} is specified")
    if keys and word != "map":
        yield errors.required(f"{at}.{LIST_TYPE}", f"must be map if {LIST_KEYS} is non-empty")
    if not isinstance(items, dict):
        return
    if word == "set" and items.get("type") == "object" and items.get(MAP_TYPE) != "atomic":
        yield errors.invalid_value(f"{at}.items.{MAP_TYPE}", items.get(MAP_TYPE),
                                   f"must be atomic as item of a list with {LIST_TYPE}=set")
    if word == "map":
        yield from key_faults(items, keys or [], at)


def key_faults(items: Object, keys: list[str], at: str) -> Iterator[Object]:
    """What a list that is a map has to say of the fields that tell its items apart."""
    known = items.get("properties", {})
    if not keys:
        yield errors.required(f"{at}.{LIST_KEYS}", f"must not be empty if {LIST_TYPE} is map")
    if items.get("type") != "object":
        yield errors.invalid_value(f"{at}.items.type", items.get("type", ""),
                                   f"must be object if parent array's {LIST_TYPE} is map")
    elif not set(keys) <= set(known):
        yield errors.invalid_value(f"{at}.{LIST_KEYS}", keys, "entries must all be names of item properties")
    for key in (key for key in keys if key in known):
        where = f"{at}.items.properties[{key}]"
        if known[key].get("type") in ("object", "array"):
            yield errors.invalid_value(f"{where}.type", known[key]["type"],
                                       f"must be a scalar type if parent array's {LIST_TYPE} is map")
        if key not in items.get("required", []) and "default" not in known[key]:
            yield errors.required(f"{where}.default", f"this property is in {LIST_KEYS}, so it must have a default or "
                                  "be a required property")


def default_faults(schema: Object, at: str) -> Iterator[Object]:
    """Whether a default is itself what the schema asks for."""
    if "default" not in schema:
        return
    value = copy(schema["default"])
    if list(prune(schema, value)):
        yield errors.invalid_value(f"{at}.default", schema["default"], "must not have unknown fields")
    for fault in faults(schema, value):
        yield {**fault, "field": f"{at}.default" + (f".{fault['field']}" if fault["field"] else "")}


def metadata_faults(schema: Object, at: str) -> Iterator[Object]:
    """A schema may say of an object's metadata only how it is called."""
    if schema.get("type") != "object":
        yield errors.invalid_value(f"{at}.type", schema.get("type", ""), "must be object")
    if "default" in schema:
        yield errors.forbidden_value(f"{at}.default", "must not be set in top-level metadata")
    if set(schema.get("properties", {})) - {"name", "generateName"}:
        yield errors.forbidden_value(at, "must not specify anything other than name and generateName, but metadata is "
                                     "implicitly specified")


def joined(schema: Object, at: str) -> Iterator[tuple[str, Object]]:
    """The schemas that are joined to this one by a word of logic."""
    for word in ("allOf", "anyOf", "oneOf"):
        yield from ((f"{at}.{word}[{index}]", each) for index, each in enumerate(schema.get(word, [])))
    if "not" in schema:
        yield f"{at}.not", schema["not"]


def unsaid(schema: Object, at: str, open_typed: bool = False) -> Iterator[Object]:
    """What is said below a word of logic and may not be: it would make a field's type depend on its value."""
    for word, must in UNSAID.items():
        if schema.get(word) and not (open_typed and word == "type"):
            yield errors.forbidden_value(f"{at}.{word}", f"must be {must} to be structural")
    for name, each in schema.get("properties", {}).items():
        yield from unsaid(each, f"{at}.properties[{name}]")
    if isinstance(schema.get("items"), dict):
        yield from unsaid(schema["items"], f"{at}.items")
    for place, each in joined(schema, at):
        yield from unsaid(each, place)
