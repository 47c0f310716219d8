"""The talk that ends windows which do not end by the clock: runs and ticks."""

from __future__ import annotations

from typing import Final

from langchain_budget.core.accounts import BESIDE, Row, is_beside
from langchain_budget.core.events import WindowEnded
from langchain_budget.core.postings import Note, Posting, Receipt
from langchain_budget.core.windows import TURNS
from langchain_budget.errors import InvalidAmount, UnknownAccount
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Ask, Talk

RUN: Final = "run"


def advance(ledger: Ledger, path: str, window: str) -> Talk[None]:
    """End the current window of every account of the pool that has such a limit."""
    if window not in TURNS:
        msg = f"{window!r} ends by the clock: give one of {', '.join(TURNS)}"
        raise InvalidAmount(msg)
    spans = TURNS if window == RUN else (window,)
    while True:
        ledger.forget(named=False)
        rows = yield from _rows(path)
        turned = tuple(turn for row in rows if (turn := _turned(row, spans)) != row)
        seen = tuple((row.path, row.version - 1) for row in turned)
        note = Note(reason=window)
        posting = Posting(
            ledger.new_id(), "advance", path, note=note, seen=seen, rows=turned
        )
        event = WindowEnded(account=path, window=window, accounts=len(turned))
        answer = yield from ledger.try_post(posting, event)
        if isinstance(answer, Receipt):
            return


def _rows(path: str) -> Talk[list[Row]]:
    """The pool, all below it, and what stands beside it."""
    rows: tuple[Row, ...] = yield Ask("below", ("",))
    inside = (f"{path}/", f"{path}{BESIDE}")
    mine = [row for row in rows if row.path == path or row.path.startswith(inside)]
    if not mine:
        raise UnknownAccount(path)
    return [row for row in mine if not row.closed or is_beside(row.path)]


def _turned(row: Row, spans: tuple[str, ...]) -> Row:
    """The account in its next windows, if it has any limit of that kind."""
    limited = {name.partition("@")[2] for name, _ in row.ceilings}
    ended = [span for span in spans if span in limited]
    if not ended:
        return row
    turns = dict(row.turns) | {span: dict(row.turns).get(span, 0) + 1 for span in ended}
    return row._replace(version=row.version + 1, turns=tuple(sorted(turns.items())))
