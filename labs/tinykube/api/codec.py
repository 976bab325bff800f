"""Bodies to objects: by their content type, and only if they are of the kind that belongs where they were sent.

Genuine counterpart: the serializers of k8s.io/apimachinery/pkg/runtime.
"""
from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from tinykube.api.fieldtypes import kind_of, tidy, type_errors, without_nulls
from tinykube.api.openapi import go_types
from tinykube.machinery.errors import bad_request, invalid, invalid_value, unsupported_media_type
from tinykube.machinery.objects import Object, dig
from tinykube.machinery.wire import Request

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:                      # a Python in a web page has none in C
    from yaml import SafeLoader  # type: ignore[assignment]
if TYPE_CHECKING:
    from tinykube.api.resources import Resource

Decoder = Callable[[bytes, "Resource | None"], Any]
SHOWN = 1024                             # bytes of a bad body that an error quotes
DEEPEST = 250                            # collections within each other, in YAML
MOST_IN_YAML = 6 << 20                   # twice what a body may have, which without aliases nothing reaches


def media_type(request: Request) -> str:
    """The Content-Type without parameters; JSON if none is given, since some clients send none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() or "application/json"


def decode_json(body: bytes, resource: Resource | None) -> Any:
    """A JSON body. Raises ApiError 400, saying where it stops being JSON."""
    try:
        return json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise unrecognized(resource, json_error(error), body) from None


class Members(list[Any]):
    """The members of an object in a JSON text, each as often as it is there."""


def twice(body: bytes) -> list[str]:
    """A text for each member that an object has twice. Nearly always that is none, and a count is enough to know."""
    shorter: list[bool] = []

    def count(members: list[Any]) -> Object:
        known = dict(members)
        shorter.append(len(known) < len(members))
        return known
    json.loads(body, object_pairs_hook=count)
    return list(dict.fromkeys(doubles(json.loads(body, object_pairs_hook=Members)))) if any(shorter) else []


def doubles(value: Any, path: str = "") -> Iterator[str]:
    """A text for each member that comes a second time, in the order of the text."""
    seen: set[str] = set()
    for at, item in enumerate(value) if isinstance(value, list) else ():
        where = f"{path}[{at}]"
        if isinstance(value, Members):
            key, item = item
            where = f"{path}.{key}" if path else key
            if key in seen:
                yield f'duplicate field "{where}"'
            seen.add(key)
        yield from doubles(item, where)


def _refuse(constant: str) -> None:
    raise ValueError(f"invalid character '{constant[0]}' looking for beginning of value")


def json_error(error: Exception) -> str:
    """A JSON error in the words of the genuine server's parser."""
    if not isinstance(error, json.JSONDecodeError):
        return "exceeded max depth" if isinstance(error, RecursionError) else str(error)
    if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    where = {"Expecting value": "looking for beginning of value", "Extra data": "after top-level value",
             "Expecting ':' delimiter": "after object key", "Expecting ',' delimiter": "after object key:value pair",
             }.get(error.msg, "looking for beginning of object key string")
    return f"invalid character '{error.doc[error.pos]}' {where}"


def unrecognized(resource: Resource | None, why: str, body: bytes) -> Exception:
    """400: the body is no object at all."""
    kind = resource.kind if resource else "object"
    shown = body[:SHOWN].decode("utf-8", "replace") or "<empty>"
    return bad_request(f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
                       f"json parse error: {why} ({shown})")


def decode_yaml(body: bytes, resource: Resource | None) -> Any:
    """A YAML body: one document of what JSON can say. JSON is YAML, too, and read much faster."""
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(body, parse_constant=_refuse)
    try:
        return json.loads(json.dumps(loaded(body)))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise bad_request(f"the object provided is unrecognized (must be of type "
                          f"{resource.kind if resource else 'object'}): yaml: {error}") from None


