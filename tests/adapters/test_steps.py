"""What a guard reserves is there for the next step, and comes back after it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, RetryPolicy, Send, interrupt

from langchain_budget import (
    Account,
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetMiddleware,
    BudgetPool,
    MemoryStore,
    Price,
    PriceTable,
    Reservation,
    budget,
    budget_guard,
    calls,
    events,
    usd,
)
from langchain_budget.core.rules import HOLD_TTL_SECONDS
from langchain_budget.testing import FakeChatModel, StillClock
from tests.adapters.graphs import WAYS, Log, asks, assert_quiet, notes, run

START_LOG: Log = {"log": []}
ALONE = """
from langgraph.graph import END, START, StateGraph
from langchain_budget import BudgetPool, budget_guard, calls

pool = BudgetPool("acme", calls(10))

def free():
    return pool.balance("calls").available.value

builder = StateGraph(dict)
builder.add_node("guard", budget_guard(pool, then="work", reserve=calls(4)))
builder.add_node("work", lambda state: {"free": free()})
builder.add_edge(START, "guard")
print(builder.compile().invoke({})["free"], free())
"""
"""A program in which nothing but a guard knows of a budget."""
HELLO: Any = {"messages": [("user", "Hi")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", calls(10))


@pytest.fixture
def model() -> FakeChatModel:
    return FakeChatModel(replies=["Yes."], usage=(12, 3))


def metered(pool: BudgetPool, **more: Any) -> Any:
    return {"callbacks": [BudgetCallbackHandler(pool)], **more}


def chain(guard: Any, work: Any, state: Any = Log, **compiling: Any) -> Any:
    """START, guard, work."""
    builder = StateGraph(state)
    builder.add_node("guard", guard)
    builder.add_node("work", work)
    builder.add_edge(START, "guard")
    return builder.compile(**compiling)


class Steps:
    """Who hears of the accounts that guards open, and takes all that is left."""

    def __init__(self, pool: BudgetPool, *, greedy: bool = False) -> None:
        self.opened: list[str] = []
        self.taken: list[Reservation] = []
        self._pool = pool
        self._greedy = greedy
        pool.subscribe(self)

    def __call__(self, event: Any) -> None:
        if isinstance(event, events.Opened) and "/step-" in event.account:
            self.opened.append(event.account)
            left = self._pool.balance("calls").available
            if self._greedy and left is not None and left.value:
                self.taken.append(self._pool.reserve(left))

    def give_back(self) -> None:
        for reservation in self.taken:
            reservation.release()


def plain(model: FakeChatModel, _: BudgetPool) -> Any:
    return asks(model, "work", times=2)


def subgraph(model: FakeChatModel, _: BudgetPool) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("one", asks_in_messages(model))
    builder.add_node("two", asks_in_messages(model))
    return builder.add_edge(START, "one").add_edge("one", "two").compile()


def fans_out(model: FakeChatModel, _: BudgetPool) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("one", asks_in_messages(model))
    sends = [Send("one", HELLO), Send("one", HELLO)]
    return builder.add_conditional_edges(START, lambda _: sends, ["one"]).compile()


def agent(model: FakeChatModel, _: BudgetPool) -> Any:
    inner = create_agent(model, name="writer")
    return asks_twice(inner)


def agent_with_middleware(model: FakeChatModel, pool: BudgetPool) -> Any:
    inner = create_agent(model, middleware=[BudgetMiddleware(pool)])
    return asks_twice(inner)


def asks_twice(inner: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("one", inner)
    builder.add_node("two", inner)
    return builder.add_edge(START, "one").add_edge("one", "two").compile()


def asks_in_messages(model: FakeChatModel) -> Any:
    def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    async def anode(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    return RunnableLambda(node, anode)


WORKERS = (plain, subgraph, fans_out, agent, agent_with_middleware)
Worker = Callable[[FakeChatModel, BudgetPool], Any]


@contextmanager
def by_handler(pool: BudgetPool) -> Iterator[Any]:
    yield metered(pool)


@contextmanager
def by_scope(pool: BudgetPool) -> Iterator[Any]:
    with budget(pool):
        yield {}


@contextmanager
def by_both(pool: BudgetPool) -> Iterator[Any]:
    with budget(pool):
        yield metered(pool)


@contextmanager
def by_nothing(_: BudgetPool) -> Iterator[Any]:
    yield {}


HOOKS = [
    *[(worker, hook) for worker in WORKERS for hook in (by_handler, by_scope)],
    (agent_with_middleware, by_both),
    (agent_with_middleware, by_nothing),
]


class State(Log, total=False):
    """For nodes that speak and nodes that only write down that they ran."""

    messages: Annotated[list[AnyMessage], add_messages]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("worker", "hook"), HOOKS)
def test_the_next_step_has_it_though_others_spend_the_rest(
    way: str, worker: Worker, hook: Any, pool: BudgetPool, model: FakeChatModel
) -> None:
    steps = Steps(pool, greedy=True)
    guard = budget_guard(pool, then="work", reserve=calls(2))
    graph = chain(guard, worker(model, pool), State)
    with hook(pool) as config:
        run(way, graph, HELLO, config)
    steps.give_back()

    assert len(steps.opened) == 1
    assert model.total.calls == 2
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("worker", "hook"), HOOKS)
def test_a_call_beyond_it_is_refused_when_nothing_else_is_left(
    way: str, worker: Worker, hook: Any, pool: BudgetPool, model: FakeChatModel
) -> None:
    steps = Steps(pool, greedy=True)
    guard = budget_guard(pool, then="work", reserve=calls(1))
    graph = chain(guard, worker(model, pool), State)
    with hook(pool) as config, pytest.raises(BudgetExceeded):
        run(way, graph, HELLO, config)
    steps.give_back()

    assert model.total.calls == 1
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("worker", "hook"), HOOKS)
def test_a_call_beyond_it_borrows_what_is_free(
    way: str, worker: Worker, hook: Any, pool: BudgetPool, model: FakeChatModel
) -> None:
    guard = budget_guard(pool, then="work", reserve=calls(1))
    graph = chain(guard, worker(model, pool), State)
    with hook(pool) as config:
        run(way, graph, HELLO, config)

    assert model.total.calls == 2
    assert_quiet(pool, model)


def test_what_is_left_returns_to_the_nano(model: FakeChatModel) -> None:
    prices = PriceTable({"fake": Price.per_million(input="2.50", output="10.01")})
    pool = BudgetPool("acme", usd(1), prices=prices)
    guard = budget_guard(pool, then="work", reserve=usd("0.333333333"))
    graph = chain(guard, asks(model, "work"))
    graph.invoke(START_LOG, metered(pool))

    balance = pool.balance("usd")
    assert balance.spent == usd("0.00006003")
    assert balance.available == usd("0.99993997")
    assert (balance.held, balance.lent) == (usd(0), usd(0))


def test_its_calls_are_reported_by_node_and_its_account_is_not_shown(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    guard = budget_guard(pool, then="work", reserve=calls(1))
    chain(guard, asks(model, "work")).invoke(START_LOG, metered(pool))

    assert pool.report().by("node").keys() == {("work",)}
    assert "step-" not in str(pool)


def test_it_comes_out_of_the_account_that_the_step_is_charged_to(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    steps = Steps(pool)
    team = pool.open("team", limit=calls(3))
    member = team.open("work", limit=calls(2))
    guard = budget_guard(pool, "team", then="work", reserve=calls(2))
    chain(guard, asks(model, "work", times=2)).invoke(START_LOG, metered(pool))

    assert steps.opened[0].startswith("acme/team/work/step-")
    assert member.balance("calls").spent == calls(2)


def test_inside_a_scope_it_comes_out_of_what_the_scope_may_spend(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    steps = Steps(pool)
    guard = budget_guard(pool, then="work", otherwise=END, reserve=calls(2))
    graph = chain(guard, asks(model, "work", times=2))
    with budget(pool), budget(calls(3)) as scope:
        graph.invoke(START_LOG)
        assert graph.invoke(START_LOG) == {"log": []}

    assert steps.opened[0].startswith(scope.account.path)
    assert scope.successful_requests == 2
    assert_quiet(pool, model)


def test_what_cannot_be_reserved_leads_to_the_other_way(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    guard = budget_guard(pool, then="work", otherwise=END, reserve=calls(11))
    graph = chain(guard, asks(model, "work"))

    assert graph.invoke(START_LOG, metered(pool)) == {"log": []}
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_it_returns_when_the_step_fails(
    way: str, pool: BudgetPool, model: FakeChatModel
) -> None:
    def fails(_: Log) -> Log:
        raise ZeroDivisionError

    work = asks(model, "work") | RunnableLambda(fails)
    graph = chain(budget_guard(pool, then="work", reserve=calls(5)), work)
    with pytest.raises(ZeroDivisionError):
        run(way, graph, START_LOG, metered(pool))

    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_it_returns_when_the_graph_fails_before_the_step(
    way: str, pool: BudgetPool, model: FakeChatModel
) -> None:
    steps, gone = Steps(pool), threading.Event()

    def fails(_: Log) -> Log:
        assert gone.wait(10)
        raise ZeroDivisionError

    pool.subscribe(lambda _: gone.set())
    builder = StateGraph(Log)
    builder.add_node("guard", budget_guard(pool, then="work", reserve=calls(5)))
    builder.add_node("work", asks(model, "work"))
    builder.add_node("beside", RunnableLambda(fails))
    builder.add_edge(START, "guard").add_edge(START, "beside")
    with pytest.raises(ZeroDivisionError):
        run(way, builder.compile(), START_LOG, metered(pool))

    assert len(steps.opened) == 1
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_it_returns_at_an_interrupt_before_the_step(
    way: str, pool: BudgetPool, model: FakeChatModel
) -> None:
    guard = budget_guard(pool, then="work", reserve=calls(5))
    graph = chain(
        guard,
        asks(model, "work"),
        checkpointer=InMemorySaver(),
        interrupt_before=["work"],
    )
    config = metered(pool, **THREAD)
    run(way, graph, START_LOG, config)
    assert_quiet(pool, model)

    assert run(way, graph, None, config) == {"log": ["work", "Yes."]}
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_it_returns_at_an_interrupt_inside_the_step(
    way: str, pool: BudgetPool, model: FakeChatModel
) -> None:
    def asks_a_person(_: Log) -> Log:
        return {"log": [interrupt("Go on?")]}

    work = asks(model, "work") | RunnableLambda(asks_a_person)
    guard = budget_guard(pool, then="work", reserve=calls(5))
    graph = chain(guard, work, checkpointer=InMemorySaver())
    config = metered(pool, **THREAD)
    run(way, graph, START_LOG, config)
    assert_quiet(pool, model)

    run(way, graph, Command(resume="yes"), config)
    assert model.total.calls == 2
    assert_quiet(pool, model)


def test_it_returns_when_a_stream_of_the_graph_is_abandoned(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    guard = budget_guard(pool, then="work", reserve=calls(5))
    stream = chain(guard, asks(model, "work")).stream(
        START_LOG, metered(pool), stream_mode="updates"
    )
    next(stream)
    assert pool.balance("calls").lent == calls(5)
    stream.close()

    assert_quiet(pool, model)


def test_it_returns_at_its_time_to_live_and_the_step_goes_on(
    model: FakeChatModel,
) -> None:
    clock = StillClock()
    pool = BudgetPool("acme", calls(10), store=MemoryStore(clock))

    def dawdles(_: Log) -> Log:
        clock.advance(HOLD_TTL_SECONDS)
        assert pool.balance("calls").lent == calls(0)
        return {"log": [model.invoke("Hi").text]}

    graph = chain(budget_guard(pool, then="work", reserve=calls(5)), dawdles)
    graph.invoke(START_LOG, metered(pool))

    assert_quiet(pool, model)


def test_without_a_graph_its_time_to_live_returns_it(model: FakeChatModel) -> None:
    clock = StillClock()
    pool = BudgetPool("acme", calls(10), store=MemoryStore(clock))
    guard = budget_guard(pool, then="work", otherwise="stop", reserve=calls(5))

    gone = [guard.invoke({}).goto for _ in range(3)]

    assert gone == ["work", "work", "stop"]
    assert pool.balance("calls").lent == calls(10)
    clock.advance(HOLD_TTL_SECONDS)

    assert_quiet(pool, model)


@pytest.mark.parametrize("hook", [by_handler, by_scope])
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_runs_beside_each_other_keep_to_their_own(
    way: str, hook: Any, pool: BudgetPool, model: FakeChatModel
) -> None:
    """Both have reserved, and nothing else is left, before either calls."""
    met, steps = threading.Barrier(2, timeout=10), Steps(pool)

    def meets(state: Log) -> Log:
        if met.wait() == 0:
            steps.taken.append(pool.reserve(calls(6)))
        met.wait()
        return state

    work = RunnableLambda(meets) | asks(model, "work", times=2)
    graph = chain(budget_guard(pool, then="work", reserve=calls(2)), work)

    def one(_: int) -> Any:
        with hook(pool) as config:
            return run(way, graph, START_LOG, config)

    with ThreadPoolExecutor(2) as threads:
        results = [*threads.map(one, range(2))]
    steps.give_back()

    assert results == [{"log": ["work", "Yes.", "Yes."]}] * 2
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_branches_that_were_sent_reserve_each_for_itself(
    way: str, pool: BudgetPool, model: FakeChatModel
) -> None:
    steps = Steps(pool)
    guard = budget_guard(pool, then="work", reserve=calls(3))
    branch = chain(guard, asks(model, "work", times=3))
    builder = StateGraph(Log).add_node("branch", branch)
    sends = [Send("branch", START_LOG) for _ in range(3)]
    graph = builder.add_conditional_edges(START, lambda _: sends, ["branch"]).compile()
    run(way, graph, START_LOG, metered(pool))

    assert len(steps.opened) == 3
    assert model.total.calls == 9
    assert_quiet(pool, model)


def test_a_task_of_the_same_node_that_was_sent_has_no_part_in_it(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    """The guard leads to `work`, and something else sends `work` before that."""
    steps, came = Steps(pool, greedy=True), list[str]()

    def work(state: Log) -> None:
        model.invoke("Hi")
        came.extend(state["log"])

    builder = StateGraph(Log)
    builder.add_node("guard", budget_guard(pool, then="work", reserve=calls(1)))
    builder.add_node("plan", notes("led"))
    builder.add_node("work", work)
    builder.add_edge(START, "guard").add_edge(START, "plan")
    sent = Send("work", {"log": ["sent"]})
    builder.add_conditional_edges("plan", lambda _: [sent], ["work"])
    with pytest.raises(BudgetExceeded):
        builder.compile().invoke(START_LOG, metered(pool, max_concurrency=1))
    steps.give_back()

    assert came == ["led"]
    assert_quiet(pool, model)


def test_a_task_of_the_same_node_beside_the_guard_has_no_part_in_it(
    pool: BudgetPool,
) -> None:
    """It starts after the guard has reserved, but in the same step."""
    lent: list[int] = []

    def work(_: Log) -> None:
        lent.append(pool.balance("calls").lent.value)

    builder = StateGraph(Log)
    builder.add_node("guard", budget_guard(pool, then="work", reserve=calls(4)))
    builder.add_node("work", work)
    builder.add_edge(START, "guard").add_edge(START, "work")
    builder.compile().invoke(START_LOG, metered(pool, max_concurrency=1))

    assert lent == [4, 4]


def test_a_guard_that_was_refused_may_reserve_later(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    steps, kept = Steps(pool), pool.reserve(calls(9))

    def waits(_: Log) -> Log:
        kept.release()
        return {"log": ["waited"]}

    guard = budget_guard(pool, then="work", otherwise="wait", reserve=calls(2))
    builder = StateGraph(Log)
    builder.add_node("guard", guard)
    builder.add_node("wait", waits)
    builder.add_node("work", asks(model, "work"))
    builder.add_edge(START, "guard").add_edge("wait", "guard")
    log = builder.compile().invoke(START_LOG, metered(pool))

    assert log == {"log": ["waited", "work", "Yes."]}
    assert len(steps.opened) == 1
    assert_quiet(pool, model)


def test_a_deferred_step_has_it_when_its_time_comes(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    steps = Steps(pool, greedy=True)
    builder = StateGraph(Log)
    builder.add_node("guard", budget_guard(pool, then="work", reserve=calls(1)))
    builder.add_node("work", asks(model, "work"), defer=True)
    builder.add_node("first", notes("first"))
    builder.add_node("second", notes("second"))
    builder.add_edge(START, "guard").add_edge(START, "first").add_edge(
        "first", "second"
    )
    log = builder.compile().invoke(START_LOG, metered(pool))
    steps.give_back()

    assert log == {"log": ["first", "second", "work", "Yes."]}
    assert_quiet(pool, model)


def test_two_guards_of_one_step_reserve_both(model: FakeChatModel) -> None:
    one, other = BudgetPool("acme", calls(5)), BudgetPool("acme", calls(5))
    heard = Steps(one, greedy=True), Steps(other, greedy=True)
    builder = StateGraph(Log)
    for name, pool in (("first", one), ("second", other)):
        builder.add_node(name, budget_guard(pool, then="work", reserve=calls(1)))
        builder.add_edge(START, name)
    builder.add_node("work", asks(model, "work"))
    handlers = [BudgetCallbackHandler(one), BudgetCallbackHandler(other)]
    builder.compile().invoke(START_LOG, {"callbacks": handlers})
    for steps in heard:
        steps.give_back()

    assert_quiet(one, model)
    assert_quiet(other, model)


def test_two_guards_of_one_pool_reserve_both(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    steps = Steps(pool)
    builder = StateGraph(Log)
    for name in ("first", "second"):
        pool.open(name)
        builder.add_node(name, budget_guard(pool, name, then="work", reserve=calls(1)))
        builder.add_edge(START, name)
    builder.add_node("work", asks(model, "work", times=2))
    builder.compile().invoke(START_LOG, metered(pool))

    assert len(steps.opened) == 2
    assert_quiet(pool, model)


@pytest.mark.parametrize(("needs", "log"), [(6, ["work", "Yes."]), (11, [])])
def test_a_guard_inside_a_reserved_step_may_need_more_than_that(
    needs: int, log: list[str], pool: BudgetPool, model: FakeChatModel
) -> None:
    inner = chain(
        budget_guard(pool, then="work", otherwise=END, needs=calls(needs)),
        asks(model, "work"),
    )
    graph = chain(budget_guard(pool, then="work", reserve=calls(2)), inner)

    assert graph.invoke(START_LOG, metered(pool)) == {"log": log}
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_a_guard_inside_a_reserved_step_reserves_out_of_that(
    way: str, pool: BudgetPool, model: FakeChatModel
) -> None:
    steps = Steps(pool, greedy=True)
    inner = chain(
        budget_guard(pool, then="work", needs=calls(2), reserve=calls(2)),
        asks(model, "work", times=2),
    )
    graph = chain(budget_guard(pool, then="work", reserve=calls(2)), inner)
    run(way, graph, START_LOG, metered(pool))
    steps.give_back()

    assert len(steps.opened) == 2
    assert model.total.calls == 2
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_a_guard_that_is_run_again_reserves_once(
    way: str, pool: BudgetPool, model: FakeChatModel
) -> None:
    """A node of one's own may call a guard, fail after it, and be tried again."""
    steps, tries = Steps(pool), iter([ZeroDivisionError, OSError, None])

    def fails_twice(command: Command[str]) -> Command[str]:
        if error := next(tries):
            raise error
        return command

    guard = budget_guard(pool, then="work", reserve=calls(6))
    builder = StateGraph(Log)
    builder.add_node(
        "guard",
        guard | RunnableLambda(fails_twice),
        retry_policy=RetryPolicy(initial_interval=0, jitter=False, retry_on=Exception),
        destinations=("work",),
    )
    builder.add_node("work", asks(model, "work"))
    run(way, builder.add_edge(START, "guard").compile(), START_LOG, metered(pool))

    assert len(steps.opened) == 1
    assert_quiet(pool, model)


