"""Books made again from an exported journal, in a store that has none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from langchain_budget.core.postings import (
    Basis,
    CloseHold,
    Entry,
    Hold,
    OpenHold,
    Posting,
    Refusal,
    Status,
)
from langchain_budget.core.rules import FRESH, HOLD_TTL_SECONDS, SUPERSEDABLE
from langchain_budget.errors import BookNotEmpty, InvalidJournal
from langchain_budget.inspections import PAGE
from langchain_budget.journal_export import Progress
from langchain_budget.reports.audit import Seen, concluded
from langchain_budget.reports.fold import Fold
from langchain_budget.reports.journal_lines import (
    FORMAT,
    VERSION,
    End,
    Header,
    HoldLine,
    Line,
    line_of,
)
from langchain_budget.stores._open import open_store
from langchain_budget.stores.base import Store
from langchain_budget.stores.memory import MemoryStore

PRIVATE: Final = (None, "memory://")
"""Stores whose books are in the object: it goes on with the clock it has."""

_STATUS: Final = {
    "settle": Status.SETTLED,
    "supersede": Status.SETTLED,
    "release": Status.RELEASED,
    "expire": Status.EXPIRED,
    "void": Status.EXPIRED,
}
"""What becomes of a hold that an entry closes."""


class Plan(NamedTuple):
    """A file that was checked, and what is needed to post it again."""

    path: Path
    header: Header
    fold: Fold
    holds: dict[str, HoldLine]
    worst: dict[str, dict[str, int]]
    """The most that a call could cost whose charge is an estimate."""


class ReplayClock:
    """Shows the time of the entry that is posted again; after that, the real one."""

    def __init__(self) -> None:
        self.at: float | None = None
        self.real = MemoryStore().now

    def __call__(self) -> float:
        return self.real() if self.at is None else self.at


def load(
    file: str | os.PathLike[str],
    store: Store | str | None,
    progress: Progress | None = None,
) -> tuple[str, Store]:
    """
    Post all of a journal again; its root account, and the store that has it now.

    A store that is given as an object keeps its own clock: entries are dated as they
    are posted. One that a URL names gets the times of the file.

    Raises:
        InvalidJournal: The file is damaged; nothing was posted.
        BookNotEmpty: The store has such books already.
    """
    plan = check(Path(file))
    book, clock = plan.header.book, ReplayClock()
    target = open_store(store, book=book, clock=clock)
    if target.below("") or target.journal(0, 1):
        raise BookNotEmpty(book)
    Replay(plan, target, clock if target is not store else None).run(progress)
    clock.at = None
    if isinstance(store, Store) or store in PRIVATE:
        return book, target
    target.close()
    return book, open_store(store, book=book)


def check(path: Path) -> Plan:
    """Read all of a file without posting anything; raises `InvalidJournal`."""
    lines = _lines(path)
    plan = Plan(path, _header(next(lines, None)), Fold(), {}, {})
    end: End | None = None
    for line in lines:
        if end is not None:
            msg = f"{path.name} goes on after its end"
            raise InvalidJournal(msg)
        if isinstance(line, End):
            end = line
        else:
            _note(plan, line)
    _check_end(plan, end)
    return plan


def book_of(file: str | os.PathLike[str]) -> str:
    """The root account of the books in a file, by its first line."""
    return _header(next(_lines(Path(file)), None)).book


def _lines(path: Path) -> Iterator[Line]:
    with path.open(encoding="utf-8") as file:
        try:
            for number, text in enumerate(file, 1):
                yield line_of(number, text)
        except UnicodeDecodeError as error:
            msg = f"{path.name} is no text in UTF-8, so it is no journal of ours"
            raise InvalidJournal(msg) from error


def _header(line: Line | None) -> Header:
    if not isinstance(line, Header) or line.format != FORMAT:
        msg = "the first line does not say that this is a journal of langchain-budget"
        raise InvalidJournal(msg)
    if line.version > VERSION:
        msg = f"it was written by a newer release (format {line.version}): upgrade"
        raise InvalidJournal(msg)
    return line


def _note(plan: Plan, line: Line) -> None:
    if isinstance(line, HoldLine):
        plan.holds[line.hold] = line
        plan.worst[line.hold] = dict(line.worst)
        return
    if not isinstance(line, Entry):
        msg = "there is a second first line: two files in one"
        raise InvalidJournal(msg)
    if line.hold and line.kind not in ("reserve", *_STATUS):
        msg = f"entry {line.seq} is of the kind {line.kind!r}: a newer release wrote it"
        raise InvalidJournal(msg)
    plan.fold.add(line)
    for finding in plan.fold.findings:
        msg = f"entry {line.seq} does not add up: {finding.words}"
        raise InvalidJournal(msg)
    note = line.note
    if line.hold and note.basis is Basis.ESTIMATED:
        units = dict.fromkeys([*note.amounts, *note.unconfirmed])
        plan.worst[line.hold] = {
            unit: note.amounts.get(unit, 0) + note.unconfirmed.get(unit, 0)
            for unit in units
        }


def _check_end(plan: Plan, end: End | None) -> None:
    if end is None or end != End(plan.fold.seq, len(plan.holds)):
        msg = f"{plan.path.name} was cut off: its last line is not there, or not true"
        raise InvalidJournal(msg)
    if plan.holds.keys() != plan.fold.open.keys():
        msg = f"{plan.path.name} does not tell of every hold that is open at its end"
        raise InvalidJournal(msg)


class Replay:
    """Posts the entries of a file that was checked, in their order."""

    def __init__(self, plan: Plan, store: Store, clock: ReplayClock | None) -> None:
        self._plan = plan
        self._store = store
        self._clock = clock
        self._now = store.now()

    def run(self, progress: Progress | None) -> None:
        """Post everything, then compare what came out with the journal."""
        for line in _lines(self._plan.path):
            if isinstance(line, Entry):
                self._post(line)
                if progress is not None and line.seq % PAGE == 0:
                    progress(line.seq)
        if progress is not None:
            progress(self._plan.fold.seq)
        self._compare()

    def _post(self, entry: Entry) -> None:
        if self._clock is not None:
            self._clock.at = entry.at
        answer = self._store.post(self._posting(entry))
        if isinstance(answer, Refusal) or answer.seq != entry.seq:
            msg = (
                f"entry {entry.seq} was not taken as it was before: somebody else "
                f"writes to these books. Empty the store, and import again"
            )
            raise InvalidJournal(msg)

    def _compare(self) -> None:
        store = self._store
        rows = store.below("")
        balances = store.balances(row.path for row in rows)
        found = concluded(self._plan.fold, Seen(rows, balances, store.open_holds()))
        if not found.ok:
            msg = f"what was imported is not what was exported: {found.findings[0]}"
            raise InvalidJournal(msg)

    def _posting(self, entry: Entry) -> Posting:
        asked: OpenHold | CloseHold | None = None
        if entry.kind == "reserve":
            asked = self._opening(entry)
        elif entry.hold:
            asked = self._closing(entry)
        return Posting(
            entry.posting,
            entry.kind,
            entry.account,
            entry.deltas,
            hold=asked,
            note=entry.note,
            rows=entry.rows,
        )

    def _opening(self, entry: Entry) -> OpenHold:
        """One that is still open at the end has as long to live as it had then."""
        line = self._plan.holds.get(entry.hold)
        seconds = HOLD_TTL_SECONDS
        if line is not None:
            passed = self._now - entry.at if self._clock is not None else 0.0
            seconds = max(line.seconds_left + passed, 0.0)
        worst = self._plan.worst.get(entry.hold, {})
        started = line.started if line is not None else bool(worst)
        note = entry.note
        return OpenHold(entry.hold, seconds, started, note.amounts, worst, note.labels)

    def _closing(self, entry: Entry) -> CloseHold:
        status = _STATUS[entry.kind]
        note = entry.note
        again = entry.kind == "supersede"
        charged = dict(note.amounts)
        if again:
            found: Hold | None = self._store.hold(entry.hold)
            for unit, value in (found.charged if found else {}).items():
                charged[unit] = charged.get(unit, 0) + value
        return CloseHold(
            entry.hold,
            status,
            note.basis,
            charged,
            SUPERSEDABLE if again else FRESH,
            held=entry.released,
            unseen=status is Status.RELEASED,
        )
