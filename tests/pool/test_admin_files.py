"""Journals in files: what comes back is what was there."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings

from langchain_budget import (
    BudgetError,
    BudgetPool,
    MemoryStore,
    calls,
    tokens,
    usd,
)
from langchain_budget.core.amounts import LARGEST, Amount
from langchain_budget.core.postings import Hold
from langchain_budget.core.rules import Charge, Order
from langchain_budget.errors import (
    BookNotEmpty,
    BudgetExceeded,
    InvalidJournal,
    InvalidName,
)
from langchain_budget.stores._open import open_store
from langchain_budget.testing import StillClock
from tests.invariants import assert_books_add_up, assert_quiet
from tests.pool.played import MOVES, open_holds, play
from tests.twins import Do

NANOS = 1_000_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "acme.jsonl"


@pytest.fixture
def busy(pool: BudgetPool, clock: StillClock) -> BudgetPool:
    """A pool with something of everything."""
    web = pool.open("web", carve=usd(3), warn_at=[0.5])
    mail = pool.open("mail", limit=[usd(2), tokens(500)])
    web.reserve(usd(1), labels={"agent": "Zoë", "model": "m"}).settle(usd(4))
    start(pool, 1, worst=3)
    late = start(pool, 1, worst=2)
    clock.advance(60)
    pool.balance()
    pool.ledger.run(pool.ledger.settle(late, Charge({"usd": NANOS // 2})))
    pool.top_up(usd(5), key="invoice 17")
    mail.transfer(web, usd(1))
    mail.freeze("odd")
    web.admin.adjust(usd("0.1"), reason="by hand")
    pool.admin.void(web.reserve(usd("0.2")).hold.id, reason="gone")
    mail.thaw()
    mail.reserve(tokens(100), ttl_seconds=1000)
    web.reserve(calls(3)).release()
    clock.advance(40)
    start(pool, 1, worst=2)
    return pool


def start(pool: BudgetPool, dollars: int, worst: int) -> Hold:
    order = Order({"usd": dollars * NANOS}, {"usd": worst * NANOS}, 60, started=True)
    return pool.ledger.run(pool.ledger.reserve("acme", order))


async def test_what_is_imported_is_what_was_exported(
    busy: BudgetPool, file: Path, do: Do
) -> None:
    told: list[int] = []

    written = await do(busy.admin.export, file, progress=told.append)
    restored = BudgetPool.restore(file)

    assert told == [written]
    assert restored.admin.verify().ok
    assert restored.report().as_dict() == busy.report().as_dict()
    assert restored.ledger.store.journal() == busy.ledger.store.journal()
    assert restored.ledger.store.below("") == busy.ledger.store.below("")
    assert open_holds(restored) == open_holds(busy)
    assert not file.with_name("acme.jsonl.part").exists()


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "redis"])
def test_books_move_to_another_kind_of_store(
    busy: BudgetPool, file: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(f"{kind}_url")
    busy.admin.export(file)

    BudgetPool.restore(file, store=url).ledger.store.close()

    restored = BudgetPool.attach("acme", store=url)
    assert restored.admin.verify().ok
    assert restored.report().as_dict() == busy.report().as_dict()
    assert restored.ledger.store.journal() == busy.ledger.store.journal()
    assert open_holds(restored) == open_holds(busy)
    restored.ledger.store.close()


def test_a_store_given_as_an_object_dates_entries_anew(
    busy: BudgetPool, file: Path, clock: StillClock
) -> None:
    busy.admin.export(file)
    held = open_holds(busy)
    clock.advance(5_000)
    store = MemoryStore(clock=clock)

    restored = BudgetPool.restore(file, store=store)

    assert {entry.at for entry in store.journal()} == {clock()}
    assert open_holds(restored) == held
    assert restored.admin.verify().ok


def test_ids_come_back_as_well(busy: BudgetPool, file: Path) -> None:
    busy.admin.export(file)
    restored = BudgetPool.restore(file)
    before = restored.balance().granted

    restored.top_up(usd(5), key="invoice 17")

    assert restored.balance().granted == before


def test_a_late_report_is_booked_in_imported_books(
    busy: BudgetPool, file: Path
) -> None:
    (hold,) = (each for each in busy.admin.unconfirmed().doubts if each.hold)
    known = busy.ledger.store.hold(hold.hold)
    busy.admin.export(file)
    restored = BudgetPool.restore(file)
    assert known is not None

    restored.ledger.run(restored.ledger.settle(known, Charge({"usd": 3 * NANOS})))
    busy.ledger.run(busy.ledger.settle(known, Charge({"usd": 3 * NANOS})))

    assert restored.report().as_dict() == busy.report().as_dict()
    assert restored.admin.unconfirmed().total == ()


def test_whole_numbers_stay_exact(file: Path) -> None:
    pool = BudgetPool("acme", Amount("images", LARGEST))
    pool.reserve(Amount("images", 2**53 + 1)).settle(Amount("images", 2**53 + 1))

    pool.admin.export(file)

    assert str(2**53 + 1) in file.read_text(encoding="utf-8")
    restored = BudgetPool.restore(file)
    assert restored.balance("images").spent.value == 2**53 + 1


def test_the_first_and_last_lines_say_what_it_is(busy: BudgetPool, file: Path) -> None:
    written = busy.admin.export(file)

    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]

    first = busy.ledger.store.journal(0, 1)[0].posting
    assert lines[0] == {
        "format": "langchain-budget journal",
        "version": 1,
        "book": "acme",
        "epoch": first,
    }
    assert [line["seq"] for line in lines[1 : written + 1]] == [*range(1, written + 1)]
    assert lines[-1] == {"end": written, "holds": 2}


async def test_a_table_for_spreadsheets(pool: BudgetPool, do: Do) -> None:
    web = pool.open("web")
    web.reserve(usd("0.000000001"), tokens(7), labels={"agent": "=1+1"}).release()
    pool.admin.adjust(usd(2), reason="@home")
    out = StringIO()

    await do(pool.admin.export, out, format="csv")

    head, *rows = [line.split(",") for line in out.getvalue().splitlines()]
    assert head[:4] == ["seq", "time", "kind", "account"]
    reserved = [row for row in rows if row[2] == "reserve"]
    assert [row[9:11] for row in reserved] == [["usd", "0.000000001"], ["tokens", "7"]]
    assert reserved[0][4] == "'=1+1"
    assert rows[-1][-1] == "'@home"
    assert rows[-1][10] == "2"
    assert rows[0][1] == "1970-01-12T13:46:40+00:00"

    out = StringIO()
    await do(web.admin.export, out, format="csv")
    assert {line.split(",")[3] for line in out.getvalue().splitlines()[1:]} == {
        "acme/web"
    }


async def test_only_whole_books_can_be_imported_again(
    pool: BudgetPool, file: Path, do: Do
) -> None:
    web = pool.open("web")

    with pytest.raises(InvalidName, match="export 'acme', or 'acme/web' as CSV"):
        await do(web.admin.export, file)
    with pytest.raises(InvalidName, match="choose 'jsonl'"):
        await do(pool.admin.export, file, format="xml")

    assert list(file.parent.iterdir()) == []


def test_a_store_that_has_such_books_is_left_alone(
    busy: BudgetPool, file: Path
) -> None:
    busy.admin.export(file)
    store = MemoryStore()
    BudgetPool("acme", usd(1), store=store)

    with pytest.raises(BookNotEmpty, match="there are books of 'acme'"):
        BudgetPool.restore(file, store=store)

    assert len(store.journal()) == 1


Damage = Callable[[list[str]], list[str]]


def without_line(number: int) -> Damage:
    return lambda lines: lines[:number] + lines[number + 1 :]


def replaced(number: int, old: str, new: str) -> Damage:
    def damage(lines: list[str]) -> list[str]:
        assert old in lines[number]
        changed = lines[number].replace(old, new, 1)
        return [*lines[:number], changed, *lines[number + 1 :]]

    return damage


def cut(lines: list[str]) -> list[str]:
    text = "".join(lines)
    return [text[: -len(lines[-1]) - 40]]


DAMAGES: dict[str, tuple[Damage, str]] = {
    "empty": (lambda _: [], "first line does not say"),
    "foreign": (lambda _: ["hello\n"], "line 1 is no line of a journal"),
    "other JSON": (lambda _: ['{"format": 7}\n'], "line 1"),
    "binary": (lambda _: ["\udcff\udcfe"], "no text in UTF-8"),
    "no header": (without_line(0), "first line does not say"),
    "a gap": (without_line(3), "after entry 2 comes 4"),
    "no end": (lambda lines: lines[:-1], "cut off"),
    "cut in a line": (cut, "cut off"),
    "no holds": (lambda lines: [*lines[:-3], lines[-1]], "cut off"),
    "another hold": (replaced(-2, '"hold":"', '"hold":"x'), "hold that is open"),
    "a newer release": (replaced(0, '"version":1', '"version":2'), "upgrade"),
    "an odd number": (replaced(2, '"seq":2', '"seq":2.5'), "line 3: seq"),
    "an odd field": (replaced(2, '"seq":2', '"odd":1,"seq":2'), "line 3: odd"),
    "another amount": (replaced(2, '"lent":3', '"lent":300'), "took more than"),
    "an odd kind": (replaced(4, '"reserve"', '"preserve"'), "newer release"),
    "goes on": (lambda lines: [*lines, lines[-1]], "goes on after its end"),
    "twice": (lambda lines: [lines[0], *lines], "two files in one"),
    "another order": (lambda lines: [lines[0], lines[2], lines[1]], "comes 2"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_imports_nothing(
    busy: BudgetPool, file: Path, name: str
) -> None:
    damage, told = DAMAGES[name]
    busy.admin.export(file)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(damage(lines))
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    store = MemoryStore()

    with pytest.raises(InvalidJournal) as error:
        BudgetPool.restore(file, store=store)

    assert told in str(error.value)
    assert store.journal() == ()


def test_somebody_who_writes_meanwhile_is_noticed(busy: BudgetPool, file: Path) -> None:
    class Shared(MemoryStore):
        def now(self) -> float:
            if not self.journal():
                BudgetPool("other", store=self)
            return super().now()

    busy.admin.export(file)

    with pytest.raises(InvalidJournal, match="somebody else writes"):
        BudgetPool.restore(file, store=Shared())


@settings(max_examples=50, deadline=None)
@given(MOVES)
def test_any_books_come_back(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, str, int]]
) -> None:
    clock = StillClock(1_000)
    store = MemoryStore(clock=clock)
    pool = BudgetPool("acme", usd(6), store=store)
    pool.open("web", carve=usd(2)).open("deep", limit=usd(1))
    pool.open("mail", limit=usd(4))
    play(pool, clock, moves)
    file = tmp_path_factory.mktemp("journals") / "acme.jsonl"

    pool.admin.export(file)
    copy = MemoryStore(clock=clock)
    restored = BudgetPool.restore(file, store=copy)

    assert_books_add_up(copy)
    paths = [row.path for row in store.below("")]
    assert copy.balances(paths) == store.balances(paths)
    assert [each._replace(at=0) for each in copy.journal()] == [
        each._replace(at=0) for each in store.journal()
    ]
    assert restored.admin.verify().ok
    assert restored.report().as_dict() == pool.report().as_dict()
    assert open_holds(restored) == open_holds(pool)
    clock.advance(1_000)
    for each in (pool, restored):
        each.close()
        each.balance()
        assert_quiet(each.ledger.store)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        BudgetPool.restore(file)


def test_a_store_that_is_only_looked_at_is_not_made(sqlite_url: str) -> None:
    with pytest.raises(BudgetError, match="there is no file"):
        open_store(sqlite_url, book="acme", create=False)


def test_accounts_beside_a_pool_and_rolling_windows_travel_too(tmp_path):
    clock = StillClock(1_800_000_000.0)
    pool = BudgetPool("acme", usd(10), usd(5).per("5h"), store=MemoryStore(clock))
    pool.limit_each("user_id", limit=usd(1))
    pool.open("web", limit=usd(3), priority=7, metadata={"team": "a"})
    pool.reserve(usd("0.75"), labels={"user_id": "ada"}).settle()
    file = tmp_path / "books.jsonl"
    pool.admin.export(file)

    restored = BudgetPool.restore(file, store=MemoryStore(clock))
    restored.limit_each("user_id", limit=usd(1))

    assert restored.admin.verify().ok
    assert restored.account("web").traits().metadata == {"team": "a"}
    with pytest.raises(BudgetExceeded, match="acme:user_id/ada"):
        restored.reserve(usd("0.50"), labels={"user_id": "ada"})
    clock.advance(6 * 3600)
    restored.reserve(usd(5)).settle()
    assert restored.admin.verify().ok


@pytest.mark.parametrize("form", ["jsonl", "condensed"])
def test_half_a_character_in_a_label_is_exported_like_any_other(
    store_url: str, file: Path, form: str
) -> None:
    pool = BudgetPool("acme", usd(10), store=store_url)
    labels = {"agent": "caf\udce9", "user_id": "Zoë 😀 \\ud800"}
    pool.reserve(usd(1), labels=labels).settle()
    open_hold = pool.reserve(usd(2), labels=labels).hold

    pool.admin.export(file, format=form)
    restored = BudgetPool.restore(file)

    assert file.read_bytes().isascii()
    assert restored.report().by("agent").keys() == {("caf\udce9",)}
    assert restored.ledger.store.hold(open_hold.id).labels == labels
    assert restored.admin.verify().ok


def test_a_spreadsheet_has_half_a_character_spelt_out(
    pool: BudgetPool, tmp_path: Path
) -> None:
    pool.reserve(usd(1), labels={"agent": "caf\udce9", "model": "é"}).settle()

    pool.admin.export(tmp_path / "acme.csv", format="csv")

    text = (tmp_path / "acme.csv").read_text(encoding="utf-8")
    assert ",caf\\udce9,,é," in text


def test_a_report_with_half_a_character_can_be_printed(pool: BudgetPool) -> None:
    pool.reserve(usd(1), labels={"agent": "caf\udce9"}).settle()

    report = pool.report()

    for shown in (str(report), report._repr_html_()):
        assert b"caf\\udce9" in shown.encode()


def test_files_of_older_releases_have_more_than_ascii(
    busy: BudgetPool, file: Path
) -> None:
    busy.admin.export(file)
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    older = (json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    file.write_text("".join(older), encoding="utf-8")

    restored = BudgetPool.restore(file)

    assert ("Zoë",) in restored.report().by("agent")


def test_a_link_stays_one_and_what_it_leads_to_is_replaced(
    busy: BudgetPool, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "books.jsonl"
    file.symlink_to(target)

    for _ in ("new", "there already"):
        busy.admin.export(file)

    assert file.is_symlink()
    assert target.is_file()
    assert BudgetPool.restore(file).admin.verify().ok
    assert [each.name for each in (tmp_path / "elsewhere").iterdir()] == ["books.jsonl"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_pipe_is_written_to_and_stays(
    busy: BudgetPool, file: Path, tmp_path: Path, *, through_a_link: bool
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    if through_a_link:
        file.symlink_to(pipe)
    with ThreadPoolExecutor(1) as threads:
        read = threads.submit(pipe.read_text, encoding="utf-8")

        written = busy.admin.export(file if through_a_link else pipe)
        lines = read.result().splitlines()

    assert pipe.is_fifo()
    assert json.loads(lines[-1])["end"] == written
    assert not (tmp_path / "pipe.part").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_that_nobody_reads_on_is_told(busy: BudgetPool, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    with pytest.raises(BrokenPipeError):
        busy.admin.export(pipe, progress=lambda _: os.close(reader))

    assert pipe.is_fifo()
