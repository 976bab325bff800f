"""The store's door: etcd v3 over gRPC, for etcdctl, for a genuine kube-apiserver, and for our own.

Genuine counterpart: the client port of etcd, https://etcd.io/docs/v3.6/learning/api/
"""
from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from hashlib import sha256
from typing import Any

import grpc

from tinykube.store.model import Alarm, Compact, Compacted, FutureRevision, NoSpace, StoreError, grows
from tinykube.store.storage import LocalStorage
from tinykube.store.wire.convert import answer_of, arranged, kv_message, operation_of, range_of
from tinykube.store.wire.hashing import hash_of
from tinykube.store.wire.messages import DESCRIBED, pb
from tinykube.store.wire.watching import WatchStream

VERSION = "3.7.0"                     # of etcd, whose words we speak
LARGEST_REQUEST = 3 * 2**19           # bytes, as etcd has it
QUOTA = 2 << 30                       # bytes that there may be, as etcd has it
LEASE = 64                            # bytes that a lease is reckoned with
BLOCK = 32 * 2**10                    # bytes of a snapshot that travel together
CLUSTER, MEMBER = 0x7469_6e79, 0x6b75_6265
OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", LARGEST_REQUEST + 2**19),
           ("grpc.http2.min_ping_interval_without_data_ms", 5_000), ("grpc.http2.max_ping_strikes", 0)]
CODES = {"required revision": grpc.StatusCode.OUT_OF_RANGE, "too large lease": grpc.StatusCode.OUT_OF_RANGE,
         "lease not found": grpc.StatusCode.NOT_FOUND, "lease already": grpc.StatusCode.FAILED_PRECONDITION,
         "space exceeded": grpc.StatusCode.RESOURCE_EXHAUSTED, "does not support": grpc.StatusCode.UNIMPLEMENTED}


