"""Clients of a server that speaks Redis: one a process, and one a running loop."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from asyncio import AbstractEventLoop, Semaphore
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

import redis.asyncio
from redis import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

from langchain_budget.errors import UnknownStore

TIMEOUT_SECONDS: Final = 5.0
"""How long to wait for a reply, and for a connection, when the URL has no timeout."""

CONNECTIONS: Final = 10
"""The most in a process, and in a loop, when the URL has no max_connections."""

RETRIES: Final = 2
"""How often what was sent on a broken connection is sent again."""

FAILURES: Final = (RedisError, RedisClusterException)
"""What redis-py raises; a cluster that cannot be reached is none of its own errors."""

_BACKOFF: Final = ExponentialBackoff(cap=0.5, base=0.05)

_Number = TypeVar("_Number", int, float)
Client = Redis | RedisCluster
AsyncClient = redis.asyncio.Redis | redis.asyncio.RedisCluster


class Address(NamedTuple):
    """What a URL says, in the words of redis-py."""

    url: str
    options: dict[str, Any]
    most: int
    where: str
    """The server, without a password: for messages."""


class Seat(NamedTuple):
    """What a running loop has of its own."""

    client: AsyncClient
    gate: Semaphore
    """Who comes when all connections are taken waits here, where nothing breaks."""
    ending: AsyncGenerator[None]


class Connections:
    """
    The clients of one store.

    A forked child makes its own and lets those of its parent be. A loop closes its
    connections when it ends.
    """

    def __init__(self, address: Address, *, cluster: bool = False) -> None:
        self._address = address
        self._cluster = cluster
        self._clients: dict[int, Client] = {}
        self._seats: dict[AbstractEventLoop, Seat] = {}

    def client(self) -> Client:
        """This process's client."""
        found = self._clients.get(os.getpid())
        if found is None:
            found = self._clients.setdefault(os.getpid(), self._new_client())
        return found

    async def seat(self) -> Seat:
        """The running loop's client."""
        loop = asyncio.get_running_loop()
        found = self._seats.get(loop)
        if found is None:
            self._forget_closed_loops()
            client = self._new_async_client()
            gate, ending = Semaphore(self._address.most), self._close_with(loop, client)
            found = self._seats[loop] = Seat(client, gate, ending)
            await anext(found.ending)
        return found

    def close(self) -> None:
        """Close this process's connections, but for those of loops."""
        client = self._clients.pop(os.getpid(), None)
        if isinstance(client, RedisCluster):
            client.disconnect_connection_pools()  # type: ignore[no-untyped-call]  # theirs
        if client is not None:
            client.close()
        self._forget_closed_loops()

    async def aclose(self) -> None:
        """Close the running loop's connections, too."""
        self.close()
        seat = self._seats.get(asyncio.get_running_loop())
        if seat is not None:
            await seat.ending.aclose()

    async def _close_with(
        self, loop: AbstractEventLoop, client: AsyncClient
    ) -> AsyncGenerator[None]:
        """End when told to, or when the loop ends, which ends its generators."""
        try:
            yield
        finally:
            del self._seats[loop]
            await client.aclose()

    def _forget_closed_loops(self) -> None:
        """Drop what is left of loops that did not end their generators."""
        closed = [loop for loop in self._seats if loop.is_closed()]
        if not closed:
            return
        with warnings.catch_warnings():
            # Without its loop nothing can close a connection; its destructor complains.
            warnings.simplefilter("ignore", ResourceWarning)
            for loop in closed:
                del self._seats[loop]
            del closed[:], loop
            gc.collect()

    def _new_client(self) -> Client:
        url, options, most, _ = self._address
        retry = Retry(_BACKOFF, RETRIES)
        options = {**options, "max_connections": most, "retry": retry}
        if self._cluster:
            kind = BlockingConnectionPool
            return RedisCluster.from_url(url, connection_pool_class=kind, **options)
        return Redis.from_pool(BlockingConnectionPool.from_url(url, **options))

    def _new_async_client(self) -> AsyncClient:
        url, options, most, _ = self._address
        retry = AsyncRetry(_BACKOFF, RETRIES)
        options = {**options, "max_connections": most, "retry": retry}
        if self._cluster:
            return redis.asyncio.RedisCluster.from_url(url, **options)
        return redis.asyncio.Redis.from_url(url, **options)


def address_of(url: str) -> Address:
    """
    What *url* says; its `timeout` is for replies as for connections.

    Raises:
        UnknownStore: Its port, timeout or number of connections makes no sense.
    """
    parts = urlsplit(url)
    try:
        where = _where(parts)
    except ValueError:  # which may quote a password that was not quoted itself
        msg = "the URL of the store has no valid port: quote what is odd in a password"
        raise UnknownStore(msg) from None
    query = dict(parse_qsl(parts.query))
    timeout = _positive(float, query.pop("timeout", TIMEOUT_SECONDS))
    most = _positive(int, query.pop("max_connections", CONNECTIONS))
    if timeout is None or most is None:
        msg = f"store at {where}: timeout and max_connections are numbers above zero"
        raise UnknownStore(msg)
    options = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "encoding_errors": "surrogatepass",
    }
    bare = urlunsplit(parts._replace(query=urlencode(query)))
    return Address(bare, options, most, where)


def _where(parts: SplitResult) -> str:
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def _positive(kind: Callable[[Any], _Number], given: object) -> _Number | None:
    try:
        number = kind(given)
    except ValueError:
        return None
    return number if number > 0 else None
