"""A journal as lines of text: JSON that loses nothing, and CSV for spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from langchain_budget.core.amounts import NANOS, USD, Vector
from langchain_budget.core.faults import InvalidJournal
from langchain_budget.core.postings import CounterKey, Entry, Hold, Spill
from langchain_budget.core.written import writable

FORMAT: Final = "langchain-budget journal"
VERSION: Final = 1

CSV_COLUMNS: Final = (
    *("seq", "time", "kind", "account", "agent", "node", "model", "hold", "basis"),
    *("unit", "amount", "unconfirmed", "reason"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula."""


class Header(NamedTuple):
    """The first line of a file."""

    format: str
    version: int
    book: str
    """The root account."""
    epoch: str
    """The id of the first entry: books that were started anew have another one."""


class HoldLine(NamedTuple):
    """What the journal does not say of a hold that is open when it ends."""

    hold: str
    worst: Mapping[str, int]
    started: bool
    seconds_left: float


class End(NamedTuple):
    """The last line of a file: how much there is in it."""

    end: int
    holds: int


Line = Header | Entry | HoldLine | End

_KINDS: Final[Mapping[str, type[Line]]] = {
    "format": Header,
    "seq": Entry,
    "hold": HoldLine,
    "end": End,
}
"""What a line is, by a field that no other has; those of an entry come first."""


def hold_line(hold: Hold, now: float) -> HoldLine:
    """An open hold, with the time that it has left."""
    left = hold.expires_at - now
    return HoldLine(hold.id, dict(hold.worst), hold.started, left)


def text_of(line: Line) -> str:
    """
    One line of JSON, with every field by its name and whole numbers as such.

    It is ASCII: a label may have half a character, which UTF-8 cannot say.
    """
    return json.dumps(_plain(line), separators=(",", ":"))


def line_of(number: int, text: str) -> Line:
    """
    What `text_of` was given.

    Raises:
        InvalidJournal: It is none of our lines, or was cut off; with its number.
    """
    try:
        return _read(_adapter(_kind_of(text)), text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        msg = f"line {number}: {where}: {first['msg']}"
        if not where:
            msg = f"line {number} is no line of a journal, or was cut off"
        raise InvalidJournal(msg) from error
    except (ValueError, TypeError, StopIteration, RecursionError) as error:
        msg = f"line {number} is no line of a journal, or was cut off"
        raise InvalidJournal(msg) from error


def _read(adapter: TypeAdapter[Line], text: str) -> Line:
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError as error:
        if "surrogate" not in error.errors()[0]["msg"]:
            raise
    return adapter.validate_python(json.loads(text))  # JSON that only Python reads


def _kind_of(text: str) -> str:
    """By the name that it begins with, as we write it; otherwise by any of them."""
    first = text[2:8].partition('"')[0]
    if first in _KINDS:
        return first
    fields = json.loads(text)
    return next(name for name in _KINDS if name in fields)


@cache
def _adapter(kind: str) -> TypeAdapter[Line]:
    return TypeAdapter(_KINDS[kind])


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        repeated = value and isinstance(value[0], CounterKey | Spill)
        return _remembered(value) if repeated else _opened_out(value)
    if isinstance(value, frozenset):
        return sorted(value)
    return value


@lru_cache(maxsize=10_000)
def _remembered(value: tuple[Any, ...]) -> Any:
    """The counters of a route are the same in every call that is charged to it."""
    return _opened_out(value)


def _opened_out(value: tuple[Any, ...]) -> Any:
    names = getattr(value, "_fields", None)
    if names is None:
        return [_plain(each) for each in value]
    return {name: _plain(each) for name, each in zip(names, value, strict=True)}


def csv_rows(entry: Entry) -> Iterator[tuple[str, ...]]:
    """One row for each unit of an entry; dollars are exact decimals."""
    note = entry.note
    when = datetime.fromtimestamp(entry.at, UTC).isoformat()
    labels = (note.labels.get(name, "") for name in ("agent", "node", "model"))
    words = (entry.kind, entry.account, *labels, entry.hold, str(note.basis))
    head = (str(entry.seq), when, *map(_harmless, words))
    units = dict.fromkeys([*note.amounts, *note.unconfirmed]) or {"": None}
    for unit in units:
        numbers = (_number(unit, note.amounts), _number(unit, note.unconfirmed))
        yield (*head, unit, *numbers, _harmless(note.reason))


def _number(unit: str, amounts: Vector) -> str:
    if unit not in amounts:
        return ""
    value = amounts[unit]
    return f"{Decimal(value) / NANOS:f}" if unit == USD else str(value)


def _harmless(text: str) -> str:
    """A text that no spreadsheet runs as a formula, and every file can have."""
    text = writable(text)
    return f"'{text}" if text.startswith(_FORMULA) else text
