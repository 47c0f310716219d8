"""The port's questions as statements, and their answers read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

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
from langchain_budget.stores import _postgres_answers as answers
from langchain_budget.stores._postgres_connections import Line
from langchain_budget.stores._postgres_postings import arguments, job_of
from langchain_budget.stores._remote import Dialect, Question

Lines = Sequence[Line]
_Versions = tuple[tuple[str, int], ...]
_Accounts = tuple[_Versions, _Versions]
"""Those that are to be admitted, and those that are only to be unchanged."""

PASSED_AT_MOST: Final = 10_000
"""Of how many groups of accounts it is remembered that they were admitted."""

# Every statement is about a book that is named first, by number and epoch; every line
# of an answer begins with how far that book has come. No line: the book is gone.
_BOOK: Final = (
    "FROM (SELECT id, seq FROM budget_books WHERE id = %s AND epoch = %s::uuid) b "
)
_NOW: Final = (
    "coalesce(%s, extract(epoch FROM statement_timestamp()))::double precision"
)
_POST: Final = f"SELECT * FROM budget_post({', '.join(['%s'] * 37)})"
_ROWS: Final = (
    "SELECT b.seq, a.path, a.version, a.frozen, a.closed, a.expires_at, a.body "
    f"{_BOOK}LEFT JOIN budget_accounts a ON a.book = b.id"
)
_BALANCES: Final = (
    'SELECT b.seq, c.account, c.unit, c."window", c.granted, c.held, c.spent, c.lent '
    f"{_BOOK}LEFT JOIN budget_counters c ON c.book = b.id AND c.account = ANY (%s) "
    'ORDER BY c.account, c.unit, c."window"'
)
_HOLDS: Final = (
    "SELECT b.seq, h.id, h.account, h.opened_at, h.expires_at, "
    "h.status, h.basis, h.charged, h.body "
    f"{_BOOK}LEFT JOIN budget_holds h ON h.book = b.id AND "
)
_OPEN: Final = f"{_HOLDS}h.status = 'open'"
_OLDEST_FIRST: Final = " ORDER BY h.opened_at, h.id"
_JOURNAL: Final = (
    "SELECT b.seq, j.seq, j.at, j.kind, j.posting, j.account, j.hold, "
    f"j.unseen, j.spilled, j.body {_BOOK}LEFT JOIN LATERAL ("
    "SELECT * FROM budget_journal WHERE book = b.id AND seq > %s "
    "ORDER BY seq LIMIT %s) j ON true ORDER BY j.seq"
)
_TIME: Final = f"SELECT b.seq, t.now {_BOOK}CROSS JOIN (SELECT {_NOW} AS now) t"


class PostgresDialect(Dialect):
    """
    What to ask about a book; which one it is, the store says.

    Args:
        clock: Seconds since 1970 for tests; otherwise the server's own.
    """

    def __init__(self, clock: Callable[[], float] | None) -> None:
        self._clock = clock
        self._passed: dict[_Accounts, int] = {}
        """In which generation accounts were admitted; one that changes is another."""

    def post(self, posting: Posting) -> Question[Receipt | Refusal]:
        """Apply *posting*, or say why not."""
        job = job_of(posting)
        accounts = posting.admit, posting.seen
        passed = self._passed.get(accounts)

        def read(lines: Lines) -> Receipt | Refusal:
            answer = answers.Answer(*lines[0][1:])
            if answer.generation != passed and answer.outcome == "done":
                self._remember(accounts, answer.generation)
            return answers.read(job, answer)

        return Question(_POST, arguments(job, self._time(), passed), read)

    def rows(self, paths: Iterable[str]) -> Question[Mapping[str, Row]]:
        """The accounts at *paths*."""

        def read(lines: Lines) -> Mapping[str, Row]:
            return {row.path: row for row in _rows(lines)}

        return Question(f"{_ROWS} AND a.path = ANY (%s)", (list(paths),), read)

    def below(self, path: str) -> Question[tuple[Row, ...]]:
        """An account and all under it."""
        if not path:
            return Question(_ROWS, (), _sorted_rows)
        inside = path + SEPARATOR
        after = path + chr(ord(SEPARATOR) + 1)
        which = " AND (a.path = %s OR a.path >= %s AND a.path < %s)"
        return Question(_ROWS + which, (path, inside, after), _sorted_rows)

    def balances(
        self, accounts: Iterable[str]
    ) -> Question[Mapping[CounterKey, Balance]]:
        """Every counter of *accounts*."""
        return Question(_BALANCES, (list(accounts),), _balances)

    def hold(self, hold_id: str) -> Question[Hold | None]:
        """One hold."""

        def read(lines: Lines) -> Hold | None:
            return next(iter(_holds(lines)), None)

        return Question(f"{_HOLDS}h.id = %s", (hold_id,), read)

    def open_holds(self) -> Question[tuple[Hold, ...]]:
        """All that are open."""
        return Question(_OPEN + _OLDEST_FIRST, (), _holds)

    def overdue(self) -> Question[tuple[Hold, ...]]:
        """All that are open past their time to live."""
        which = f"{_OPEN} AND h.expires_at <= {_NOW}{_OLDEST_FIRST}"
        return Question(which, (self._time(),), _holds)

    def journal(self, after: int, limit: int | None) -> Question[tuple[Entry, ...]]:
        """The first entries numbered above *after*."""
        return Question(_JOURNAL, (after, limit), _entries)

    def lapsed(self) -> Question[tuple[Row, ...]]:
        """The accounts that are open past their time to live."""
        which = f"{_ROWS} AND NOT a.closed AND a.expires_at <= {_NOW}"
        return Question(which, (self._time(),), _rows)

    def now(self) -> Question[float]:
        """Seconds since 1970."""
        return Question(_TIME, (self._time(),), _time)

    def _time(self) -> float | None:
        return self._clock() if self._clock else None

    def _remember(self, accounts: _Accounts, passed: int) -> None:
        if len(self._passed) >= PASSED_AT_MOST:
            self._passed.clear()
        self._passed[accounts] = passed


def _found(lines: Lines) -> Iterator[Line]:
    """What there is of the book; a line of nothing says that there is the book."""
    return (line[1:] for line in lines if line[1] is not None)


def _rows(lines: Lines) -> tuple[Row, ...]:
    return tuple(map(answers.row_from, _found(lines)))


def _sorted_rows(lines: Lines) -> tuple[Row, ...]:
    return tuple(sorted(_rows(lines), key=lambda row: row.path.split(SEPARATOR)))


def _balances(lines: Lines) -> Mapping[CounterKey, Balance]:
    return {
        CounterKey(account, unit, window): Balance(*balance)
        for account, unit, window, *balance in _found(lines)
    }


def _holds(lines: Lines) -> tuple[Hold, ...]:
    return tuple(map(answers.hold_from, _found(lines)))


def _entries(lines: Lines) -> tuple[Entry, ...]:
    return tuple(map(answers.entry_from, _found(lines)))


def _time(lines: Lines) -> float:
    seconds: Any = lines[0][1]
    return float(seconds)
