"""What is unconfirmed, and what a provider's invoice says about it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from langchain_budget import Account, BudgetPool, MemoryStore, tokens, usd
from langchain_budget.core.events import Event, Reconciled
from langchain_budget.core.postings import Basis
from langchain_budget.core.rules import Charge, Order
from langchain_budget.errors import InexactAmount, InvalidAmount, InvalidInvoice
from langchain_budget.reports.reconciliation import Reconciliation
from langchain_budget.testing import StillClock
from tests.invariants import assert_report_adds_up, unchanged
from tests.twins import Do

NANOS = 1_000_000_000
DAY = 86_400
FIRST = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> StillClock:
    return StillClock(int(FIRST.timestamp()))


def call(account: Account, model: str, dollars: int, worst: int = 0) -> None:
    """Charge a call; one that could have cost more is an estimate."""
    labels = {"model": model, "agent": "researcher"}
    most = {"usd": worst * NANOS} if worst else {}
    order = Order({"usd": dollars * NANOS}, most, 60, started=True, labels=labels)
    basis = Basis.ESTIMATED if worst else Basis.REPORTED
    ledger = account.ledger
    hold = ledger.run(ledger.reserve(account.path, order))
    ledger.run(ledger.settle(hold, Charge({"usd": dollars * NANOS}, basis, labels)))


def differences(found: Reconciliation) -> dict[str, object]:
    return {line.model: line.difference for line in found.lines}


async def test_what_is_unconfirmed_is_told_by_hold_and_model(
    pool: BudgetPool, do: Do
) -> None:
    web = pool.open("web")
    call(web, "gpt-4o", 1, worst=3)
    call(pool, "gpt-4o", 1)
    call(pool, "claude", 1, worst=2)

    found = await do(pool.admin.unconfirmed)

    assert found.total == (usd(3),)
    assert found.by("model") == {
        ("claude",): {"usd": NANOS},
        ("gpt-4o",): {"usd": 2 * NANOS},
    }
    assert found.by("account") == {
        ("acme",): {"usd": NANOS},
        ("acme/web",): {"usd": 2 * NANOS},
    }
    first = found.doubts[0]
    assert (first.line.account, first.line.agent) == ("acme/web", "researcher")
    assert "$3.00" in str(found)
    assert "$3.00" in found._repr_html_()
    assert len(found.as_dict()["holds"]) == 2
    assert (await do(web.admin.unconfirmed)).total == (usd(2),)


async def test_nothing_is_unconfirmed_when_providers_report(
    pool: BudgetPool, do: Do
) -> None:
    call(pool, "gpt-4o", 1)

    found = await do(pool.admin.unconfirmed)

    assert found.doubts == ()
    assert str(found) == "Nothing is unconfirmed in acme."


async def test_a_late_report_removes_the_doubt(
    pool: BudgetPool, clock: StillClock, do: Do
) -> None:
    order = Order({"usd": NANOS}, {"usd": 3 * NANOS}, 60, started=True)
    hold = pool.ledger.run(pool.ledger.reserve("acme", order))
    clock.advance(60)
    assert (await do(pool.admin.unconfirmed)).total == (usd(2),)

    pool.ledger.run(pool.ledger.settle(hold, Charge({"usd": 2 * NANOS})))

    assert (await do(pool.admin.unconfirmed)).total == ()


async def test_an_invoice_is_compared_by_model(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    call(pool.open("web"), "gpt-4o", 2, worst=5)
    call(pool, "claude", 1)
    call(pool, "llama", 1)

    with unchanged(store):
        found = await do(pool.admin.reconcile, {"gpt-4o": usd(4), "claude": usd(1)})

    gpt = next(line for line in found.lines if line.model == "gpt-4o")
    assert (gpt.invoiced, gpt.booked, gpt.unconfirmed) == (usd(4), usd(2), usd(3))
    assert differences(found) == {"claude": usd(0), "gpt-4o": usd(2), "llama": None}
    assert not found.agrees
    assert not found.applied
    assert str(found).splitlines()[-1].split()[:3] == ["llama", "usd", "-"]
    assert "gpt-4o" in found._repr_html_()
    assert found.as_dict()["lines"][1]["difference"] == 2 * NANOS


async def test_what_an_invoice_says_otherwise_is_posted_once(
    pool: BudgetPool, store: MemoryStore, events: list[Event], do: Do
) -> None:
    web = pool.open("web")
    call(web, "gpt-4o", 2, worst=5)
    invoice = {"gpt-4o": usd(4)}

    first = await do(pool.admin.reconcile, invoice, reason="invoice 17", apply=True)
    again = await do(pool.admin.reconcile, invoice, reason="invoice 17", apply=True)

    assert first.applied
    assert again.agrees
    assert pool.balance().spent == pool.report().spent() == usd(4)
    assert (await do(pool.admin.unconfirmed)).total == ()
    assert not any(
        any(line.unconfirmed.values()) for line in pool.report().lines.values()
    )
    kinds = [entry.kind for entry in store.journal()]
    assert [kinds.count(each) for each in ("adjust", "reconcile")] == [1, 1]
    assert [type(each) for each in events].count(Reconciled) == 1
    assert store.journal()[-1].note.reason == "invoice 17"
    assert_report_adds_up(pool)
    assert (await do(pool.admin.verify)).ok


async def test_what_was_billed_less_is_taken_back_where_it_was_booked(
    pool: BudgetPool, do: Do
) -> None:
    web, mail = pool.open("web", carve=usd(4)), pool.open("mail", carve=usd(4))
    call(web, "gpt-4o", 3)
    call(mail, "gpt-4o", 1)

    await do(pool.admin.reconcile, usd("0.5"), apply=True)

    assert (web.balance().spent, mail.balance().spent) == (usd(0), usd("0.5"))
    assert (await do(pool.admin.reconcile, usd("0.5"))).agrees
    assert (await do(pool.admin.verify)).ok


async def test_an_estimate_that_was_right_is_confirmed(
    pool: BudgetPool, store: MemoryStore, do: Do
) -> None:
    call(pool, "gpt-4o", 2, worst=5)

    found = await do(pool.admin.reconcile, {"gpt-4o": usd(2)}, apply=True)

    assert found.agrees
    assert pool.balance().spent == usd(2)
    assert (await do(pool.admin.unconfirmed)).total == ()
    assert store.journal()[-1].deltas == ()


async def test_only_the_span_of_the_invoice_counts(
    pool: BudgetPool, clock: StillClock, do: Do
) -> None:
    call(pool, "gpt-4o", 1, worst=2)
    clock.advance(DAY)
    call(pool, "gpt-4o", 2, worst=4)
    second = FIRST.replace(day=2, tzinfo=None)

    for _ in range(2):
        found = await do(pool.admin.reconcile, usd(3), since=second, apply=True)
        clock.advance(DAY)

    assert found.agrees
    assert pool.balance().spent == usd(4)
    assert (await do(pool.admin.unconfirmed)).total == (usd(1),)
    before = await do(pool.admin.reconcile, usd(1), until=second)
    assert before.agrees


async def test_a_late_report_counts_for_the_day_of_the_call(
    pool: BudgetPool, clock: StillClock, do: Do
) -> None:
    order = Order({"usd": NANOS}, {}, 60, started=True)
    hold = pool.ledger.run(pool.ledger.reserve("acme", order))
    clock.advance(60)
    pool.balance()
    clock.advance(DAY)
    pool.ledger.run(pool.ledger.settle(hold, Charge({"usd": 3 * NANOS})))

    found = await do(pool.admin.reconcile, usd(3), until=FIRST.replace(day=2))

    assert found.agrees


async def test_a_later_invoice_of_the_same_span_corrects_the_first(
    pool: BudgetPool, do: Do
) -> None:
    call(pool, "gpt-4o", 2)

    for dollars in (3, 4, 3, 1):
        await do(pool.admin.reconcile, {"gpt-4o": usd(dollars)}, apply=True)
        assert pool.balance().spent == usd(dollars)

    assert (await do(pool.admin.verify)).ok


CSV = """model,unit,amount,date
gpt-4o,usd,"1,000.50",2026-11-01
gpt-4o,,0.5,2026-11-02
claude,tokens,12,2026-11-02T10:00:00+00:00
claude,,7,2026-11-09
"""


async def test_an_invoice_is_read_from_a_table(
    pool: BudgetPool, tmp_path: Path, do: Do
) -> None:
    file = tmp_path / "november.csv"
    file.write_text("\ufeff" + CSV, encoding="utf-8")

    found = await do(pool.admin.reconcile, file, until=FIRST.replace(day=3))

    invoiced = {(line.model, line.unit): line.invoiced for line in found.lines}
    assert invoiced == {
        ("gpt-4o", "usd"): usd(1001),
        ("claude", "tokens"): tokens(12),
    }
    assert found.span.since == FIRST.timestamp()


async def test_an_invoice_is_read_from_json_to_the_last_digit(
    pool: BudgetPool, tmp_path: Path, do: Do
) -> None:
    file = tmp_path / "november.json"
    rows = '[{"model": "m", "amount": 0.1}, {"model": "m", "amount": 0.2}]'
    file.write_text(rows, encoding="utf-8")

    found = await do(pool.admin.reconcile, str(file))

    assert found.lines[0].invoiced == usd("0.3")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no rows"),
        ("[]", "has no rows"),
        ("{}", "no list"),
        ("[1]", "row 1"),
        ("[", "no JSON"),
        ("model,amount\nm,much", "row 1 of the invoice: 'much' is not a number"),
        ("model,amount\nm,-1", "zero or more"),
        ("model,cost\nm,1", "'cost'? It has the columns amount"),
        ("model\nm", "there is no amount"),
        ("model,amount,date\nm,1,yesterday", "row 1"),
        ("model,unit,amount\nm,tokens,1.5", "row 1"),
        ("model,amount\nm,1\n,2", "give one kind"),
        ("model,amount\nm,1,2", "row 1"),
    ],
)
async def test_a_file_that_is_no_invoice_is_refused(
    pool: BudgetPool, tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "invoice"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InvalidInvoice) as error:
        pool.admin.reconcile(file)

    assert told in str(error.value)


def test_a_span_that_ends_before_it_begins_is_a_mistake(pool: BudgetPool) -> None:
    with pytest.raises(InvalidAmount, match="no time"):
        pool.admin.reconcile(usd(1), since=FIRST, until=FIRST)


def test_what_is_told_of_unconfirmed_charges_is_json(pool: BudgetPool) -> None:
    call(pool, "gpt-4o", 1, worst=3)

    told = json.dumps(pool.admin.unconfirmed().as_dict())
    compared = json.dumps(pool.admin.reconcile(usd(1)).as_dict())

    assert json.loads(told)["total"] == {"usd": 2 * NANOS}
    assert json.loads(compared)["since"] is None


def written(path: Path, text: str | bytes) -> Path:
    file = path / "invoice"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('amount\n"1,50"\n', "comma"),
        ('amount\n"1.234,50"\n', "comma"),
        ("model,amount\nm,$$1\n", "number"),
        ("amount, Amount\n1,2\n", "'amount' twice"),
        ('[{"amount": 1, "amount": 2}]', "'amount' twice"),
        ("amount\n1\n".encode("utf-16"), "UTF-8"),
        ("model,amount\né,1\n".encode("latin-1"), "UTF-8"),
        (bytes(range(256)), "UTF-8"),
        ("model,amount\n" + "x" * 140_000 + ",1\n", "after line 1: field larger"),
        ("[" * 100_000, "no JSON"),
    ],
    ids=range(10),
)
async def test_an_invoice_that_may_mean_something_else_is_refused(
    pool: BudgetPool, tmp_path: Path, do: Do, text: str | bytes, told: str
) -> None:
    with pytest.raises((InvalidInvoice, InvalidAmount), match=told):
        await do(pool.admin.reconcile, written(tmp_path, text), apply=True)

    assert pool.balance().spent == usd(0)


def test_blanks_and_capitals_in_an_invoice_mean_nothing(
    pool: BudgetPool, tmp_path: Path
) -> None:
    call(pool, "gpt-4o", 1)
    pool.reserve(tokens(1_000), labels={"model": "gpt-4o"}).settle()
    text = 'model,unit,amount\n gpt-4o , USD,"$1,001.50"\ngpt-4o,Tokens ,"1,000"\n'

    found = pool.admin.reconcile(written(tmp_path, text))

    assert {line.difference for line in found.lines} == {usd("1000.50"), tokens(0)}


@pytest.mark.parametrize("charges", [None, {"m": 1.5}, {"m": None}, 1.5, {"m": "1"}])
def test_what_is_no_amount_is_told_so(pool: BudgetPool, charges: Any) -> None:
    with pytest.raises((InvalidAmount, InexactAmount), match="is no Amount"):
        pool.admin.reconcile(charges)


@pytest.mark.parametrize("since", ["2026-11-01", FIRST.date(), 5])
def test_a_span_begins_at_a_time(pool: BudgetPool, since: Any) -> None:
    with pytest.raises(InvalidInvoice, match="give a datetime"):
        pool.admin.reconcile({"m": usd(1)}, since=since)
