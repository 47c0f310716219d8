"""Books on a server that speaks Redis: Redis 6.2 or newer, or Valkey."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, NoReturn

from redis.exceptions import NoScriptError

from langchain_budget.core.postings import Receipt
from langchain_budget.errors import StoreError, StoreLost
from langchain_budget.stores._redis_connections import FAILURES, address_of
from langchain_budget.stores._redis_dialect import RedisDialect
from langchain_budget.stores._redis_opening import open_book
from langchain_budget.stores._redis_scripts import SCRIPTS, Script, keys_of
from langchain_budget.stores._remote import Answer, Question, RemoteStore

BOOK: Final = "budget"
"""The book of whoever names none."""

Clock = Callable[[], float]


class RedisStore(RemoteStore):
    """
    Accounts, counters, holds and journal in Redis or Valkey, for many machines.

    Each posting is one script, so one round trip. How much a crash of the server may
    take with it is the server's setting: with `appendonly yes` and `appendfsync
    always` nothing that was answered. A server that comes back without what it had
    is not believed: `StoreLost`.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`, as redis-py reads them.
            `?timeout=2` sets how many seconds to wait for the server, 5 otherwise;
            `?max_connections=20` how many connections there are, 10 otherwise.
        book: Which of the books on the server; others do not see it.
        clock: Seconds since 1970, for tests; otherwise the server's own.

    Raises:
        UnusableStore: It cannot keep books: it throws keys away, is too old, only
            reads, forbids what is needed, or has something else under those names.
        StoreError: It cannot be reached.
    """

    def __init__(
        self, url: str, *, book: str = BOOK, clock: Clock | None = None
    ) -> None:
        address = address_of(url)
        self.dialect = RedisDialect(clock)
        self._book, self._where = book, address.where
        keys = keys_of(book)
        self._keys = len(keys), *keys
        self._connections, self._epoch, self._seen = open_book(address, book)

    @property
    def place(self) -> Hashable:
        """Which books these are: equal where two stores keep the same ones."""
        return self._epoch

    def _ask(self, question: Question[Answer]) -> Answer:
        script, args = self._call(question)
        try:
            client = self._connections.client()
            try:
                reply = client.evalsha(script.sha, *args)
            except NoScriptError:  # a server that was restarted has forgotten it
                reply = client.eval(script.text, *args)
        except FAILURES as error:
            self._fail(error)
        return self._read(question, reply)

    async def aask(self, question: Question[Answer]) -> Answer:
        """Awaitable twin of `ask`, without a thread."""
        script, args = self._call(question)
        try:
            client, gate, _ = await self._connections.seat()
            async with gate:
                try:
                    reply = await client.evalsha(script.sha, *args)
                except NoScriptError:
                    reply = await client.eval(script.text, *args)
        except FAILURES as error:
            self._fail(error)
        return self._read(question, reply)

    def close(self) -> None:
        """Let go of connections; a store that is used again opens new ones."""
        self._connections.close()

    async def aclose(self) -> None:
        """Awaitable twin of `close`; the running loop's connections close as well."""
        await self._connections.aclose()

    def _call(self, question: Question[Any]) -> tuple[Script, tuple[Any, ...]]:
        now, *args = question.args
        head = f"{self._epoch} {self._seen} {now}"
        return SCRIPTS[question.command], (*self._keys, head, *args)

    def _read(self, question: Question[Answer], reply: Any) -> Answer:
        if reply == b"lost":
            raise StoreLost(self._book, self._where)
        answer = question.read(reply)
        if isinstance(answer, Receipt):
            self._seen = max(self._seen, answer.seq)
        return answer

    def _fail(self, error: Exception) -> NoReturn:
        raise StoreError(f"the Redis at {self._where} failed: {error}") from error
