"""Many calls at once: exactly what is affordable is admitted, every refusal is seen."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_budget import (
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    Price,
    PriceTable,
    budget,
    tokens,
    usd,
)
from langchain_budget.events import Event, Refused
from langchain_budget.pricing.prices import ModelRef
from langchain_budget.testing import FakeChatModel, Gate

PRICES = PriceTable({"fake": Price.per_million(input=1, output=2)})
FAN_OUTS = [2, 16, 64, 256]
ANSWER = 20


class Rush:
    """Calls of one model that all overlap: the admitted wait till the rest is refused.

    There is money for a tenth of them, at least for one, and not a nano-dollar more.
    """

    def __init__(self, fan_out: int) -> None:
        self.fan_out = fan_out
        self.affordable = max(1, fan_out // 10)
        self.gate = Gate()
        usage = (self.input_estimate(), ANSWER)
        self.model = FakeChatModel(
            replies=["word " * ANSWER], usage=usage, max_tokens=ANSWER, gate=self.gate
        )
        price = PRICES.price_of(ModelRef("fake", "fake"))
        assert price is not None
        self.limit = usd(f"0.{self.affordable * (usage[0] * 1000 + ANSWER * 2000):09d}")
        self.pool = BudgetPool("acme", self.limit, prices=PRICES)
        self.refused = 0
        self.pool.subscribe(self.count)

    @staticmethod
    def input_estimate() -> int:
        """What the books expect of the prompt, so that hold and charge are equal."""
        probe = BudgetPool("probe", prices=PRICES)
        model = FakeChatModel(no_usage=True)
        model.invoke("Hi", {"callbacks": [BudgetCallbackHandler(probe)]})
        return probe.report().spent("input_tokens").value

    def count(self, event: Event) -> None:
        if isinstance(event, Refused):
            self.refused += 1
            if self.refused == self.fan_out - self.affordable:
                self.gate.open()

    def assert_exact(self, results: list[Any]) -> None:
        refusals = [r for r in results if isinstance(r, BudgetExceeded)]
        balance = self.pool.balance()

        assert len(refusals) == self.fan_out - self.affordable
        assert self.model.total.calls == self.affordable
        assert balance.spent == self.limit
        assert balance.held == usd(0)


@pytest.mark.parametrize("fan_out", FAN_OUTS)
def test_threads_admit_exactly_what_is_affordable(fan_out: int) -> None:
    rush = Rush(fan_out)
    config: Any = {"callbacks": [BudgetCallbackHandler(rush.pool)]}

    def call(_: int) -> Any:
        try:
            return rush.model.invoke("Hi", config)
        except BudgetExceeded as refusal:
            return refusal

    with ThreadPoolExecutor(fan_out) as threads:
        rush.assert_exact(list(threads.map(call, range(fan_out))))


@pytest.mark.parametrize("fan_out", FAN_OUTS)
async def test_tasks_admit_exactly_what_is_affordable(fan_out: int) -> None:
    rush = Rush(fan_out)
    config: Any = {"callbacks": [BudgetCallbackHandler(rush.pool)]}
    calls = [rush.model.ainvoke("Hi", config) for _ in range(fan_out)]

    rush.assert_exact(await asyncio.gather(*calls, return_exceptions=True))


@pytest.mark.parametrize("fan_out", FAN_OUTS)
def test_a_batch_in_a_scope_admits_exactly_what_is_affordable(fan_out: int) -> None:
    rush = Rush(fan_out)
    with budget(rush.pool):
        results = rush.model.batch(
            ["Hi"] * fan_out, {"max_concurrency": fan_out}, return_exceptions=True
        )

    rush.assert_exact(results)


@pytest.mark.parametrize("fan_out", FAN_OUTS)
async def test_an_async_batch_in_a_scope_admits_exactly_what_is_affordable(
    fan_out: int,
) -> None:
    rush = Rush(fan_out)
    with budget(rush.pool):
        results = await rush.model.abatch(["Hi"] * fan_out, return_exceptions=True)

    rush.assert_exact(results)


def test_an_uncapped_model_spends_a_small_budget_to_the_last_token() -> None:
    pool = BudgetPool("acme", tokens(90))
    model = FakeChatModel(replies=["Yes."], usage=(9, 6))
    config: Any = {"callbacks": [BudgetCallbackHandler(pool)]}
    for _ in range(6):
        model.invoke("Hi", config)
    with pytest.raises(BudgetExceeded):
        model.invoke("Hi", config)

    assert pool.balance("tokens").spent == tokens(90)


def test_what_is_not_enough_for_a_small_answer_is_refused_at_once() -> None:
    pool = BudgetPool("acme", tokens(40))
    model = FakeChatModel(replies=["Yes."], usage=(9, 6))
    with pytest.raises(BudgetExceeded):
        model.invoke("Hi", {"callbacks": [BudgetCallbackHandler(pool)]})

    assert model.total.calls == 0
