"""Whole pools from a configuration: accounts, limits for each, prices, alerts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    InvalidName,
    LimitConflict,
    Price,
    PriceTable,
    calls,
    tokens,
    usd,
)
from langchain_budget.config import PoolConfig, load
from langchain_budget.events import Alert, ThresholdCrossed, WouldRefuse
from langchain_budget.testing import FakeChatModel, capture

ACME = """
name: acme
limits: [$10, $5 per day in Europe/Berlin, 300 tokens per tick, 9 images]
meters: [images]
warn_at: [0.5, 90%]
expected_output: 20
prices:
  fake: {input: 1000, output: "1000"}
  local: {free: true}
accounts:
  research:
    limit: $3
    priority: 7
    metadata: {team: search}
    accounts:
      web: {share: 30%, tradeable: false}
  writing:
    carve: $2
    warn_at: 80%
  draft:
    limits: [1 call per run, $1]
    enforce: false
each:
  user_id:
    limit: $1 per day
    named: {ada: $5}
    most: 100
  agent+tool:
    named: {search: 2 calls}
    missing: {agent: nobody}
alerts: [50%, {at: 15%, metric: remaining, severity: critical, policy: rearm}]
on_outage: {open_up_to: $0.50, retry_seconds: 2}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "acme.yaml"
    file.write_text(ACME, encoding="utf-8")
    return file


@pytest.fixture
def config(file: Path) -> PoolConfig:
    config = load(file)
    assert isinstance(config, PoolConfig)
    return config


def test_a_pool_is_opened_with_all_that_is_in_it(
    config: PoolConfig, store_url: str
) -> None:
    pool = config.open(store=store_url).pool

    web = pool.account("research/web")
    assert pool.balance().available == usd("7.10")
    assert pool.balance("images").granted
    assert web.balance().granted == usd("0.9")
    assert not web.traits().tradeable
    assert pool.account("research").traits().priority == 7
    assert pool.account("research").traits().metadata == {"team": "search"}
    assert pool.admin.verify().ok


def test_it_attaches_to_what_it_has_opened(config: PoolConfig, sqlite_url: str) -> None:
    first = config.open(store=sqlite_url).pool
    first.account("research").reserve(usd(1)).settle()

    again = config.open(store=sqlite_url).pool

    assert again.account("research").balance().spent == usd(1)


def test_a_conflict_says_which_part_of_the_configuration_it_is(sqlite_url: str) -> None:
    given = {"name": "acme", "accounts": {"a": {"accounts": {"b": {"limit": "$1"}}}}}
    load(given).open(store=sqlite_url)
    given["accounts"]["a"]["accounts"]["b"]["limit"] = "$2"  # type: ignore[index]  # a plain mapping

    with pytest.raises(LimitConflict) as conflict:
        load(given).open(store=sqlite_url)

    assert conflict.value.__notes__ == ["in the configuration: accounts.a.accounts.b"]


def test_real_calls_are_limited_by_it(config: PoolConfig) -> None:
    pool = config.open().pool
    model = FakeChatModel(replies=["Hi."], usage=(100, 50), max_tokens=50)
    settings: Any = {
        "callbacks": [BudgetCallbackHandler(pool)],
        "metadata": {"budget_account": "research"},
    }
    for _ in range(2):
        model.invoke("Hi", settings)

    with pytest.raises(BudgetExceeded, match="300 tokens per tick"):
        model.invoke("Hi", settings)

    assert pool.account("research").balance().spent == usd("0.30")


def test_limits_for_each_hold(config: PoolConfig) -> None:
    pool = config.open().pool

    with pytest.raises(BudgetExceeded, match="acme:user_id/bob"):
        pool.reserve(usd(2), labels={"user_id": "bob"})
    pool.reserve(usd(2), labels={"user_id": "ada"}).settle()
    with pytest.raises(BudgetExceeded, match=r"acme:agent\+tool/nobody\+search"):
        pool.reserve(calls(3), labels={"tool": "search"})