@pytest.mark.parametrize("way", WAYS)
def test_a_guard_that_is_resumed_has_one_reservation_at_a_time(
    way: str, pool: BudgetPool, model: FakeChatModel
) -> None:
    steps = Steps(pool)
    guard = budget_guard(pool, then="work", reserve=calls(6))

    def asks_a_person(command: Command[str]) -> Command[str]:
        interrupt("Go on?")
        return command

    builder = StateGraph(Log)
    builder.add_node(
        "guard", guard | RunnableLambda(asks_a_person), destinations=("work",)
    )
    builder.add_node("work", asks(model, "work"))
    builder.add_edge(START, "guard")
    graph, config = builder.compile(InMemorySaver()), metered(pool, **THREAD)
    run(way, graph, START_LOG, config)
    assert_quiet(pool, model)
    run(way, graph, Command(resume="yes"), config)

    assert len(steps.opened) == 2
    assert model.total.calls == 1
    assert_quiet(pool, model)


def test_a_time_travel_reserves_anew(pool: BudgetPool, model: FakeChatModel) -> None:
    steps = Steps(pool)
    guard = budget_guard(pool, then="work", reserve=calls(6))
    graph = chain(guard, asks(model, "work"), checkpointer=InMemorySaver())
    graph.invoke(START_LOG, metered(pool, **THREAD))
    past = [each for each in graph.get_state_history(THREAD) if each.next == ("guard",)]
    graph.invoke(None, metered(pool, **past[0].config))

    assert len(steps.opened) == 2
    assert model.total.calls == 2
    assert_quiet(pool, model)


