"""Message by message: the same requests to our gRPC server and to a genuine etcd, and the answers compared."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from genuine import etcd, tier_problems
from google.protobuf.json_format import MessageToDict
from tinykube.store import LocalStorage
from tinykube.store.wire.messages import DESCRIBED, pb
from tinykube.store.wire.server import EtcdServer

pytestmark = pytest.mark.xdist_group("etcd-wire")
PODS = {"key": b"/pods/", "range_end": b"/pods0"}
ALL = {"key": b"\0", "range_end": b"\0"}



class Wire:
    """A connection to an etcd, ours or not. Answers are plain dicts, without what tells one member from another."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def call(self, path: str, request: Any) -> Any:
        service, method = path.split(".")
        answer = getattr(pb, DESCRIBED["services"][service][method].split()[-1])
        call = self.channel.unary_unary(f"/etcdserverpb.{service}/{method}", request_serializer=type(request).SerializeToString,
                                        response_deserializer=answer.FromString)
        try:
            return plain(await call(request, timeout=10))
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details()

    def stream(self, path: str) -> Stream:
        service, method = path.split(".")
        asked, answered = (words.split()[-1] for words in DESCRIBED["services"][service][method].split(" -> "))
        return Stream(self.channel.stream_stream(
            f"/etcdserverpb.{service}/{method}", request_serializer=getattr(pb, asked).SerializeToString,
            response_deserializer=getattr(pb, answered).FromString)(timeout=30))


