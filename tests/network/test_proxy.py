"""Services reach pods: the table, who is chosen, and bytes through a real listener."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import pytest
from tinykube.api import new_server
from tinykube.client.rest import Client
from tinykube.machinery.clock import SystemClock
from tinykube.machinery.eventlog import EventLog
from tinykube.machinery.objects import Object
from tinykube.network.proxy import Balancer, Proxy
from tinykube.network.rules import Rule, rules
from tinykube.network.userspace import Relay
from tinykube.store import LocalStorage

WEB: Object = {"metadata": {"name": "web", "namespace": "default"}, "spec": {
    "type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80, "protocol": "TCP"},
                                                             {"name": "dns", "port": 53, "protocol": "UDP"}]}}


def endpoint(address: str, **conditions: bool) -> Object:
    return {"addresses": [address], "conditions": conditions}


def slice_of(service: str, *endpoints: Object, port: int = 8080, name: str = "http") -> Object:
    return {"metadata": {"name": f"{service}-x1", "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "ports": [{"name": name, "port": port, "protocol": "TCP"}], "endpoints": list(endpoints)}


def changed(**spec: Any) -> Object:
    return {**WEB, "spec": WEB["spec"] | spec}


def test_a_service_leads_to_its_ready_pods() -> None:
    slices = [slice_of("web", endpoint("10.0.0.2"), endpoint("10.0.0.1", ready=True), endpoint("10.0.0.3", ready=False)),
              slice_of("other", endpoint("10.0.0.4"))]
    assert rules([WEB], slices) == {
        ("10.96.0.9", 80): Rule("default/web:http", (("10.0.0.1", 8080), ("10.0.0.2", 8080)))}


def test_without_slices_there_is_a_rule_and_nobody_behind_it() -> None:
    assert rules([WEB], [])["10.96.0.9", 80].backends == ()


def test_pods_that_end_serve_only_where_no_other_does() -> None:
    ending = endpoint("10.0.0.7", ready=False, serving=True, terminating=True)
    gone = endpoint("10.0.0.8", ready=False, serving=False, terminating=True)
    assert rules([WEB], [slice_of("web", ending, gone)])["10.96.0.9", 80].backends == (("10.0.0.7", 8080),)
    assert rules([WEB], [slice_of("web", ending, endpoint("10.0.0.9"))])["10.96.0.9", 80].backends == (("10.0.0.9", 8080),)


@pytest.mark.parametrize("service", [
    changed(clusterIP="None"), changed(clusterIP=""), changed(type="ExternalName"),
    {**WEB, "metadata": WEB["metadata"] | {"labels": {"service.kubernetes.io/service-proxy-name": "mine"}}}])
def test_not_every_service_is_ours_to_serve(service: Object) -> None:
    assert rules([service], []) == {}


def test_a_node_port_is_served_at_the_node() -> None:
    addresses = [{"type": "Hostname", "address": "ant"}, {"type": "InternalIP", "address": "127.0.0.1"}]
    node: Object = {"status": {"addresses": addresses}}
    service = changed(type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    slices = [slice_of("web", endpoint("10.0.0.1"), name="")]
    table = rules([service], slices, node)
    assert set(table) == {("10.96.0.9", 80), ("127.0.0.1", 30080)}
    assert {rule.backends for rule in table.values()} == {(("10.0.0.1", 8080),)}


class Hand:
    """A clock that is moved by hand."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_backends_take_turns() -> None:
    one = Balancer(Rule("a", (("x", 1), ("y", 1), ("z", 1))), Hand())  # type: ignore[arg-type]
    assert [one.choose("me")[0][0] for _ in range(4)] == ["x", "y", "z", "x"]
    assert one.choose("me") == [("y", 1), ("z", 1), ("x", 1)]
    one.rule = Rule("a", ())
    assert one.choose("me") == []


def test_a_client_stays_until_its_time_is_over_or_its_backend_gone() -> None:
    clock = Hand()
    one = Balancer(Rule("a", (("x", 1), ("y", 1)), sticky=10), clock)  # type: ignore[arg-type]
    assert [one.choose(who)[0][0] for who in ("me", "you", "me", "you", "me")] == ["x", "y", "x", "y", "x"]
    clock.now = 11
    assert one.choose("you")[0][0] == "x"
    assert list(one.seen) == ["you"]
    one.rule = Rule("a", (("y", 1),), sticky=10)
    assert one.choose("you") == [("y", 1)]


