"""What operators type, and what they are told."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from langgraph.graph import END, START, StateGraph
from rich.console import Console

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetPool,
    Price,
    PriceTable,
    calls,
    meter,
    tokens,
    usd,
)
from langchain_budget.cli import status_view
from langchain_budget.cli.app import app
from langchain_budget.cli.looking import standing_below
from langchain_budget.cli.operate import STORE_VARIABLE, without_secrets
from langchain_budget.core.postings import Basis
from langchain_budget.core.rules import Charge, Order
from langchain_budget.testing import FakeChatModel
from tests.adapters.graphs import Log, asks
from tests.cli.conftest import PATIENCE, Run

NANOS = 1_000_000_000
OPERATORS = [
    *("status", "watch", "explain", "why", "freeze", "thaw", "top-up", "transfer"),
    *("move", "set-limit", "observe", "verify", "adjust", "unconfirmed", "reconcile"),
    *("export", "import", "journal"),
]

INTERRUPTIBLE = """
import signal
from langchain_budget.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
main()
"""

Operate = Callable[..., Result]


@pytest.fixture
def pool(sqlite_url: str) -> BudgetPool:
    """Books that somebody else keeps in a file."""
    prices = PriceTable({"fake": Price.per_million(input="1", output="2")})
    pool = BudgetPool("acme", usd(10), tokens(9_000), store=sqlite_url, prices=prices)
    pool.open("research", limit=usd(3), warn_at=["80%"]).open("web", carve=usd(1))
    return pool


@pytest.fixture
def operate(pool: BudgetPool, sqlite_url: str) -> Operate:
    """Run a command against those books, in this process."""

    def run(*arguments: str, **options: object) -> Result:
        pool.ledger.store.close()
        environment = {STORE_VARIABLE: sqlite_url, "COLUMNS": "120"}
        return CliRunner().invoke(
            app, arguments, prog_name="langchain-budget", env=environment, **options
        )

    return run


def table(ran: Result) -> dict[str, str]:
    """The lines of a table by their first word."""
    lines = (line.split(maxsplit=1) for line in ran.output.splitlines())
    return {line[0]: line[1].strip() for line in lines if len(line) == 2}


def test_the_status_of_what_a_graph_has_spent(
    pool: BudgetPool, operate: Operate
) -> None:
    builder = StateGraph(Log)
    builder.add_node("research", asks(FakeChatModel(), "research", 2))
    builder.add_edge(START, "research")
    builder.add_edge("research", END)
    callbacks = {"callbacks": [BudgetCallbackHandler(pool)]}
    builder.compile().invoke({"log": []}, callbacks)  # type: ignore[arg-type]  # a dict will do

    ran = operate("status", "acme")

    spent = str(pool.account("research").balance().spent)
    assert ran.exit_code == 0
    assert spent != "$0.00"
    assert table(ran)["research"].split()[:3] == ["active", "$3.00", spent]
    assert operate("verify", "acme").exit_code == 0


def test_the_status_is_a_tree(pool: BudgetPool, operate: Operate) -> None:
    pool.open("mail").close()
    pool.account("research").freeze("odd")

    ran = operate("status", "acme")

    names = re.findall(r"^ *(\w+) ", ran.output, re.MULTILINE)
    assert names == ["account", "acme", "active", "research", "web"]
    assert table(ran)["research"].startswith("frozen: odd")
    assert "mail" not in ran.output
    assert "mail" in operate("status", "acme", "--all").output


def test_in_a_pipe_each_limit_has_a_line_of_its_own(
    pool: BudgetPool, operate: Operate
) -> None:
    name = "a research team of the north, the south, the east and the west of it all"
    pool.open(name, limit=tokens(1_000).per("day"))

    ran = operate("status", "acme")

    [line] = [line for line in ran.output.splitlines() if "team" in line]
    words = re.split(r"  +", line.strip())
    assert words[:3] == [name, "active", "1,000 tokens per day"]


def test_a_terminal_of_eighty_columns_has_room_for_names_and_states(
    pool: BudgetPool,
) -> None:
    pool.open("a research", limit=tokens(1_000).per("day")).open("b" * 100)
    console = Console(width=80, record=True, file=io.StringIO(), force_terminal=True)

    console.print(status_view.table(standing_below(pool)))

    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"^ *a research +active +1,000 tokens", text, re.MULTILINE)


def test_a_name_in_letters_that_the_terminal_does_not_know_is_shown_all_the_same(
    pool: BudgetPool, run: Run, sqlite_url: str
) -> None:
    pool.open("sch\xf6n")
    environment = {"PYTHONIOENCODING": "ascii", STORE_VARIABLE: sqlite_url}

    ran = run("status", "acme", **environment)

    assert (ran.code, ran.err) == (0, "")
    assert "sch\\xf6n" in ran.out


def test_the_status_for_programs(operate: Operate) -> None:
    ran = operate("status", "acme/research", "--json")

    one, other = json.loads(ran.output)
    assert (one["account"], other["account"]) == ("acme/research", "acme/research/web")
    assert one["limits"][0]["granted"] == 3 * NANOS
    assert one["warn_at"] == [0.8]


def test_watching_looks_as_often_as_it_is_told(operate: Operate) -> None:
    ran = operate("watch", "acme", "--count", "3", "--interval", "0")

    assert ran.exit_code == 0
    assert "research" in ran.output


def test_watching_looks_again_and_ends_well_when_it_is_interrupted(
    pool: BudgetPool, sqlite_url: str
) -> None:
    pool.ledger.store.close()
    arguments = ["watch", "acme", "--store", sqlite_url, "--interval", "0"]
    command = [sys.executable, "-c", INTERRUPTIBLE, *arguments]

    with subprocess.Popen(
        command,
        env={**os.environ, "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        looks = 0
        while looks < 3:
            line = watching.stdout.readline()
            assert line, "it ended by itself"
            looks += "research" in line
        watching.send_signal(signal.SIGINT)
        _, complaints = watching.communicate(timeout=PATIENCE)

    assert (watching.returncode, complaints) == (0, "")


def test_an_account_is_explained(operate: Operate) -> None:
    ran = operate("explain", "acme/research/web")

    assert ran.exit_code == 0
    assert "it may reserve up to $1.00" in ran.output
    assert json.loads(operate("explain", "acme", "--json").output)["admitted"]


def test_why_an_amount_is_refused(operate: Operate) -> None:
    yes = operate("why", "acme/research", "0.50", "10 tokens")
    no = operate("why", "acme/research", "$5")
    told = operate("why", "acme", "10,000tokens", "--json")

    assert (yes.exit_code, no.exit_code, told.exit_code) == (0, 1, 1)
    assert "acme/research is blocked for $5.00" in no.output
    assert "top up" in no.output
    assert json.loads(told.output)["asked"] == {"tokens": 10_000}


def test_the_kill_switch(pool: BudgetPool, operate: Operate) -> None:
    assert operate("freeze", "acme", "--reason", "odd").exit_code == 0
    assert pool.explain().reason == "account 'acme' is frozen (odd). Thaw it to go on."

    assert operate("thaw", "acme").exit_code == 0
    assert pool.explain().admitted


def test_limits_are_changed(pool: BudgetPool, operate: Operate) -> None:
    mail = pool.open("mail", limit=usd(1))

    for _ in range(2):
        topped = operate("top-up", "acme", "5", "--reason", "x", "--key", "17")
    operate("set-limit", "acme/research", "2.5")
    operate("transfer", "acme/research", "acme/mail", "0.5")

    assert "$15.00" in topped.output
    assert pool.balance().granted == usd(15)
    assert mail.balance().granted == usd("1.5")
    assert pool.account("research").balance().granted == usd(2)


def test_an_account_is_moved(pool: BudgetPool, operate: Operate) -> None:
    pool.open("sales")
    web = "acme/research/web"

    done = operate("move", web, "acme/sales", "--name", "net", "--reason", "x")
    no = operate("move", web, "acme/sales")

    assert done.output == "acme/research/web is acme/sales/net now\n"
    assert pool.account("sales/net").balance().available == usd(1)
    assert (no.exit_code, len(no.output.splitlines())) == (1, 1)
    assert "move" in operate("journal", "acme").output
    assert operate("verify", "acme").exit_code == 0


def test_what_is_refused_is_told_in_a_line(operate: Operate) -> None:
    ran = operate("transfer", "acme/research", "acme", "0.5")

    assert ran.exit_code == 1
    assert ran.output.startswith("Error: 'acme/research' draws on 'acme' already")
    assert len(ran.output.splitlines()) == 1


def test_an_account_only_observes(pool: BudgetPool, operate: Operate) -> None:
    on = operate("observe", "acme/research", "on", "--reason", "trial")
    status = operate("status", "acme/research")
    pool.account("research").reserve(usd(9)).release()
    off = operate("observe", "acme/research", "off")

    assert on.output == "acme/research only observes\n"
    assert table(status)["acme/research"].startswith("active, observed")
    assert off.output == "acme/research enforces its limits\n"


def test_holds_are_listed_and_voided(pool: BudgetPool, operate: Operate) -> None:
    assert operate("holds", "list", "acme").output == "No hold is open.\n"
    hold = pool.account("research").reserve(usd(2), labels={"agent": "reader"}).hold

    listed = operate("holds", "list", "acme")
    told = operate("holds", "list", "acme", "--json")
    why = ("--reason", "its worker is gone")
    asked = operate("holds", "void", "acme", hold.id, *why)
    done = operate("holds", "void", "acme", hold.id, *why, "--yes")
    again = operate("holds", "void", "acme", hold.id, *why, "--yes")

    assert "reader" in table(listed)[hold.id]
    assert json.loads(told.output)[0]["amounts"] == {"usd": 2 * NANOS}
    assert asked.exit_code == 2
    assert "add --yes" in asked.output
    assert done.output == f"hold {hold.id} is void\n"
    assert (again.exit_code, len(again.output.splitlines())) == (1, 1)
    assert pool.balance().held == usd(0)


def test_somebody_at_a_terminal_is_asked(
    pool: BudgetPool, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = pool.reserve(usd(2)).hold
    void = ("holds", "void", "acme", hold.id, "--reason", "gone")
    monkeypatch.setattr("langchain_budget.cli.operate.is_terminal", lambda: True)

    no = operate(*void, input="n\n")
    held = pool.balance().held
    yes = operate(*void, input="y\n")

    assert (no.exit_code, held) == (1, usd(2))
    assert (yes.exit_code, pool.balance().held) == (0, usd(0))


def test_what_is_booked_is_corrected(pool: BudgetPool, operate: Operate) -> None:
    adjust = ("adjust", "acme/research", "--reason", "by hand", "--yes")

    up = operate(*adjust, "--add", "0.25", "--model", "gpt-4o", "--agent", "reader")
    down = operate(*adjust, "--subtract", "$0.05")
    too_much = operate(*adjust, "--subtract", "1")

    assert (up.exit_code, down.exit_code, too_much.exit_code) == (0, 0, 1)
    assert pool.account("research").balance().spent == usd("0.2")
    assert "has not spent $1.00: take back less" in too_much.output
    assert ("reader", "adjustment", "gpt-4o") in pool.report().by(
        "agent", "node", "model"
    )


def test_a_unit_of_ones_own_is_known_once_it_was_counted_in(
    pool: BudgetPool, operate: Operate
) -> None:
    refused = operate("set-limit", "acme", "5 images per day")
    added = operate("set-limit", "acme", "5 images per day", "--new-unit")
    lower = operate("set-limit", "acme/research", "2 images")

    assert "Add --new-unit" in refused.output
    assert (added.exit_code, lower.exit_code) == (0, 0)
    assert operate("why", "acme", "10 Tokens", "1 USD").exit_code == 0
    assert pool.account("research").balance("images").granted == meter("images")(2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["adjust", "acme", "--reason", "x"], "either --add or --subtract"),
        (["adjust", "acme", "--add", "1"], "Missing option '--reason'"),
        (["adjust", "acme", "--add", "1", "--reason", "x"], "add --yes"),
        (["top-up", "acme", "much"], "write dollars like 0.50"),
        (["top-up", "acme", "1.2.3"], "write dollars like 0.50"),
        (["top-up", "acme", "1.5 tokens"], "write dollars like 0.50"),
        (["top-up", "acme", "-1"], "No such option"),
        (["set-limit", "acme", "$1,5"], "commas only group thousands"),
        (["why", "acme", "1,50"], "commas only group thousands"),
        (["set-limit", "acme", "100 tokns per day"], "did you mean 'tokens'?"),
        (["set-limit", "acme", "1e9"], "unknown unit 'e9'"),
        (["why", "acme", "5 images"], "unknown unit 'images': known are"),
        (
            ["adjust", "acme", "--add", "5 tokns", "--reason", "x", "--yes"],
            "unknown unit 'tokns'",
        ),
        (["why", "acme"], "Missing argument"),
        (["freeze", "acme"], "Missing option '--reason'"),
        (["observe", "acme", "maybe"], "'maybe' is not one of"),
        (["reconcile", "acme"], "give the invoice as a file"),
        (["reconcile", "acme", "--total", "1", "--charge", "m", "1"], "as a file"),
        (["reconcile", "acme", "--total", "1", "--apply"], "add --yes"),
        (["reconcile", "acme", "nowhere.csv"], "does not exist"),
        (["watch", "acme", "--interval", "-1"], "--interval"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_is_explained(
    operate: Operate, arguments: list[str], told: str
) -> None:
    ran = operate(*arguments)

    assert ran.exit_code == 2
    assert told in " ".join(ran.output.split())


def test_an_invoice_is_reconciled(pool: BudgetPool, operate: Operate) -> None:
    order = Order({"usd": NANOS}, {"usd": 3 * NANOS}, started=True)
    ledger = pool.ledger
    hold = ledger.run(ledger.reserve("acme", order))
    labels = {"model": "gpt-4o"}
    ledger.run(ledger.settle(hold, Charge({"usd": NANOS}, Basis.ESTIMATED, labels)))

    assert "$2.00" in operate("unconfirmed", "acme").output
    told = operate("unconfirmed", "acme", "--json")
    charge = ("reconcile", "acme", "--charge", "gpt-4o", "2")
    looked = operate(*charge)
    applied = operate(*charge, "--apply", "--yes", "--reason", "invoice 17")
    after = operate(*charge, "--json")
    total = operate("reconcile", "acme", "--total", "2", "--since", "2020-01-01")

    assert json.loads(told.output)["total"] == {"usd": 2 * NANOS}
    assert (looked.exit_code, applied.exit_code, after.exit_code) == (1, 0, 0)
    assert json.loads(after.output)["agrees"]
    assert total.exit_code == 0
    assert "Nothing is unconfirmed" in operate("unconfirmed", "acme").output
    assert pool.balance().spent == usd(2)


def test_an_invoice_in_a_file_is_reconciled(operate: Operate, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("model,amount\ngpt-4o,0\n", encoding="utf-8")
    (tmp_path / "bad.csv").write_text("model,cost\ngpt-4o,0\n", encoding="utf-8")

    good = operate("reconcile", "acme", str(tmp_path / "good.csv"))
    bad = operate("reconcile", "acme", str(tmp_path / "bad.csv"))

    assert good.exit_code == 0
    assert bad.exit_code == 1
    assert "row 1 of the invoice" in bad.output


def test_the_journal_is_listed(pool: BudgetPool, operate: Operate) -> None:
    pool.account("research").reserve(usd(1)).settle(usd(2))

    shown = operate("journal", "acme", "--last", "1")
    told = operate("journal", "acme", "--after", "3", "--json")

    assert "settle" in shown.output
    assert "$2.00" in shown.output
    assert [json.loads(line)["seq"] for line in told.output.splitlines()] == [4, 5]


def test_books_go_to_a_file_and_come_back(
    pool: BudgetPool, operate: Operate, tmp_path: Path
) -> None:
    pool.account("research").reserve(usd(1)).settle(usd(2))
    file, sheet = tmp_path / "acme.jsonl", tmp_path / "acme.csv"
    elsewhere = f"sqlite:///{tmp_path / 'other.db'}"
    there = ("--store", elsewhere)

    written = operate("export", "acme", str(file))
    operate("export", "acme/research", str(sheet))
    streamed = operate("export", "acme", "-")
    asked = operate("import", "acme", str(file), *there)
    other = operate("import", "other", str(file), *there, "--yes")
    done = operate("import", "acme", str(file), *there, "--yes")
    again = operate("import", "acme", str(file), *there, "--yes")
    damaged = operate("import", "acme", str(sheet), *there, "--yes")

    assert written.stderr == "5 entries were written\n"
    assert sheet.read_text(encoding="utf-8").startswith("seq,time")
    assert streamed.stdout == file.read_text(encoding="utf-8")
    assert (asked.exit_code, other.exit_code) == (2, 2)
    assert "has the books of 'acme', not of 'other'" in other.output
    assert done.exit_code == 0
    assert "The books add up: 5 entries" in done.output
    assert again.exit_code == damaged.exit_code == 1
    assert "there are books of 'acme'" in again.output
    copy = BudgetPool.attach("acme", store=elsewhere)
    assert copy.report().as_dict() == pool.report().as_dict()
    copy.ledger.store.close()


def test_books_that_have_grown_go_on_in_fewer_entries(
    pool: BudgetPool, operate: Operate, tmp_path: Path
) -> None:
    for _ in range(10):
        pool.account("research").reserve(usd("0.20")).settle(usd("0.20"))
    file = tmp_path / "shorter.jsonl"
    there = f"sqlite:///{tmp_path / 'other.db'}"

    written = operate("export", "acme", str(file), "--format", "condensed")
    done = operate("import", "acme", str(file), "--store", there, "--yes")

    assert written.stderr == "5 entries were written\n"
    assert "The books add up: 5 entries" in done.output
    copy = BudgetPool.attach("acme", store=there)
    assert copy.report().as_dict() == pool.report().as_dict()
    copy.ledger.store.close()


def test_a_place_that_cannot_be_written_is_named(operate: Operate) -> None:
    ran = operate("export", "acme", "nowhere/acme.jsonl")

    assert ran.exit_code == 1
    assert "nowhere" in ran.output
    assert len(ran.output.splitlines()) == 1


def test_books_that_do_not_add_up_end_the_command_with_1(
    pool: BudgetPool, operate: Operate, tmp_path: Path
) -> None:
    import sqlite3  # noqa: PLC0415  # as somebody would who edits the file

    pool.ledger.store.close()
    with sqlite3.connect(tmp_path / "budget.db") as file:
        file.execute("UPDATE budget_counters SET spent = spent + 5")
    file.close()

    ran = operate("verify", "acme")
    told = operate("verify", "acme", "--json")

    assert ran.exit_code == told.exit_code == 1
    assert "do NOT add up" in ran.output
    assert json.loads(told.output)["findings"][0]["invariant"] == "I7"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nope", "there is no pool 'nope' in that store"),
        ("acme/nope", "`langchain-budget status acme` has all"),
        ("", "give a string that is not empty"),
    ],
)
def test_an_account_that_is_not_there_is_named(
    operate: Operate, path: str, told: str
) -> None:
    ran = operate("status", path)

    assert ran.exit_code == 1
    assert told in ran.output
    assert len(ran.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("sqlite:///nowhere.db", "there is no file 'nowhere.db'"),
        ("mysql://root:hunter2@host/db", "names no store"),
        ("redis://:hunter2@127.0.0.1:9/0?password=hunter2", "127.0.0.1:9"),
        ("hunter", "names no store"),
    ],
)
def test_a_store_that_is_not_there_is_named_without_its_password(
    operate: Operate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    ran = operate("status", "acme", "--store", store)

    assert ran.exit_code == 1
    assert told in ran.output
    assert "hunter2" not in ran.output
    assert len(ran.output.splitlines()) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["budget.db"]


def test_no_text_has_a_password_left_in_it() -> None:
    url = "postgresql://user:p%40ss@host/db?sslpassword=two"

    assert without_secrets("p@ss p%40ss two user", url) == "... ... ... user"


def test_a_store_must_be_named() -> None:
    ran = CliRunner().invoke(app, ["status", "acme"], env={STORE_VARIABLE: None})

    assert ran.exit_code == 2
    assert "Missing option '--store'" in ran.output


@pytest.mark.parametrize("command", [*OPERATORS, "holds list", "holds void"])
def test_the_help_of_each_command_has_an_example(command: str) -> None:
    ran = CliRunner().invoke(app, [*command.split(), "--help"])

    assert ran.exit_code == 0
    assert f"langchain-budget {command} " in ran.output
    assert "--store URL" in ran.output


def test_the_command_works_in_a_process_of_its_own(
    pool: BudgetPool, run: Run, sqlite_url: str
) -> None:
    pool.ledger.store.close()

    right = run("verify", "acme", "--store", sqlite_url)
    wrong = run("status", "nope", LANGCHAIN_BUDGET_STORE=sqlite_url)

    assert right.code == 0
    assert right.out.startswith("The books add up: 3 entries")
    assert wrong.code == 1
    assert "Traceback" not in wrong.err
    assert wrong.err.startswith("Error: there is no pool 'nope'")


def test_only_tables_need_more_than_click(
    operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "langchain_budget.cli.status_view", None)

    ran = operate("status", "acme")

    assert ran.exit_code == 1
    assert "pip install 'langchain-budget[cli]'" in ran.output
    assert operate("explain", "acme").exit_code == 0


def test_accounts_of_each_user_are_looked_at_and_limited(
    pool: BudgetPool, operate: Operate
) -> None:
    pool.limit_each("user_id", limit=usd(1).per("day"))
    pool.reserve(usd("0.25"), labels={"user_id": "ada"}).settle()

    shown = operate("status", "acme:user_id").output
    changed = operate("set-limit", "acme:user_id/ada", "$2 per day in Europe/Berlin")
    rolling = operate("set-limit", "acme", "100 calls in any 5h")

    assert "ada" in shown
    assert "$0.75" in shown
    assert "$2.00 per day in Europe/Berlin" in changed.output
    assert "100 calls in any 5h" in rolling.output
    odd = operate("set-limit", "acme", "5 per fortnight")
    assert odd.exit_code == 2
    assert "no window" in odd.output


def test_a_tick_is_ended(pool: BudgetPool, operate: Operate) -> None:
    web = pool.open("web", limit=calls(1).per("tick"))
    web.reserve(calls(1)).settle()

    ended = operate("advance", "acme", "tick")

    assert ended.output == "acme: the tick has ended\n"
    web.reserve(calls(1)).settle()


def test_a_configuration_is_checked(operate: Operate, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(
        "name: acme\nlimit: $10\naccounts:\n  web:\n    limit: $3 per day\n"
    )
    bad.write_text("name: acme\nlimt: $10\n")

    assert "$3.00 per day" in operate("check-config", str(good)).output
    refused = operate("check-config", str(bad))
    assert refused.exit_code == 1
    assert "did you mean 'limit'?" in refused.output
