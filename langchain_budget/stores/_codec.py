"""
What stores keep as text: accounts, holds and entries of the journal, as JSON.

The stores never look into these texts. Whole numbers of any size stay exact, and
the same value always makes the same text, so that equal ones can be told by it. All
of it is ASCII: no label, however odd, is one that some store cannot keep.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from langchain_budget.core.accounts import Row, Spec, lineage
from langchain_budget.core.postings import (
    Basis,
    Change,
    CounterKey,
    Delta,
    Effect,
    Entry,
    Hold,
    Note,
    OpenHold,
    Part,
    Posting,
    Spill,
    Status,
)

Json = Any
_encode: Final = json.JSONEncoder(separators=(",", ":"), default=dict).encode
_decode: Final = json.JSONDecoder().decode


def text_of(value: Json) -> str:
    """The shortest JSON of *value*."""
    return _encode(value)


def value_of(text: str) -> Json:
    """What `text_of` was given."""
    return _decode(text)


def row_text(row: Row) -> str:
    """An account but for what the store keeps beside: path, version and states."""
    slices = sorted(row.slices)
    return _encode([row.spec, row.ceilings, slices, row.observed, row.turns])


def row_of(
    path: str, version: int, states: tuple[str, bool, float | None], text: str
) -> Row:
    """The account with these *states*: frozen why, closed, expires at."""
    spec, ceilings, slices, observed, turns = _decode(text)
    limits, carved, share, marks, labels, borrows = spec
    made = Spec(
        _pairs(limits), _pairs(carved), share, tuple(marks), _pairs(labels), borrows
    )
    frozen, closed, expires_at = states
    return Row(
        path,
        version,
        made,
        _pairs(ceilings),
        frozenset(slices),
        frozen,
        bool(closed),
        expires_at,
        observed,
        _pairs(turns),
    )


def hold_text(posting: Posting, asked: OpenHold) -> str:
    """A hold but for what the store keeps beside: id, times and states."""
    _, _, started, amounts, worst, labels = asked
    before = _encode([posting.account, amounts, worst])
    after = _encode([started, labels])
    return f"{before[:-1]},{_deltas_text(posting.deltas)},{after[1:]}"


def hold_of(
    hold_id: str, times: tuple[float, float], states: tuple[str, str, str], text: str
) -> Hold:
    """The hold with these *states*: status, basis, and the JSON of what is charged."""
    account, amounts, worst, flat, started, labels = _decode(text)
    status, basis, charged = states
    return Hold(
        hold_id,
        account,
        amounts,
        worst,
        _deltas(flat),
        started,
        *times,
        Status(status),
        Basis(basis),
        _decode(charged) if charged else {},
        labels,
    )


def never_opened(hold_id: str, account: str, at: float) -> Hold:
    """What is told of a hold that was released before the store had seen it."""
    return Hold(hold_id, account, {}, {}, (), False, at, at, Status.RELEASED)  # noqa: FBT003


def entry_text(posting: Posting) -> str:
    """An entry but for what the store keeps beside: number, time, kind and ids."""
    asked = posting.hold
    note: Note = posting.note
    held: tuple[Delta, ...] = ()
    if type(asked) is OpenHold:
        note = Note(asked.amounts, labels=asked.labels)
    elif asked is not None:
        held = getattr(asked, "held", ())
    deltas, released = _deltas_text(posting.deltas), _deltas_text(held)
    rows, until = "[]", "null"
    if posting.rows:  # most have none, and encoding nothing takes as long as a note
        rows = _encode([_entry_row(row) for row in posting.rows])
        until = _encode(posting.ttl_seconds)
    return f"[{_encode(note)},{deltas},{released},{rows},{until}]"


def entry_of(  # noqa: PLR0913
    seq: int,
    at: float,
    words: tuple[str, str, str, str],
    text: str,
    spilled: str = "",
    *,
    unseen: bool = False,
) -> Entry:
    """The entry with these *words*: kind, posting's id, account, hold's id."""
    kind, posting, account, hold = words
    note, deltas, held, rows, ttl = _decode(text)
    return Entry(
        seq,
        at,
        kind,
        posting,
        account,
        hold,
        _note(note),
        _deltas(deltas),
        () if unseen else _deltas(held),
        effects_of(spilled),
        tuple(_entered(row, at, ttl) for row in rows),
    )


def content_text(posting: Posting) -> str:
    """What must be the same when a posting's id comes again."""
    before = _encode([posting.kind, posting.account, posting.note])
    return f"{before[:-1]},{_deltas_text(posting.deltas)}]"


