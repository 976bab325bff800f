"""Rows of tables, in the words of the genuine printer."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tinykube.api.table import human, pod_row, table, wants_table

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def ago(seconds: int) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(("seconds", "text"), [
    (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (600, "10m"),
    (3 * 3600, "3h"), (3 * 3600 + 60, "3h1m"), (8 * 3600, "8h"), (47 * 3600, "47h"), (48 * 3600, "2d"),
    (50 * 3600, "2d2h"), (8 * 86400, "8d"), (730 * 86400, "2y"), (731 * 86400, "2y1d"), (8 * 365 * 86400, "8y"),
])
def test_durations(seconds: int, text: str) -> None:
    assert human(seconds) == text


def pod(status: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "creationTimestamp": ago(5)} | meta,
            "spec": {"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}, "status": status}


RUNNING = {"ready": True, "restartCount": 0, "state": {"running": {}}}
EXITED = {"ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
DONE = {"name": "i", "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}


@pytest.mark.parametrize(("status", "meta", "cells"), [
    ({"phase": "Pending"}, {}, ["0/2", "Pending", "0"]),
    ({"phase": "Running", "containerStatuses": [RUNNING, RUNNING]}, {}, ["2/2", "Running", "0"]),
    ({"phase": "Running", "containerStatuses": [RUNNING, EXITED]}, {}, ["1/2", "NotReady", "0"]),
    ({"phase": "Succeeded", "containerStatuses": [EXITED]}, {}, ["0/2", "Completed", "0"]),
    ({"phase": "Failed", "reason": "Evicted"}, {}, ["0/2", "Evicted", "0"]),
    ({"phase": "Running", "containerStatuses": [
        {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
         "lastState": {"terminated": {"finishedAt": ago(30)}}}]}, {}, ["0/2", "CrashLoopBackOff", "3 (30s ago)"]),
    ({"phase": "Running", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}, {},
     ["0/2", "ExitCode:3", "0"]),
    ({"phase": "Running", "containerStatuses": [{"state": {"terminated": {"signal": 9}}}]}, {},
     ["0/2", "Signal:9", "0"]),
    ({"phase": "Running", "containerStatuses": [RUNNING, RUNNING]}, {"deletionTimestamp": ago(1)},
     ["2/2", "Terminating", "0"]),
    ({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}, {},
     ["0/2", "Init:0/1", "0"]),
    ({"phase": "Pending", "initContainerStatuses": [
        {"name": "i", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}, {},
     ["0/2", "Init:CrashLoopBackOff", "2"]),
    ({"phase": "Running", "initContainerStatuses": [DONE], "containerStatuses": [RUNNING]}, {},
     ["1/2", "Running", "0"]),
    ({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated", "status": "False"}]},
     {}, ["0/2", "SchedulingGated", "0"]),
])
def test_pod_status_is_derived(status: dict[str, Any], meta: dict[str, Any], cells: list[str]) -> None:
    assert pod_row(pod(status, **meta), NOW)[1:4] == cells


def test_a_row_carries_what_the_client_asked_for() -> None:
    one = {"metadata": {"name": "n"}, "data": {"a": "1"}}
    bare, meta, full = (table("configmaps", one, NOW, i)["rows"][0] for i in ("None", "Metadata", "Object"))
    assert "object" not in bare
    assert meta["object"] == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                              "metadata": {"name": "n"}}
    assert full["object"] == one
    assert bare["cells"] == ["n", 1, "<unknown>"]


@pytest.mark.parametrize(("accept", "wanted"), [
    ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", True), ("application/json", False), ("", False),
    ("application/json,application/json;as=Table;v=v1;g=meta.k8s.io", False),
    ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", False),
])
def test_who_wants_a_table(accept: str, wanted: bool) -> None:
    assert wants_table(accept) is wanted
