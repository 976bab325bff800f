"""A collection of pods behind a small api-server whose network and memory a test can break: for tests of clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random

from tinykube.client.reflector import INITIAL_EVENTS_END
from tinykube.machinery.errors import bad_request, too_old
from tinykube.machinery.objects import Object, key_of
from tinykube.machinery.wire import Request, Response

END = {"end": True}


class Collection:
    """Pods, their history from some revision on, and the streams that are open."""

    def __init__(self, random: Random, *, watch_list: bool = True) -> None:
        self.random, self.watch_list = random, watch_list
        self.objects: dict[str, Object] = {}
        self.history: list[Object] = []
        self.revision, self.oldest, self.uids = 100, 100, 0
        self.streams: list[asyncio.Queue[Object]] = []
        self.refuse = 0
        self.requests: list[Request] = []

    def write(self, type: str, obj: Object) -> None:
        """One change: a new revision, and an event for whoever watches."""
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        if type == "DELETED":
            del self.objects[key_of(obj)]
        else:
            self.objects[key_of(obj)] = obj
        event = {"type": type, "object": json.loads(json.dumps(obj))}
        self.history.append(event)
        for stream in self.streams:
            stream.put_nowait(event)

    def create(self, name: str, namespace: str = "default", node: str = "ant", **labels: str) -> None:
        self.uids += 1
        self.write("ADDED", {"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": node}, "metadata": {
            "name": name, "namespace": namespace, "uid": f"uid-{self.uids}", "labels": labels}})

    def update(self, key: str, node: str) -> None:
        self.write("MODIFIED", {**self.objects[key], "metadata": dict(self.objects[key]["metadata"]),
                                "spec": {"nodeName": node}})

    def delete(self, key: str) -> None:
        self.write("DELETED", {**self.objects[key], "metadata": dict(self.objects[key]["metadata"])})

    def compact(self) -> None:
        """Forget all history."""
        self.oldest, self.history = self.revision, []

    def cut(self, event: Object | None = None) -> None:
        """End every stream: as a broken network does, or with a last event."""
        streams, self.streams = self.streams, []
        for stream in streams:
            stream.put_nowait(event or {"cut": True})

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        if self.refuse:
            self.refuse -= 1
            raise ConnectionRefusedError("nobody there")
        if not request.param("watch"):
            return Response(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": str(self.revision)},
                                  "items": [json.loads(json.dumps(obj)) for obj in self.objects.values()]})
        stream: asyncio.Queue[Object] = asyncio.Queue()
        if request.param("sendInitialEvents"):
            if not self.watch_list:
                return Response(400, bad_request("sendInitialEvents is forbidden").status())
            for obj in self.objects.values():
                stream.put_nowait({"type": "ADDED", "object": obj})
            stream.put_nowait({"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {
                "resourceVersion": str(self.revision), "annotations": {INITIAL_EVENTS_END: "true"}}}})
        else:
            since = int(request.param("resourceVersion"))
            if since < self.oldest:
                error = too_old(since, self.oldest)
                if self.random.random() < 0.5:                # both ways in which servers say so
                    return Response(error.code, error.status())
                stream.put_nowait({"type": "ERROR", "object": error.status()})
                stream.put_nowait(END)
            for event in self.history:
                if int(event["object"]["metadata"]["resourceVersion"]) > since:
                    stream.put_nowait(event)
        self.streams.append(stream)
        return Response(200, self.flow(stream))

    async def flow(self, stream: asyncio.Queue[Object]) -> AsyncIterator[bytes]:
        try:
            while (event := await stream.get()) is not END:
                if "cut" in event:
                    raise ConnectionResetError("cut")
                yield json.dumps(event).encode() + b"\n"
        finally:
            if stream in self.streams:
                self.streams.remove(stream)