class EtcdServer:
    """Serves a storage. Each method answers the call of etcd's API whose name it has; requests and answers are messages.

    `progress` is after how many quiet seconds a watcher that asked for it is told how far it has been told all;
    `quota` is how many bytes there may be.
    """

    def __init__(self, storage: LocalStorage, *, name: str = "tinykube", progress: float = 600,
                 quota: int = QUOTA) -> None:
        self.storage, self.name, self.progress, self.quota = storage, name, progress, quota
        self.store, self.address, self.scheme = storage.store, "", "http"
        self._server = grpc.aio.server(options=OPTIONS)

    async def start(self, listen: str = "127.0.0.1:0", tls: grpc.ServerCredentials | None = None) -> EtcdServer:
        """Listen at host:port; port 0 takes a free one. Raises OSError when it can't be had."""
        self._server.add_generic_rpc_handlers(tuple(handlers(self)))
        try:
            port = self._server.add_secure_port(listen, tls) if tls else self._server.add_insecure_port(listen)
        except RuntimeError:
            raise OSError(f"cannot listen at {listen}: is the port taken?") from None
        await self._server.start()
        self.scheme = "https" if tls else "http"
        self.address = f"{listen.rpartition(':')[0]}:{port}"
        return self

    async def stop(self) -> None:
        """Cut all connections."""
        await self._server.stop(None)

    def header(self, revision: int | None = None) -> Any:
        """What every answer begins with: who says this, and when, in revisions."""
        return pb.ResponseHeader(cluster_id=CLUSTER, member_id=MEMBER, raft_term=1,
                                 revision=self.store.revision if revision is None else revision)

    async def range(self, request: Any) -> Any:
        return answer_of(request, self.store.range(**vars(range_of(request))), self.header())

    async def range_stream(self, request: Any) -> AsyncIterator[Any]:
        """The same in parts, of which the last says how many there are."""
        if arranged(request):
            raise StoreError("RangeStream does not support custom sort orders or revision filters")
        answer, start, size = await self.range(request), 0, 10
        while start + size < len(answer.kvs):
            yield pb.RangeStreamResponse(range_response=pb.RangeResponse(kvs=answer.kvs[start:start + size]))
            start, size = start + size, min(2 * size, 1_000)
        del answer.kvs[:start]
        yield pb.RangeStreamResponse(range_response=answer)

    async def write(self, request: Any) -> Any:
        """Put, DeleteRange and Txn: decided here and now, answered when it is kept for good."""
        if request.ByteSize() > LARGEST_REQUEST:
            raise StoreError("etcdserver: request is too large")
        command: Any = operation_of(request, self.store)
        result = await self.spend(request.ByteSize() if grows(command) else 0, lambda: self.storage.apply(command))
        return answer_of(request, result, self.header(result.revision))

    put = delete_range = txn = write

    async def spend(self, size: int, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do what takes so many bytes of space. When they are not there, raise the alarm, and NoSpace."""
        try:
            if size and self.store.size + size >= self.quota:
                raise NoSpace
            return await work()
        except NoSpace:
            if not self.store.alarmed:
                await self.storage.apply(Alarm(True))
            raise

    async def compact(self, request: Any) -> Any:
        await self.storage.apply(Compact(request.revision))
        return pb.CompactionResponse(header=self.header())

    def watch(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        return WatchStream(self.store, self.header, self.progress).serve(requests)

    async def lease_grant(self, request: Any) -> Any:
        made = await self.spend(LEASE, lambda: self.storage.grant(request.TTL, request.ID))
        return pb.LeaseGrantResponse(header=self.header(), ID=made.id, TTL=made.ttl)

    async def lease_revoke(self, request: Any) -> Any:
        return pb.LeaseRevokeResponse(header=self.header(await self.storage.revoke(request.ID)))

    async def lease_keep_alive(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            seconds = await self.storage.keep_alive(request.ID)
            yield pb.LeaseKeepAliveResponse(header=self.header(), ID=request.ID, TTL=seconds)

    async def lease_time_to_live(self, request: Any) -> Any:
        life = await self.storage.time_to_live(request.ID)
        return pb.LeaseTimeToLiveResponse(header=self.header(), ID=request.ID, TTL=life.remaining, grantedTTL=life.granted,
                                          keys=life.keys if request.keys else ())

    async def lease_leases(self, request: Any) -> Any:
        leases = [pb.LeaseStatus(ID=id) for id in await self.storage.leases()]
        return pb.LeaseLeasesResponse(header=self.header(), leases=leases)

    async def member_list(self, request: Any) -> Any:
        member = pb.Member(ID=MEMBER, name=self.name, clientURLs=[f"{self.scheme}://{self.address}"])
        return pb.MemberListResponse(header=self.header(0), members=[member])

    async def status(self, request: Any) -> Any:
        size, revision = self.store.size, self.store.revision
        errors = [f"memberID:{MEMBER} alarm:NOSPACE"] if self.store.alarmed else []
        return pb.StatusResponse(header=self.header(), version=VERSION, storageVersion=VERSION, dbSize=size, dbSizeInUse=size,
                                 dbSizeQuota=self.quota, errors=errors, leader=MEMBER, raftIndex=revision,
                                 raftAppliedIndex=revision, raftTerm=1)

    async def alarm(self, request: Any) -> Any:
        """List the alarm, raise it, or take it back; in the answer is the one that there is, or was until now."""
        action, before = pb.AlarmAction[request.action], self.store.alarmed
        if action != "GET" and pb.AlarmType[request.alarm] == "NOSPACE":
            await self.storage.apply(Alarm(action == "ACTIVATE"))
        there = before or self.store.alarmed
        return pb.AlarmResponse(header=self.header(), alarms=[pb.AlarmMember(memberID=MEMBER, alarm=1)] if there else [])

    async def hash_kv(self, request: Any) -> Any:
        revision = request.revision or self.store.revision
        if revision > self.store.revision:
            raise FutureRevision
        if revision < self.store.compacted:
            raise Compacted(self.store.compacted)
        past, compacted, header = self.store.past(revision), self.store.compacted, self.header()
        found = await asyncio.to_thread(hash_of, past, compacted)
        return pb.HashKVResponse(header=header, hash=found, compact_revision=compacted, hash_revision=revision)

    async def defragment(self, request: Any) -> Any:
        return pb.DefragmentResponse()                         # there is no file with holes

    async def snapshot(self, request: Any) -> AsyncIterator[Any]:
        """All keys as they are now, as a RangeResponse. etcdctl looks for a checksum if the size is 512 n + 32."""
        everything = map(kv_message, self.store.range(b"\0", b"\0").kvs)
        image = pb.RangeResponse(header=self.header(), kvs=everything).SerializeToString()
        image += bytes(-len(image) % 512)
        image += sha256(image).digest()
        for start in range(0, len(image), BLOCK):
            left = max(0, len(image) - start - BLOCK)
            yield pb.SnapshotResponse(blob=image[start:start + BLOCK], remaining_bytes=left, version=VERSION)


def handlers(server: EtcdServer) -> Iterator[grpc.GenericRpcHandler]:
    """What gRPC needs to find our methods: a call that has none is answered UNIMPLEMENTED."""
    for service, calls in DESCRIBED["services"].items():
        methods = {name: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in calls}
        yield grpc.method_handlers_generic_handler(f"etcdserverpb.{service}", {
            name: handler(getattr(server, method), calls[name]) for name, method in methods.items() if hasattr(server, method)})


def handler(method: Callable[[Any], Any], words: str) -> grpc.RpcMethodHandler[Any, Any]:
    """Wrap a method for a call that is described as `stream A -> B`: bytes become messages, and messages bytes."""
    asked, answered = (side.split() for side in words.split(" -> "))
    how = {"request_deserializer": getattr(pb, asked[-1]).FromString,
           "response_serializer": getattr(pb, answered[-1]).SerializeToString}

    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await method(request)
        except StoreError as error:
            await context.abort(code_of(error), str(error))

    async def stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            async for answer in method(request):
                yield answer
        except StoreError as error:
            await context.abort(code_of(error), str(error))

    if "stream" not in answered:
        return grpc.unary_unary_rpc_method_handler(call, **how)
    make = grpc.stream_stream_rpc_method_handler if "stream" in asked else grpc.unary_stream_rpc_method_handler
    return make(stream, **how)


def code_of(error: StoreError) -> grpc.StatusCode:
    """The gRPC code of a refusal: etcd's clients look at it, and at the text."""
    return next((code for words, code in CODES.items() if words in str(error)), grpc.StatusCode.INVALID_ARGUMENT)
