"""What one process has of the store: a connection over which the world decides."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_budget.core.accounts import Row
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Entry,
    Hold,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.stores.base import Store


@dataclass(frozen=True, slots=True)
class Message:
    """One question to the store; whoever awaits it is sent what the world answers."""

    method: str
    args: tuple[Any, ...] = ()

    def __await__(self) -> Generator[Message, Any, Any]:
        return (yield self)

    def __str__(self) -> str:
        posting = self.posting
        if posting is None:
            return f"question after {self.method}"
        return f"{posting.kind} {posting.id} of {posting.account}"

    @property
    def posting(self) -> Posting | None:
        return self.args[0] if self.method == "post" else None


@dataclass(frozen=True, slots=True)
class Pause:
    """Whoever awaits it goes on after so many steps of the world."""

    steps: int

    def __await__(self) -> Generator[Pause, None, None]:
        yield self


class Wire(Store):
    """
    Each question that is awaited is handed to the scheduler, and answered by it.

    What does not wait, such as opening a pool, is delivered at once.
    """

    blocking = True

    def __init__(self, deliver: Callable[[Message], Any]) -> None:
        self._deliver = deliver

    async def _away(self, ask: Callable[..., Any], *args: object) -> Any:
        return await Message(ask.__name__, args)

    def post(self, posting: Posting) -> Receipt | Refusal:
        return self._now("post", posting)

    def rows(self, paths: Iterable[str]) -> Mapping[str, Row]:
        return self._now("rows", paths)

    def below(self, path: str) -> tuple[Row, ...]:
        return self._now("below", path)

    def balances(self, accounts: Iterable[str]) -> Mapping[CounterKey, Balance]:
        return self._now("balances", accounts)

    def hold(self, hold_id: str) -> Hold | None:
        return self._now("hold", hold_id)

    def open_holds(self) -> tuple[Hold, ...]:
        return self._now("open_holds")

    def overdue(self) -> tuple[Hold, ...]:
        return self._now("overdue")

    def journal(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        return self._now("journal", after, limit)

    def lapsed(self) -> tuple[Row, ...]:
        return self._now("lapsed")

    def now(self) -> float:
        return self._now("now")

    def _now(self, method: str, *args: object) -> Any:
        return self._deliver(Message(method, args))