def test_step_after_step_nothing_searches_all_accounts_again(
    model: FakeChatModel,
) -> None:
    class CountingStore(MemoryStore):
        searches = 0

        def below(self, path: str) -> tuple[Any, ...]:
            self.searches += 1
            return super().below(path)

    store = CountingStore()
    pool = BudgetPool("acme", calls(10), store=store)
    guard = budget_guard(pool, then="work", reserve=calls(2))
    graph = chain(guard, asks(model, "work"))
    config = metered(pool)
    graph.invoke(START_LOG, config)
    searched = store.searches
    for _ in range(5):
        graph.invoke(START_LOG, config)

    assert store.searches == searched
    assert_quiet(pool, model)


async def test_a_call_that_outlives_its_step_is_charged_all_the_same(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    """The step's account is closed by then, which is no reason to refuse."""
    over, calling = asyncio.Event(), set[asyncio.Task[Any]]()

    async def later() -> None:
        await over.wait()
        await model.ainvoke("Hi")

    async def starts(_: Log) -> Log:
        calling.add(asyncio.create_task(later()))
        return {"log": ["work"]}

    graph = chain(budget_guard(pool, then="work", reserve=calls(6)), starts)
    await graph.ainvoke(START_LOG, metered(pool))
    assert pool.balance("calls").lent == calls(0)
    over.set()
    await asyncio.gather(*calling)

    assert model.total.calls == 1
    assert_quiet(pool, model)


def test_accounts_of_steps_stay_below_the_one_they_draw_on(
    pool: BudgetPool, model: FakeChatModel
) -> None:
    """A step that is charged elsewhere leaves the reservation alone."""
    other: Account = pool.open("other", limit=calls(5))
    handler = BudgetCallbackHandler(pool, accounts={"work": other})
    guard = budget_guard(pool, "other", then="work", reserve=calls(3))
    graph = chain(guard, asks(model, "work", times=2))
    graph.invoke(START_LOG, {"callbacks": [handler]})
    assert other.balance("calls").spent == calls(2)

    elsewhere = BudgetCallbackHandler(pool, accounts={"work": pool.open("more")})
    graph.invoke(START_LOG, {"callbacks": [elsewhere]})
    assert other.balance("calls").spent == calls(2)
    assert_quiet(pool, model)


def test_what_is_reserved_comes_back_where_nothing_else_knows_of_the_budget() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ALONE], check=True, capture_output=True, text=True
    )

    assert ran.stdout.split() == ["6", "10"]


