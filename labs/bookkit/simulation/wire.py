"""What lies between the components and the api-server: a network that can be cut, lose, delay, and lie about an outcome."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random

from tinykube.api import ApiServer
from tinykube.machinery.clock import Clock
from tinykube.machinery.errors import ApiError
from tinykube.machinery.wire import Request, Response, User, close

TIMEOUT = 60.0                  # seconds until a request that is not answered is given up, as in client/http.py


@dataclass
class Weather:
    """How bad the network is: shares of requests, and the longest delay in seconds."""

    lost: float = 0.0           # never arrives
    unheard: float = 0.0        # is carried out, and the answer is lost
    refused: float = 0.0        # is answered with an error that is none of the sender's
    slow: float = 0.0           # takes up to `delay`
    delay: float = 0.0


FINE = Weather()


class Network:
    """All lines to one api-server, which may be away, or another one by the time an answer comes."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self.clock, self.random, self.weather = clock, random, FINE
        self.server: ApiServer | None = None
        self.serving: dict[asyncio.Task[Response], None] = {}
        self.cut: dict[str, asyncio.Event] = {}                 # machine -> what is set when it is connected again
        self.streams: dict[Stream, None] = {}
        self.requests = 0

    def connect(self, server: ApiServer) -> None:
        """From now on this server answers."""
        self.server = server

    def crash(self) -> None:
        """The server is gone: nothing that it was doing comes to an end, and every connection is reset."""
        self.server = None
        for task in list(self.serving):
            task.cancel()
        for stream in list(self.streams):
            stream.reset()

    def part(self, machine: str) -> None:
        """Nothing gets through between a machine and the server. Nobody is told."""
        self.cut.setdefault(machine, asyncio.Event())

    def heal(self, machine: str) -> None:
        """The machine is connected again. Some connections have survived, others have not."""
        if healed := self.cut.pop(machine, None):
            healed.set()
            for stream in [each for each in self.streams if each.line.machine == machine]:
                if self.random.random() < 0.5:
                    stream.reset()

    def cut_streams(self, share: float, silently: bool) -> int:
        """End a share of all watches in the middle; silently: they never say another word."""
        chosen = [each for each in self.streams if self.random.random() < share]
        for stream in chosen:
            if silently:
                stream.mute = True
            else:
                stream.reset()
        return len(chosen)

    def silence(self) -> bool:
        """Whether somebody still listens to a watch that fell silent."""
        return any(each.mute and not each.line.dead for each in self.streams)


class Line:
    """One process' way to the server, as one user. A process that was killed sends nothing and hears nothing any more."""

    def __init__(self, network: Network, machine: str, user: User | None = None) -> None:
        self.network, self.machine, self.user, self.dead = network, machine, user, False

    async def __call__(self, request: Request) -> Response:
        net = self.network
        net.requests += 1
        if self.machine in net.cut:
            await self.wait_for_connection()
        weather, random = net.weather, net.random
        pause = random.uniform(0.0005, 0.003)
        if weather is not FINE and random.random() < weather.slow:
            pause = random.uniform(0, weather.delay)
        await asyncio.sleep(pause)
        if self.dead:
            raise ConnectionError("this process is dead")
        if net.server is None:
            raise ConnectionRefusedError("the api-server is not running")
        if weather is not FINE:
            if random.random() < weather.lost:
                raise ConnectionResetError("the request was lost")
            if random.random() < weather.refused:
                return Response(503, ApiError(503, "the server is overloaded, it says").status())
        server = net.server
        work = asyncio.ensure_future(server.handle(request))       # goes on when whoever asked is killed
        net.serving[work] = None
        work.add_done_callback(net.serving.pop)
        try:
            answer = await asyncio.shield(work)
        except asyncio.CancelledError:
            if net.server is not server and not asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise ConnectionResetError("the api-server is gone") from None
            if not work.cancelled():
                work.add_done_callback(let_go)
            raise
        if self.machine in net.cut:
            await self.wait_for_connection()
        if weather is not FINE and random.random() < weather.unheard:
            await close(answer)
            raise ConnectionResetError("the answer was lost")
        if isinstance(answer.body, AsyncIterator):
            answer.body = Stream(answer.body, self)
        return answer

    async def wait_for_connection(self) -> None:
        """Nothing gets through. The packets are sent again and again, until they do, or somebody gives up."""
        try:
            async with asyncio.timeout(TIMEOUT):
                while healed := self.network.cut.get(self.machine):
                    await healed.wait()
        except TimeoutError:
            raise TimeoutError(f"no answer within {TIMEOUT:g} seconds") from None


ENDING: deque[asyncio.Future[None]] = deque(maxlen=1000)         # so that they are not collected before they end


def let_go(work: asyncio.Task[Response]) -> None:
    """An answer that nobody waits for any more: if it is a stream, it ends."""
    if not work.cancelled() and not work.exception() and hasattr(work.result().body, "aclose"):
        ENDING.append(asyncio.ensure_future(close(work.result())))


class Stream(AsyncIterator[bytes]):
    """The body of a watch, on its way over the network."""

    def __init__(self, body: AsyncIterator[bytes], line: Line) -> None:
        self.body, self.line, self.net = body, line, line.network
        self.mute = False
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.net.streams[self] = None

    def reset(self) -> None:
        """The connection is no more."""
        if not self.broken.done():
            self.broken.set_result(None)

    async def __anext__(self) -> bytes:
        taking = asyncio.ensure_future(anext(self.body))
        try:
            await asyncio.wait((taking, self.broken), return_when=asyncio.FIRST_COMPLETED)
            while not self.broken.done() and (self.mute or self.line.machine in self.net.cut):
                healed = self.net.cut.get(self.line.machine)
                waiting = asyncio.ensure_future(healed.wait() if healed and not self.mute else asyncio.Event().wait())
                try:
                    await asyncio.wait((waiting, self.broken), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
            if self.broken.done():
                raise ConnectionResetError("the connection was reset in the middle of an answer")
            return taking.result()
        except StopAsyncIteration:
            await self.aclose()
            raise
        finally:
            taking.cancel()

    async def aclose(self) -> None:
        """Hang up."""
        self.net.streams.pop(self, None)
        with contextlib.suppress(RuntimeError):
            await self.body.aclose()  # type: ignore[attr-defined]
