"""The two ways to ask a store, so that each case is written once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, Final, Protocol, Self, cast

from langchain_budget.core.postings import Posting, Receipt, Refusal
from langchain_budget.stores.base import Store

RACERS: Final = 16
PATIENCE_SECONDS: Final = 30

Asked = Sequence[tuple[Store, Posting]]
Answer = Receipt | Refusal


class Way(Protocol):
    """How a store is asked."""

    def of(self, store: Store) -> Store:
        """The same store, asked in this way."""

    def race(self, asked: Asked) -> list[Answer]:
        """Post all that is *asked* at the same time; the answers in any order."""


class Blocking:
    """By the methods that wait; at the same time by threads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was kept."""

    def of(self, store: Store) -> Store:
        return store

    def race(self, asked: Asked) -> list[Answer]:
        start = Barrier(RACERS)

        def post(line: Asked) -> list[Answer]:
            start.wait(PATIENCE_SECONDS)
            return [store.post(posting) for store, posting in line]

        with _hasty(), ThreadPoolExecutor(RACERS) as racers:
            return [
                answer for line in racers.map(post, _lines(asked)) for answer in line
            ]


class Awaited:
    """By the awaitable twins, in a loop of its own; at the same time by tasks."""

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def of(self, store: Store) -> Store:
        return cast("Store", _Twins(store, self._runner))

    def race(self, asked: Asked) -> list[Answer]:
        async def post(line: Asked) -> list[Answer]:
            return [await store.apost(posting) for store, posting in line]

        async def all_lines() -> list[list[Answer]]:
            return await asyncio.gather(*map(post, _lines(asked)))

        return [answer for line in self._runner.run(all_lines()) for answer in line]


class _Twins:
    """Has each method of a store, and asks its twin."""

    def __init__(self, store: Store, runner: asyncio.Runner) -> None:
        self._store = store
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        twin = getattr(self._store, f"a{name}")
        return lambda *args, **options: self._runner.run(twin(*args, **options))


def _lines(asked: Asked) -> list[Asked]:
    return [asked[at::RACERS] for at in range(RACERS)]


@contextmanager
def _hasty() -> Iterator[None]:
    """Let threads take turns all the time, so that what is not locked shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
