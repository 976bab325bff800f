"""How much, how deep and how long: where a server stops reading, computing or waiting, and what it says then."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.behaviour.target import Namespace, Target, configmap
from tests.behaviour.test_objects import refused

OPERATIONS = "application/json-patch+json"
UP = "Timeout: request did not complete within the allotted timeout"
REJECTED = "the server rejected our request due to an error in our request"


def sent(target: Target, head: bytes) -> bytes:
    """What comes back for bytes sent as they are, on a connection of their own."""
    where = urlsplit(target.url)
    context = ssl.create_default_context(cafile=str(target.http.verify))
    if target.http.cert:
        context.load_cert_chain(*target.http.cert)
    with socket.create_connection((where.hostname, where.port or 443), timeout=30) as plain, \
            context.wrap_socket(plain, server_hostname=where.hostname) as secure:
        with contextlib.suppress(OSError):           # the server may close while we still speak
            secure.sendall(head)
        said = b""
        with contextlib.suppress(OSError):
            while more := secure.recv(65536):
                said += more
        return said


@pytest.mark.parametrize("headers", [{"X-Long": "y" * 100_000}, {f"X-{number}": "y" for number in range(80)}])
def test_long_heads_are_read(ns: Namespace, headers: dict[str, str]) -> None:
    refused(ns.call("GET", "/configmaps/a", headers=headers), 404, "NotFound", 'configmaps "a" not found')


def test_a_long_path_is_read(ns: Namespace) -> None:
    found = ns.call("GET", "/configmaps", labelSelector=",".join(["a"] * 20_000))
    assert (found.status_code, found.json()["items"]) == (200, [])


@pytest.mark.parametrize("head", [b"GET /version HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 1_200_000 + b"\r\n\r\n",
                                  b"GET /version?" + b"y" * 1_200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_heads_have_an_end(target: Target, head: bytes) -> None:
    answer = sent(target, head)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n"), answer[:200]
    assert answer.endswith(b"\r\n\r\n431 Request Header Fields Too Large")


@pytest.mark.parametrize(("text", "why"), [
    ("x", 'invalid duration "x"'), ("5", 'missing unit in duration "5"'), ("5y", 'unknown unit "y" in duration "5y"'),
    ("1m2", 'missing unit in duration "1m2"'), ("--1s", 'invalid duration "--1s"'), ("-", 'invalid duration "-"'),
    (".s", 'invalid duration ".s"'), ("1s ", 'unknown unit "s " in duration "1s "')])
def test_a_timeout_that_is_none(ns: Namespace, text: str, why: str) -> None:
    told = re.escape(f"invalid timeout specified in the request URL - time: {why}")
    refused(ns.target.call("GET", f"{ns.core}/configmaps/a?timeout={text}"), 400, "BadRequest", told)


@pytest.mark.parametrize("text", ["", "0", "-1s", "+10s", "2m", "1h0.5m", ".5m", "100000000us"])
def test_a_timeout_that_is_long_enough(ns: Namespace, text: str) -> None:
    answer = ns.target.http.get(f"{ns.target.url}{ns.core}/configmaps/a", params={"timeout": text}, timeout=30)
    refused(answer, 404, "NotFound", 'configmaps "a" not found')


@pytest.mark.parametrize(("method", "path"), [("GET", "/configmaps/a"), ("GET", "/configmaps"), ("POST", "/configmaps"),
                                              ("DELETE", "/configmaps/a")])
def test_no_time_at_all(ns: Namespace, method: str, path: str) -> None:
    body = configmap("late") if method == "POST" else None
    answer = ns.target.call(method, f"{ns.core}{path}?timeout=1ns", body).json()
    assert (answer["code"], answer["reason"], answer["message"]) == (504, "Timeout", UP)
    assert ns.call("GET", "/configmaps/late").status_code == 404


def test_those_that_stay_do_not_read_it(ns: Namespace) -> None:
    assert ns.target.call("GET", f"{ns.core}/configmaps?watch=1&timeoutSeconds=1&timeout=x").status_code == 200


def test_too_deep(ns: Namespace) -> None:
    body = '{"metadata":{"name":"deep"},"data":' + "[" * 20_000 + "]" * 20_000 + "}"
    said = ns.call("POST", "/configmaps", body).json()
    assert (said["code"], said["reason"]) == (400, "BadRequest")
    assert "exceeded max depth" in said["message"]
    assert ns.call("PATCH", "/configmaps/deep", "[" * 20_000 + "]" * 20_000, kind=OPERATIONS).status_code in (400, 404)


def test_a_few_lines_that_stand_for_a_thousand_million(ns: Namespace) -> None:
    lines = ["apiVersion: v1", "kind: ConfigMap", "metadata: {name: laughs}", "a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 12)]
    said = ns.call("POST", "/configmaps", "\n".join(lines), kind="application/yaml").json()
    assert (said["code"], said["reason"]) == (400, "BadRequest")
    assert "yaml: document contains excessive aliasing" in said["message"]


def test_aliases_in_measure(ns: Namespace) -> None:
    text = "metadata: &m {name: same, labels: &l {a: b}, annotations: *l}\napiVersion: v1\nkind: ConfigMap\ndata: *l\n"
    made = ns.call("POST", "/configmaps", text, kind="application/yaml")
    assert (made.status_code, made.json()["data"], made.json()["metadata"]["annotations"]) == (201, {"a": "b"}, {"a": "b"})


def copies(count: int) -> list[dict[str, Any]]:
    return [{"op": "copy", "from": "/data/a", "path": f"/metadata/x{number}"} for number in range(count)]


@pytest.mark.parametrize(("operations", "code", "reason", "message"), [
    ([{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_000, 200, "", ""),
    ([{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001, 413, "RequestEntityTooLarge",
     "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"),
    (copies(31), 200, "", ""), (copies(32), 422, "Invalid", REJECTED),
    ([{"op": "copy", "from": "/metadata", "path": f"/metadata/x{number}"} for number in range(40)], 422, "Invalid", REJECTED)])
def test_patches_that_grow(ns: Namespace, operations: Any, code: int, reason: str, message: str) -> None:
    ns.make("configmaps", configmap("a", a="x" * 100_000))
    answer = ns.call("PATCH", "/configmaps/a", json.dumps(operations), kind=OPERATIONS)
    if code == 200:
        assert answer.status_code == 200, answer.text[:300]
    else:
        refused(answer, code, reason, re.escape(message))


@pytest.mark.parametrize("kind", ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"])
def test_bodies_have_an_end(ns: Namespace, kind: str) -> None:
    refused(ns.call("POST", "/configmaps", b"x" * ((3 << 20) + 1), kind=kind), 413, "RequestEntityTooLarge",
            "Request entity too large: limit is 3145728")