class Stream:
    """Requests in, answers out."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def send(self, request: Any) -> None:
        await self.call.write(request)

    async def next(self) -> Any:
        return plain(await asyncio.wait_for(self.call.read(), 10))


def plain(message: Any) -> Any:
    told = MessageToDict(message, preserving_proto_field_name=True)
    for name in ("cluster_id", "member_id", "raft_term"):
        told.get("header", {}).pop(name, None)
    return told


@asynccontextmanager
async def ours(**options: Any) -> AsyncIterator[Wire]:
    server = await EtcdServer(LocalStorage(), **options).start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield Wire(channel)
    await server.stop()


@pytest.fixture(params=["tiny", "genuine"])
async def wire(request: pytest.FixtureRequest) -> AsyncIterator[Wire]:
    """A connection to an empty etcd."""
    if request.param == "tiny":
        async with ours() as wire:
            yield wire
        return
    if problems := tier_problems("genuine"):
        pytest.skip(f"tier genuine: {problems[0]}")
    with etcd(fsync=False) as member:
        async with grpc.aio.insecure_channel(member.url.removeprefix("http://")) as channel:
            yield Wire(channel)


@pytest.fixture
async def both() -> AsyncIterator[list[Wire]]:
    """Our etcd, and the genuine one where there is one."""
    async with ours() as tiny:
        if tier_problems("genuine"):
            yield [tiny]
            return
        with etcd(fsync=False) as member:
            async with grpc.aio.insecure_channel(member.url.removeprefix("http://")) as channel:
                yield [tiny, Wire(channel)]


async def same(both: list[Wire], path: str, request: Any) -> Any:
    answers = [await wire.call(path, request) for wire in both]
    assert answers[1:] == answers[:-1], f"{path} {request}"
    return answers[0]


def put(key: bytes, value: bytes = b"", **more: Any) -> Any:
    return pb.PutRequest(key=key, value=value, **more)


async def test_reading_and_writing(both: list[Wire]) -> None:
    for name, value in ((b"b", b"3"), (b"a", b"2"), (b"d", b"1"), (b"c", b"4"), (b"a", b"5")):
        await same(both, "KV.Put", put(b"/pods/" + name, value, prev_kv=True))
    for options in (
        {}, {"limit": 2}, {"count_only": True}, {"keys_only": True}, {"revision": 4}, {"revision": 4, "limit": 1},
        {"serializable": True}, {"sort_order": 1}, {"sort_order": 2}, {"sort_order": 2, "limit": 2},
        {"sort_target": 4, "sort_order": 1}, {"sort_target": 4, "sort_order": 2, "keys_only": True}, {"sort_target": 1},
        {"sort_target": 2, "sort_order": 2}, {"sort_target": 3, "sort_order": 1, "limit": 3}, {"sort_target": 3},
        {"min_mod_revision": 4}, {"max_mod_revision": 4}, {"min_create_revision": 3}, {"max_create_revision": 3},
        {"min_mod_revision": 3, "max_mod_revision": 5, "limit": 1}, {"min_mod_revision": 3, "count_only": True},
        {"sort_order": 7}, {"sort_target": 9}, {"revision": 99}, {"limit": -1},
    ):
        await same(both, "KV.Range", pb.RangeRequest(**PODS, **options))
    for asked in ({"key": b""}, {"key": b"/pods/a"}, {"key": b"/no"}, {"key": b"/pods/c", "range_end": b"\0"}, ALL,
                  {"key": b"/pods/c", "range_end": b"/pods/a"}):
        await same(both, "KV.Range", pb.RangeRequest(**asked))
    await same(both, "KV.Put", put(b"/pods/a", ignore_value=True))
    await same(both, "KV.Put", put(b"/pods/a", b"6", ignore_lease=True, prev_kv=True))
    for wrong in (put(b""), put(b"/no", ignore_value=True), put(b"/a", b"x", ignore_value=True), 
                  put(b"/a", b"x", lease=7, ignore_lease=True), put(b"/no", ignore_lease=True), put(b"/a", b"x" * 1_600_000)):
        answer = await same(both, "KV.Put", wrong)
        assert answer[1].startswith("etcdserver: ")
    await same(both, "KV.DeleteRange", pb.DeleteRangeRequest(key=b"/no"))
    await same(both, "KV.DeleteRange", pb.DeleteRangeRequest(key=b""))
    await same(both, "KV.DeleteRange", pb.DeleteRangeRequest(key=b"/pods/b", prev_kv=True))
    await same(both, "KV.DeleteRange", pb.DeleteRangeRequest(**PODS))
    await same(both, "KV.Compact", pb.CompactionRequest(revision=4))
    for revision in (4, 99, 2, -1):
        await same(both, "KV.Compact", pb.CompactionRequest(revision=revision))
    await same(both, "KV.Range", pb.RangeRequest(**PODS, revision=3))
    await same(both, "KV.Range", pb.RangeRequest(**PODS, revision=6))


async def test_transactions(both: list[Wire]) -> None:
    op = lambda **what: pb.RequestOp(**{f"request_{name}": value for name, value in what.items()})  # noqa: E731
    create = pb.TxnRequest(compare=[pb.Compare(key=b"/a", target=2, mod_revision=0)], success=[op(put=put(b"/a", b"1"))],
                           failure=[op(range=pb.RangeRequest(key=b"/a"))])
    assert (await same(both, "KV.Txn", create))["succeeded"]
    assert "succeeded" not in await same(both, "KV.Txn", create)
    inner = pb.TxnRequest(compare=[pb.Compare(key=b"/a", target=0, result=1, version=0)],
                          success=[op(put=put(b"/b", b"2", prev_kv=True)), op(range=pb.RangeRequest(**ALL, sort_order=2))])
    outer = pb.TxnRequest(success=[op(put=put(b"/c", ignore_lease=False)), op(txn=inner),
                                   op(delete_range=pb.DeleteRangeRequest(key=b"/a", prev_kv=True))])
    await same(both, "KV.Txn", outer)
    for compare in ({"target": 3, "value": b"2"}, {"target": 3, "result": 1, "value": b"1"}, {"target": 4, "lease": 0},
                    {"target": 1, "result": 2, "create_revision": 9}, {"target": 2, "result": 3, "mod_revision": 3}):
        await same(both, "KV.Txn", pb.TxnRequest(compare=[pb.Compare(key=b"/b", **compare)]))
        await same(both, "KV.Txn", pb.TxnRequest(compare=[pb.Compare(**ALL, **compare)]))
    for wrong in (pb.TxnRequest(compare=[pb.Compare(key=b"")]), pb.TxnRequest(success=[op(put=put(b""))]),
                  pb.TxnRequest(success=[op(put=put(b"/a")), op(put=put(b"/a"))]),
                  pb.TxnRequest(success=[op(put=put(b"/no", ignore_value=True))]),
                  pb.TxnRequest(compare=[pb.Compare(key=b"/%d" % n) for n in range(129)]),
                  pb.TxnRequest(success=[op(range=pb.RangeRequest(key=b"/a", revision=99))]),
                  pb.TxnRequest(success=[op(put=put(b"/%d" % n)) for n in range(129)])):
        answer = await same(both, "KV.Txn", wrong)
        assert answer[1].startswith("etcdserver: ")


def create(**asked: Any) -> Any:
    return pb.WatchRequest(create_request=pb.WatchCreateRequest(**asked))


PROGRESS = pb.WatchRequest(progress_request=pb.WatchProgressRequest())


async def told(wire: Wire) -> list[Any]:
    """A long talk on one watch stream: everything that the server says, in order."""
    seen: list[Any] = []
    watch = wire.stream("Watch.Watch")

    async def say(request: Any, answers: int) -> None:
        if request is not None:
            await watch.send(request)
        for _ in range(answers):
            seen.append(await watch.next())
    for name in (b"a", b"b", b"a"):
        await wire.call("KV.Put", put(b"/pods/" + name, b"x"))
    await say(create(**PODS, start_revision=2), 2)
    await say(create(**PODS), 1)
    await say(create(key=b"/pods/a", prev_kv=True, filters=[1]), 1)
    await say(create(**ALL, watch_id=7, progress_notify=True, filters=[0]), 1)
    await say(create(**PODS, watch_id=7), 1)
    await say(create(key=b"/b", range_end=b"/a"), 1)
    await say(create(), 1)
    await say(PROGRESS, 1)
    await wire.call("KV.Put", put(b"/pods/a", b"y"))
    batch = [await watch.next() for _ in range(3)]
    seen += sorted(batch, key=lambda answer: answer.get("watch_id", "0"))
    for id in (0, 1, 2, 3, 55):
        await watch.send(pb.WatchRequest(cancel_request=pb.WatchCancelRequest(watch_id=id)))
    await say(None, 4)
    await wire.call("KV.DeleteRange", pb.DeleteRangeRequest(**PODS))
    await say(None, 1)
    await say(PROGRESS, 1)
    await wire.call("KV.Compact", pb.CompactionRequest(revision=4))
    await say(create(**PODS, start_revision=2), 2)
    await say(create(**PODS, start_revision=4, prev_kv=True), 2)
    await say(create(**PODS, start_revision=99), 1)
    watch.call.cancel()
    return seen


async def test_watching(both: list[Wire]) -> None:
    answers = [await told(wire) for wire in both]
    for others in answers[1:]:
        for mine, its in zip(answers[0], others, strict=True):
            assert mine == its


async def parts(wire: Wire, **options: Any) -> Any:
    """A RangeStream's whole answer, and into how many parts it was cut."""
    call = wire.channel.unary_stream("/etcdserverpb.KV/RangeStream", request_serializer=pb.RangeRequest.SerializeToString,
                                     response_deserializer=pb.RangeStreamResponse.FromString)
    whole, count = pb.RangeResponse(), 0
    try:
        async for part in call(pb.RangeRequest(**ALL, **options), timeout=10):
            whole.MergeFrom(part.range_response)
            count += 1
    except grpc.aio.AioRpcError as error:
        return error.code()
    return plain(whole), count


