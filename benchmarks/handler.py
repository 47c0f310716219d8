"""
The callback handler on a real `invoke`, against a handler that does nothing.

A fake chat model answers at once, so that only the framework and the handlers are
measured; three accounts deep, with a price, attribution, estimate, hold and settle.
LangChain's own usage handler is measured the same way, for comparison.
"""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from benchmarks.measure import Effort, Ratio, ratio
from langchain_budget import (
    BudgetCallbackHandler,
    BudgetPool,
    Price,
    PriceTable,
    budget,
    usd,
)
from langchain_budget.testing import FakeChatModel

PRICES = PriceTable({"fake": Price.per_million(input=1, output=2)})
CALLS = 100


class Noop(BaseCallbackHandler):
    """The least that a handler can be."""

    raise_error = True
    run_inline = True

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        return

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        return


def model() -> FakeChatModel:
    """Answers at once."""
    return FakeChatModel(replies=["Hello."], usage=(12, 3), max_tokens=50)


def config(handler: BaseCallbackHandler) -> Any:
    """As a call in an agent's node has it."""
    return {"callbacks": [handler], "metadata": {"budget_account": "web"}}


def pool() -> BudgetPool:
    """Three levels, each with a limit."""
    root = BudgetPool("acme", usd(1_000_000), prices=PRICES)
    root.open("team", limit=usd(900_000)).open("web", limit=usd(800_000))
    return root


def rows(rounds: int) -> list[Ratio]:
    """Invoke and ainvoke, the usage handler, scopes, and a long history."""
    fake, ours, noop = model(), config(BudgetCallbackHandler(pool())), config(Noop())
    usage = config(UsageMetadataCallbackHandler())
    sync = ratio(
        "handler on invoke / no-op handler",
        lambda: fake.invoke("Hi", ours),
        lambda: fake.invoke("Hi", noop),
        "<= 1.10",
        Effort(rounds, CALLS),
    )
    their_own = ratio(
        "  LangChain's usage handler on invoke / no-op handler",
        lambda: fake.invoke("Hi", usage),
        lambda: fake.invoke("Hi", noop),
        "",
        Effort(rounds, CALLS),
    )
    return [
        sync,
        their_own,
        _async_row(fake, ours, noop, rounds),
        _scopes_row(fake, rounds),
        *_history_rows(rounds),
    ]


def _async_row(fake: FakeChatModel, ours: Any, noop: Any, rounds: int) -> Ratio:
    with asyncio.Runner() as runner:

        def batch(chosen: Any) -> Any:
            async def calls() -> None:
                for _ in range(CALLS):
                    await fake.ainvoke("Hi", chosen)

            return lambda: runner.run(calls())

        row = ratio(
            "handler on ainvoke / no-op handler",
            batch(ours),
            batch(noop),
            "<= 1.10",
            Effort(rounds, 1),
        )
    return row._replace(ours=row.ours / CALLS, theirs=row.theirs / CALLS)


def _scopes_row(fake: FakeChatModel, rounds: int) -> Ratio:
    """An invoke outside of any budget, after a thousand budgets and before them."""
    before = ratio(
        "",
        lambda: fake.invoke("Hi"),
        lambda: fake.invoke("Hi"),
        "",
        Effort(rounds, CALLS),
    )
    for _ in range(1_000):
        with budget():
            pass
    after = ratio(
        "invoke after a thousand `with budget()` / before",
        lambda: fake.invoke("Hi"),
        lambda: fake.invoke("Hi"),
        "<= 1.05",
        Effort(rounds, CALLS),
    )
    return after._replace(theirs=min(before.ours, before.theirs))


def _history_rows(rounds: int) -> list[Ratio]:
    """A call whose history of 500 messages was sent once before, both ways."""
    history: list[BaseMessage] = []
    for number in range(250):
        history.append(HumanMessage(f"Question {number}: " + "why is it so? " * 12))
        history.append(AIMessage(f"Answer {number}: " + "because it is. " * 12))
    fake, ours, noop = model(), config(BudgetCallbackHandler(pool())), config(Noop())
    fake.invoke(history, ours)
    known = ratio(
        "500-message history, next call, handler / no-op handler",
        lambda: fake.invoke([*history, HumanMessage("And now?")], ours),
        lambda: fake.invoke([*history, HumanMessage("And now?")], noop),
        "new messages only",
        Effort(rounds, 10),
    )
    fresh = ratio(
        "  the same history never seen before / seen before",
        lambda: fake.invoke([each.model_copy() for each in history], ours),
        lambda: fake.invoke([*history, HumanMessage("And now?")], ours),
        "",
        Effort(max(1, rounds // 4), 3),
    )
    return [known, fresh]
