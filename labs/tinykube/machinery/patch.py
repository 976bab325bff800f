"""The three ways to change part of an object: JSON merge patch, strategic merge patch, JSON patch."""
from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tinykube.machinery.errors import ApiError, bad_request
from tinykube.machinery.wire import Object

DIRECTIVE, RETAIN = "$patch", "$retainKeys"
ORDER, DELETE_FROM = "$setElementOrder/", "$deleteFromPrimitiveList/"


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` with `patch` laid over it (RFC 7386): objects merge, null removes, all else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


@dataclass(frozen=True)
class Typed:
    """A place in the OpenAPI schemas, from which the type of each field below can be looked up.

    It also says how a list there is patched: by which `merge_key`, and with which `strategies`.
    """

    schemas: Mapping[str, Object]
    schema: Object
    seen: dict[int, Members] = field(default_factory=dict, compare=False, repr=False)   # of schemas, by their identity

    @classmethod
    def named(cls, schemas: Mapping[str, Object], name: str) -> Typed:
        """The place where the schema called `name` begins."""
        return cls(schemas, schemas.get(name, {}))

    @property
    def strategies(self) -> list[str]:
        """The words of `x-kubernetes-patch-strategy`: merge, replace, retainKeys, or none."""
        return str(self.schema.get("x-kubernetes-patch-strategy", "")).split(",")

    @property
    def merge_key(self) -> str:
        """The field that tells the items of this list apart, or ''."""
        return str(self.schema.get("x-kubernetes-patch-merge-key", ""))

    def resolved(self) -> Object:
        """The schema itself, found behind `$ref` where it is only referred to."""
        return self._resolved

    @cached_property
    def _resolved(self) -> Object:
        schema = (self.schema.get("allOf") or [self.schema])[0]
        return self.schemas.get(schema["$ref"].rsplit("/", 1)[1], {}) if "$ref" in schema else self.schema

    @cached_property
    def _members(self) -> Members:
        schema = self._resolved
        if id(schema) not in self.seen:
            self.seen[id(schema)] = Members(
                {name: Typed(self.schemas, each, self.seen) for name, each in schema.get("properties", {}).items() if each},
                Typed(self.schemas, schema.get("additionalProperties", {}), self.seen),
                Typed(self.schemas, schema.get("items", {}), self.seen))
        return self.seen[id(schema)]

    def field(self, name: str) -> Typed:
        """The type of the field `name`; empty where the schema has no such field."""
        return self._members.fields.get(name, self._members.others)

    def items(self) -> Typed:
        """The type of this list's elements."""
        return self._members.items


@dataclass(frozen=True)
class Members:
    """The places one step below a place: its fields by name, what else it may have, the elements of a list."""

    fields: dict[str, Typed]
    others: Typed
    items: Typed


def strategic_merge_patch(original: Object, patch: Object | None, typed: Typed) -> Object:
    """`original` with `patch` laid over it, lists merged by their keys where the schema names one.

    Genuine counterpart: apimachinery's strategicpatch. Raises ApiError for a patch that contradicts itself.
    """
    if patch is not None and not isinstance(patch, dict):
        raise bad_request(f"json: cannot unmarshal {json_type(patch)} into Go value of type map[string]interface {{}}")
    return merge_objects(copy.deepcopy(original), copy.deepcopy(patch or {}), typed)


def merge_objects(original: Object, patch: Object, typed: Typed) -> Object:
    """Merge `patch` into `original`, field by field, directives first."""
    if DIRECTIVE in patch:
        return follow_directive(patch)
    if RETAIN in patch:
        retain_keys(original, patch)
    orders = {key.removeprefix(ORDER): patch.pop(key) for key in list(patch) if key.startswith(ORDER)}
    before = {key: copy.copy(original.get(key)) for key in orders}
    for key, value in patch.items():
        if key.startswith(DELETE_FROM.rstrip("/")):
            delete_from_list(original, key, value)
        elif value is None:
            original.pop(key, None)
        else:
            merge_field(original, key, value, typed.field(key), orders.get(key))
    for key, order in orders.items():
        place_in_order(original, key, before[key], patch.get(key), order, typed.field(key).merge_key)
    return original


def follow_directive(patch: Object) -> Object:
    """What becomes of an object whose patch says `$patch: replace` or `$patch: delete`."""
    directive = patch["$patch"]
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != DIRECTIVE}
    if directive == "delete":
        return {}
    raise fault(f"unknown patch type: {go_text(directive)} in map: {go_text(patch)}")


def retain_keys(original: Object, patch: Object) -> None:
    """`$retainKeys`: drop each field that is not listed. For unions, where a new member displaces the old."""
    kept = patch.pop(RETAIN)
    plain = [key for key, value in patch.items() if value is not None and not key.startswith((ORDER, DELETE_FROM))]
    if not isinstance(kept, list) or not set(plain) <= set(kept):
        raise bad_request("invalid patch format of retainKeys")
    for key in set(original) - set(kept):
        del original[key]


def delete_from_list(original: Object, key: str, values: Any) -> None:
    """`$deleteFromPrimitiveList/<field>`: take these scalars out of the list."""
    if not key.startswith(DELETE_FROM):
        raise bad_request("invalid patch format of primitive list")
    field = key.removeprefix(DELETE_FROM)
    if isinstance(original.get(field), list) and isinstance(values, list):
        original[field] = [item for item in original[field] if item not in values]


def merge_field(original: Object, key: str, value: Any, typed: Typed, order: Any) -> None:
    """Merge one field's patch: an object into an object, a list into a list, else the new value stands."""
    old = original.get(key)
    if isinstance(old, dict) and isinstance(value, dict) and "replace" not in typed.strategies:
        original[key] = merge_objects(old, value, typed)
    elif isinstance(old, list) and isinstance(value, list) and "merge" in typed.strategies:
        original[key] = merge_lists(old, value, typed, order is None)
    else:
        cleaned = without_directives(value)
        if cleaned is None:
            original.pop(key, None)
        else:
            original[key] = cleaned


def without_directives(value: Any) -> Any:
    """A patch's value as it is stored where nothing was before: no directives, no nulls, no deleted items."""
    if isinstance(value, list):
        return [without_directives(item) for item in value
                if not (isinstance(item, dict) and DIRECTIVE in item and item[DIRECTIVE] in ("delete", "replace"))]
    if not isinstance(value, dict):
        return value
    if value.get(DIRECTIVE) == "delete":
        return None
    return {key: without_directives(item) for key, item in value.items()
            if item is not None and not key.startswith((DIRECTIVE, RETAIN, ORDER, DELETE_FROM))}


def merge_lists(original: list[Any], patch: list[Any], typed: Typed, reorder: bool) -> list[Any]:
    """Merge two lists: scalars as a set, objects by the merge key that the schema names."""
    if len({type(item) for item in original + patch}) > 1:
        raise fault(f"list element types are not identical: {go_text([original, patch])}")
    if not isinstance((original + patch or [None])[0], dict):
        merged = list(dict.fromkeys(original + patch))
        return in_order(merged, patch, original, "") if reorder else merged
    key = typed.merge_key
    before = list(original)
    merged, patch = apply_item_directives(original, patch, key)
    for item in patch:
        if key not in item:
            raise fault(f"map: {go_text(item)} does not contain declared merge key: {key}")
        at = next((i for i, old in enumerate(merged) if old.get(key) == item[key]), None)
        if at is None:
            merged.append(without_directives(item))
        else:
            merged[at] = merge_objects(merged[at], item, typed.items())
    return in_order(merged, patch, before, key) if reorder else merged


def apply_item_directives(original: list[Object], patch: list[Object], key: str) -> tuple[list[Object], list[Object]]:
    """Carry out the items that are orders (`$patch: delete`, `$patch: replace`); return what is left of both."""
    plain = [item for item in patch if DIRECTIVE not in item]
    for item in patch:
        directive = item.get(DIRECTIVE)
        if directive == "replace":
            return [], plain
        if directive == "delete" and key not in item:
            raise fault(f"map: {go_text(item)} does not contain declared merge key: {key}")
        if directive == "delete":
            original = [old for old in original if old.get(key) != item[key]]
        elif directive == "merge":
            raise fault("merging lists cannot yet be specified in the patch")
        elif directive is not None:
            raise fault(f"unknown patch type: {go_text(directive)} in map: {go_text(item)}")
    return original, plain


def place_in_order(original: Object, field: str, before: Any, patch: Any, order: Any, key: str) -> None:
    """`$setElementOrder/<field>`: what it lists comes in that order; the server's own items keep their place."""
    for value in (order, *([patch] if patch is not None else [])):
        if not isinstance(value, list):
            raise fault(f"expected a []interface {{}}, but received a {go_type(value)}")
    wanted = [identity(item, key) for item in order]
    changed = [identity(item, key) for item in patch or [] if not (isinstance(item, dict) and DIRECTIVE in item)]
    if [item for item in wanted if item in changed] != changed:
        raise fault(f"The order in patch list:\n{go_text(patch)}\n doesn't match $setElementOrder list:\n"
                    f"{go_text(order)}\n")
    if isinstance(original.get(field), list):
        original[field] = in_order(original[field], order, before or [], key)


def in_order(merged: list[Any], listed: list[Any], server: list[Any], key: str) -> list[Any]:
    """`merged` with the `listed` items in the list's order, woven among the others in the server's order."""
    wanted, known = [identity(i, key) for i in listed], [identity(i, key) for i in server]
    ours = sorted((i for i in merged if identity(i, key) in wanted), key=lambda i: wanted.index(identity(i, key)))
    theirs = [i for i in merged if identity(i, key) not in wanted]
    woven: list[Any] = []
    while ours and theirs:
        first, other = identity(theirs[0], key), identity(ours[0], key)
        earlier = first in known and other in known and known.index(first) < known.index(other)
        woven.append(theirs.pop(0) if earlier else ours.pop(0))
    return woven + ours + theirs


def identity(item: Any, key: str) -> Any:
    """What tells an item of a list apart: its merge key's value, or a scalar itself."""
    return item.get(key) if isinstance(item, dict) else item


def fault(message: str) -> ApiError:
    """The genuine server's answer to a patch that contradicts itself: 500, with a text and no reason."""
    error = ApiError(500, message)
    error.reason = ""
    return error


def go_text(value: Any) -> str:
    """`value` as Go prints it, which is how the genuine messages quote a patch."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(go_text(item) for item in value)}]"
    return "<nil>" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def go_type(value: Any) -> str:
    """The name of `value`'s type, as Go's reflection prints it."""
    names = {dict: "map[string]interface {}", list: "[]interface {}", str: "string", bool: "bool", int: "int64",
             float: "float64"}
    return names.get(type(value), "%!s(<nil>)")


def json_type(value: Any) -> str:
    """The name of `value`'s JSON type, as Go's decoder calls it."""
    names = {dict: "object", list: "array", str: "string", bool: "bool", type(None): "null"}
    return names.get(type(value), "number")


MOST_OPERATIONS = 10000                  # more could keep the server busy for long
MOST_COPIED = 3 << 20                    # bytes: what copies itself a few dozen times would fill any memory
REJECTED = "the server rejected our request due to an error in our request"


def json_patch(document: Any, operations: list[Object]) -> Any:
    """`document` after each of `operations` in turn (RFC 6902). Raises ApiError 422 if one can't be done."""
    check_operations(operations)
    root, copied = {"": copy.deepcopy(document)}, 0
    for operation in operations:
        try:
            copied += apply_operation(root, operation)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ApiError(422, REJECTED, "Invalid", {}) from error
        if copied > MOST_COPIED:
            raise ApiError(422, REJECTED, "Invalid", {})
    return root[""]


def check_operations(operations: Any) -> None:
    """A JSON patch is a list of objects; anything else is told in the genuine words."""
    text = "error decoding patch: json: cannot unmarshal {} into Go value of type {}handlers.jsonPatchOp"
    if not isinstance(operations, list):
        raise bad_request(text.format(json_type(operations), "[]"))
    if len(operations) > MOST_OPERATIONS:
        raise ApiError(413, "Request entity too large: The allowed maximum operations in a JSON patch is "
                       f"{MOST_OPERATIONS}, got {len(operations)}", "RequestEntityTooLarge")
    for operation in operations:
        if not isinstance(operation, dict):
            raise bad_request(text.format(json_type(operation), ""))


def apply_operation(root: Object, operation: Object) -> int:
    """Carry out one operation; how many bytes it copied. As genuine, `replace` and `copy` take a missing member for null."""
    kind, value = operation["op"], copy.deepcopy(operation.get("value"))
    if kind in ("move", "copy"):
        place, token = locate(root, operation["from"])
        value = copy.deepcopy(place.get(token) if isinstance(place, dict) and kind == "copy" else place[token])
        if kind == "move":
            del place[token]
    place, token = locate(root, operation["path"])
    if kind == "test":
        if (place.get(token) if isinstance(place, dict) else place[token]) != value:
            raise ValueError(f"testing path {operation['path']} failed")
    elif kind == "remove":
        del place[token]
    elif kind in ("add", "move", "copy") and isinstance(place, list):
        place.insert(token, value)
    elif kind in ("add", "replace", "move", "copy"):
        place[token] = value
    else:
        raise ValueError(f"unknown op {kind!r}")
    return len(json.dumps(value, separators=(",", ":"))) if kind == "copy" else 0


def locate(root: Any, pointer: str) -> tuple[Any, Any]:
    """The container and the key or index that a JSON pointer (RFC 6901) ends in."""
    before, *tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")]
    if before:
        raise ValueError(f"the path {pointer} does not begin with a slash")
    place = root
    for here in ["", *tokens][:-1]:
        place = place[int(here) if isinstance(place, list) else here]
    last: Any = tokens[-1] if tokens else ""
    if not isinstance(place, list):
        return place, last
    index = len(place) if last == "-" else int(last)
    if not 0 <= index <= len(place):
        raise IndexError(f"index {last} is outside of a list of {len(place)}")
    return place, index
