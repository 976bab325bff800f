"""Requests that nobody wrote: none of them may find a fault. `make fuzz` sends a hundred thousand."""

from __future__ import annotations

from random import Random

import pytest
from tinykube.api import new_server
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.wire import Request, Response
from tinykube.store import LocalStorage

from tests.faults import schemas
from tests.faults.generated import Generator, run, wrong

SEEDS = (1, 2, 3, 4)


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_request_finds_a_fault(seed: int) -> None:
    outcome = await run(2500, seed)
    assert outcome.faults == []
    assert {200, 201, 400, 404, 405, 409, 415, 422} <= set(outcome.statuses), "the requests reach every kind of answer"
    assert outcome.after - outcome.before < 24 << 20, "memory grows with the number of requests"


@pytest.mark.timeout(300)
async def test_nothing_that_the_schemas_promise_or_forbid_finds_a_fault() -> None:
    with schemas.nothing_kept():
        outcome = await schemas.run(12, 1, some=26)
    assert outcome.faults == []
    assert outcome.statuses.total() > 200
    assert {200, 201, 400, 404, 415, 422} <= set(outcome.statuses), "the requests reach every kind of answer"


def requests_of(seed: int) -> list[Request]:
    clock = FakeClock()
    server = new_server(LocalStorage(clock=clock), clock=clock, random=Random(0), log=EventLog(clock))
    generator = Generator(server, seed)
    return [generator.request() for _ in range(200)]


def test_a_seed_makes_the_same_requests() -> None:
    assert requests_of(5) == requests_of(5)
    assert requests_of(5) != requests_of(6)


def test_faults_are_seen() -> None:
    asked = Request("GET", "/")
    assert wrong(asked, Response(500, {"reason": "InternalError", "message": "boom"})) == "boom"
    assert wrong(asked, Response(200, b"{", {"content-type": "application/json"})) == "the body is no JSON"
    assert not wrong(asked, Response(500, {"message": "the genuine one says this, too"}))
    assert not wrong(asked, Response(404, {"reason": "NotFound"}))
