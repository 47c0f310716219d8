"""`with budget(...)` meters what runs inside, wherever it runs and ends."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langchain_core.tracers import context as tracers

from langchain_budget import (
    AccountClosed,
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    InvalidAmount,
    InvalidName,
    NotAnAccount,
    Price,
    PriceTable,
    StrayThreadWarning,
    budget,
    budget_guard,
    calls,
    tokens,
    usd,
)
from langchain_budget.testing import FakeChatModel, Gate

PRICES = PriceTable({"fake": Price.per_million(input="2.50", output=10)})


def model(**options: Any) -> FakeChatModel:
    return FakeChatModel(
        **{"replies": ["Hello there."], "usage": (10, 2), "max_tokens": 5} | options
    )


def test_a_call_inside_is_metered_and_one_outside_is_not() -> None:
    with budget() as b:
        model().invoke("Hi")
    model().invoke("Hi")

    assert b.successful_requests == 1


def test_what_does_not_fit_is_refused_and_the_model_is_not_called() -> None:
    fake = model()
    with budget(calls(1)):
        fake.invoke("Hi")
        with pytest.raises(BudgetExceeded, match="0 calls left of 1 calls"):
            fake.invoke("Hi")

    assert fake.total.calls == 1


def test_it_replaces_the_usage_callbacks_of_the_framework() -> None:
    fake = model()
    with budget(prices=PRICES) as b, get_usage_metadata_callback() as theirs:
        fake.invoke("Hi")
        list(fake.stream("Hi"))

    assert (b.prompt_tokens, b.completion_tokens, b.total_tokens) == (20, 4, 24)
    assert b.successful_requests == 2
    assert b.total_cost == Decimal("0.00009")
    assert b.usage_metadata.keys() == theirs.usage_metadata.keys()
    for name, usage in b.usage_metadata.items():
        assert usage.items() <= theirs.usage_metadata[name].items()


def test_an_inner_budget_is_a_child_of_the_outer_one() -> None:
    fake = model()
    with budget(calls(3)) as outer:
        fake.invoke("Hi")
        with budget(calls(1)) as inner:
            fake.invoke("Hi")
            with pytest.raises(BudgetExceeded) as small:
                fake.invoke("Hi")
        fake.invoke("Hi")
        with pytest.raises(BudgetExceeded) as large:
            fake.invoke("Hi")

    assert small.value.account == inner.account.path
    assert large.value.account == outer.account.path
    assert (outer.successful_requests, inner.successful_requests) == (3, 1)


def test_an_inner_budget_cannot_spend_what_the_outer_one_lacks() -> None:
    with budget(calls(1)) as outer, budget(calls(5)):
        model().invoke("Hi")
        with pytest.raises(BudgetExceeded) as refusal:
            model().invoke("Hi")

    assert refusal.value.account == outer.account.path


async def test_tasks_belong_to_the_budget_they_were_started_in() -> None:
    async def spend(times: int) -> int:
        with budget() as b:
            await asyncio.gather(*(model().ainvoke("Hi") for _ in range(times)))
        return b.successful_requests

    with budget() as outer:
        counts = await asyncio.gather(spend(1), spend(2), spend(3))

    assert counts == [1, 2, 3]
    assert outer.successful_requests == 6


def test_threads_that_carry_context_belong_to_the_budget() -> None:
    with budget() as b, ContextThreadPoolExecutor(4) as threads:
        list(threads.map(model().invoke, ["a", "b", "c"]))

    assert b.successful_requests == 3


def test_raw_threads_belong_to_it_when_they_are_wrapped() -> None:
    with budget() as b, ThreadPoolExecutor(4) as threads:
        with pytest.warns(StrayThreadWarning):
            list(threads.map(model().invoke, ["unseen"]))
        list(threads.map(b.wrap(model().invoke), ["a", "b", "c"]))

    assert b.successful_requests == 3


def test_a_stream_settles_in_the_budget_that_opened_it() -> None:
    with budget() as first:
        stream = model().stream("Hi")
        next(stream)
    with budget() as second:
        list(stream)

    assert (first.total_tokens, second.total_tokens) == (12, 0)
    assert first.balance("tokens").held == tokens(0)


def test_a_stream_abandoned_after_its_budget_settles_there() -> None:
    with budget() as first:
        stream = model().stream("Hi")
        next(stream)
    with budget() as second:
        stream.close()

    assert first.completion_tokens == 1
    assert first.report().total.estimated == 1
    assert second.successful_requests == 0


def test_a_stream_read_in_another_thread_settles_where_it_was_opened() -> None:
    with budget() as b:
        stream = model().stream("Hi")
        next(stream)
        thread = threading.Thread(target=lambda: list(stream))
        thread.start()
        thread.join()

    assert b.total_tokens == 12


async def test_a_task_that_outlives_its_budget_is_refused() -> None:
    gate = asyncio.Event()

    async def late() -> None:
        await gate.wait()
        await model().ainvoke("Hi")

    with budget() as b:
        task = asyncio.create_task(late())
        await asyncio.sleep(0)
    gate.set()
    with pytest.raises(AccountClosed, match="scope has ended"):
        await task

    assert b.successful_requests == 0


async def test_a_call_under_way_when_the_budget_ends_is_still_charged() -> None:
    gate = Gate()
    with budget(tokens(1_000)) as b:
        task = asyncio.create_task(model(gate=gate).ainvoke("Hi"))
        await gate.await_started(1)
    gate.open()
    await task

    assert b.total_tokens == 12
    assert b.balance("tokens").held == tokens(0)


def test_leaving_in_another_context_does_not_fail() -> None:
    scope = budget()
    Context().run(scope.__enter__)
    scope.__exit__(None, None, None)

    model().invoke("Hi")
    assert scope.successful_requests == 0


def test_a_generator_that_holds_a_budget_can_be_abandoned_anywhere() -> None:
    def answers() -> Iterator[str]:
        with budget():
            yield str(model().invoke("Hi").content)
            yield "never read"

    generator = answers()
    next(generator)
    thread = threading.Thread(target=generator.close)
    thread.start()
    thread.join()


def test_the_framework_keeps_one_hook_after_a_thousand_budgets() -> None:
    hooks = len(tracers._configure_hooks)  # noqa: SLF001  # what is measured
    for _ in range(1_000):
        with budget():
            pass

    assert len(tracers._configure_hooks) == hooks  # noqa: SLF001


def test_a_decorated_function_gets_a_fresh_budget_at_each_call() -> None:
    fake = model()

    @budget(calls(2))
    def ask(times: int) -> int:
        """Ask."""
        for _ in range(times):
            fake.invoke("Hi")
        return times

    assert (ask(2), ask(2)) == (2, 2)
    assert (ask.__name__, ask.__doc__) == ("ask", "Ask.")
    with pytest.raises(BudgetExceeded):
        ask(3)


async def test_a_decorated_coroutine_gets_a_fresh_budget_at_each_call() -> None:
    fake = model()

    @budget(calls(1))
    async def ask(times: int) -> None:
        for _ in range(times):
            await fake.ainvoke("Hi")

    await asyncio.gather(ask(1), ask(1))
    with pytest.raises(BudgetExceeded):
        await ask(2)


def test_a_decorated_generator_is_refused_with_the_remedy() -> None:
    with pytest.raises(TypeError, match="around the code"):

        @budget(calls(1))
        def answers() -> Iterator[str]:
            yield "never"


class Asks:
    """Something that is called, and awaits."""

    async def __call__(self, fake: FakeChatModel) -> str:
        return (await fake.ainvoke("Hi")).text


async def test_a_decorated_object_may_await() -> None:
    fake = model()
    ask = budget(calls(1))(Asks())

    await ask(fake)

    assert fake.total.calls == 1
    with pytest.raises(BudgetExceeded):
        await budget(calls(0))(Asks())(fake)


async def test_what_a_function_returns_unfinished_is_refused_with_the_remedy() -> None:
    fake = model()
    later = budget(calls(0))(lambda: fake.ainvoke("Hi"))
    task = budget(calls(0))(lambda: asyncio.ensure_future(fake.ainvoke("Hi")))
    pieces = budget(calls(0))(lambda: fake.stream("Hi"))

    for ask in (later, task, pieces):
        with pytest.raises(TypeError, match="async def"):
            ask()
    await asyncio.sleep(0)

    assert fake.total.calls == 0


def test_a_budget_can_charge_an_account_of_a_pool() -> None:
    pool = BudgetPool("acme", calls(10))
    research = pool.open("research", limit=calls(1))
    with budget(research):
        model().invoke("Hi")
        with pytest.raises(BudgetExceeded) as refusal:
            model().invoke("Hi")
    with budget(research) as again:
        assert again.successful_requests == 1

    assert refusal.value.account == "acme/research"


def test_limits_and_an_account_together_are_refused() -> None:
    with pytest.raises(TypeError, match="limits of its own"):
        budget(BudgetPool("acme"), usd(1))


def test_a_budget_that_has_not_begun_says_so() -> None:
    with pytest.raises(RuntimeError, match="`with` statement"):
        budget(usd(1)).report()


def test_a_budget_is_entered_once() -> None:
    with budget(usd(1)) as b, pytest.raises(RuntimeError, match="anew"):
        b.__enter__()


def test_calls_in_a_chain_end_with_nothing_held() -> None:
    chain = RunnableLambda(str.upper) | model() | RunnableLambda(lambda m: m.content)
    with budget(tokens(1_000)) as b:
        chain.batch(["a", "b", "c"])
        gc.collect()
        assert b.balance("tokens").held == tokens(0)

    assert b.successful_requests == 3


def test_a_named_budget_inside_another_is_fresh_each_time() -> None:
    @budget(calls(1), name="job")
    def job() -> None:
        model().invoke("Hi")

    with budget(calls(5)) as outer:
        job()
        job()

    assert outer.successful_requests == 2


@pytest.mark.parametrize("given", ["acme", None, 5])
def test_what_is_no_account_is_refused_by_name(given: Any) -> None:
    with pytest.raises(NotAnAccount, match=repr(given)):
        BudgetCallbackHandler(given)
    with pytest.raises(NotAnAccount, match=repr(given)):
        BudgetMiddleware(given)
    with pytest.raises(NotAnAccount, match=repr(given)):
        budget_guard(given, then="work")


@pytest.mark.parametrize("share", [1.5, 2, 30, "130%", 0, -0.1, "NaN", True])
def test_a_share_of_more_than_all_is_refused(share: Any) -> None:
    pool = BudgetPool("acme", usd(10))
    with pytest.raises(InvalidAmount, match="share"):
        pool.open("child", share=share)

    assert pool.balance().lent == usd(0)


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", ".", "..", " a", "a ", None])
def test_a_name_that_cannot_stand_in_a_path_is_refused(name: Any) -> None:
    with pytest.raises(InvalidName, match="account name"):
        BudgetPool("acme").open(name)
