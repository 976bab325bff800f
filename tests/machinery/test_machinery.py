"""Errors, clocks, the event log, objects, quantities, requests."""
from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from tinykube.machinery import errors, objects
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.quantity import format_quantity, milli, parse_quantity, whole
from tinykube.machinery.wire import Response, request

# The Status objects below are what a genuine api-server (1.37.2) sent.
GENUINE = [
    (errors.not_found("configmaps", "nope"), 404, "NotFound", 'configmaps "nope" not found',
     {"name": "nope", "kind": "configmaps"}),
    (errors.no_such_resource(), 404, "NotFound", "the server could not find the requested resource", {}),
    (errors.already_exists("configmaps", "a"), 409, "AlreadyExists", 'configmaps "a" already exists',
     {"name": "a", "kind": "configmaps"}),
    (errors.conflict("configmaps", "a"), 409, "Conflict", 'Operation cannot be fulfilled on configmaps "a": the object '
     "has been modified; please apply your changes to the latest version and try again",
     {"name": "a", "kind": "configmaps"}),
    (errors.method_not_allowed(), 405, "MethodNotAllowed",
     "the server does not allow this method on the requested resource", {}),
    (errors.too_large(3145728), 413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728", None),
    (errors.unauthorized(), 401, "Unauthorized", "Unauthorized", None),
    (errors.unsupported_media_type(), 415, "UnsupportedMediaType", "415: Unsupported Media Type", {}),
    (errors.future_revision(999999, 214), 504, "Timeout", "Timeout: Too large resource version: 999999, current: 214",
     {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
      "retryAfterSeconds": 1}),
    (errors.invalid("ConfigMap", "", [errors.required("metadata.name", "name or generateName is required")]), 422,
     "Invalid", 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
     {"kind": "ConfigMap", "causes": [{"reason": "FieldValueRequired", "field": "metadata.name",
                                       "message": "Required value: name or generateName is required"}]}),
    (errors.forbidden("pods", "x", "no service account"), 403, "Forbidden",
     'pods "x" is forbidden: no service account', {"name": "x", "kind": "pods"}),
]


@pytest.mark.parametrize(("error", "code", "reason", "message", "details"), GENUINE)
def test_statuses_are_the_genuine_ones(error: ApiError, code: int, reason: str, message: str, details: object) -> None:
    status = error.status()
    assert (status["code"], status["reason"], status["message"], status.get("details")) == (
        code, reason, message, details)
    again = ApiError.from_status(code, json.loads(json.dumps(status)))
    assert again.status() == status


def test_several_causes_and_groups() -> None:
    error = errors.invalid("Deployment", "x", [errors.required("a"), errors.invalid_value("b", "é", "no")], "apps")
    assert error.message == 'Deployment.apps "x" is invalid: [a: Required value, b: Invalid value: "é": no]'
    assert errors.not_found("deployments", "x", "apps").message == 'deployments.apps "x" not found'


def test_an_answer_that_is_no_status() -> None:
    assert ApiError.from_status(502, "Bad Gateway").message == "the server answered 502 without a Status: Bad Gateway"


async def test_the_fake_clock_wakes_in_order() -> None:
    clock, woken = FakeClock(), []

    async def every(name: str, seconds: float) -> None:
        while True:
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))
    tasks = [asyncio.create_task(every("a", 3)), asyncio.create_task(every("b", 2))]
    await clock.advance(7)
    assert woken == [("b", 2), ("a", 3), ("b", 4), ("a", 6), ("b", 6)]
    assert clock.monotonic() == 7
    for task in tasks:
        task.cancel()
    await clock.advance(100)
    assert len(woken) == 5


async def test_waiting_for_a_record() -> None:
    log = EventLog(FakeClock())
    log.add("kubelet", "started", pod="web")
    assert (await log.wait_for(lambda record: record["verb"] == "started"))["pod"] == "web"
    later = asyncio.create_task(log.wait_for(lambda record: record["verb"] == "killed", timeout=5))
    await asyncio.sleep(0)
    log.add("kubelet", "killed", pod="web")
    assert (await later)["at"] == "2030-01-01T00:00:00.000000Z"
    with pytest.raises(TimeoutError, match="killed"):
        await log.wait_for(lambda record: False, timeout=0.01)
    assert not log._waiters


def test_the_log_is_bounded_in_memory_and_on_disk(tmp_path: Path) -> None:
    log = EventLog(FakeClock(), path=tmp_path / "a" / "log.jsonl", limit=10, file_limit=2000)
    for number in range(100):
        log.add("test", "counted", number=number)
    log.close()
    assert [record["number"] for record in log.records] == list(range(90, 100))
    assert log.added == 100
    sizes = [path.stat().st_size for path in (tmp_path / "a").iterdir()]
    assert len(sizes) == 2
    assert max(sizes) < 2300


@pytest.mark.parametrize(("text", "value"), [
    ("0", "0"), ("1", "1"), ("100m", "0.1"), ("1.5", "1.5"), ("512Mi", "536870912"), ("1Ki", "1024"), ("1k", "1000"),
    ("1e3", "1000"), ("1E", "1000000000000000000"), ("1E3", "1000"), ("2.5Gi", "2684354560"), ("-1", "-1"), (".5", "0.5"),
    ("1n", "0.000000001"), ("0.1n", "0.000000001"), ("5.", "5"), (7, "7"),
])
def test_quantities(text: str | int, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "Gi", "1.2.3", "--1", "1ki", "٣"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="quantit"):
        parse_quantity(text)


def test_whole_milli_and_back() -> None:
    assert (whole("1.5"), whole("100m"), milli("0.1"), milli("1"), milli("1u")) == (2, 1, 100, 1000, 1)
    assert [format_quantity(Decimal(each)) for each in ("0.1", "1500", "2000", "0")] == ["100m", "1500", "2k", "0"]
    assert [format_quantity(each, binary=True) for each in (536870912, 1000, 0)] == ["512Mi", "1000", "0"]


def test_objects() -> None:
    pod = {"metadata": {"name": "web", "namespace": "default", "labels": None}, "spec": {"containers": [{"name": "c"}]}}
    assert objects.key_of(pod) == "default/web"
    assert objects.labels(pod) == {}
    assert objects.dig(pod, "spec", "containers", 0, "name") == "c"
    assert objects.dig(pod, "status", "phase", default="Pending") == "Pending"
    twin = objects.copy(pod)
    twin["spec"]["containers"][0]["name"] = "d"
    assert pod["spec"]["containers"][0]["name"] == "c"
    assert objects.new_uid(Random(1)) == objects.new_uid(Random(1)) != objects.new_uid(Random(2))
    assert len(objects.generated_name("x" * 80, Random(1))) == 63
    assert objects.timestamp(FakeClock()) == "2030-01-01T00:00:00Z"
    assert objects.parse_time(objects.micro_timestamp(FakeClock())) == FakeClock().now()
    with pytest.raises(ValueError, match="RFC 3339"):
        objects.parse_time("yesterday")


def test_requests_and_responses() -> None:
    asked = request("GET", "/a?x=1&x=2&y=", user_agent="me")
    assert (asked.param("x"), asked.params("x"), asked.param("z", "?"), asked.headers) == (
        "1", ["1", "2"], "?", {"user-agent": "me"})
    assert asked.target == "/a?x=1&x=2&y="
    assert Response(200, b'{"a": 1}').json() == Response(200, {"a": 1}).json()
