"""A posting as the function in the database gets it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from langchain_budget.core.accounts import Row
from langchain_budget.core.postings import (
    Basis,
    CloseHold,
    CounterKey,
    KeepHold,
    OpenHold,
    Posting,
    Status,
)
from langchain_budget.stores import _codec as codec
from langchain_budget.stores._wire import Work, work_of

_NONE: Final = "{}"
"""An array of nothing; the function reads nothing where it ends."""

_KEPT_FROM: Final = "{open/}"


class Job(NamedTuple):
    """A posting worked out; the function knows counters by their place."""

    posting: Posting
    work: Work
    keys: tuple[CounterKey, ...]
    """Those of the nets, then those that are only looked at."""

    @property
    def tells(self) -> bool:
        """Whether the receipt says how counters were before."""
        return bool(self.work.pours) or any(net.shown for net in self.work.nets)


def job_of(posting: Posting) -> Job:
    """Work out what *posting* comes to."""
    work = work_of(posting)
    keys = tuple(net[0] for net in work.nets)
    if work.pours or posting.unpriced:
        poured = [key for pour in work.pours for key in (pour.slice, *pour.payers)]
        keys = tuple(dict.fromkeys((*keys, *poured, *posting.unpriced)))
    return Job(posting, work, keys)


def arguments(job: Job, clock: float | None, passed: int | None) -> tuple[Any, ...]:
    """
    What the function is given, but for the book.

    Arrays are given as text: it takes many of them, and reads each where it needs it.
    """
    posting = job.posting
    return (
        clock,
        posting.kind,
        posting.id,
        posting.account,
        codec.entry_text(posting),
        *_accounts(posting),
        passed,
        *(posting.during or (None, None)),
        *_names(job.keys),
        *_changed(job.work),
        *_judged(job),
        _pours(job),
        len(job.work.nets),
        job.tells,
        *_held(posting),
    )


def digest(posting: Posting) -> str:
    """What is the same when a posting comes again."""
    return sha256(codec.content_text(posting).encode()).hexdigest()


def _accounts(posting: Posting) -> tuple[str, str, int]:
    asked = posting.admit + posting.seen
    return (*_versions(asked), len(posting.admit))


@lru_cache(1024)
def _versions(asked: tuple[tuple[str, int], ...]) -> tuple[str, str]:
    return _texts(path for path, _ in asked), _integers(number for _, number in asked)


@lru_cache(1024)
def _names(keys: tuple[CounterKey, ...]) -> tuple[str, str, str]:
    """The same for each call of a route."""
    accounts, units, windows = zip(*keys, strict=True) if keys else ((), (), ())
    return _texts(accounts), _texts(units), _texts(windows)


def _changed(work: Work) -> Iterable[str]:
    """What is granted, held, spent and lent more, and what gets a limit by that."""
    columns = [*zip(*work.nets, strict=True)][1:6] or [()] * 5
    return (_integers(column) if any(column) else _NONE for column in columns)


def _judged(job: Job) -> tuple[str, str, str]:
    """What must be available, what more is granted, and what must have no limit."""
    posting, work, keys = job
    wanted: list[int | str] = ["NULL"] * len(work.nets) if work.guards else []
    for place, value in sorted(work.guards):  # the most, if there are several
        wanted[place] = value
    more: dict[CounterKey, int] = {}
    for delta in posting.deltas:
        if delta.granted > 0:
            for key in delta.counters:
                more[key] = max(delta.granted, more.get(key, 0))
    granted = [more.get(key, 0) for key in keys] if more else ()
    unpriced = [int(key in posting.unpriced) for key in keys if posting.unpriced]
    return _integers(wanted), _integers(granted), _integers(unpriced)


def _pours(job: Job) -> str:
    """For each, the places of a slice and of its payers."""
    places = {key: place for place, key in enumerate(job.keys, 1)}
    return _texts(
        _integers(places[key] for key in (pour.slice, *pour.payers))
        for pour in job.work.pours
    )


def _held(posting: Posting) -> tuple[Any, ...]:
    """
    What is done to a hold, and which accounts are written.

    Namely: what; to which; from which states, or when it is not known; how long it
    lives; the status, basis and charge that it gets; its body; the accounts.
    """
    asked = posting.hold
    if type(asked) is OpenHold:
        body, ttl = codec.hold_text(posting, asked), asked.ttl_seconds
        return "open", asked.id, _NONE, True, ttl, "open", "", "", body, ""
    if type(asked) is CloseHold:
        states, charged = _states(asked.before), codec.text_of(asked.charged)
        end = str(asked.status), str(asked.basis), charged
        return "close", asked.id, states, asked.unseen, 0.0, *end, "", ""
    if type(asked) is KeepHold:
        ttl = asked.ttl_seconds
        return "keep", asked.id, _KEPT_FROM, False, ttl, "", "", "", "", ""
    rows = _rows(posting.rows) if posting.rows else ""
    lives, content = posting.ttl_seconds, digest(posting)
    return "", "", _NONE, False, lives, "", "", "", content, rows


@lru_cache
def _states(before: frozenset[tuple[Status, Basis]]) -> str:
    return _texts(f"{status}/{basis}" for status, basis in before)


def _rows(rows: Iterable[Row]) -> str:
    """The last of each path."""
    return codec.text_of(
        [_row(row) for row in {row.path: row for row in rows}.values()]
    )


def _row(row: Row) -> tuple[object, ...]:
    frozen = codec.text_of(row.frozen) if row.frozen else ""
    ceilings, body = dict(row.ceilings), codec.row_text(row)
    return row.path, row.version, frozen, row.closed, row.expires_at, ceilings, body


def _texts(values: Iterable[str]) -> str:
    quoted = [f'"{_escaped(value)}"' for value in values]
    return f"{{{','.join(quoted)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _integers(values: Iterable[object]) -> str:
    return f"{{{','.join(map(str, values))}}}"
