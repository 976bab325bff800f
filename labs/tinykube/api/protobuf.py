"""Request bodies in protobuf: field numbers on the wire, names from a table, the JSON document as the result."""
from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinykube.machinery.errors import bad_request
from tinykube.machinery.wire import Object

if TYPE_CHECKING:
    from tinykube.api.server import ApiServer

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\0"
MESSAGES: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "protobuf.json").read_text())
PACKAGES: dict[str, str] = MESSAGES["packages"]           # apiVersion -> how its messages' names begin
SCHEMA = "apiextensions.JSONSchemaProps"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def install(server: ApiServer) -> None:
    """Teach a server to read protobuf."""
    server.decoders[MEDIA_TYPE] = lambda body, resource: decode(body)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """(number, position behind it): seven bits a byte, the lowest first; the top bit says that more follow."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("unexpected EOF")
        byte, at = data[at], at + 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("integer overflow")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of each field of one message: an integer, or the bytes of anything longer."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise ValueError(f"illegal tag 0 (wire type {wire_type})")
        if wire_type == 0:
            value, at = varint(data, at)
            yield number, value
            continue
        sizes = {1: 8, 5: 4}
        length, at = varint(data, at) if wire_type == 2 else (sizes.get(wire_type, -1), at)
        if length < 0:
            raise ValueError(f"illegal wireType {wire_type} in field {number}")
        if at + length > len(data):
            raise ValueError("unexpected EOF")
        yield number, data[at:at + length]
        at += length


def decode(body: bytes) -> Object:
    """The object in a protobuf request body. Raises ApiError 400 that says what is wrong with the bytes.

    Genuine counterpart: apimachinery's runtime/serializer/protobuf.
    """
    if not body.startswith(MAGIC):
        raise bad_request("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
                          if body else "empty data")
    try:
        envelope = dict(fields(body[len(MAGIC):]))
        meta = dict(fields(as_bytes(envelope.get(1, b""))))
        version, kind = as_bytes(meta.get(1, b"")).decode(), as_bytes(meta.get(2, b"")).decode()
        name = message_of(version, kind)
        return {"apiVersion": version, "kind": kind} | message(name, as_bytes(envelope.get(2, b"")))
    except (ValueError, OverflowError) as error:
        raise bad_request(f"{error}") from error


def message_of(version: str, kind: str) -> str:
    """The name of the message that a kind is written as. What all groups share stands under `meta`."""
    for name in (f"{PACKAGES.get(version)}.{kind}", f"meta.{kind}"):
        if name in MESSAGES:
            return name
    raise ValueError(f'no kind "{kind}" is registered for version "{version}"')


def message(name: str, data: bytes) -> Object:
    """One message as the JSON object that Go would write. Fields that the table doesn't know are skipped."""
    found: Object = {}
    for number, raw in fields(data):
        known = MESSAGES[name].get(str(number))
        if known is None:
            continue
        key, kind, how = known
        if how == "inline":
            found |= message(kind, as_bytes(raw))
        elif how == "map":
            found.setdefault(key, {}).update(map_entry(kind, as_bytes(raw)))
        elif how == "list":
            found.setdefault(key, []).extend(numbers(raw) if kind == "int" else [value_of(kind, raw)])
        elif present(value := value_of(kind, raw), how, kind):
            found[key] = value
    return found


def present(value: Any, how: str, kind: str) -> bool:
    """Whether Go's JSON has this field: a plain field is always on the wire, and `omitempty` drops a zero scalar."""
    if value is None:
        return False
    return how in ("pointer", "keep") or kind not in SCALARS or bool(value)


def map_entry(kind: str, data: bytes) -> Object:
    """One entry of a map: a message whose field 1 is the key and whose field 2 is the value."""
    entry = dict(fields(data))
    return {as_bytes(entry.get(1, b"")).decode(): value_of(kind, entry.get(2, b""))}