def changes_of(text: str) -> tuple[Change, ...]:
    """What a receipt has told; `text_of` makes the text."""
    return tuple(
        (CounterKey(*key), first, used_first, granted, used)
        for key, first, used_first, granted, used in _decode(text)
    )


def effects_text(effects: Iterable[Effect]) -> str:
    """What spilled; nothing makes no text."""
    listed = list(effects)
    return _encode(listed) if listed else ""


def effects_of(text: str) -> tuple[Effect, ...]:
    """What spilled; whole numbers may stand there as text."""
    return tuple(
        Effect(CounterKey(*key), *map(int, by)) for key, *by in _decode(text or "[]")
    )


def _entry_row(row: Row) -> Json:
    path, version = row.path, row.version
    return [path, version, row.frozen, row.closed, row.expires_at, row_text(row)]


def _entered(row: Json, at: float, ttl: float | None) -> Row:
    path, version, frozen, closed, expires_at, text = row
    until = expires_at if ttl is None else at + ttl
    return row_of(path, version, (frozen, closed, until), text)


def _note(fields: Json) -> Note:
    amounts, unconfirmed, basis, labels, reason, parts = fields
    return Note(
        amounts, unconfirmed, Basis(basis), labels, reason, tuple(map(_part, parts))
    )


def _part(fields: Json) -> Part:
    account, used, known, *rest = fields
    return Part(account, used, Basis(known), *rest)


def _deltas_text(deltas: Iterable[Delta]) -> str:
    """Deltas as lists; where nothing spills, that is left out."""
    return f"[{','.join(map(_delta_text, deltas))}]"


def _delta_text(delta: Delta) -> str:
    counters, granted, held, spent, lent, guarded, spill = delta
    numbers = f"{granted},{held},{spent},{lent},{'true' if guarded else 'false'}"
    rest = f",{_spills_text(spill)}" if spill else ""
    return f"[{_chain_text(counters)},{numbers}{rest}]"


@lru_cache(maxsize=10_000)
def _chain_text(keys: tuple[CounterKey, ...]) -> str:
    """The counters of a route, which are the same in each of its postings."""
    return _encode(_chain(keys))


@lru_cache(maxsize=10_000)
def _spills_text(spills: tuple[Spill, ...]) -> str:
    return _encode([(slice_, _chain(payers)) for slice_, payers in spills])


def _chain(keys: tuple[CounterKey, ...]) -> Json:
    """
    The innermost account and how many it is with those above it, unit and window.

    Counters that are no such way up are listed.
    """
    if not keys:
        return keys
    path, unit, window = keys[0]
    way = tuple(CounterKey(each, unit, window) for each in lineage(path)[: len(keys)])
    return (path, len(keys), unit, window) if way == keys else keys


def _deltas(flat: Json) -> tuple[Delta, ...]:
    return tuple(_delta(*fields) for fields in flat)


def _delta(counters: Json, *rest: Json) -> Delta:
    granted, held, spent, lent, guarded, *spill = rest
    keys = _keys(counters)
    return Delta(keys, granted, held, spent, lent, guarded, _spills(*spill))


def _spills(spills: Json = ()) -> tuple[Spill, ...]:
    return tuple(Spill(CounterKey(*key), _keys(payers)) for key, payers in spills)


def _keys(chain: Json) -> tuple[CounterKey, ...]:
    if not chain or type(chain[0]) is list:
        return tuple(CounterKey(*key) for key in chain)
    path, count, unit, window = chain
    return tuple(CounterKey(each, unit, window) for each in lineage(path)[:count])


def _pairs(pairs: Json) -> tuple[tuple[Any, Any], ...]:
    return tuple((key, value) for key, value in pairs)
