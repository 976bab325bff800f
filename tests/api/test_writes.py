"""Writes: who may change what, what a delete leaves, and bodies of the worst sort."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.conftest import CONFIGMAPS, MERGE, PODS, Api, pod


async def test_writers_without_a_version_lose_nothing(api: Api) -> None:
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    done = await asyncio.gather(*(api("PATCH", f"{CONFIGMAPS}/a", {"data": {f"k{n}": "v"}}, content_type=MERGE)
                                  for n in range(50)))
    assert {status for status, _ in done} == {200}
    assert len((await api("GET", f"{CONFIGMAPS}/a"))[1]["data"]) == 50


async def test_halves_have_different_authors(api: Api) -> None:
    await api("POST", PODS, pod("a"))
    await api("PATCH", f"{PODS}/a/status", {"status": {"phase": "Running"}, "spec": {"nodeName": "x"}},
              content_type=MERGE)
    _, got = await api("GET", f"{PODS}/a")
    assert got["status"]["phase"] == "Running"
    assert "nodeName" not in got["spec"]


async def test_a_change_of_nothing_writes_nothing(api: Api) -> None:
    _, made = await api("POST", PODS, pod("a"))
    _, same = await api("PUT", f"{PODS}/a", made)
    assert same == made


async def test_a_dry_run_writes_nothing(api: Api) -> None:
    assert (await api("POST", f"{PODS}?dryRun=All", pod("a")))[0] == 201
    assert (await api("GET", f"{PODS}/a"))[0] == 404


async def test_finalizers_keep_an_object_until_they_are_gone(api: Api) -> None:
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a", "finalizers": ["example.com/x"]}})
    status, going = await api("DELETE", f"{CONFIGMAPS}/a")
    assert (status, going["kind"]) == (200, "ConfigMap")
    assert "deletionTimestamp" in (await api("GET", f"{CONFIGMAPS}/a"))[1]["metadata"]
    await api("PATCH", f"{CONFIGMAPS}/a", {"metadata": {"finalizers": None}}, content_type=MERGE)
    assert (await api("GET", f"{CONFIGMAPS}/a"))[0] == 404


async def test_nobody_can_alias_what_the_server_keeps(api: Api) -> None:
    _, made = await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}})
    made["data"]["k"] = "changed"
    assert (await api("GET", f"{CONFIGMAPS}/a"))[1]["data"] == {"k": "v"}


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"5", b'"x"', b"\xff\xfe", b"{}", b'{"metadata": 5}', b'{"metadata": {"name": 5}}',
    b'{"metadata": {"name": "a", "labels": [1]}}', b'{"spec": []}', b'{"spec": {"containers": {}}}',
    b'{"metadata": {"name": "a"}, "spec": {"containers": [null]}}', b"[" * 100_000, b'{"a":' * 100_000,
    b'{"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "b", "ports": [5]}]}}',
    b'{"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "b"}], "tolerations": "x"}}',
    b'{"metadata": {"name": "a"}, "spec": {"terminationGracePeriodSeconds": "x", "containers": []}}', b"NaN"])
async def test_bodies_of_the_worst_sort(api: Api, body: bytes) -> None:
    for kind in ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf"):
        if kind == "application/yaml" and len(body) > 10_000:
            continue
        status, told = await api("POST", PODS, body, content_type=kind)
        assert status in (400, 422), told
        assert told["kind"] == "Status"


@pytest.mark.parametrize("options", [b"[]", b'{"kind": "Pod"}', b"{", b'{"gracePeriodSeconds": "x"}',
                                     b'{"preconditions": 5}'])
async def test_bad_delete_options(api: Api, options: bytes) -> None:
    await api("POST", PODS, pod("a", nodeName="n"))
    status, told = await api("DELETE", f"{PODS}/a", options)
    assert status in (400, 409, 422), told


@pytest.mark.parametrize(("kind", "patch"), [(MERGE, b"[]"), (MERGE, b'{"metadata": null}'), (MERGE, b'{"spec": 5}'),
                                             ("application/json-patch+json", b"{}"),
                                             ("application/json-patch+json", b'[{"op": "remove", "path": "/metadata"}]'),
                                             ("application/json-patch+json", b"[5]")])
async def test_bad_patches(api: Api, kind: str, patch: bytes) -> None:
    await api("POST", PODS, pod("a"))
    answer: tuple[int, Any] = await api("PATCH", f"{PODS}/a", patch, content_type=kind)
    assert answer[0] in (400, 422), answer


async def test_a_patch_cannot_smuggle_in_a_field_of_another_type(api: Api) -> None:
    await api("POST", CONFIGMAPS, {"metadata": {"name": "a"}})
    assert (await api("PATCH", f"{CONFIGMAPS}/a", {"data": {"k": 5}}, content_type=MERGE))[0] in (400, 422)