class AskedStore(MemoryStore):
    """It does something else on another thread when asked whether it blocks."""

    meanwhile: Callable[[], object] = list
    blocking: ClassVar[Any] = property(lambda self: self.asked())

    def asked(self) -> bool:
        thread = threading.Thread(target=self.meanwhile)
        thread.start()
        thread.join()
        return False


async def test_guards_may_be_built_on_a_thread_while_all_are_asked(
    model: FakeChatModel,
) -> None:
    store, built = AskedStore(), list[Any]()
    pool, other = BudgetPool("acme", calls(10), store=store), BudgetPool("other")
    guard = budget_guard(pool, then="work", reserve=calls(2))
    graph = chain(guard, asks(model, "work"))
    store.meanwhile = lambda: built.append(
        budget_guard(other, then="work", reserve=calls(1))
    )
    with budget(pool):
        log = await graph.ainvoke(START_LOG)

    assert built
    assert log == {"log": ["work", "Yes."]}
    assert_quiet(pool, model)


class Contested(str):
    """The name of a node that two handlers are told of, on the only two threads."""

    __slots__ = ("_other", "_readers", "_threads")

    def __init__(self, _: str) -> None:
        self._threads = ThreadPoolExecutor(2)
        self._other = threading.Event()
        self._readers = iter([self._first, self._second])

    def __str__(self) -> str:
        next(self._readers, list)()
        return self[:]

    def share(self) -> None:
        asyncio.get_running_loop().set_default_executor(self._threads)

    def _first(self) -> None:
        """Go on when the other handler is here as well, or does not come."""
        self._threads.submit(self._other.set)
        assert self._other.wait(10)

    def _second(self) -> None:
        """Go on when the first is done."""
        self._other.set()
        self._threads.submit(list).result(10)


class Renames(BaseCallbackHandler):
    """It is told before those on threads, of the same metadata."""

    run_inline = True

    def __init__(self, name: Contested) -> None:
        self._name = name

    def on_chain_start(self, *_: Any, metadata: Any = None, **__: Any) -> None:
        if (metadata or {}).get("langgraph_node") == self._name:
            metadata["langgraph_node"] = self._name


async def test_of_two_handlers_at_once_neither_loses_what_is_reserved(
    model: FakeChatModel, tmp_path: Path
) -> None:
    """A pool that blocks: one is that of the config, one is there for the guard."""
    url = f"sqlite:///{(tmp_path / 'budget.db').as_posix()}"
    name = Contested("work")
    with closing(BudgetPool("acme", calls(10), store=url)) as pool:
        guard = budget_guard(pool, then="work", reserve=calls(10))
        graph = chain(guard, asks(model, "work"))
        handlers = [Renames(name), BudgetCallbackHandler(pool)]
        name.share()
        log = await graph.ainvoke(START_LOG, {"callbacks": handlers})

        assert log == {"log": ["work", "Yes."]}
        assert_quiet(pool, model)
