"""
What must hold of any books, at any moment, worked out from the journal alone.

The numbers are those of the list in the design: I1 to I14.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from langchain_budget import BudgetPool
from langchain_budget.core.accounts import Row, is_beside
from langchain_budget.core.charges import CHARGES
from langchain_budget.core.postings import (
    LIFETIME,
    Balance,
    CounterKey,
    Entry,
    Hold,
)
from langchain_budget.reports.audit import Audit, Seen, audit
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.fold import effects, folded

__all__ = ["effects", "folded"]

ENDS = ("settle", "expire", "release", "void")


def assert_books_add_up(store: Store) -> None:
    """Assert what holds at any moment, whatever is going on."""
    journal = store.journal()
    rows = rows_of(journal)
    books = folded(journal)
    assert differences(books, store.balances(rows)) == {}  # I7
    assert_held_is_what_open_holds_hold(store.open_holds(), books)
    assert_lent_is_what_slices_were_granted(rows, books)  # I3
    assert_slices_are_not_overdrawn(rows, books)
    assert_parents_count_their_children(rows, books, journal)  # I2
    assert_holds_end_once(journal)  # I4, I5
    assert audited(store).findings == ()  # what `verify` says of the same


def audited(store: Store) -> Audit:
    """Give the library's own opinion, which must not differ from the one above."""
    rows = store.below("")
    balances = store.balances(row.path for row in rows)
    return audit(store.journal(), Seen(rows, balances, store.open_holds()))


def assert_quiet(store: Store) -> None:
    """I14: when nothing is going on, nothing is held."""
    assert_books_add_up(store)
    assert store.open_holds() == ()
    rows = rows_of(store.journal())
    assert [key for key, seen in store.balances(rows).items() if seen.held] == []


def assert_admitted(store: Store, hold: Hold) -> None:
    """I1: right after an admission no limit on its path is overdrawn."""
    keys = {key for delta in hold.deltas for key in delta.counters}
    balances = store.balances({key.account for key in keys})
    assert [key for key in keys if (balances[key].available or 0) < 0] == []


def assert_nothing_is_overdue(store: Store) -> None:
    """I6: no hold outlives its time to live unnoticed."""
    assert store.overdue() == ()


def assert_report_adds_up(pool: BudgetPool) -> None:
    """I8: the lines of a report, however they are grouped, come to its total."""
    report, journal = pool.report(), pool.ledger.store.journal()
    spent = charged(each for each in journal if within(each.account, pool.path))
    assert Counter(report.total.amounts) == spent
    for fields in ((), ("agent",), ("agent", "node"), ("account", "model")):
        grouped: Counter[str] = Counter()
        for line in report.by(*fields).values():
            grouped.update(line.amounts)
        assert grouped == spent
    for balance in report.balances:
        inside = (each for each in journal if within(each.account, balance.account))
        assert balance.spent.value == charged(inside)[balance.unit]
        if balance.granted is not None and balance.available is not None:
            used = balance.spent + balance.held + balance.lent
            assert used + balance.available == balance.granted


@contextmanager
def unchanged(store: Store) -> Iterator[None]:
    """I12: what happens inside leaves no trace in the books."""
    before = trace(store)
    yield
    assert trace(store) == before


def trace(store: Store) -> tuple[object, ...]:
    journal = store.journal()
    rows = rows_of(journal)
    touched = {key: seen for key, seen in store.balances(rows).items() if any(seen)}
    return journal, rows, touched, store.open_holds()


def rows_of(journal: Iterable[Entry]) -> dict[str, Row]:
    return {row.path: row for entry in journal for row in entry.rows}


def differences(
    books: Mapping[CounterKey, Balance], store: Mapping[CounterKey, Balance]
) -> dict[CounterKey, tuple[Balance, Balance]]:
    pairs = {
        key: (books.get(key, Balance()), store.get(key, Balance()))
        for key in {*books, *store}
    }
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def assert_held_is_what_open_holds_hold(
    holds: Iterable[Hold], books: Mapping[CounterKey, Balance]
) -> None:
    held: Counter[CounterKey] = Counter()
    for hold in holds:
        for delta in hold.deltas:
            held.update(dict.fromkeys(delta.counters, delta.held))
    assert +held == Counter({key: b.held for key, b in books.items() if b.held})


def assert_lent_is_what_slices_were_granted(
    rows: Mapping[str, Row], books: Mapping[CounterKey, Balance]
) -> None:
    lent: Counter[CounterKey] = Counter()
    for row in rows.values():
        for unit in row.slices:
            granted = books[CounterKey(row.path, unit)].granted or 0
            lent.update(dict.fromkeys(payers(rows, row.path, unit), granted))
    assert +lent == Counter({key: b.lent for key, b in books.items() if b.lent})


def payers(rows: Mapping[str, Row], path: str, unit: str) -> Iterator[CounterKey]:
    """Name the accounts above a slice, up to the next slice or the root."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield CounterKey(path, unit)
        if unit in rows[path].slices:
            return


def assert_slices_are_not_overdrawn(
    rows: Mapping[str, Row], books: Mapping[CounterKey, Balance]
) -> None:
    overdrawn = [
        (row.path, unit)
        for row in rows.values()
        for unit in row.slices
        if (books[CounterKey(row.path, unit)].available or 0) < 0
    ]
    assert overdrawn == []


def assert_parents_count_their_children(
    rows: Mapping[str, Row],
    books: Mapping[CounterKey, Balance],
    journal: Iterable[Entry],
) -> None:
    entries = list(journal)
    for path in rows:
        if is_beside(path):
            continue  # what is charged in the pool is counted there a second time
        spent = charged(each for each in entries if within(each.account, path))
        assert spent == subtree(path, rows, books)


def subtree(
    path: str, rows: Mapping[str, Row], books: Mapping[CounterKey, Balance]
) -> Counter[str]:
    """Add what an account spent to what the slices below it did."""
    spent: Counter[str] = Counter()
    for (account, unit, window), seen in books.items():
        inside = within(account, path) and unit in rows[account].slices
        if window == LIFETIME and (account == path or inside) and seen.spent:
            spent[unit] += seen.spent
    return spent


def charged(journal: Iterable[Entry]) -> Counter[str]:
    spent: Counter[str] = Counter()
    for entry in journal:
        if entry.kind in CHARGES:
            spent.update(entry.note.amounts)
    return Counter({unit: value for unit, value in spent.items() if value})


def within(account: str, path: str) -> bool:
    return f"{account}/".startswith(f"{path}/")


def assert_holds_end_once(journal: Iterable[Entry]) -> None:
    entries = [entry for entry in journal if entry.hold]
    ends = Counter(entry.hold for entry in entries if entry.kind in ENDS)
    replaced = [entry for entry in entries if entry.kind == "supersede"]
    again = Counter((entry.hold, entry.note.basis.is_final) for entry in replaced)
    assert [hold for hold, times in again.items() if times > 1] == []
    assert [hold for hold, times in ends.items() if times > 1] == []
