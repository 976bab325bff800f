"""More at a time than a server can bear: some are sent away, told when to come back, and are answered then."""
from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

from tinykube.api import ApiServer
from tinykube.api.authorization import MASTERS
from tinykube.api.filters import errors_to_status
from tinykube.api.overload import limit_concurrency
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.wire import Handler, Request, Response, User, close, request
from tinykube.store import LocalStorage


async def test_an_overload_is_told_and_passes() -> None:
    gate, log = asyncio.Event(), EventLog()

    async def held(asked: Request, then: Handler) -> Response:
        await gate.wait()
        return await then(asked)
    server = ApiServer(LocalStorage(), clock=SystemClock(), random=Random(0), log=log,
                       filters=[errors_to_status(log), limit_concurrency(3, 3), held])
    await server.start()
    crowd = [asyncio.create_task(server.handle(request("GET", "/api/v1/namespaces"))) for _ in range(5)]
    watch = asyncio.create_task(server.handle(request("GET", "/api/v1/namespaces?watch=1&timeoutSeconds=5")))
    done, waiting = await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 2:
        more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    for each in done:
        refused = each.result()
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    written = [asyncio.create_task(server.handle(request("DELETE", "/api/v1/namespaces/none"))) for _ in range(3)]
    await asyncio.sleep(0)                       # they come in, and are held
    assert (await server.handle(request("DELETE", "/api/v1/namespaces/none"))).status == 429, "writes are counted apart"
    boss = replace(request("GET", "/api/v1/namespaces"), user=User("a", (MASTERS,)))
    waiting |= {asyncio.create_task(server.handle(boss))}
    assert (await server.handle(request("GET", "/api/v1/namespaces/watch"))).status == 429, "a name makes no watch"
    gate.set()
    assert {(await each).status for each in written} == {404}
    assert {(await each).status for each in waiting} == {200}
    assert (await watch).status == 200, "a watch is no part of the crowd"
    await close(await watch)
    assert (await server.handle(request("GET", "/api/v1/namespaces"))).status == 200
    await server.stop()
