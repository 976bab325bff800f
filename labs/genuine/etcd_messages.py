"""Makes tinykube's table of etcd's messages from the genuine program, which carries their description within itself.

    python -m genuine.etcd_messages            reads the etcd on this machine, writes labs/tinykube/store/wire/data/etcd.json
    python -m genuine.etcd_messages --check    reads it too, and says whether the file is still what it holds
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

from genuine.find import need

FILE = Path(__file__).parents[1] / "tinykube" / "store" / "wire" / "data" / "etcd.json"
SERVICES = ("KV", "Watch", "Lease", "Maintenance", "Cluster")
LEFT_OUT = ("MemberAdd", "MemberRemove", "MemberUpdate", "MemberPromote", "MoveLeader", "Downgrade")


def described() -> dict[str, Any]:
    """Services and messages of etcd's public API, as the genuine program describes them to itself."""
    binary = need("etcd")["etcd"].read_bytes()
    files = [embedded(binary, name) for name in (b"kv.proto", b"rpc.proto")]
    types = {name: what for file in files for name, what in declared(f".{file.package}", file)}
    services = {service.name: {method.name: method for method in service.method if method.name not in LEFT_OUT}
                for file in files for service in file.service if service.name in SERVICES}
    waiting = [name for methods in services.values() for m in methods.values() for name in (m.input_type, m.output_type)]
    kept: dict[str, Any] = {}
    while waiting:
        name = waiting.pop()
        if short(name) not in kept:
            what = types[name]
            kept[short(name)] = fields(what) if isinstance(what, DescriptorProto) else [v.name for v in what.value]
            waiting += [f.type_name for f in getattr(what, "field", ()) if f.type_name]
    calls = {service: {name: " ".join([*["stream"] * m.client_streaming, short(m.input_type), "->",
                                       *["stream"] * m.server_streaming, short(m.output_type)])
                       for name, m in methods.items()} for service, methods in services.items()}
    return {"services": calls, "types": dict(sorted(kept.items()))}


def embedded(binary: bytes, name: bytes) -> FileDescriptorProto:
    """The description of one source file. It stands in the program as a protobuf message that begins with its name."""
    start = position = binary.index(b"\n" + bytes([len(name)]) + name)
    number = -1
    while True:
        tag, after = varint(binary, position)
        if tag & 7 not in (0, 2) or not (number <= tag >> 3 <= 14):      # its fields stand in order, there are 14
            break
        number = tag >> 3
        size, position = varint(binary, after)
        position += size if tag & 7 == 2 else 0
    found = FileDescriptorProto()
    found.ParseFromString(binary[start:position])
    return found


def varint(data: bytes, position: int) -> tuple[int, int]:
    """A number in protobuf's form, and where it ends."""
    value = shift = 0
    while True:
        byte = data[position]
        value, shift, position = value | (byte & 127) << shift, shift + 7, position + 1
        if byte < 128:
            return value, position


def declared(scope: str, where: Any) -> Iterator[tuple[str, Any]]:
    """Messages and enumerations of a file or a message, by full name."""
    for message in where.message_type if isinstance(where, FileDescriptorProto) else where.nested_type:
        yield f"{scope}.{message.name}", message
        yield from declared(f"{scope}.{message.name}", message)
    for enum in where.enum_type:
        yield f"{scope}.{enum.name}", enum


def fields(message: DescriptorProto) -> dict[str, str]:
    """Each field as `number [repeated | oneof NAME] type`."""
    told = {}
    for field in message.field:
        words = [str(field.number)]
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            words.append("repeated")
        elif field.HasField("oneof_index"):
            words += ["oneof", message.oneof_decl[field.oneof_index].name]
        kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        told[field.name] = " ".join([*words, *(["enum"] if kind == "enum" else []), short(field.type_name) or kind])
    return told


def short(name: str) -> str:
    """A type's name without its package and without the message that it is declared in."""
    return name.rpartition(".")[2]


def main() -> int:
    """Write the file, or compare."""
    text = json.dumps(described(), indent=1) + "\n"
    if "--check" not in sys.argv:
        FILE.write_text(text)
    elif FILE.read_text() != text:
        print(f"{FILE.name} differs from what this etcd holds: run python -m genuine.etcd_messages", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
