"""What an audit finds in books that somebody has tampered with."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest

from langchain_budget import BudgetPool, MemoryStore, usd
from langchain_budget.core.amounts import NANOS
from langchain_budget.core.postings import Balance, Basis, CounterKey, Entry
from langchain_budget.core.rules import Charge, Order
from langchain_budget.reports.audit import INVARIANTS, Audit, Seen, audit
from langchain_budget.testing import StillClock

ROOT = CounterKey("acme", "usd")


class Told(NamedTuple):
    """All that a store tells."""

    journal: tuple[Entry, ...]
    seen: Seen

    def audit(self) -> Audit:
        return audit(self.journal, self.seen)


@pytest.fixture
def told() -> Told:
    """A slice and a cap, a charge that overran, a late one, and a hold still open."""
    clock = StillClock(1_000_000)
    store = MemoryStore(clock=clock)
    pool = BudgetPool("acme", usd(10), store=store)
    web = pool.open("web", carve=usd(2))
    mail = pool.open("mail", limit=usd(3))
    web.reserve(usd(1)).settle(usd(3))
    ledger = pool.ledger
    late = ledger.run(
        ledger.reserve(mail.path, Order({"usd": NANOS}, {}, 60, started=True))
    )
    clock.advance(60)
    ledger.run(ledger.sweep())
    ledger.run(ledger.settle(late, Charge({"usd": 2 * NANOS})))
    web.admin.adjust(-usd("0.50"), reason="counted twice")
    mail.reserve(usd("0.25"))
    return read(store)


def read(store: MemoryStore) -> Told:
    rows = store.below("")
    balances = store.balances(row.path for row in rows)
    return Told(store.journal(), Seen(rows, balances, store.open_holds(), store.now()))


def test_books_that_nobody_touched_add_up(told: Told) -> None:
    found = told.audit()

    assert found.ok
    assert found.findings == ()
    assert (found.accounts, found.counters, found.holds) == (3, 3, 1)
    assert str(found).startswith(f"The books add up: {found.seq} entries, 3 accounts")
    assert found.as_dict()["ok"] is True


Tamper = Callable[[Told], Told]


def balances(change: Callable[[Balance], Balance], key: CounterKey = ROOT) -> Tamper:
    def tamper(told: Told) -> Told:
        kept: Mapping[CounterKey, Balance] = told.seen.balances
        new = dict(kept) | {key: change(kept.get(key, Balance()))}
        return told._replace(seen=told.seen._replace(balances=new))

    return tamper


def entries(kind: str, change: Callable[[Entry], Entry]) -> Tamper:
    def tamper(told: Told) -> Told:
        journal = [change(each) if each.kind == kind else each for each in told.journal]
        return told._replace(journal=tuple(journal))

    return tamper


def spend_more(entry: Entry) -> Entry:
    deltas = [each._replace(spent=each.spent + 1) for each in entry.deltas]
    return entry._replace(deltas=tuple(deltas))


def hold_more(entry: Entry) -> Entry:
    deltas = [each._replace(held=each.held + 100 * NANOS) for each in entry.deltas]
    return entry._replace(deltas=tuple(deltas))


def lend_less(entry: Entry) -> Entry:
    return entry._replace(deltas=())


def know_nothing(entry: Entry) -> Entry:
    note = entry.note._replace(basis=Basis.UNKNOWN, amounts={"usd": 0})
    return entry._replace(note=note, deltas=())


def without_rows(told: Told) -> Told:
    return told._replace(seen=told.seen._replace(rows=tuple(told.seen.rows)[:-1]))


def frozen_unseen(told: Told) -> Told:
    rows = [row._replace(frozen="who knows") for row in told.seen.rows]
    return told._replace(seen=told.seen._replace(rows=rows))


def without_holds(told: Told) -> Told:
    return told._replace(seen=told.seen._replace(holds=()))


def overdue(told: Told) -> Told:
    return told._replace(seen=told.seen._replace(now=1e12))


def repeated(kind: str) -> Tamper:
    def tamper(told: Told) -> Told:
        (found,) = (each for each in told.journal if each.kind == kind)
        again = found._replace(seq=len(told.journal) + 1)
        return told._replace(journal=(*told.journal, again))

    return tamper


def without_entry(told: Told) -> Told:
    return told._replace(journal=(*told.journal[:3], *told.journal[4:]))


TAMPERED = [
    ("I1", entries("reserve", hold_more)),
    ("I2", entries("settle", spend_more)),
    ("I3", entries("open", lend_less)),
    ("I4", repeated("settle")),
    ("I4", repeated("expire")),
    ("I5", repeated("supersede")),
    ("I6", overdue),
    ("I7", balances(lambda seen: seen._replace(spent=seen.spent - 1))),
    ("I7", balances(lambda seen: seen._replace(granted=None))),
    ("I7", balances(lambda _: Balance(lent=1), CounterKey("acme", "images"))),
    ("I7", without_rows),
    ("I7", frozen_unseen),
    ("I7", without_entry),
    ("I10", entries("settle", know_nothing)),
    ("I14", without_holds),
]


@pytest.mark.parametrize(("invariant", "tamper"), TAMPERED)
def test_an_audit_finds_what_was_tampered_with(
    told: Told, invariant: str, tamper: Tamper
) -> None:
    found = tamper(told).audit()

    assert not found.ok
    assert invariant in {each.invariant for each in found.findings}
    assert "do NOT add up" in str(found)


def test_every_rule_is_in_the_list() -> None:
    found = {invariant for invariant, _ in TAMPERED}

    assert found | {"I8"} == INVARIANTS.keys()


def test_a_finding_says_what_is_expected_and_what_is_there(told: Told) -> None:
    tampered = balances(lambda seen: seen._replace(spent=seen.spent + 7))

    (found,) = tampered(told).audit().findings

    assert (found.invariant, found.account, found.unit) == ("I7", "acme", "usd")
    assert found.found == (found.expected or 0) + 7
    assert found.words == "spent is not what the journal says"
    assert found.as_dict()["account"] == "acme"
    assert "acme" in str(found)


def test_an_audit_shows_itself_in_a_notebook(told: Told) -> None:
    html = without_holds(told).audit()._repr_html_()

    assert html.startswith("<table><caption>The books do NOT add up")
    assert "I14" in html


def test_what_others_post_while_balances_are_read_is_no_finding() -> None:
    store = MemoryStore()
    pool = BudgetPool("acme", usd(10), store=store)
    before = store.journal()
    pool.reserve(usd(1)).settle(usd(2))
    between = read(store)
    pool.open("web", limit=usd(1)).reserve(usd(1))

    later = store.journal(len(before))

    assert audit(before, between.seen, later).ok
    assert not audit(before, between.seen).ok
