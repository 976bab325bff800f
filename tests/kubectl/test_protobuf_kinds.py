"""Every kind there and back in protobuf: what the genuine server writes we read, what we write it reads; tier genuine."""
from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from tinykube.api import new_server
from tinykube.api.protobuf import MEDIA_TYPE, decode
from tinykube.api.protowrite import document, frame
from tinykube.api.resources import RESOURCES
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.wire import request
from tinykube.store import LocalStorage

from tests.api.test_resources import ONE_OF_EACH, collection, row_of
from tests.kubectl.test_facts import without_nulls

LIST = "/api/v1/namespaces/default/configmaps"
WATCH = f"{LIST}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
CRD = Path(__file__).with_name("rich_definition.yaml")
MORE: list[dict[str, Any]] = [yaml.safe_load(CRD.read_text())]


def without(obj: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key not in fields}}


@pytest.mark.parametrize("obj", ONE_OF_EACH + MORE, ids=lambda obj: f"{obj['apiVersion']}-{obj['metadata']['name']}-{obj['kind']}")
def test_each_kind_is_read_and_written_as_the_genuine_server_does(obj: dict[str, Any], plane: Any) -> None:
    path, name = collection(row_of(obj)), obj["metadata"]["name"]
    url, one = plane.url + path, f"{plane.url}{path}/{name}"
    with plane.session() as session:
        made = session.post(url, data=json.dumps(obj, separators=(",", ":")), timeout=30,
                            headers={"Content-Type": "application/json"})
        assert made.status_code == 201, made.text
        try:
            encoded, told = settled(session, one)
            assert decode(encoded) == told
            assert decode(document(told)) == told
            encoded, listed = settled(session, url)
            assert decode(encoded)["items"] == listed["items"]
            put = session.put(f"{one}?dryRun=All", data=document(told), headers={"Content-Type": MEDIA_TYPE}, timeout=30)
            assert put.status_code == 200, put.text
            assert without(without_nulls(put.json()), "managedFields") == without(told, "managedFields")
        finally:
            merge = {"Content-Type": "application/merge-patch+json"}
            session.patch(one, data='{"metadata":{"finalizers":null}}', headers=merge, timeout=30)
            session.delete(one, json={"propagationPolicy": "Background"}, timeout=30)
            session.put(f"{one}/finalize", json={"metadata": {"name": name}, "spec": {"finalizers": []}}, timeout=30)


def settled(session: Any, url: str) -> tuple[bytes, dict[str, Any]]:
    """An object in both forms, as of one version: the genuine server itself writes the status of definitions."""
    while True:
        before = without_nulls(session.get(url, timeout=30).json())
        encoded = session.get(url, headers={"Accept": MEDIA_TYPE}, timeout=30).content
        if without_nulls(session.get(url, timeout=30).json()) == before:
            return encoded, before


def test_frames_of_a_watch_say_what_lines_say(plane: Any) -> None:
    with plane.session() as session:
        session.post(plane.url + LIST, json={"metadata": {"name": "framed"}, "data": {"a": "b"}}, timeout=30)
        framed = session.get(plane.url + WATCH, headers={"Accept": MEDIA_TYPE}, timeout=30)
        lines = session.get(plane.url + WATCH, timeout=30).content.splitlines()
        session.delete(f"{plane.url}{LIST}/framed", timeout=30)
    assert framed.headers["Content-Type"] == f"{MEDIA_TYPE};stream=watch"
    theirs, ours = events(framed.content), events(b"".join(map(frame, lines)))
    assert [(t, without(o, "resourceVersion")) for t, o in ours] == [(t, without(o, "resourceVersion")) for t, o in theirs]
    assert [type_ for type_, _ in ours][-1] == "BOOKMARK"


def events(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The events in a stream of frames."""
    from tinykube.api.protobuf import as_bytes, fields
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        parts = dict(fields(data[4:4 + size]))
        obj = as_bytes(dict(fields(as_bytes(parts[2])))[1])
        found.append((as_bytes(parts[1]).decode(), decode(obj)))
        data = data[4 + size:]
    return found


def test_our_server_answers_in_protobuf_who_takes_nothing_else() -> None:
    async def story() -> None:
        clock = FakeClock()
        server = new_server(LocalStorage(), clock=clock, random=Random(1), log=EventLog(clock))
        await server.start()
        typed = MEDIA_TYPE
        made = await server.handle(request("POST", LIST, document({"kind": "ConfigMap", "apiVersion": "v1",
                                           "metadata": {"name": "a"}}), content_type=MEDIA_TYPE, accept=typed))
        assert (made.status, made.headers["content-type"]) == (201, MEDIA_TYPE)
        assert isinstance(made.body, bytes)
        assert decode(made.body)["metadata"]["name"] == "a"
        missing = await server.handle(request("GET", f"{LIST}/b", accept=typed))
        assert isinstance(missing.body, bytes)
        assert decode(missing.body)["message"] == 'configmaps "b" not found'
        stream = await server.handle(request("GET", f"{LIST}?watch=1", accept=typed))
        assert stream.headers["content-type"] == f"{MEDIA_TYPE};stream=watch"
        assert [(t, o["metadata"]["name"]) for t, o in events(await anext(stream.body))] == [("ADDED", "a")]  # type: ignore[arg-type]
        await stream.body.aclose()  # type: ignore[union-attr]
        partial = f"{MEDIA_TYPE};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        listed = await server.handle(request("GET", LIST, accept=partial))
        assert isinstance(listed.body, bytes)
        assert [(decode(listed.body)["kind"], list(item)) for item in decode(listed.body)["items"]] \
            == [("PartialObjectMetadataList", ["metadata"])]
        for accept in ("*/*", f"{MEDIA_TYPE},application/json", f"{MEDIA_TYPE}, */*"):
            told = await server.handle(request("GET", LIST, accept=accept))
            assert told.headers["content-type"] == "application/json"
        await server.stop()
    asyncio.run(story())


def test_every_kind_has_a_message() -> None:
    from tinykube.api.protobuf import message_of
    assert all(message_of(r.api_version, r.kind) for r in RESOURCES)