def value_of(kind: str, raw: int | bytes) -> Any:
    """One value: a scalar, one of the types with a JSON form of its own, or a nested message."""
    if kind in SCALARS:
        return SCALARS[kind](raw)
    return message(kind, as_bytes(raw))


def as_bytes(raw: int | bytes) -> bytes:
    """`raw`, if it is bytes; else the body puts a number where a string or message belongs."""
    if isinstance(raw, int):
        raise ValueError("wrong wireType: a number where a string or message belongs")
    return raw


def integer(raw: int | bytes) -> int:
    """A signed integer: two's complement of 64 bits, as protobuf writes int32 and int64."""
    if not isinstance(raw, int):
        raise ValueError("wrong wireType: a string where a number belongs")
    return raw - (1 << 64) if raw >> 63 else raw


def numbers(raw: int | bytes) -> list[int]:
    """The integers of a repeated field: one by one, or packed together."""
    if isinstance(raw, int):
        return [integer(raw)]
    found, at = [], 0
    while at < len(raw):
        number, at = varint(raw, at)
        found.append(integer(number))
    return found


def moment(raw: int | bytes, unit: str) -> str | None:
    """A time as RFC 3339, in whole seconds or with `unit` "microseconds"; None for Go's zero time."""
    parts = dict(fields(as_bytes(raw)))
    if not parts:
        return None
    seconds, nanos = integer(parts.get(1, 0)), integer(parts.get(2, 0))
    when = EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    return when.replace(tzinfo=None).isoformat(timespec=unit) + "Z"


def int_or_string(raw: int | bytes) -> int | str:
    """An IntOrString: field 1 says which of the two it is."""
    parts = dict(fields(as_bytes(raw)))
    return as_bytes(parts.get(3, b"")).decode() if parts.get(1) else integer(parts.get(2, 0))


def first(raw: int | bytes) -> bytes:
    """Field 1 of a message that has only that, such as a Quantity (a string) or FieldsV1 (a JSON document)."""
    return as_bytes(dict(fields(as_bytes(raw))).get(1, b""))


def double(raw: int | bytes) -> float:
    """A floating-point number: eight bytes, the lowest first."""
    number: float = struct.unpack("<d", as_bytes(raw))[0]
    return number


def either(raw: int | bytes, other: Callable[[list[int | bytes]], Any]) -> Any:
    """The schema in field 1, or what `other` makes of the rest: the definitions of custom resources have such fields."""
    parts = list(fields(as_bytes(raw)))
    schema = [each for number, each in parts if number == 1]
    return message(SCHEMA, as_bytes(schema[0])) if schema else other([each for _, each in parts])


def schema_or_bool(raw: int | bytes) -> Any:
    """A schema in field 2, or in field 1 whether anything is allowed."""
    parts = dict(fields(as_bytes(raw)))
    return message(SCHEMA, as_bytes(parts[2])) if 2 in parts else bool(parts.get(1, 0))


SCALARS: dict[str, Callable[[int | bytes], Any]] = {
    "string": lambda raw: as_bytes(raw).decode(),
    "bytes": lambda raw: base64.b64encode(as_bytes(raw)).decode(),
    "bool": lambda raw: bool(integer(raw)),
    "int": integer,
    "time": lambda raw: moment(raw, "seconds"),
    "microtime": lambda raw: moment(raw, "microseconds"),
    "quantity": lambda raw: first(raw).decode(),
    "raw": lambda raw: json.loads(first(raw) or b"{}"),
    "double": double,
    "texts": lambda raw: [as_bytes(text).decode() for _, text in fields(as_bytes(raw))],
    "schema or bool": schema_or_bool,
    "schema or list": lambda raw: either(raw, lambda found: [message(SCHEMA, as_bytes(each)) for each in found]),
    "schema or texts": lambda raw: either(raw, lambda found: [as_bytes(each).decode() for each in found]),
    "intstr": int_or_string,
}
