"""Aggregation without a network: whom it dials, when it asks again, and that one who is silent holds up nobody."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from tinykube.api import new_server
from tinykube.api.aggregation import aggregation, maturity, remote
from tinykube.machinery.clock import FakeClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object
from tinykube.machinery.wire import Request, Response, User, as_user, request
from tinykube.store import LocalStorage, NoSpace

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
JANE = User("jane", ("bakers", "system:authenticated"), extra={"example.com/Oven": ("1", "2")})


class Bakery:
    """An api-server, and behind it whoever `answer` is."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.dialed: list[tuple[str, str, str | None, Request]] = []
        self.answer: Any = lambda request: Response(200, {"resources": []})
        self.server = new_server(LocalStorage(clock=self.clock), clock=self.clock, random=Random(1), log=EventLog(self.clock),
                                 plugins=[aggregation(self.dial, {})])
        self.ask = as_user(self.server.handle, JANE)

    async def dial(self, url: str, name: str, authority: str | None, asked: Request) -> Response:
        self.dialed.append((url, name, authority, asked))
        answer = self.answer(asked)
        return await answer if asyncio.iscoroutine(answer) else answer  # type: ignore[no-any-return]

    async def post(self, path: str, obj: Object) -> None:
        answer = await self.ask(request("POST", path, obj))
        assert answer.status == 201, answer.body

    async def register(self, name: str = "loaves") -> None:
        await self.post(SERVICES, {"metadata": {"name": f"v1.{name}.example"}, "spec": {
            "group": f"{name}.example", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
            "insecureSkipTLSVerify": True, "service": {"name": name, "namespace": "default"}}})
        await self.clock.settle()

    async def reason(self, name: str = "loaves") -> str:
        answer = await self.ask(request("GET", f"{SERVICES}/v1.{name}.example"))
        body: Any = answer.json()
        return str(body["status"]["conditions"][0]["reason"])


@pytest.fixture
async def bakery() -> AsyncIterator[Bakery]:
    made = Bakery()
    await made.server.start()
    for name, address in (("loaves", "192.0.2.7"), ("cakes", "192.0.2.8")):
        await made.post("/api/v1/namespaces/default/services", {
            "metadata": {"name": name}, "spec": {"ports": [{"name": "tls", "port": 443, "targetPort": 8443}]}})
        await made.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", {
            "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
            "ports": [{"name": "tls", "port": 8443}, {"name": "plain", "port": 8080}],
            "endpoints": [{"addresses": [address]}, {"addresses": ["192.0.2.9"], "conditions": {"ready": False}}]})
    yield made
    await made.server.stop()


async def test_a_ready_endpoint_of_the_named_port_is_dialed(bakery: Bakery) -> None:
    await bakery.register()
    await bakery.ask(request("GET", "/apis/loaves.example/v1/loaves"))
    assert {each[:3] for each in bakery.dialed} == {("https://192.0.2.7:8443", "loaves.default.svc", None)}
    asked = bakery.dialed[-1][3]
    assert asked.headers == {
        "x-remote-user": "jane", "x-remote-group": "bakers\nsystem:authenticated", "x-remote-extra-example.com%2Foven": "1\n2"}
    assert remote(User("joe")) == {"x-remote-user": "joe"}


async def test_it_is_asked_again_after_ever_longer_times_and_at_last_every_30_seconds(bakery: Bakery) -> None:
    bakery.answer = lambda request: Response(500)
    await bakery.register()
    assert (await bakery.reason(), len(bakery.dialed)) == ("FailedDiscoveryCheck", 1)
    asked = []
    for _ in range(90):
        await bakery.clock.advance(1.0)
        asked.append(len(bakery.dialed))
    assert asked[0] <= 4
    assert asked[59] - asked[29] <= 2
    bakery.answer = lambda request: Response(200, b"no JSON")
    await bakery.clock.advance(30.0)
    assert await bakery.reason() == "Passed"
    before = len(bakery.dialed)
    await bakery.clock.advance(29.0)
    assert len(bakery.dialed) <= before + 1
    await bakery.clock.advance(31.0)
    assert before + 1 <= len(bakery.dialed) <= before + 2


