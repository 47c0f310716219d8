"""A TCP proxy on loopback that does to connections what networks do to them."""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from threading import Condition, Event, Thread
from typing import NamedTuple, Self
from urllib.parse import urlsplit, urlunsplit

CHUNK = 1 << 16
PATIENCE = 10.0  # seconds


class Action(Enum):
    PASS = auto()
    CUT = auto()
    HOLD = auto()
    SWALLOW = auto()
    REFUSE = auto()


class Fault(NamedTuple):
    """What is done to replies to requests that contain the bytes `to`."""

    action: Action
    to: bytes = b""
    times: int = sys.maxsize
    size: int = 0


class Line:
    """One client's connection, and ours to the server on its behalf."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.from_client, self.to_client = reader, writer
        self.met = False  # whether it awaits a reply that the fault is about
        self.left: int | None = None  # how much of a reply may still pass
        self.spoilt = False  # whether bytes were swallowed

    async def connect(self, address: tuple[str, int]) -> None:
        self.from_server, self.to_server = await asyncio.open_connection(*address)

    async def answer(self, reply: bytes) -> None:
        part = reply[: self.left]
        if self.left is not None:
            self.left -= len(part)
        self.to_client.write(part)
        await self.to_client.drain()

    def close(self) -> None:
        self.to_client.close()
        if hasattr(self, "to_server"):
            self.to_server.close()


class Proxy:
    """Stands before *target*, `host:port` or a URL with both, in a thread of its own.

    Tests say at any time what it does from then on; the last word counts.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target if "//" in target else f"//{target}")
        assert parts.hostname, "a host is needed"
        assert parts.port, "a port is needed"
        self._target = (parts.hostname, parts.port)
        self._thread = Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._ready = Event()
        self._lines: dict[Line, asyncio.Task[None]] = {}
        self._fault = Fault(Action.PASS)
        self._seen = Condition()
        self._requests = self._replies = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE), "the proxy did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the proxy did not end"

    def url_for(self, url: str) -> str:
        """Give *url* by way of this proxy."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{self._port}"))

    def heal(self) -> None:
        """Pass everything; what was held goes out, what was swallowed is hung up on."""
        self._set(Fault(Action.PASS))

    def lose_reply(self, times: int = 1, *, to: bytes = b"") -> None:
        """Hang up in place of the next replies, which the server has given."""
        self.cut_after(0, times, to=to)

    def cut_after(self, size: int, times: int = 1, *, to: bytes = b"") -> None:
        """Hang up after *size* bytes of the next replies."""
        self._set(Fault(Action.CUT, to, times, size))

    def hold_replies(self, *, to: bytes = b"") -> None:
        """Let requests through and keep the replies, until told otherwise."""
        self._set(Fault(Action.HOLD, to))

    def blackhole(self) -> None:
        """Accept everything and pass on nothing, in either direction."""
        self._set(Fault(Action.SWALLOW))

    def refuse(self) -> None:
        """Hang up on everybody at once, and on whoever comes."""
        self._set(Fault(Action.REFUSE))

    def wait_for_request(self, number: int = 1, seconds: float = PATIENCE) -> None:
        """Wait until so many requests that the fault is about were passed on."""
        self._wait(lambda: self._requests >= number, seconds)

    def wait_for_reply(self, number: int = 1, seconds: float = PATIENCE) -> None:
        """Wait until the server answered so many of them: what they ask is done."""
        self._wait(lambda: self._replies >= number, seconds)

    def _wait(self, enough: Callable[[], bool], seconds: float) -> None:
        with self._seen:
            if not self._seen.wait_for(enough, seconds):
                seen = f"{self._requests} requests and {self._replies} replies"
                raise TimeoutError(f"only {seen} within {seconds} seconds")

    def _set(self, fault: Fault) -> None:
        """Change what is done; it is in force when this returns."""
        setting = asyncio.run_coroutine_threadsafe(self._change(fault), self._loop)
        setting.result(PATIENCE)

    # What follows runs in the proxy's thread.

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended, self._changed = asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        for line in self._lines:
            line.to_client.transport.abort()  # whoever does not read is not waited for
        await asyncio.gather(*self._lines.values())
        await server.wait_closed()

    async def _change(self, fault: Fault) -> None:
        with self._seen:
            self._fault = fault
            self._requests = self._replies = 0
        for line in self._lines:
            line.met, line.left = False, None
            if line.spoilt or fault.action is Action.REFUSE:
                line.close()
        self._changed.set()
        self._changed = asyncio.Event()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        line = Line(reader, writer)
        self._lines[line] = asyncio.current_task()
        with suppress(OSError):  # either end may always hang up
            if self._fault.action is not Action.REFUSE:
                await line.connect(self._target)
                await self._carry(line)
        del self._lines[line]
        line.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _carry(self, line: Line) -> None:
        """Carry both ways until one of them ends."""
        ways = self._carry_requests(line), self._carry_replies(line)
        tasks = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry_requests(self, line: Line) -> None:
        while request := await line.from_client.read(CHUNK):
            met = self._fault.to in request
            line.met = line.met or met
            if not self._swallows(line):
                line.to_server.write(request)
                await line.to_server.drain()
            self._count(requests=met)

    async def _carry_replies(self, line: Line) -> None:
        while reply := await line.from_server.read(CHUNK):
            if line.met:
                line.met = False
                self._count(replies=1)
                await self._spoil(line)
            if not self._swallows(line):
                await line.answer(reply)
            if line.left == 0:
                return

    async def _spoil(self, line: Line) -> None:
        """Do to a reply what is to be done to it."""
        fault = self._fault
        if fault.action is Action.HOLD:
            await self._changed.wait()
        elif fault.action is Action.CUT and fault.times:
            self._fault = fault._replace(times=fault.times - 1)
            line.left = fault.size

    def _swallows(self, line: Line) -> bool:
        swallows = self._fault.action is Action.SWALLOW
        line.spoilt = line.spoilt or swallows
        return swallows

    def _count(self, requests: int = 0, replies: int = 0) -> None:
        with self._seen:
            self._requests += requests
            self._replies += replies
            self._seen.notify_all()
