"""What is read and what is refused; nothing is opened by a bad configuration."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from langchain_budget import BudgetError, InvalidConfig
from langchain_budget.config import MeteringConfig, PoolConfig, TierConfig, load

METERING = """
limits:
  total_tokens_per_tick: 200000
  total_tokens_per_run: 5000000
  total_cost_cents_per_tick: 1000
  total_cost_cents_per_run: 25000
tool_limits:
  decide_action:
    calls_per_tick: 10
    calls_per_run: 2000
    tokens_per_tick: 60000
    tokens_per_run: 2000000
    cost_cents_per_tick: 300
    cost_cents_per_run: 8000
warning_threshold_pct: 0.8
allow_soft_overage: false
"""


def problems(source: Any) -> str:
    with pytest.raises(InvalidConfig) as refusal:
        load(source)
    assert isinstance(refusal.value, BudgetError | ValueError)
    return str(refusal.value)


def problem_in(tmp_path: Path, text: str) -> str:
    file = tmp_path / "budget.yaml"
    file.write_text(text, encoding="utf-8")
    return problems(file)


def test_the_metering_document_loads_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "metering.yaml"
    file.write_text(METERING, encoding="utf-8")

    config = load(str(file))

    assert isinstance(config, MeteringConfig)
    assert config.limits.total_cost_cents_per_tick == 10 * 10**9
    assert config.tool_limits["decide_action"].calls_per_run == 2_000
    assert config.warning_threshold_pct == 800_000


def test_json_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "budget.json"
    file.write_text('{"name": "acme", "limits": "$1"}', encoding="utf-8")

    assert isinstance(load(file), PoolConfig)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ({"limits": {"total_tokens_per_run": 1}}, MeteringConfig),
        ({"tool_limits": {}}, MeteringConfig),
        ({"allow_soft_overage": True}, MeteringConfig),
        ({"budget_constraints": {}}, TierConfig),
        ({"enforcement": {}}, TierConfig),
        ({"name": "acme"}, PoolConfig),
        ({"name": "acme", "limits": "$1"}, PoolConfig),
        ({"name": "acme", "limit": ["$1"]}, PoolConfig),
    ],
)
def test_shapes_are_told_apart_by_their_keys(given: Any, shape: type) -> None:
    assert type(load(given)) is shape


@pytest.mark.parametrize(
    "given",
    [
        {"limits": {}, "budget_constraints": {}},
        {"tool_limits": {}, "enforcement": {}},
        {"name": "acme", "tool_limits": {}},
        {"name": "acme", "limits": {}},
        {"accounts": {}, "enforcement": {}},
    ],
)
def test_two_shapes_at_once_are_refused(given: Any) -> None:
    assert "different shapes" in problems(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tool_limit": {}}, "unknown key 'tool_limit': did you mean 'tool_limits'?"),
        (
            {"limits": {"total_token_per_tick": 1}},
            (
                "limits: unknown key 'total_token_per_tick': "
                "did you mean 'total_tokens_per_tick'?"
            ),
        ),
        (
            {"tool_limits": {"x": {"calls_per_tik": 1}}},
            (
                "tool_limits.x: unknown key 'calls_per_tik': "
                "did you mean 'calls_per_tick'?"
            ),
        ),
        (
            {"budget_constraints": {"max_total_token": 1}},
            (
                "budget_constraints: unknown key 'max_total_token': "
                "did you mean 'max_total_tokens'?"
            ),
        ),
        (
            {"name": "a", "accounts": {"web": {"limt": "$1"}}},
            "accounts.web: unknown key 'limt': did you mean 'limit'?",
        ),
        ({"name": "a", "zzz": 1}, "unknown key 'zzz': known are name, limits, limit"),
    ],
)
def test_a_misspelt_key_is_told_where_it_is_and_the_nearest(
    given: Any, said: str
) -> None:
    assert said in problems(given)


@pytest.mark.parametrize("count", [-1, True, 1.5, 5.0, "5", float("nan"), 2**63, []])
def test_counts_are_whole_numbers(count: Any) -> None:
    said = problems({"limits": {"total_tokens_per_tick": count}})

    assert "limits.total_tokens_per_tick: " in said
    assert "whole number" in said


@pytest.mark.parametrize(
    "cents", [-1, True, "5", float("nan"), float("inf"), Decimal("NaN"), 10**30]
)
def test_cents_are_numbers(cents: Any) -> None:
    given = {"tool_limits": {"x": {"cost_cents_per_run": cents}}}

    assert "tool_limits.x.cost_cents_per_run: " in problems(given)


@pytest.mark.parametrize("cents", [0.1, Decimal("0.1")])
def test_cents_are_exact(cents: Any) -> None:
    config = load({"limits": {"total_cost_cents_per_run": cents}})

    assert isinstance(config, MeteringConfig)
    assert config.limits.total_cost_cents_per_run == 1_000_000


@pytest.mark.parametrize("share", [0, -1, 101, True, "many", float("nan"), None, []])
def test_a_threshold_is_a_share(share: Any) -> None:
    assert "warning_threshold_pct: " in problems({"warning_threshold_pct": share})


@pytest.mark.parametrize("flag", [1, "yes", None, "false"])
def test_flags_are_true_or_false(flag: Any) -> None:
    assert "allow_soft_overage: " in problems({"allow_soft_overage": flag})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("grace_period_percentage", -1),
        ("grace_period_percentage", 101),
        ("grace_period_percentage", True),
        ("violation_penalty_weight", float("nan")),
        ("token_cost_per_1k", "0.12"),
        ("max_total_tokens", 1.0),
    ],
)
def test_constraints_of_a_tier_are_numbers(key: str, value: Any) -> None:
    given = {"budget_constraints": {key: value}}

    assert f"budget_constraints.{key}: " in problems(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "name: "),
        ({"limits": "10 dollars"}, "limits: '10 dollars'"),
        ({"limits": ["$1", "$2"]}, "limits: "),
        ({"limits": [1]}, "limits: 1 is no limit"),
        ({"limits": "100 tokns"}, "did you mean 'tokens'?"),
        ({"warn_at": [2000]}, "warn_at: "),
        ({"store": 5}, "store: "),
        ({"expected_output": -1}, "expected_output: "),
        ({"accounts": {"a/b": {}}}, "accounts.a/b"),
        ({"accounts": {"w": {"priority": 11}}}, "accounts.w.priority: "),
        ({"accounts": {"w": {"carve": "$1 per day"}}}, "accounts.w.carve: "),
        ({"accounts": {"w": {"share": "130%"}}}, "accounts.w.share: "),
        ({"accounts": {"w": {"metadata": {"a": 1}}}}, "accounts.w.metadata.a: "),
        ({"accounts": {"w": {"tradeable": 1}}}, "accounts.w.tradeable: "),
        ({"accounts": {"w": {"limit": "$1", "limits": "$2"}}}, "accounts.w"),
        (
            {"accounts": {"w": {"accounts": {"v": {"limit": "x"}}}}},
            "accounts.w.accounts.v.limit: ",
        ),
        ({"accounts": {"w": None}}, "accounts.w: "),
        ({"limits": "$1", "accounts": {"w": {"carve": "$2"}}}, "carved out of $1.00"),
        ({"each": {"": {"limit": "$1"}}}, "each."),
        ({"each": {"user_id": {"limit": "1 cal per day"}}}, "each.user_id.limit: "),
        ({"each": {"user_id": {"named": {"a": "x"}}}}, "each.user_id.named.a: "),
        ({"prices": {"m": {"input": 1}}}, "prices.m: "),
        ({"prices": {"m": {"input": -1, "output": 1}}}, "prices.m.input: "),
        ({"prices": {"m": {"input": 0, "output": 0}}}, "prices.m: "),
        ({"prices": {"m": {"free": True, "input": 1}}}, "prices.m: "),
        ({"alerts": [{"at": "80%", "policy": "never"}]}, "alerts.0.policy: "),
        ({"alerts": ["180%"]}, "alerts.0: "),
        ({"on_outage": "open"}, "on_outage: "),
        ({"on_outage": {}}, "on_outage: "),
        ({"on_outage": {"open_up_to": "$1", "leased": "$1"}}, "on_outage: "),
        ({"on_outage": {"leased": "$1", "ttl_seconds": 0}}, "on_outage: "),
        ({"meters": ["a b"]}, "meters.0: "),
        ({"accounts": {"acme": {}}}, "accounts.acme: account name 'acme'"),
        (
            {"limits": "$9", "accounts": {"w": {"limit": "$1", "carve": "$1"}}},
            "accounts.w: usd: either limit a unit or carve it",
        ),
        ({"accounts": {"w": {"share": "50%"}}}, "accounts.w: account 'acme' has no"),
        (
            {"limits": "$9", "accounts": {"w": {"accounts": {"v": {"carve": "$10"}}}}},
            "accounts.w.accounts.v: account 'acme' has $9.00 left",
        ),
        (
            {"limits": "$9", "accounts": {"w": {"accounts": {"v": {"carve": "$10"}}}}},
            "may need $10.00. Carve less",
        ),
        ({"each": {"u": {"limit": "$1", "most": 0}}}, "each.u: most=0"),
        ({"each": {"u+u": {"limit": "$1"}}}, "each.u+u: labels"),
        ({"each": {"u": {}}}, "each.u: limit_each of 'u' limits nothing"),
        ({"limits": "$1", "on_outage": {"leased": "5 tokens"}}, "on_outage: such"),
        ({"limits": "$1 in any day"}, "limits: '$1 in any day'"),
        ({"warn_at": [Decimal("1e99999999")]}, "warn_at: Decimal('1E+99999999') is"),
    ],
)
def test_what_a_pool_cannot_keep_is_told_where_it_stands(given: Any, said: str) -> None:
    whole = given if not given else {"name": "acme"} | given
    source = whole or {"accounts": {}}

    assert said in problems(source)


def test_several_problems_are_told_together() -> None:
    given = {"name": "a/b", "limits": "x", "accounts": {"w": {"priority": 0}}}

    with pytest.raises(InvalidConfig) as refusal:
        load(given)

    places = [each.partition(":")[0] for each in refusal.value.problems]
    assert places == ["name", "limits", "accounts.w.priority"]


@pytest.mark.parametrize("given", [None, 5, [], (), {}])
def test_what_is_no_configuration_is_refused(given: Any) -> None:
    assert problems(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: a\nname: b", "line 2: 'name' stands in line 1 already"),
        ("name: a\naccounts:\n  w: {}\n  w: {}", "line 4: 'w' stands in line 3"),
        ("name: [", "budget.yaml: "),
        ("name: !!python/object/apply:os.system [id]", "accounts"),
        ("- name: a", "give keys with values"),
        ("", "give keys with values"),
        ("? [a]\n: b", "a key is a text"),
        ("name: &a\n  - *a", "contains itself"),
        ("[" * 5_000, "budget.yaml"),
        (
            f"accounts: {{x: &a [{'1,' * 400}], y: &b [{'*a,' * 400}]}}",
            "100,000 values",
        ),
        ("limits:\n  total_cost_cents_per_run: .nan", "finite"),
        ("limits:\n  total_cost_cents_per_run: .inf", "finite"),
        ("limits:\n  total_cost_cents_per_run: 1:30.5", "is no number"),
        ("1: a\n2: b", "unknown key '1'"),
        ("name: 2026-11-22", "name: "),
        ("name: on", "name: "),
        ("name: 2026-13-45", "line 1: '2026-13-45' cannot be read"),
        (f"name: a\nlimits: {'9' * 5_000}", "line 2: '9999"),
        (f'{{"name": {"9" * 5_000}}}', "line 1: '9999"),
    ],
)
def test_odd_yaml_is_refused(tmp_path: Path, text: str, said: str) -> None:
    found = problem_in(tmp_path, text)

    assert said in found or said == "accounts"
    assert str(tmp_path / "budget.yaml") in found


def test_fractions_in_a_file_are_exact(tmp_path: Path) -> None:
    file = tmp_path / "budget.yaml"
    digits = "0.12345678901234567890"
    text = f"budget_constraints:\n  violation_penalty_weight: {digits}"
    file.write_text(text, encoding="utf-8")

    config = load(file)

    assert isinstance(config, TierConfig)
    assert config.budget_constraints.violation_penalty_weight == Decimal(digits)


def test_any_kind_of_mapping_will_do() -> None:
    inner = MappingProxyType({"search": MappingProxyType({"calls_per_tick": 1})})

    assert load(MappingProxyType({"tool_limits": inner})) == load(
        {"tool_limits": {"search": {"calls_per_tick": 1}}}
    )


def test_a_mapping_that_contains_itself_is_refused() -> None:
    given: dict[str, Any] = {"name": "acme"}
    given["accounts"] = given

    assert "contains itself" in problems(given)


def test_a_file_that_is_not_there_is_named() -> None:
    assert "nowhere.yaml: cannot be read" in problems("nowhere.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "budget.yaml"
    file.write_bytes(b"\xff\xfe\x00")

    assert "cannot be read" in problems(file)


def test_the_error_travels_between_processes() -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load({"name": date(2026, 11, 22)})

    again = pickle.loads(pickle.dumps(refusal.value))  # noqa: S301

    assert str(again) == str(refusal.value)
    assert again.problems == refusal.value.problems


def test_nothing_is_opened_by_a_bad_configuration(tmp_path: Path) -> None:
    file = tmp_path / "budget.db"
    given = {
        "name": "acme",
        "store": f"sqlite:///{file.as_posix()}",
        "accounts": {"web": {"limit": "$-1"}},
    }

    problems(given)

    assert not file.exists()
