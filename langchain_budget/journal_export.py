"""The journal as a file: JSONL that can be imported, or CSV for spreadsheets."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from langchain_budget.core.accounts import SEPARATOR
from langchain_budget.core.postings import Entry, Hold
from langchain_budget.errors import InvalidName, StoreError
from langchain_budget.inspections import PAGE, is_within, read_journal
from langchain_budget.ledger import Ledger
from langchain_budget.reports.condensed import Condensed
from langchain_budget.reports.fold import ENDS, Fold
from langchain_budget.reports.journal_lines import (
    CSV_COLUMNS,
    FORMAT,
    VERSION,
    End,
    Header,
    Line,
    csv_rows,
    hold_line,
    text_of,
)
from langchain_budget.stores._drive import Ask, Talk

File = str | os.PathLike[str] | IO[str]
Progress = Callable[[int], object]
"""Told now and then how many entries are done."""

FORMATS: Final = ("jsonl", "condensed", "csv")


class Job(NamedTuple):
    """What to write, where, and whom to tell."""

    path: str
    out: IO[str]
    progress: Progress | None

    def write(self, line: Line) -> None:
        """Add one line of JSON."""
        self.out.write(text_of(line) + "\n")

    def tell(self, done: int) -> None:
        """Tell of every page, so that people see that something happens."""
        if self.progress is not None and done % PAGE == 0:
            self.progress(done)


def export(ledger: Ledger, job: Job, form: str) -> Talk[int]:
    """Write the journal; how many entries it has."""
    if form not in FORMATS:
        msg = (
            f"format {form!r}: choose 'jsonl' or 'condensed', to import it again, or "
            f"'csv'"
        )
        raise InvalidName(msg)
    yield from ledger.route(job.path)
    if form == "csv":
        last = yield from _csv(job)
    else:
        _check_whole(job.path)
        last = yield from (_jsonl(job) if form == "jsonl" else _condensed(ledger, job))
    if job.progress is not None:
        job.progress(last)
    return last


def _csv(job: Job) -> Talk[int]:
    """Every entry about an account and all below it."""
    sheet = csv.writer(job.out)
    sheet.writerow(CSV_COLUMNS)

    def add(entry: Entry) -> None:
        if is_within(entry.account, job.path):
            sheet.writerows(csv_rows(entry))
        job.tell(entry.seq)

    return (yield from read_journal(add))


def _check_whole(path: str) -> None:
    if SEPARATOR in path:
        root = path.partition(SEPARATOR)[0]
        msg = f"JSONL is for whole books: export {root!r}, or {path!r} as CSV"
        raise InvalidName(msg)


def _jsonl(job: Job) -> Talk[int]:
    """All of the books: every entry, then what only the holds say of themselves."""
    first: tuple[Entry, ...] = yield Ask("journal", (0, 1))
    job.write(Header(FORMAT, VERSION, job.path, first[0].posting))
    still_open: set[str] = set()

    def add(entry: Entry) -> None:
        job.write(entry)
        if entry.kind == "reserve":
            still_open.add(entry.hold)
        elif entry.kind in ENDS:
            still_open.discard(entry.hold)
        job.tell(entry.seq)

    last = yield from read_journal(add)
    listed: tuple[Hold, ...] = yield Ask("open_holds")
    last = yield from read_journal(add, last)  # what was closed meanwhile
    yield from _holds(job, {hold.id: hold for hold in listed}, sorted(still_open))
    job.write(End(last, len(still_open)))
    return last


def _condensed(ledger: Ledger, job: Job) -> Talk[int]:
    """The same books in fewer entries: it is read twice, to know which are over."""
    whole = Fold()
    last = yield from read_journal(whole.add)
    listed: tuple[Hold, ...] = yield Ask("open_holds")
    last = yield from read_journal(whole.add, last)
    shorter = Condensed(whole, ledger.new_id)
    first: tuple[Entry, ...] = yield Ask("journal", (0, 1))
    job.write(Header(FORMAT, VERSION, job.path, first[0].posting))

    def add(entry: Entry) -> None:
        for each in shorter.add(entry):
            job.write(each)
        job.tell(entry.seq)

    yield from read_journal(add, 0, last)
    for each in shorter.rest():
        job.write(each)
    yield from _holds(job, {hold.id: hold for hold in listed}, sorted(whole.open))
    job.write(End(shorter.seq, len(whole.open)))
    return shorter.seq


def _holds(job: Job, listed: dict[str, Hold], still_open: list[str]) -> Talk[None]:
    now: float = yield Ask("now")
    for hold_id in still_open:
        hold: Hold | None = listed.get(hold_id) or (yield Ask("hold", (hold_id,)))
        if hold is None:
            msg = f"the store no longer knows hold {hold_id!r}: export again"
            raise StoreError(msg)
        job.write(hold_line(hold, now))


@contextmanager
def writing(file: File) -> Iterator[IO[str]]:
    """
    A file to write to, that is there only when all of it was written.

    A link stays one. A pipe or a device is written to as it stands: it would be gone
    if a file took its place.
    """
    if not isinstance(file, str | os.PathLike):
        yield file
        return
    path = Path(file)
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="") as out:
            yield out
        return
    path = path.resolve()
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            yield out
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
