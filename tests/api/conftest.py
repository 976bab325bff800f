"""An api-server in memory, under a clock that stands still."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from tinykube.api import ApiServer, new_server
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.wire import Response, request
from tinykube.store import LocalStorage

PODS = "/api/v1/namespaces/default/pods"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"


class Api:
    """Short calls to a server."""

    def __init__(self, server: ApiServer, clock: FakeClock) -> None:
        self.server, self.clock = server, clock

    async def answer(self, method: str, path: str, body: Any = b"", **headers: str) -> Response:
        return await self.server.handle(request(method, path, body, **headers))

    async def __call__(self, method: str, path: str, body: Any = b"", **headers: str) -> tuple[int, Any]:
        answer = await self.answer(method, path, body, **headers)
        return answer.status, answer.json()

    async def events(self, path: str) -> list[dict[str, Any]]:
        """Everything that a watch tells until it ends."""
        answer = await self.answer("GET", path)
        assert not isinstance(answer.body, bytes | dict)
        return [json.loads(line) async for chunk in answer.body for line in chunk.splitlines()]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    clock = FakeClock()
    server = new_server(LocalStorage(clock=clock), clock=clock, random=Random(1), log=EventLog(clock))
    await server.start()
    yield Api(server, clock)
    await server.stop()


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "a", "image": "box:1"}]} | spec}