async def test_who_is_silent_is_given_up_and_holds_up_nobody(bakery: Bakery) -> None:
    async def silent(asked: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError
    bakery.answer = lambda asked: silent(asked) if "loaves" in asked.path else Response(200, {"resources": []})
    await bakery.register()
    await bakery.register("cakes")
    assert await bakery.reason("cakes") == "Passed"
    await bakery.clock.advance(6.0)
    assert await bakery.reason() == "FailedDiscoveryCheck"


async def test_changes_of_others_do_not_make_it_ask(bakery: Bakery) -> None:
    await bakery.register()
    assert len(bakery.dialed) == 1
    await bakery.post("/api/v1/namespaces/default/services", {"metadata": {"name": "pies"}, "spec": {"ports": [{"port": 80}]}})
    await bakery.clock.settle()
    assert len(bakery.dialed) == 1
    await bakery.ask(request("DELETE", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/loaves-1"))
    await bakery.clock.settle()
    assert (await bakery.reason(), len(bakery.dialed)) == ("EndpointsNotFound", 1)


async def test_nothing_runs_on_when_it_goes_or_the_server_stops(bakery: Bakery) -> None:
    await bakery.register()
    await bakery.register("cakes")
    await bakery.ask(request("DELETE", f"{SERVICES}/v1.loaves.example"))
    await bakery.clock.settle()
    names = [task.get_name() for task in asyncio.all_tasks()]
    assert "aggregation of v1.cakes.example" in names
    assert "aggregation of v1.loaves.example" not in names
    await bakery.server.stop()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("aggregation")]


async def test_a_service_that_can_not_be_read(bakery: Bakery) -> None:
    from tinykube.store import Put
    await bakery.server.storage.txn([], [Put(b"/registry/services/specs/default/loaves", b"nonsense")])
    await bakery.register("loaves")
    answer: Any = (await bakery.ask(request("GET", f"{SERVICES}/v1.loaves.example"))).json()
    condition = answer["status"]["conditions"][0]
    assert condition["reason"] == "ServiceAccessError"
    assert condition["message"].startswith('service/loaves in "default" cannot be accessed due to: ')


def test_versions_in_their_order() -> None:
    wanted = ["v11", "v2", "v1", "v3beta1", "v2beta2", "v1beta3", "v12alpha1", "v1alpha2", "foo1", "foo10"]
    assert sorted(reversed(wanted), key=maturity) == wanted


async def test_a_store_that_takes_nothing_for_a_while_is_asked_again(bakery: Bakery, monkeypatch: pytest.MonkeyPatch) -> None:
    await bakery.register()
    assert await bakery.reason() == "Passed"
    bakery.answer = lambda request: Response(500)

    async def full(*_: object, **__: object) -> None:
        raise NoSpace
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(bakery.server.storage, "txn", full)
        await bakery.clock.advance(31.0)
    await bakery.clock.advance(60.0)
    assert await bakery.reason() == "FailedDiscoveryCheck"
    await bakery.register("cakes")
    assert await bakery.reason("cakes") == "FailedDiscoveryCheck"


async def test_a_bundle_that_is_none_is_a_failed_check(bakery: Bakery) -> None:
    await bakery.post(SERVICES, {"metadata": {"name": "v1.loaves.example"}, "spec": {
        "group": "loaves.example", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
        "caBundle": "/////w==", "service": {"name": "loaves", "namespace": "default"}}})
    await bakery.clock.settle()
    assert await bakery.reason() == "FailedDiscoveryCheck"
    answer = await bakery.ask(request("GET", "/apis/loaves.example/v1/loaves"))
    assert answer.status == 503
