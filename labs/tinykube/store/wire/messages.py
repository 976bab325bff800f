"""etcd's messages: data/etcd.json says what there is, the protobuf library makes classes of it.

Genuine counterpart: rpc.proto and kv.proto of https://etcd.io/docs/v3.6/dev-guide/api_reference_v3/.
"""
from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

DESCRIBED: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "etcd.json").read_text())
NUMBERS: dict[str, Any] = {"bool": 8, "bytes": 12, "int32": 5, "int64": 3, "string": 9, "uint32": 13, "uint64": 4}
MESSAGE: Any = 11                     # these numbers are protobuf's own, for kinds of fields


def declare(message: DescriptorProto, name: str, words: str) -> None:
    """Add a field: `7 oneof target_union bytes`. An enumeration is a number on the wire, and stays one here."""
    number, *how, kind = words.split()
    field = message.field.add(name=name, number=int(number), label=3 if "repeated" in how else 1)
    if "oneof" in how:
        if how[1] not in [each.name for each in message.oneof_decl]:
            message.oneof_decl.add(name=how[1])
        field.oneof_index = [each.name for each in message.oneof_decl].index(how[1])
    field.type = NUMBERS["int32"] if "enum" in how else NUMBERS.get(kind, MESSAGE)
    if field.type == MESSAGE:
        field.type_name = f".etcdserverpb.{kind}"


def classes(types: dict[str, Any]) -> SimpleNamespace:
    """The messages as classes, each under its name; the enumerations as lists of their names."""
    file, pool = FileDescriptorProto(name="etcd.proto", package="etcdserverpb", syntax="proto3"), DescriptorPool()
    messages = {name: fields for name, fields in types.items() if isinstance(fields, dict)}
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, words in fields.items():
            declare(message, field, words)
    pool.Add(file)
    made = {name: GetMessageClass(pool.FindMessageTypeByName(f"etcdserverpb.{name}")) for name in messages}
    return SimpleNamespace(**types | made)


pb: Any = classes(DESCRIBED["types"])
