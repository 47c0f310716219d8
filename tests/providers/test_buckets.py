"""Each provider's own report of usage, read by its client: no token twice, or never."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_budget import BudgetPool, budget
from langchain_budget.testing import Fault, ScriptedServer
from tests.invariants import assert_quiet
from tests.providers.clients import (
    ANTHROPIC,
    PRICES,
    PROVIDERS,
    TARIFF,
    Provider,
    Usage,
    ask,
    booked,
)

counts = st.integers(0, 2_000_000)
providers = st.sampled_from(PROVIDERS)
quick = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(seed=7) as each:
        yield each


def reported(provider: Provider, server: ScriptedServer, told: Any, way: str) -> Any:
    """The books after one call of which the provider reports *told*."""
    pool = BudgetPool("acme", prices=PRICES)
    server.fail_next(Fault(usage=told))
    with budget(pool):
        asyncio.run(ask(provider.client(server), way, "Hi"))
    assert_quiet(pool.ledger.store)
    return booked(pool)


@pytest.mark.parametrize("way", ["invoke", "stream"])
@quick
@given(counts, counts, counts, counts, counts)
def test_buckets_are_disjoint_and_add_up_to_the_providers_totals(  # noqa: PLR0913, PLR0917  # one for each bucket
    provider: Provider,
    server: ScriptedServer,
    way: str,
    plain: int,
    read: int,
    written: int,
    out: int,
    thought: int,
) -> None:
    usage = Usage(
        input=plain + 1,
        cache_read=read,
        cache_write=written,
        output=out,
        reasoning=thought,
    )
    told = provider.usage(plain + 1, read, written, out, thought)

    books = reported(provider, server, told, way)

    expected = {
        "calls": 1,
        "input_tokens": usage.total_input,
        "output_tokens": usage.total_output,
        "tokens": usage.total,
        "cached_tokens": read,
        "cache_write_tokens": written,
        "reasoning_tokens": thought,
        "usd": TARIFF.cost(usage),
    }
    assert books == {unit: value for unit, value in expected.items() if value}
    assert usage.total == sum(usage[:8])


@quick
@given(counts, counts, counts)
def test_anthropics_times_are_kept_apart(
    server: ScriptedServer, plain: int, short: int, hour: int
) -> None:
    told = ANTHROPIC.usage(plain + 1, 0, short + hour, 5, 0)
    told["cache_creation"] = {
        "ephemeral_5m_input_tokens": short,
        "ephemeral_1h_input_tokens": hour,
    }

    books = reported(ANTHROPIC, server, told, "invoke")

    usage = Usage(plain + 1, cache_write=short, cache_write_1h=hour, output=5)
    assert books["tokens"] == usage.total
    assert books["usd"] == TARIFF.cost(usage)


junk = st.one_of(st.integers(-(10**6), 10**6), st.none())


@quick
@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("input_tokens", "output_tokens", "prompt_tokens", "total_tokens"),
                *("completion_tokens", "cache_read_input_tokens", "new_tokens"),
            ]
        ),
        junk,
    )
)
def test_whatever_is_reported_is_booked_as_something_and_nothing_stays_held(
    provider: Provider, server: ScriptedServer, told: dict[str, Any]
) -> None:
    pool = BudgetPool("acme", prices=PRICES)
    server.fail_next(Fault(usage=told))

    with budget(pool):
        try:
            provider.client(server).invoke("Hi")
        except (TypeError, ValueError):
            billed = False
        else:
            billed = True

    books = booked(pool)
    assert not billed or books["input_tokens"] > 0
    assert all(value > 0 for value in books.values())
    assert_quiet(pool.ledger.store)
