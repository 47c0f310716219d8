"""What leaves a rolling window as time goes on, as a posting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Delta,
    Hold,
    Note,
    Posting,
)
from langchain_budget.core.windows import LIVE, SLOTS, Window, has_left

Limit = tuple[str, str, Window]
"""An account, a unit, and a rolling window."""

MARK = "part"
"""The unit in which it is written down up to which part a window has rolled."""


def mark_of(limit: Limit) -> CounterKey:
    """Where it is written down up to which part the window has rolled."""
    account, unit, window = limit
    return CounterKey(account, MARK, f"{window.span}~{unit}")


def rolled(
    limit: Limit, balances: Mapping[CounterKey, Balance], now: float
) -> Posting | None:
    """
    Take out of the window what has left it; nothing, if that was done already.

    There is one such posting for each part of the window, so that whoever comes
    second does it no second time. Before anything is spent in a new part, all that
    was spent in the counter that it takes over has left.
    """
    account, unit, window = limit
    part, mark = window.part(now), mark_of(limit)
    before = balances.get(mark, Balance()).spent
    if before >= part:
        return None
    whole = CounterKey(account, unit, window.whole)
    deltas = [Delta((mark,), spent=part - before)]
    for slot in _left(before, part):
        key = CounterKey(account, unit, window.slot(slot))
        spent = balances.get(key, Balance()).spent
        if spent:
            deltas.append(Delta((whole, key), spent=-spent))
    span = window.at(now)
    return Posting(
        f"roll:{account}:{unit}:{window.span}:{part}",
        "roll",
        account,
        tuple(deltas),
        note=Note(reason=f"{unit} in any {window.span}"),
        during=(span.start, span.end),
    )


def rolls(hold: Hold) -> bool:
    """Whether a hold was taken out of a rolling window."""
    return any("~" in key[2] for delta in hold[4] if delta[0][:1] for key in delta[0])


def counted(delta: Delta, hold: Hold, now: float) -> Delta:
    """The same without the counters that what the hold is charged has left by *now*."""
    keys = (key for key in delta.counters if not has_left(key[2], hold.opened_at, now))
    return delta._replace(counters=tuple(keys))


def _left(before: int, part: int) -> Iterator[int]:
    """The parts that have left, of those last counted when it was part *before*."""
    for slot in range(SLOTS):
        newest = before - (before - slot) % SLOTS
        if part - newest >= LIVE:
            yield newest
