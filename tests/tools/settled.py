"""What tests of tools share: a price list, and that the books are quiet at the end."""

from __future__ import annotations

from typing import Any

from langchain_budget import Amount, BudgetPool, events, meter
from langchain_budget.pricing.tool_costs import ToolCosts

COSTS = ToolCosts({"search": "0.10"})
tool_calls = meter("tool_calls")


def assert_charged(pool: BudgetPool, spent: Amount, *, count: int) -> None:
    """So much was spent by so many tool calls; nothing is held, and all adds up."""
    assert pool.balance().spent == spent
    assert pool.balance("tool_calls").spent == tool_calls(count)
    for unit in ("usd", "tool_calls"):
        assert pool.balance(unit).held.value == 0
    assert not pool.admin.holds()
    assert pool.admin.verify().ok


class Heard:
    """What was charged, what was refused, and how much was held at most."""

    def __init__(self, pool: BudgetPool) -> None:
        self.held: list[events.Reserved] = []
        self.charged: list[events.Settled] = []
        self.refused: list[events.Refused] = []
        pool.subscribe(self)

    def __call__(self, event: Any) -> None:
        for kind, heard in (
            (events.Reserved, self.held),
            (events.Settled, self.charged),
            (events.Refused, self.refused),
        ):
            if isinstance(event, kind):
                heard.append(event)

    @property
    def bases(self) -> list[str]:
        return [str(each.basis) for each in self.charged]