def test_an_agent_with_middleware_is_bound_by_the_limit_of_its_thread() -> None:
    given = {"name": "acme", "each": {"thread": {"limit": "150 tokens"}}}
    pool = load(given).open().pool
    model = FakeChatModel(replies=["Hi."], usage=(60, 10))
    agent = create_agent(
        model, middleware=[BudgetMiddleware(pool)], checkpointer=InMemorySaver()
    )
    hello: Any = {"messages": [("user", "Hi")]}
    one, other = ({"configurable": {"thread_id": each}} for each in ("1", "2"))
    agent.invoke(hello, one)

    with pytest.raises(BudgetExceeded, match="acme:thread/1"):
        agent.invoke({"messages": [("user", "word " * 200)]}, one)
    agent.invoke(hello, other)

    assert pool.report().spent("tokens") == tokens(140)


def test_what_is_not_enforced_is_watched(config: PoolConfig) -> None:
    pool = config.open().pool

    with capture(pool) as events:
        pool.account("draft").reserve(usd(2)).settle()

    assert events.of(WouldRefuse)


def test_thresholds_and_alerts_are_told(config: PoolConfig) -> None:
    pool = config.open().pool

    with capture(pool) as events:
        pool.account("writing").reserve(usd("1.80")).settle()

    assert [each.account for each in events.of(ThresholdCrossed)] == ["acme/writing"]
    assert [(each.rule, each.severity) for each in events.of(Alert)] == [
        ("used >= 50%", "warning"),
        ("remaining <= 15%", "critical"),
    ]


def test_prices_that_are_given_are_asked_first(config: PoolConfig) -> None:
    mine = PriceTable({"fake": Price.free()})
    pool = config.open(prices=mine).pool
    model = FakeChatModel(replies=["Hi."], usage=(10, 5), max_tokens=5)

    model.invoke("Hi", {"callbacks": [BudgetCallbackHandler(pool)]})

    assert pool.report().spent() == usd(0)
    assert pool.report().spent("tokens") == tokens(15)


def test_the_store_is_the_one_that_was_named_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("environment", "configuration", "argument")
    files = [tmp_path / f"{name}.db" for name in names]
    urls = [f"sqlite:///{file.as_posix()}" for file in files]
    monkeypatch.setenv("LANGCHAIN_BUDGET_STORE", urls[0])

    load({"name": "acme", "store": urls[1]}).open(store=urls[2])
    assert [file.exists() for file in files] == [False, False, True]
    load({"name": "acme", "store": urls[1]}).open()
    assert [file.exists() for file in files] == [False, True, True]
    load({"name": "acme"}).open()
    assert all(file.exists() for file in files)


@pytest.mark.parametrize(
    "given",
    [
        {"name": "acme"},
        {"limits": {"total_tokens_per_run": 5}},
        {"budget_constraints": {"max_total_tokens": 5}},
    ],
)
def test_an_empty_environment_means_memory(
    given: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGCHAIN_BUDGET_STORE", "")
    monkeypatch.chdir(tmp_path)

    load(given).open().pool.reserve(tokens(1)).settle()

    assert not [*tmp_path.iterdir()]


def test_a_password_is_not_shown() -> None:
    given = {"name": "acme", "store": "postgresql://me:secret@host/db"}

    assert "secret" not in repr(load(given))


def test_a_pool_may_be_given_another_name(config: PoolConfig) -> None:
    assert config.open("other").pool.path == "other"


def test_without_the_store_calls_go_on_as_configured(
    config: PoolConfig, sqlite_url: str
) -> None:
    outage = config.open(store=sqlite_url).pool.ledger.outage

    assert outage is not None
    assert outage.policy == "open up to $0.50"
    assert load({"name": "a", "on_outage": "closed"}).on_outage is None  # type: ignore[union-attr]  # it is a pool


def test_another_name_that_an_account_has_opens_nothing(tmp_path: Path) -> None:
    file = tmp_path / "budget.db"
    config = load({"name": "acme", "accounts": {"web": {}}})

    with pytest.raises(InvalidName, match="'web'"):
        config.open("web", store=f"sqlite:///{file.as_posix()}")

    assert not file.exists()
