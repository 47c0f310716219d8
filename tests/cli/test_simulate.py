"""The simulation: agents freeze one by one, trade, and the books agree."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from langchain_budget import BudgetPool, usd
from langchain_budget.cli.app import app
from langchain_budget.cli.simulation import verdict
from langchain_budget.config.per_agent import PerAgentBudgets
from langchain_budget.testing import Total
from tests.cli.conftest import Ran, Run

EXAMPLE = Path(__file__).parents[2] / "examples" / "per_agent_budget.yaml"
RIGHT = ("the books say the same", "nothing is held", "what was handed out")

Simulate = Callable[..., Result]


@pytest.fixture
def simulate() -> Simulate:
    """Run the command in this process: many runs, and none of them slow."""

    def simulate(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["simulate", "--plain", *arguments])

    return simulate


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], str]:
    def config(text: str) -> str:
        file = tmp_path / "budgets.yaml"
        file.write_text(text, encoding="utf-8")
        return str(file)

    return config


@pytest.fixture(scope="module")
def ran(run: Run) -> Ran:
    return run(
        *("simulate", "--ticks", "20", "--agents", "3", "--config", str(EXAMPLE))
    )


def rows(out: str) -> dict[str, list[str]]:
    """The cells of each agent in the table at the end."""
    found = re.findall(r"^(agent-\d+|all) +(.*)$", out, re.MULTILINE)
    return {name: re.split(r"  +", cells.strip()) for name, cells in found}


def test_agents_freeze_one_by_one_and_a_sale_revives(ran: Ran) -> None:
    story = re.findall(r"^  tick +(\d+)  (\w+) +(agent-\d)", ran.out, re.MULTILINE)

    assert ran.code == 0, ran.err
    assert ran.err == ""
    assert story[:3] == [
        ("7", "frozen", "agent-3"),
        ("7", "sold", "agent-1"),
        ("7", "unfrozen", "agent-3"),
    ]
    assert ("13", "frozen", "agent-2") in story
    assert rows(ran.out)["agent-1"][-2:] == ["never", "active"]
    assert rows(ran.out)["agent-3"][-2:] == ["7, 10, 12", "exhausted"]


def test_what_was_sold_is_what_was_bought(ran: Ran) -> None:
    traded = re.findall(r"[-+]\$([\d.]+)", ran.out)

    sold, *bought = map(usd, traded)
    assert sold == sum(bought, usd(0))


def test_the_books_are_what_the_models_counted(ran: Ran) -> None:
    [(calls, tokens)] = re.findall(r"counted (\d+) calls and ([\d,]+) tokens", ran.out)

    cost = Decimal(tokens.replace(",", "")) / 100_000  # ten dollars a million
    assert rows(ran.out)["all"] == [str(usd(cost)), calls]
    for found in RIGHT:
        assert re.search(rf"^ok .*{found}", ran.out, re.MULTILINE)


def test_it_fits_in_eighty_columns(ran: Ran) -> None:
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_seed_always_tells_the_same(simulate: Simulate) -> None:
    assert simulate("--seed", "1").output == simulate("--seed", "1").output
    assert simulate("--seed", "1").output != simulate("--seed", "2").output


@pytest.mark.parametrize("agents", ["1", "2", "7"])
@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_books_agree_however_many_act(
    simulate: Simulate, agents: str, seed: str
) -> None:
    ended = simulate("--agents", agents, "--seed", seed)

    assert ended.exit_code == 0, ended.output
    assert "WRONG" not in ended.output
    assert len(rows(ended.output)) == int(agents) + 1


def test_it_ends_when_all_are_frozen(
    simulate: Simulate, config: Callable[[str], str]
) -> None:
    ended = simulate("--config", config("agents: {initial_llm_budget: 0.02}"))

    assert re.search(r"Ended at tick \d+: every agent has used its", ended.output)
    assert {row[-1] for row in rows(ended.output).values()} >= {"exhausted"}
    assert ended.exit_code == 0


def test_it_ends_when_the_ceiling_is_reached(
    simulate: Simulate, config: Callable[[str], str]
) -> None:
    ended = simulate("--config", config("budget: {total_api_cost_limit: 0.05}"))

    assert "Ended at tick 2: the ceiling for all agents is reached" in ended.output
    assert rows(ended.output)["all"][0] == "$0.05"
    assert "frozen   agent" not in ended.output
    assert ended.exit_code == 0


def test_nobody_trades_if_that_is_not_allowed(
    simulate: Simulate, config: Callable[[str], str]
) -> None:
    ended = simulate("--config", config("agents: {llm_budget_tradeable: false}"))

    assert "nobody trades" in ended.output
    assert "sold" not in ended.output
    assert rows(ended.output)["agent-3"][-2:] == ["7", "exhausted"]


def test_nobody_freezes_if_that_is_not_enforced(
    simulate: Simulate, config: Callable[[str], str]
) -> None:
    ended = simulate("--config", config("budget: {per_agent_enforcement: false}"))

    assert "frozen   agent" not in ended.output
    assert rows(ended.output)["all"][-1] == "60"


def test_agents_without_a_limit_are_shown_as_well(
    simulate: Simulate, config: Callable[[str], str]
) -> None:
    ended = simulate("--config", config("agents: {initial_llm_budget: null}"))

    assert rows(ended.output)["agent-2"][0] == "no limit"
    assert ended.exit_code == 0


def test_the_books_can_be_in_any_store(simulate: Simulate, store_url: str) -> None:
    where = [] if store_url == "memory://" else ["--store", store_url]

    ended = simulate(*where)

    assert ended.exit_code == 0, ended.output
    assert ended.output == simulate().output


def test_books_of_an_earlier_run_are_left_alone(
    simulate: Simulate, sqlite_url: str
) -> None:
    simulate("--store", sqlite_url)
    spent = BudgetPool.attach("simulation", store=sqlite_url).balance().spent

    again = simulate("--store", sqlite_url)

    assert again.exit_code == 1
    assert "each run starts with new budgets" in again.output
    assert BudgetPool.attach("simulation", store=sqlite_url).balance().spent == spent


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--ticks", "0"], "--ticks"),
        (["--agents", "0"], "--agents"),
        (["--agents", "three"], "--agents"),
        (["--config", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--store", "oracle://there"], "oracle"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    simulate: Simulate, arguments: list[str], told: str
) -> None:
    ended = simulate(*arguments)

    assert ended.exit_code != 0
    assert told in ended.output
    assert "Traceback" not in ended.output


def test_a_misspelt_key_is_told_with_the_nearest(
    simulate: Simulate, config: Callable[[str], str]
) -> None:
    ended = simulate("--config", config("agents: {initial_llm_bugdet: 1}"))

    assert ended.exit_code == 1
    assert "initial_llm_budget'" in ended.output


def test_a_live_table_goes_away_and_the_story_stays(run: Run) -> None:
    ended = run("simulate", "--ticks", "2", "--watch", TERM="xterm")

    assert ended.code == 0
    assert "tick 2" in ended.out
    assert "the books say the same" in ended.out


def test_nothing_leaves_the_machine_whatever_is_set(run: Run) -> None:
    nowhere = "http://127.0.0.1:9"

    ended = run(
        *("simulate", "--plain", "--ticks", "2"),
        LANGSMITH_TRACING="true",
        LANGSMITH_ENDPOINT=nowhere,
    )

    assert (ended.code, ended.err) == (0, "")


def test_books_that_differ_are_wrong() -> None:
    pool = PerAgentBudgets().open(["agent-1"])
    with pool.account("agent-1").reserve(labels={"agent": "agent-1"}) as hold:
        hold.settle(usd("0.01"))

    found = verdict(pool.report(), {"agent-1": Total(300, 999, 1)}, usd("0.10"))

    assert not found.right
    assert found.findings[1].text == "the books DIFFER: agent-1"
    assert [each.good for each in found.findings] == [False, False, True, True]