@asynccontextmanager
async def echo(greeting: bytes) -> AsyncIterator[tuple[str, int]]:
    """A server that says who it is, then all that it is told until the end, and then "bye"."""
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting + await reader.read() + b"bye")
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def ask(address: tuple[str, int], data: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(data)
    await writer.drain()
    writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_bytes_go_both_ways_and_the_end_is_passed_on() -> None:
    async with echo(b"one:") as backend:
        place = "127.0.0.1", free_port()
        relay = await Relay.listen(place, lambda client: [backend])
        much = bytes(range(256)) * 8192
        assert await ask(place, much) == b"one:" + much + b"bye"
        await relay.close()
    assert not relay.tasks


async def test_a_backend_that_refuses_is_passed_over_and_no_backend_closes_the_door() -> None:
    async with echo(b"two:") as backend:
        place = "127.0.0.1", free_port()
        choices: list[list[tuple[str, int]]] = [[("127.0.0.1", free_port()), backend], []]
        relay = await Relay.listen(place, lambda client: choices.pop(0))
        assert await ask(place, b"x") == b"two:xbye"
        with pytest.raises(ConnectionResetError):
            await ask(place, b"x")
        await relay.close()


async def test_closing_ends_connections_that_nobody_ends() -> None:
    async with echo(b"") as backend:
        place = "127.0.0.1", free_port()
        relay = await Relay.listen(place, lambda client: [backend])
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"hello")
        await writer.drain()
        await until(lambda: bool(relay.tasks))
        await relay.close()
        async with asyncio.timeout(30):
            with suppress(ConnectionError):          # reset, or at its end: closed either way
                assert await reader.read() == b""
        writer.close()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 (what it waits for is no event)
            await asyncio.sleep(0.01)


async def test_the_proxy_follows_what_is_stored() -> None:
    clock = SystemClock()
    log = EventLog(clock)
    server = new_server(LocalStorage(clock=clock), clock=clock, random=Random(1), log=log, services="127.96.0.0/16")
    await server.start()
    client = Client(server.handle, "test")
    port = free_port()
    proxy = Proxy(client, Relay.listen, clock=clock, log=log, random=Random(2))
    await proxy.start()
    try:
        async with echo(b"one:") as one, echo(b"two:") as two:
            service = await client.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {
                "name": "web"}, "spec": {"ports": [{"port": port}]}}, "default")
            place = service["spec"]["clusterIP"], port
            assert place[0].startswith("127.96.")
            await until(lambda: place in proxy.listeners)
            with suppress(ConnectionError):
                assert await ask(place) == b""
            for at, (address, number) in enumerate((one, two)):
                await client.create("endpointslices", {
                    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {
                        "name": f"web-{at}", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
                    "endpoints": [{"addresses": [address]}], "ports": [{"port": number}]}, "default")
            await until(lambda: len(proxy.balancers[place].rule.backends) == 2)
            assert {await ask(place), await ask(place)} == {b"one:bye", b"two:bye"}
            await client.delete("services", "web", "default")
            await until(lambda: place not in proxy.listeners)
            with pytest.raises(ConnectionRefusedError):
                await ask(place)
    finally:
        await proxy.stop()
        await server.stop()


async def test_an_address_that_is_not_ours_is_told_and_nothing_stops() -> None:
    clock = SystemClock()
    log = EventLog(clock)
    proxy = Proxy(Client(None, "test"), Relay.listen, clock=clock, log=log, random=Random(2))  # type: ignore[arg-type]
    port = free_port()
    await proxy.sync({("192.0.2.1", 80): Rule("default/far:80", ()), ("127.0.0.1", port): Rule("default/near:80", ())})
    assert list(proxy.listeners) == [("127.0.0.1", port)]
    told = [record for record in log.records if record["verb"] == "cannot-listen"]
    assert [(each["service"], each["address"]) for each in told] == [("default/far:80", "192.0.2.1")]
    await proxy.stop()
