"""Any etcd as storage of an api-server: ours in another process, or a genuine one.

Genuine counterpart: etcd's Go client, as kube-apiserver uses it.
"""
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import grpc

from tinykube.store import model
from tinykube.store.lease import LeaseNotFound
from tinykube.store.wire.convert import event_of, message_of, result_of
from tinykube.store.wire.messages import DESCRIBED, pb

PATIENCE = 10.0                       # seconds that one call may take, finding a connection included
PAUSE = 0.1                           # seconds between two tries to watch, and between two questions for progress
PROGRESS = pb.WatchRequest(progress_request=pb.WatchProgressRequest())
CHANNEL = [("grpc.max_receive_message_length", -1), ("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 10_000),
           ("grpc.max_reconnect_backoff_ms", 1_000)]
NO_CONNECTION = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class NoAnswer(model.StoreError):
    """The store can't be reached, or the connection broke: whether a write was done is not known."""


class EtcdStorage:
    """Storage behind gRPC. Make it in the event loop that uses it. It finds its etcd again when that was away.

    The address is host:port; of an etcd with several members a list with commas: one that answers will do.
    """

    def __init__(self, address: str, tls: grpc.ChannelCredentials | None = None) -> None:
        self.address = address
        target = f"ipv4:{address}" if "," in address else address
        options = [*CHANNEL, ("grpc.default_authority", address.split(",")[0])]
        self._channel = grpc.aio.secure_channel(target, tls, options) if tls else grpc.aio.insecure_channel(target, options)
        self._calls: dict[str, Any] = {}

    def method(self, path: str) -> Any:
        """What makes calls of a method: `KV/Range`."""
        if path not in self._calls:
            service, name = path.split("/")
            asked, answered = (side.split() for side in DESCRIBED["services"][service][name].split(" -> "))
            make = self._channel.stream_stream if "stream" in asked else self._channel.unary_unary
            self._calls[path] = make(f"/etcdserverpb.{path}", request_serializer=getattr(pb, asked[-1]).SerializeToString,
                                     response_deserializer=getattr(pb, answered[-1]).FromString)
        return self._calls[path]

    async def call(self, path: str, request: Any, tries: int = 1) -> Any:
        """The answer to a request. Who may be asked twice, is, when the connection breaks."""
        try:
            return await self.method(path)(request, timeout=PATIENCE, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE and tries > 1:
                return await self.call(path, request, tries - 1)
            raise refusal(error, self.address) from None

    async def range(self, key: bytes, range_end: bytes | None = None, **options: Any) -> model.RangeResult:
        answer = await self.call("KV/Range", message_of(model.Range(key, range_end, **options)), tries=3)
        result: model.RangeResult = result_of(answer, answer.header.revision)
        return result

    async def txn(self, compares: Sequence[model.Compare], success: Sequence[model.Operation],
                  failure: Sequence[model.Operation] = ()) -> model.TxnResult:
        answer = await self.call("KV/Txn", message_of(model.Txn(tuple(compares), tuple(success), tuple(failure))))
        result: model.TxnResult = result_of(answer, answer.header.revision)
        return result

    async def compact(self, revision: int) -> None:
        await self.call("KV/Compact", pb.CompactionRequest(revision=revision))

    def watch(self, key: bytes, range_end: bytes | None = None, *, start_revision: int = 0,
              prev_kv: bool = False) -> EtcdWatch:
        return EtcdWatch(self, start_revision, key=key, range_end=range_end or b"", prev_kv=prev_kv)

    async def grant(self, ttl: int, id: int = 0) -> model.GrantResult:
        answer = await self.call("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=ttl, ID=id))
        return model.GrantResult(answer.ID, answer.TTL, answer.header.revision)

    async def revoke(self, id: int) -> int:
        return int((await self.call("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=id))).header.revision)

    async def keep_alive(self, id: int) -> int:
        stream = self.method("Lease/LeaseKeepAlive")(iter([pb.LeaseKeepAliveRequest(ID=id)]), timeout=PATIENCE, wait_for_ready=True)
        try:
            async for answer in stream:
                return int(answer.TTL)
        except grpc.aio.AioRpcError as error:
            raise refusal(error, self.address) from None
        return 0

    async def time_to_live(self, id: int) -> model.LeaseLife:
        answer = await self.call("Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=id, keys=True), tries=3)
        return model.LeaseLife(answer.grantedTTL, answer.TTL, tuple(answer.keys))

    async def leases(self) -> list[int]:
        return [lease.ID for lease in (await self.call("Lease/LeaseLeases", pb.LeaseLeasesRequest(), tries=3)).leases]

    async def aclose(self) -> None:
        await self._channel.close()


def refusal(error: grpc.aio.AioRpcError, address: str) -> model.StoreError:
    """The error that our own store would have raised."""
    text = error.details() or ""
    for known in (model.Compacted(0), model.FutureRevision(), LeaseNotFound()):
        if str(known) == text:
            return known
    if error.code() in NO_CONNECTION:
        return NoAnswer(f"no answer from the store at {address}: {text}")
    return model.StoreError(text)


class EtcdWatch:
    """A watch over gRPC. When the connection breaks, it goes on where it was, without gaps."""

    def __init__(self, storage: EtcdStorage, revision: int, **wanted: Any) -> None:
        self._storage, self._revision, self._wanted = storage, revision, wanted
        self._call: Any = None
        self._asking: asyncio.Task[None] | None = None
        self._progress_wanted = self._closed = False

    def __aiter__(self) -> EtcdWatch:
        return self

    async def __anext__(self) -> model.WatchBatch:
        while not self._closed:
            try:
                if batch := self.told(await self._read()):
                    return batch
            except grpc.aio.AioRpcError:
                self._call = None
                await asyncio.sleep(PAUSE)
            except asyncio.CancelledError:
                self._call = None
                if not self._closed:                  # the reader was canceled, and not the watch
                    raise
        raise StopAsyncIteration

    async def _read(self) -> Any:
        if self._call is None:
            call = self._storage.method("Watch/Watch")(wait_for_ready=True)
            await call.write(pb.WatchRequest(create_request=pb.WatchCreateRequest(start_revision=self._revision, **self._wanted)))
            self._call = call
        answer = await self._call.read()
        if answer is grpc.aio.EOF:
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
        return answer

    def told(self, answer: Any) -> model.WatchBatch | None:
        """The batch that an answer makes, if it does. Raises Compacted, or StoreError if the watch was refused."""
        if answer.compact_revision:
            raise model.Compacted(answer.compact_revision)
        if answer.canceled:
            raise model.StoreError(answer.cancel_reason)
        if answer.created:
            self._revision = self._revision or answer.header.revision + 1
            return None
        if not answer.events:
            self._progress_wanted = False
        revision = answer.events[-1].kv.mod_revision if answer.events else answer.header.revision
        self._revision = max(self._revision, revision + 1)
        return model.WatchBatch(tuple(map(event_of, answer.events)), revision)

    def request_progress(self) -> None:
        self._progress_wanted = True
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())

    async def _ask(self) -> None:
        while self._progress_wanted and not self._closed:      # an etcd that is not done yet forgets the question
            if self._call:
                with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await self._call.write(PROGRESS)
            await asyncio.sleep(PAUSE)

    async def aclose(self) -> None:
        self._closed = True
        if self._call:
            self._call.cancel()