def loaded(body: bytes) -> Any:
    """What a document in YAML says. Raises YAMLError for one that is too deep for a parser in C, or too large written out."""
    depth = 0
    for event in yaml.parse(body, Loader=JsonLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.YAMLError("exceeded max depth")
    loader = JsonLoader(body)
    node = loader.get_single_node()
    if node and weight(node, {}) > MOST_IN_YAML:
        raise yaml.YAMLError("document contains excessive aliasing")
    return loader.construct_document(node) if node else None


def weight(node: yaml.Node, known: dict[int, int]) -> int:
    """How large a document is when every alias is written out: nine lines can stand for a thousand million words."""
    if id(node) not in known:
        known[id(node)] = 0                          # one that contains itself: the writer of JSON will say so
        parts = [each for pair in node.value for each in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + (len(parts) if isinstance(node, yaml.ScalarNode) else sum(weight(each, known) for each in parts))
    return known[id(node)]


class JsonLoader(SafeLoader):
    """YAML without dates: a text that looks like a time stays a text, as in JSON."""


JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()}
DECODERS: dict[str, Decoder] = {"application/json": decode_json, "application/yaml": decode_yaml}


def decode_object(request: Request, resource: Resource, decoders: Mapping[str, Decoder],
                  other_kinds: tuple[str, ...] = ()) -> Object:
    """The object in a request's body. Its kind and version may be left out, but must not be others."""
    decoder = decoders.get(media_type(request))
    if decoder is None:
        raise unsupported_media_type(sorted(decoders))
    body = decoder(request.body, resource)
    if not isinstance(body, dict):
        struct = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
        raise unrecognized(resource, f"json: cannot unmarshal {kind_of(body)} into Go value of type {struct}",
                           request.body)
    kind, version = body.get("kind") or resource.kind, body.get("apiVersion") or resource.api_version
    if kind in other_kinds:
        return body
    check_kind(resource, str(kind), str(version), dig(body, "metadata", "name", default=""))
    if decoder is decode_json:
        request.notes["twice"] = twice(request.body)
    for error in type_errors(body, go_types(resource)):
        raise cannot_handle(resource, resource.kind, resource.api_version, error)
    known = as_read(body, resource)
    rest = {key: value for key, value in known.items() if key not in ("kind", "apiVersion", "metadata")}
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": known.get("metadata") or {}, **rest}


def as_read(obj: Object, resource: Resource) -> Object:
    """An object as Go reads it, without null fields; of what a definition defines, Go reads the metadata alone."""
    place = go_types(resource)
    if resource.schema is None:
        return without_nulls(obj, place)  # type: ignore[no-any-return]
    return {**obj, "metadata": without_nulls(obj.get("metadata") or {}, place.field("metadata"))}


def as_written(obj: Object, resource: Resource) -> Object:
    """An object as Go writes it, without what is empty; of what a definition defines, Go writes the metadata alone."""
    place = go_types(resource)
    if resource.schema is None:
        return dict(tidy(obj, place))
    return {**obj, "metadata": tidy(obj["metadata"], place.field("metadata"))}


def check_kind(resource: Resource, kind: str, version: str, name: str = "") -> None:
    """Raise ApiError 400 unless an object of this kind and version belongs to the resource."""
    if (kind, version) == (resource.kind, resource.api_version):
        return
    if resource.schema and version != resource.api_version:
        raise bad_request(f"the API version in the data ({version}) does not match the expected API version "
                          f"({resource.api_version})")
    if resource.schema:
        raise invalid(kind, name, [invalid_value("kind", kind, f"must be {resource.kind}")], resource.group)
    raise cannot_handle(resource, kind, version, unfit(resource, kind, version))


def unfit(resource: Resource, kind: str, version: str) -> str:
    """Why an object of this kind and version is none of the resource's, or ''."""
    if (kind, version) == (resource.kind, resource.api_version):
        return ""
    if kind != resource.kind and version == resource.api_version and kind in KNOWN_KINDS:
        package = resource.group.partition(".")[0] or "core"
        return f"converting (v1.{kind}) to ({package}.{resource.kind}): unknown conversion"
    return f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:111"'


KNOWN_KINDS = ("Pod", "Node", "Namespace", "ConfigMap", "Event", "Lease", "Secret", "Service", "Binding")


def cannot_handle(resource: Resource, kind: str, version: str, why: str) -> Exception:
    """400: the body is an object, but not one for this path."""
    return bad_request(f'{kind} in version "{version.rpartition("/")[2]}" cannot be handled as a {resource.kind}: {why}')
