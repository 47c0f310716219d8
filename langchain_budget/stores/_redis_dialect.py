"""The port as calls of the two scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from langchain_budget.core.accounts import SEPARATOR, Row
from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Entry,
    Hold,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.stores import _redis_answers as answers
from langchain_budget.stores._redis_plan import arguments, job_of
from langchain_budget.stores._remote import Dialect, Question

Clock = Callable[[], float]
_Answer = TypeVar("_Answer")


class RedisDialect(Dialect):
    """Questions for a server that speaks Redis; it has the time unless *clock* has."""

    def __init__(self, clock: Clock | None) -> None:
        self._clock = clock

    def post(self, posting: Posting) -> Question[Receipt | Refusal]:
        job = job_of(posting)
        command = "post" if posting.hold is None else "hold"
        read = partial(answers.answer, job)
        return Question(command, (self._now(), *arguments(job)), read)

    def rows(self, paths: Iterable[str]) -> Question[Mapping[str, Row]]:
        return self._read(answers.rows, "rows", *paths)

    def below(self, path: str) -> Question[tuple[Row, ...]]:
        after = chr(ord(SEPARATOR) + 1)
        span = (f"[p{path}{SEPARATOR}", f"(p{path}{after}") if path else ("[p", "(q")
        return self._read(answers.sorted_rows, "below", *span)

    def balances(
        self, accounts: Iterable[str]
    ) -> Question[Mapping[CounterKey, Balance]]:
        return self._read(answers.balances, "balances", *accounts)

    def hold(self, hold_id: str) -> Question[Hold | None]:
        return self._read(answers.first_hold, "hold", hold_id)

    def open_holds(self) -> Question[tuple[Hold, ...]]:
        return self._read(answers.holds, "open_holds")

    def overdue(self) -> Question[tuple[Hold, ...]]:
        return self._read(answers.holds, "overdue")

    def journal(self, after: int, limit: int | None) -> Question[tuple[Entry, ...]]:
        most = "" if limit is None else str(limit)
        return self._read(answers.entries, "journal", f"{after + 1}-0", most)

    def lapsed(self) -> Question[tuple[Row, ...]]:
        return self._read(answers.sorted_rows, "lapsed")

    def now(self) -> Question[float]:
        return self._read(answers.now, "now")

    def _read(
        self, read: Callable[[Any], _Answer], which: str, *words: str
    ) -> Question[_Answer]:
        return Question("read", (self._now(), which, *words), read)

    def _now(self) -> str:
        """The time by the clock of a test; nothing where the server's is meant."""
        return repr(float(self._clock())) if self._clock else ""