async def test_a_range_in_parts(both: list[Wire]) -> None:
    for wire in both:
        for first in range(0, 1000, 100):
            await wire.call("KV.Txn", pb.TxnRequest(success=[
                pb.RequestOp(request_put=put(b"/%03d" % n, b"x" * 50)) for n in range(first, first + 100)]))
    for options in ({}, {"limit": 10}, {"limit": 500}, {"count_only": True}, {"keys_only": True}, {"revision": 4},
                    {"revision": 99}, {"sort_order": 2}, {"min_mod_revision": 3}):
        answers = [await parts(wire, **options) for wire in both]
        assert answers[1:] == answers[:-1], options


async def test_leases(both: list[Wire]) -> None:
    await same(both, "Lease.LeaseGrant", pb.LeaseGrantRequest(TTL=100, ID=5))
    await same(both, "Lease.LeaseGrant", pb.LeaseGrantRequest(TTL=1, ID=6))
    await same(both, "KV.Put", put(b"/l", b"1", lease=5))
    await same(both, "KV.Put", put(b"/m", b"1", lease=5))
    await same(both, "KV.Range", pb.RangeRequest(key=b"/l"))
    for wrong in (pb.LeaseGrantRequest(TTL=100, ID=5), pb.LeaseGrantRequest(TTL=10**10), pb.LeaseGrantRequest(TTL=0, ID=9),
                  pb.LeaseGrantRequest(TTL=-1, ID=10)):
        await same(both, "Lease.LeaseGrant", wrong)
    lives = [await wire.call("Lease.LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=5, keys=True)) for wire in both]
    assert [sorted(life.pop("keys")) for life in lives] == [["L20=", "L2w="]] * len(both)                # in no order
    assert lives[1:] == lives[:-1]
    assert lives[0]["grantedTTL"] == "100"
    await same(both, "Lease.LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=77))
    listed = [await wire.call("Lease.LeaseLeases", pb.LeaseLeasesRequest()) for wire in both]      # in no order
    assert {frozenset(lease["ID"] for lease in answer["leases"]) for answer in listed} == {frozenset({"5", "6", "9", "10"})}
    for id in (5, 77):
        answers = []
        for wire in both:
            stream = wire.stream("Lease.LeaseKeepAlive")
            await stream.send(pb.LeaseKeepAliveRequest(ID=id))
            answers.append(await stream.next())
            stream.call.cancel()
        assert answers[1:] == answers[:-1]
    await same(both, "Lease.LeaseRevoke", pb.LeaseRevokeRequest(ID=5))
    await same(both, "Lease.LeaseRevoke", pb.LeaseRevokeRequest(ID=5))
    await same(both, "KV.Range", pb.RangeRequest(**ALL))
    await same(both, "KV.Put", put(b"/l", lease=5))
    await same(both, "KV.Txn", pb.TxnRequest(success=[pb.RequestOp(request_put=put(b"/l", lease=5))]))


async def test_a_lease_ends_and_its_key_is_deleted(wire: Wire) -> None:
    granted = await wire.call("Lease.LeaseGrant", pb.LeaseGrantRequest(TTL=2))
    watch = wire.stream("Watch.Watch")
    await watch.send(create(key=b"/l"))
    await wire.call("KV.Put", put(b"/l", b"1", lease=int(granted["ID"])))
    seen = [await watch.next() for _ in range(3)]
    assert seen[2]["events"][0]["kv"] == {"key": "L2w=", "mod_revision": "3"}
    assert seen[2]["events"][0]["type"] == 1
    watch.call.cancel()


async def test_large_answers_come_in_fragments(wire: Wire) -> None:
    ops = [pb.RequestOp(request_put=put(b"/pods/%d" % n, b"x" * 700_000)) for n in range(2)]
    for _ in range(2):
        await wire.call("KV.Txn", pb.TxnRequest(success=ops))
    watch = wire.stream("Watch.Watch")
    await watch.send(create(**PODS, start_revision=2, prev_kv=True, fragment=True))
    parts = [await watch.next() for _ in range(3)]
    while parts[-1].get("fragment"):
        parts.append(await watch.next())
    assert [event["kv"]["mod_revision"] for part in parts for event in part.get("events", [])] == ["2", "2", "3", "3"]
    assert any(part.get("fragment") for part in parts)
    watch.call.cancel()


async def test_quiet_watchers_are_told_how_far_all_is_told() -> None:
    async with ours(progress=0.05) as wire:
        watch = wire.stream("Watch.Watch")
        await watch.send(create(**PODS, progress_notify=True))
        assert (await watch.next())["created"]
        await wire.call("KV.Put", put(b"/other"))
        while (answer := await watch.next())["header"]["revision"] != "2":
            assert answer == {"header": {"revision": "1"}}
        watch.call.cancel()


async def test_the_rest(both: list[Wire]) -> None:
    for path, request, names in (
        ("Maintenance.Status", pb.StatusRequest(), {"version", "storageVersion"}),
        ("Maintenance.Alarm", pb.AlarmRequest(), {"header"}), ("Maintenance.Defragment", pb.DefragmentRequest(), {"header"}),
        ("Cluster.MemberList", pb.MemberListRequest(), {"header"}),
    ):
        answers = [await wire.call(path, request) for wire in both]
        for answer in answers:
            assert {name: answer.get(name) for name in names} == {name: answers[0].get(name) for name in names}
    assert (await both[0].call("Cluster.MemberList", pb.MemberListRequest()))["members"][0]["name"] == "tinykube"


def test_the_table_of_messages_is_what_the_genuine_etcd_holds() -> None:
    if problems := tier_problems("genuine"):
        pytest.skip(f"tier genuine: {problems[0]}")
    from genuine.etcd_messages import described
    assert described() == DESCRIBED


