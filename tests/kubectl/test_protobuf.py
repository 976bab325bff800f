"""Protobuf bodies: what kubectl sends, and what nobody should."""
from __future__ import annotations

import random

import pytest
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]
from tinykube.api.protobuf import MAGIC, decode, integer, varint
from tinykube.machinery.errors import ApiError


def field(number: int, value: int | bytes | str) -> bytes:
    """One field, written by hand with the protobuf library's own varints."""
    if isinstance(value, int):
        return bytes(_VarintBytes(number << 3) + _VarintBytes(value & (1 << 64) - 1))
    data = value.encode() if isinstance(value, str) else value
    return bytes(_VarintBytes(number << 3 | 2) + _VarintBytes(len(data)) + data)


def body(kind: str, raw: bytes, version: str = "v1") -> bytes:
    return MAGIC + field(1, field(1, version) + field(2, kind)) + field(2, raw)


CONFIG = body("ConfigMap", field(1, field(1, "cm") + field(3, "default") + field(8, b""))
              + field(2, field(1, "color") + field(2, "red")) + field(2, field(1, "empty"))
              + field(3, field(1, "blob") + field(2, b"\x00\x01")) + field(4, 0))
POD = body("Pod", field(1, field(1, "p")) + field(2, field(4, 0) + field(11, 0)
           + field(2, field(1, "c") + field(2, "box") + field(8, field(2, field(1, "cpu") + field(2, field(1, "100m"))))
                   + field(11, field(1, field(2, field(1, "/") + field(2, field(1, 1) + field(3, "web"))))))
           + field(1, field(1, "v") + field(2, field(2, b"")))))


def test_a_config_map() -> None:
    assert decode(CONFIG) == {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm", "namespace": "default"},
        "data": {"color": "red", "empty": ""}, "binaryData": {"blob": "AAE="}, "immutable": False}


def test_pointers_keep_their_zero_and_plain_fields_lose_it() -> None:
    spec = decode(POD)["spec"]
    assert spec["terminationGracePeriodSeconds"] == 0
    assert "hostNetwork" not in spec


def test_flattened_structs_and_special_scalars() -> None:
    spec = decode(POD)["spec"]
    assert spec["volumes"] == [{"name": "v", "emptyDir": {}}]
    container = spec["containers"][0]
    assert container["resources"]["requests"] == {"cpu": "100m"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/", "port": "web"}


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**31, 2**63 - 1, -1, -(2**63)])
def test_varints(number: int) -> None:
    encoded = bytes(_VarintBytes(number & (1 << 64) - 1))
    found, at = varint(encoded + b"rest", 0)
    assert (integer(found), at) == (number, len(encoded))


@pytest.mark.parametrize(("data", "says"), [
    (b"", "empty data"), (b"xx", "expected prefix"), (MAGIC + b"\xff", "unexpected EOF"),
    (MAGIC + b"\x0b", "illegal wireType"), (MAGIC + b"\x00\x01", "illegal tag 0"),
    (body("Foo", b""), 'no kind "Foo" is registered for version "v1"'),
    (body("Pod", field(1, 7)), "wrong wireType"), (body("Pod", b"\x0a\x7f"), "unexpected EOF"),
])
def test_bad_bodies_are_400_with_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(ApiError) as failure:
        decode(data)
    assert failure.value.code == 400
    assert says in failure.value.message


def outcome(data: bytes) -> str | int:
    try:
        return "an object" if isinstance(decode(data), dict) else "something else"
    except ApiError as error:
        return error.code


@pytest.mark.parametrize("seed", range(20))
def test_mutated_bodies_never_crash(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(500):
        data = bytearray(chance.choice([CONFIG, POD]))
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(4, len(data))
            data[at:at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
            if len(data) < 6:
                break
        assert outcome(bytes(data)) in ("an object", 400)
