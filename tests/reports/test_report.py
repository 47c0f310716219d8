import json

import pytest

from langchain_budget import (
    BudgetPool,
    InvalidName,
    calls,
    input_tokens,
    meter,
    output_tokens,
    tokens,
    usd,
)
from langchain_budget.core.amounts import Amount
from tests.invariants import assert_report_adds_up

images = meter("images")


def spend(pool: BudgetPool, account: str, *amounts: Amount, **labels: str) -> None:
    pool.account(account).reserve(labels=labels).settle(*amounts)


@pytest.fixture
def pool() -> BudgetPool:
    """Open a pool in which two agents at three nodes have spent."""
    pool = BudgetPool("acme", usd(10), calls(100))
    team = pool.open("team", carve=usd(4))
    team.open("web", limit=usd(3))
    pool.open("mail")
    web = {"agent": "web", "model": "small"}
    used = input_tokens(100), output_tokens(10), tokens(110), calls(1)
    spend(pool, "team/web", usd("0.01"), *used, node="search", **web)
    spend(pool, "team/web", usd("0.02"), *used, node="read", **web)
    spend(pool, "mail", usd("0.04"), *used, agent="mail", node="write", model="big")
    spend(pool, "mail", usd("0.000000001"))
    return pool


REPORT = """\
account        state       limit         spent     held     lent          left
-------------  ------  ---------  ------------  -------  -------  ------------
acme           active  100 calls       3 calls  0 calls  0 calls      97 calls
acme           active     $10.00  $0.070000001    $0.00    $3.97  $5.959999999
acme/team      active      $4.00         $0.03    $0.00    $0.00         $3.97
acme/team/web  active      $3.00         $0.03    $0.00    $0.00         $2.97

agent         node          calls  input  output          cost  notes
------------  ------------  -----  -----  ------  ------------  -----
mail          write             1    100      10         $0.04
unattributed  unattributed      0      0       0  $0.000000001
web           read              1    100      10         $0.02
web           search            1    100      10         $0.01
total                           3    300      30  $0.070000001"""


def test_a_report_is_a_table_of_accounts_and_one_of_agents(pool: BudgetPool) -> None:
    assert str(pool.report()) == str(pool) == REPORT


def test_lines_come_to_the_total_however_they_are_grouped(pool: BudgetPool) -> None:
    report = pool.report()

    assert report.spent() == usd("0.070000001")
    assert report.spent("tokens") == tokens(330)
    assert report.by("agent")[("web",)].amounts["usd"] == usd("0.03").value
    assert list(report.by("model")) == [("",), ("big",), ("small",)]
    assert_report_adds_up(pool)


def test_what_nobody_is_named_for_is_shown_as_unattributed(pool: BudgetPool) -> None:
    lines = pool.report().by("agent", "node")

    assert lines[("unattributed", "unattributed")].amounts == {"usd": 1}


def test_parallel_branches_are_booked_what_they_cost(pool: BudgetPool) -> None:
    nodes = pool.report().by("node")

    spent = {name: line.amounts["usd"] for (name,), line in nodes.items()}
    assert spent == {
        "search": usd("0.01").value,
        "read": usd("0.02").value,
        "write": usd("0.04").value,
        "unattributed": 1,
    }


def test_a_report_can_only_be_grouped_by_what_its_lines_have(pool: BudgetPool) -> None:
    with pytest.raises(InvalidName, match=r"'team': choose of account, agent, node"):
        pool.report().by("team")
    with pytest.raises(InvalidName, match="'count'"):
        pool.report().by("count")


def test_an_account_reports_on_itself_and_all_below_it(pool: BudgetPool) -> None:
    report = pool.account("team").report()

    assert report.account == "acme/team"
    assert report.spent() == usd("0.03")
    assert [each.account for each in report.balances] == ["acme/team", "acme/team/web"]


def test_a_report_is_of_one_moment(pool: BudgetPool) -> None:
    before = pool.report()

    spend(pool, "mail", usd(1), agent="mail", node="write")

    assert before.spent() == usd("0.070000001")
    assert pool.report().spent() == usd("1.070000001")


def test_a_second_report_reads_only_what_is_new(pool: BudgetPool) -> None:
    pool.report()
    seen = pool.ledger.statement.seq
    spend(pool, "mail", usd(1))

    report = pool.report()

    assert pool.ledger.statement.seq == seen + 2
    assert report.spent() == usd("1.070000001")


def test_meters_and_plain_tokens_have_columns_where_they_are_used(
    pool: BudgetPool,
) -> None:
    spend(pool, "mail", images(3), tokens(7), agent="mail", node="draw")

    heads = str(pool.report()).split("\n\n")[1].splitlines()[0].split()

    assert heads == [
        *("agent", "node", "calls", "input", "output", "tokens", "images"),
        *("cost", "notes"),
    ]


def test_notes_say_how_far_to_trust_the_sums() -> None:
    pool = BudgetPool("acme", usd(10))
    with pool.reserve(usd(2), labels={"agent": "web"}):
        pass

    assert str(pool.report()).rstrip().endswith("1 estimated")


def test_a_report_is_plain_json(pool: BudgetPool) -> None:
    plain = json.loads(pool.report().as_json())

    assert plain["account"] == "acme"
    assert plain["balances"][0] == {
        "account": "acme",
        "unit": "calls",
        "window": "",
        "state": "active",
        "granted": 100,
        "spent": 3,
        "held": 0,
        "lent": 0,
        "available": 97,
    }
    assert plain["total"]["amounts"]["usd"] == 70_000_001
    assert sum(line["amounts"]["usd"] for line in plain["lines"]) == 70_000_001
    assert {line["model"] for line in plain["lines"]} == {"", "small", "big"}


def test_an_unlimited_balance_is_null_in_json() -> None:
    pool = BudgetPool("meter")

    balance = pool.balance()

    assert (balance.granted, balance.available) == (None, None)
    assert "unlimited" in str(balance)


def test_what_users_named_is_escaped_in_html() -> None:
    evil = "<script>alert('&')</script>"
    pool = BudgetPool(evil.replace("/", "|"), usd(1))
    spend(pool, pool.path, usd("0.5"), agent=evil, node='"node"')

    for page in (pool.report()._repr_html_(), pool._repr_html_()):
        assert "<script" not in page
        assert "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;" in page
        assert "&quot;node&quot;" in page
    assert "<script" not in pool.balance()._repr_html_()


def test_a_notebook_shows_what_print_shows(pool: BudgetPool) -> None:
    page = pool.report()._repr_html_()  # the name is the notebook's

    cells = [word for word in str(pool.report()).split() if not word.startswith("--")]
    assert [word for word in cells if word not in page] == []
    assert page.count("<table>") == page.count("</table>") == 2


def test_an_empty_report_has_a_total_of_nothing() -> None:
    report = BudgetPool("acme", usd(1)).report()

    assert report.spent() == usd(0)
    assert report.lines == {}
    assert str(report).splitlines()[-1].split() == ["total", *"000", "$0.00"]


async def test_reports_can_be_awaited(pool: BudgetPool) -> None:
    assert await pool.areport() == pool.report()
    assert await pool.abalance("calls") == pool.balance("calls")
