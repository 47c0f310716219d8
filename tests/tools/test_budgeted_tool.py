"""A tool under a budget, by hand and in a graph: held for, settled, never leaked."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import CallbackManagerForToolRun
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import (
    BaseTool,
    InjectedToolCallId,
    StructuredTool,
    Tool,
    ToolException,
    tool,
)
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import ParentCommand
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, ToolRuntime
from langgraph.types import Command, interrupt
from pydantic import PrivateAttr

from langchain_budget import (
    AccountFrozen,
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
    Price,
    PriceTable,
    UnitMismatch,
    UnknownAccount,
    budget,
    tokens,
    usd,
)
from langchain_budget.adapters.tool_calls import OperationTooDear
from langchain_budget.adapters.tools import budgeted_tool
from langchain_budget.pricing.tool_costs import ToolCosts
from langchain_budget.testing import FakeChatModel, Gate
from tests.adapters.graphs import WAYS, run
from tests.tools.settled import COSTS, Heard, assert_charged, tool_calls

HANDS = ("invoke", "ainvoke", "batch", "abatch", "run", "arun")


def by_hand(way: str, made: BaseTool, given: Any) -> Any:
    if way in ("invoke", "run"):
        return getattr(made, way)(given)
    if way == "batch":
        return made.batch([given])[0]
    if way == "abatch":
        return asyncio.run(made.abatch([given]))[0]
    return asyncio.run(getattr(made, way)(given))


def searching(function: Callable[[str], Any], **options: Any) -> BaseTool:
    """A tool `search` that does what *function* does."""

    def search(query: str) -> Any:
        return function(query)

    return StructuredTool.from_function(search, description="Search.", **options)


def failing(error: BaseException) -> BaseTool:
    def fail(query: str) -> Any:
        assert query
        raise error.with_traceback(None)

    return searching(fail)


def asking(*queries: str) -> dict[str, Any]:
    """The state of a graph whose model has just asked for tools."""
    asked = [
        {"name": "search", "args": {"query": each}, "id": f"call-{at}"}
        for at, each in enumerate(queries)
    ]
    return {"messages": [AIMessage("", tool_calls=asked)]}


def graph_of(made: BaseTool, **options: Any) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode([made], **options))
    builder.add_edge(START, "tools")
    return builder.compile(checkpointer=InMemorySaver())


THREAD: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", usd(1))


@pytest.mark.parametrize("way", HANDS)
def test_what_the_tool_reports_is_charged(way: str, pool: BudgetPool) -> None:
    heard = Heard(pool)
    search = searching(lambda query: {"found": query, "cost_usd": 0.04})
    made = budgeted_tool(search, pool, costs=COSTS)

    assert by_hand(way, made, {"query": "tea"}) == {"found": "tea", "cost_usd": 0.04}
    assert [dict(each.amounts) for each in heard.held] == [
        {"tool_calls": 1, "usd": usd("0.10").value}
    ]
    assert heard.bases == ["reported"]
    assert heard.charged[0].labels["tool"] == "search"
    assert_charged(pool, usd("0.04"), count=1)


@pytest.mark.parametrize("way", HANDS)
def test_what_was_expected_is_charged_when_it_reports_nothing(
    way: str, pool: BudgetPool
) -> None:
    heard = Heard(pool)
    made = budgeted_tool(searching(str.upper), pool, costs=COSTS)

    assert by_hand(way, made, {"query": "tea"}) == "TEA"
    assert heard.bases == ["estimated"]
    assert_charged(pool, usd("0.10"), count=1)


def test_without_costs_it_costs_what_an_unknown_tool_does(pool: BudgetPool) -> None:
    budgeted_tool(searching(str.upper), pool).invoke({"query": "tea"})

    assert_charged(pool, usd("0.01"), count=1)


def test_more_than_was_expected_is_charged_all_the_same() -> None:
    pool = BudgetPool("acme", usd("0.20"))
    search = searching(lambda _: {"cost_usd": 5})
    made = budgeted_tool(search, pool, costs=COSTS)
    made.invoke({"query": "tea"})

    with pytest.raises(BudgetExceeded):
        made.invoke({"query": "tea"})
    assert_charged(pool, usd(5), count=1)


def test_a_figure_that_cannot_be_true_is_charged_as_expected(
    pool: BudgetPool,
) -> None:
    search = searching(lambda _: {"cost_usd": float("nan")})
    budgeted_tool(search, pool, costs=COSTS).invoke({"query": "tea"})

    assert_charged(pool, usd("0.10"), count=1)


def test_it_is_the_same_tool_to_whoever_looks_at_it(pool: BudgetPool) -> None:
    search = searching(str.upper, return_direct=True, tags=["web"])
    made = budgeted_tool(search, pool)

    assert isinstance(made, StructuredTool)
    assert (made.name, made.description) == (search.name, search.description)
    assert made.args == search.args
    assert made.return_direct
    assert made.tags == ["web"]
    assert convert_to_openai_tool(made) == convert_to_openai_tool(search)
    assert search.invoke({"query": "tea"}) == "TEA"
    assert_charged(pool, usd(0), count=0)


class Counter(BaseTool):
    """A tool made of a class, without a schema, that has a state of its own."""

    name: str = "search"
    description: str = "Count."
    _calls: list[str] = PrivateAttr(default_factory=list)

    def _run(
        self, query: str, run_manager: CallbackManagerForToolRun | None = None
    ) -> dict[str, Any]:
        assert run_manager is not None
        self._calls.append(query)
        return {"calls": len(self._calls), "cost_usd": "0.02"}


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_tool_made_of_a_class_is_charged_once(way: str, pool: BudgetPool) -> None:
    made = budgeted_tool(Counter(), pool, costs=COSTS)

    assert made.args == Counter().args
    assert by_hand(way, made, {"query": "tea"})["calls"] == 1
    assert_charged(pool, usd("0.02"), count=1)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_tool_of_one_text_is_charged_once(way: str, pool: BudgetPool) -> None:
    plain = Tool(name="LLM", description="Ask.", func=str.upper)

    assert by_hand(way, budgeted_tool(plain, pool), "explain" * 10_000).startswith("EX")
    assert_charged(pool, usd("0.00875"), count=1)


def test_a_tool_that_can_only_be_awaited_is_charged(pool: BudgetPool) -> None:
    @tool
    async def search(query: str) -> dict[str, Any]:
        """Search."""
        await asyncio.sleep(0)
        return {"found": query, "cost_usd": 0.03}

    asyncio.run(budgeted_tool(search, pool, costs=COSTS).ainvoke({"query": "tea"}))

    assert_charged(pool, usd("0.03"), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_what_the_framework_hands_to_a_tool_still_arrives(
    way: str, pool: BudgetPool
) -> None:
    @tool
    def search(
        query: str,
        call: Annotated[str, InjectedToolCallId],
        state: Annotated[MessagesState, InjectedState],
        runtime: ToolRuntime,
        config: RunnableConfig,
    ) -> str:
        """Search."""
        node = config["metadata"]["langgraph_node"]
        same = runtime.tool_call_id == call
        return f"{query} {call} {len(state['messages'])} {same} {node}"

    graph = graph_of(budgeted_tool(search, pool, costs=COSTS))

    assert run(way, graph, asking("tea"), THREAD)["messages"][-1].text == (
        "tea call-0 1 True tools"
    )
    assert_charged(pool, usd("0.10"), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_in_a_graph_the_cost_is_seen_before_a_message_is_made_of_it(
    way: str, pool: BudgetPool
) -> None:
    heard = Heard(pool)
    search = searching(lambda query: {"found": query, "cost_usd": 0.04})
    graph = graph_of(budgeted_tool(search, pool, costs=COSTS))
    run(way, graph, asking("tea", "milk"), THREAD)

    assert heard.bases == ["reported"] * 2
    assert {each.labels["node"] for each in heard.charged} == {"tools"}
    assert_charged(pool, usd("0.08"), count=2)


def test_an_artifact_that_reports_a_cost_is_read(pool: BudgetPool) -> None:
    search = searching(
        lambda query: (query, {"cost_usd": 0.04}),
        response_format="content_and_artifact",
    )
    made = budgeted_tool(search, pool, costs=COSTS)

    assert made.invoke({"query": "tea"}) == "tea"
    graph_of(made).invoke(asking("tea"), THREAD)
    assert_charged(pool, usd("0.08"), count=2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("handled", [False, True])
def test_a_refusal_passes_the_node_and_the_graph_goes_on_after_a_top_up(
    way: str, *, handled: bool
) -> None:
    pool, ran = BudgetPool("acme", usd("0.05")), list[str]()
    made = budgeted_tool(searching(ran.append), pool, costs=COSTS)
    graph = graph_of(made, handle_tool_errors=handled)
    with pytest.raises(BudgetExceeded, match=r"\$0.05 left.*may need \$0.10"):
        run(way, graph, asking("tea"), THREAD)
    assert_charged(pool, usd(0), count=0)
    pool.top_up(usd("0.05"))
    run(way, graph, None, THREAD)

    assert ran == ["tea"]
    assert_charged(pool, usd("0.10"), count=1)


def test_a_limit_of_calls_and_a_frozen_account_refuse_it_too(pool: BudgetPool) -> None:
    few = BudgetPool("few", tool_calls(1))
    counted, frozen = (
        budgeted_tool(searching(str.upper), each, costs=COSTS) for each in (few, pool)
    )
    counted.invoke({"query": "tea"})
    pool.freeze()

    with pytest.raises(BudgetExceeded, match="0 tool calls left of 1"):
        counted.invoke({"query": "tea"})
    with pytest.raises(AccountFrozen):
        frozen.invoke({"query": "tea"})
    assert_charged(few, usd("0.10"), count=1)


@pytest.mark.parametrize("way", HANDS)
def test_one_call_that_may_cost_too_much_is_refused_before_it_runs(
    way: str, pool: BudgetPool
) -> None:
    heard, ran = Heard(pool), list[str]()
    made = budgeted_tool(
        searching(ran.append), pool, costs=COSTS, max_cost=usd("0.099")
    )

    with pytest.raises(OperationTooDear, match=r"\$0.10, and at most \$0.099") as no:
        by_hand(way, made, {"query": "tea"})
    assert (no.value.wanted, no.value.limit) == (usd("0.10"), usd("0.099"))
    assert (no.value.account, no.value.kind) == ("acme", "exhausted")
    assert str(pickle.loads(pickle.dumps(no.value))) == str(no.value)  # noqa: S301
    assert [each.refusal for each in heard.refused] == [no.value.refusal]
    assert not ran
    assert_charged(pool, usd(0), count=0)


def test_a_call_that_may_cost_just_as_much_is_not() -> None:
    pool = BudgetPool("acme", usd("0.10"))
    made = budgeted_tool(searching(str.upper), pool, costs=COSTS, max_cost=usd("0.10"))
    made.invoke({"query": "tea"})

    assert_charged(pool, usd("0.10"), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_one_that_is_too_dear_passes_a_node_that_handles_errors(
    way: str, pool: BudgetPool
) -> None:
    made = budgeted_tool(searching(str.upper), pool, costs=COSTS, max_cost=usd(0))
    graph = graph_of(made, handle_tool_errors=True)

    with pytest.raises(OperationTooDear, match="one call of 'search'"):
        run(way, graph, asking("tea"), THREAD)
    assert_charged(pool, usd(0), count=0)


@pytest.mark.parametrize("way", HANDS)
def test_a_call_that_failed_is_counted_and_gets_its_dollars_back(
    way: str, pool: BudgetPool
) -> None:
    made = budgeted_tool(failing(ValueError("no")), pool, costs=COSTS)

    with pytest.raises(ValueError, match="no"):
        by_hand(way, made, {"query": "tea"})
    assert_charged(pool, usd(0), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_what_a_failed_call_says_it_cost_is_charged(way: str, pool: BudgetPool) -> None:
    error = ToolException("half of it")
    error.cost_usd = 0.07  # type: ignore[attr-defined]  # that is how it says so
    made = budgeted_tool(failing(error), pool, costs=COSTS)
    graph = graph_of(made, handle_tool_errors=True)
    answer = run(way, graph, asking("tea"), THREAD)["messages"][-1]

    assert answer.status == "error"
    assert_charged(pool, usd("0.07"), count=1)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("given", [{"query": "tea"}, asking("tea")["messages"][0]])
def test_an_error_that_the_tool_handles_itself_is_a_failed_call(
    way: str, given: Any, pool: BudgetPool
) -> None:
    search = failing(ToolException("no"))
    search.handle_tool_error = True
    call = given if isinstance(given, dict) else {**given.tool_calls[0]}

    assert "no" in str(by_hand(way, budgeted_tool(search, pool, costs=COSTS), call))
    assert_charged(pool, usd(0), count=1)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        SystemExit(),
        ParentCommand(Command(goto="writer", graph=Command.PARENT)),
    ],
)
def test_a_call_that_was_cut_off_is_charged_as_expected(
    error: BaseException, pool: BudgetPool
) -> None:
    heard = Heard(pool)
    made = budgeted_tool(failing(error), pool, costs=COSTS)

    with pytest.raises(type(error)):
        made.invoke({"query": "tea"})
    assert heard.bases == ["estimated"]
    assert_charged(pool, usd("0.10"), count=1)


@pytest.mark.parametrize("way", HANDS)
def test_an_error_after_the_tool_has_run_gives_nothing_back(
    way: str, pool: BudgetPool
) -> None:
    search = searching(str.upper, response_format="content_and_artifact")
    made = budgeted_tool(search, pool, costs=COSTS)

    with pytest.raises(ValueError, match="two-tuple"):
        by_hand(way, made, {"query": "tea"})
    assert_charged(pool, usd("0.10"), count=1)


@pytest.mark.parametrize("handler", [False, True])
async def test_a_cancelled_call_leaks_no_hold(
    pool: BudgetPool, *, handler: bool
) -> None:
    begun = asyncio.Event()

    @tool
    async def search(query: str) -> str:
        """Search."""
        begun.set()
        await asyncio.Event().wait()
        return query

    graph = graph_of(budgeted_tool(search, pool, costs=COSTS))
    handlers = [BudgetCallbackHandler(pool)] if handler else []
    config = {**THREAD, "callbacks": handlers}
    task = asyncio.create_task(graph.ainvoke(asking("tea"), config))
    await asyncio.wait_for(begun.wait(), 30)
    assert pool.balance().held == usd("0.10")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert_charged(pool, usd("0.10"), count=1)


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_asks_a_person_is_charged_when_it_has_run(
    way: str, pool: BudgetPool
) -> None:
    search = searching(lambda query: {query: interrupt("May I?"), "cost_usd": 0.04})
    graph = graph_of(budgeted_tool(search, pool, costs=COSTS))
    run(way, graph, asking("tea"), THREAD)
    assert_charged(pool, usd(0), count=0)
    run(way, graph, Command(resume="yes"), THREAD)

    assert_charged(pool, usd("0.04"), count=1)


def test_threads_at_once_never_spend_more_than_there_is(pool: BudgetPool) -> None:
    together = threading.Barrier(10)

    def wait(query: str) -> str:
        together.wait(timeout=30)
        return query

    made = budgeted_tool(searching(wait), pool, costs=COSTS)

    def call(number: int) -> bool:
        try:
            made.invoke({"query": str(number)})
        except BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(64) as threads:
        ran = sum(threads.map(call, range(64)))

    assert ran == 10
    assert_charged(pool, usd(1), count=10)


async def test_tasks_at_once_never_spend_more_than_there_is(pool: BudgetPool) -> None:
    gate = Gate()

    @tool
    async def search(query: str) -> str:
        """Search."""
        await gate.aenter()
        return query

    made = budgeted_tool(search, pool, costs=COSTS)
    tasks = [asyncio.create_task(made.ainvoke({"query": "x"})) for _ in range(64)]
    await gate.await_started(10)
    gate.open()
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert sum(each == "x" for each in ended) == 10
    assert sum(isinstance(each, BudgetExceeded) for each in ended) == 54
    assert_charged(pool, usd(1), count=10)


@pytest.mark.parametrize("way", ["batch", "abatch"])
def test_a_batch_runs_what_there_is_money_for(way: str, pool: BudgetPool) -> None:
    made = budgeted_tool(searching(str.upper), pool, costs=COSTS)
    queries: list[Any] = [{"query": "x"}] * 12
    if way == "batch":
        ended = made.batch(queries, return_exceptions=True)
    else:
        ended = asyncio.run(made.abatch(queries, return_exceptions=True))

    assert sum(each == "X" for each in ended) == 10
    assert_charged(pool, usd(1), count=10)


def test_the_books_may_be_in_a_file(store_url: str) -> None:
    pool = BudgetPool("acme", usd("0.10"), store=store_url)
    search = searching(lambda query: {"found": query, "cost_usd": 0.04})
    made = budgeted_tool(search, pool, costs=COSTS)
    made.invoke({"query": "tea"})

    with pytest.raises(BudgetExceeded):
        asyncio.run(made.ainvoke({"query": "tea"}))
    assert_charged(pool, usd("0.04"), count=1)


def test_the_account_that_is_named_pays_or_the_one_named_like_the_caller(
    pool: BudgetPool,
) -> None:
    web, tools = pool.open("web"), pool.open("tools")
    search = searching(str.upper)
    budgeted_tool(search, pool, "web", costs=COSTS).invoke({"query": "tea"})
    graph_of(budgeted_tool(search, pool, costs=COSTS)).invoke(asking("tea"), THREAD)

    assert web.balance().spent == tools.balance().spent == usd("0.10")
    assert_charged(pool, usd("0.20"), count=2)


def test_a_scope_that_is_open_binds_too(pool: BudgetPool) -> None:
    made = budgeted_tool(searching(str.upper), pool, costs=COSTS)

    with budget(pool), budget(usd("0.15")):
        made.invoke({"query": "tea"})
        with pytest.raises(BudgetExceeded, match=r"\$0.05 left of \$0.15"):
            made.invoke({"query": "tea"})
    assert_charged(pool, usd("0.10"), count=1)


def test_models_that_a_tool_asks_are_metered_apart() -> None:
    a_tenth_cent = PriceTable({"fake": Price.per_million(input=1_000, output=1_000)})
    pool = BudgetPool("acme", usd(1), prices=a_tenth_cent)
    model = FakeChatModel(replies=["tea"], usage=(12, 3), max_tokens=20)

    @tool
    def search(query: str, config: RunnableConfig) -> str:
        """Search."""
        return model.invoke(query, config).text

    graph = graph_of(budgeted_tool(search, pool, costs=COSTS))
    graph.invoke(asking("tea"), {**THREAD, "callbacks": [BudgetCallbackHandler(pool)]})

    assert_charged(pool, usd("0.10") + usd("0.015"), count=1)


def test_a_tool_inside_a_tool_is_a_call_of_its_own(pool: BudgetPool) -> None:
    inner = budgeted_tool(
        searching(lambda query: {"found": query, "cost_usd": 0.04}), pool, costs=COSTS
    )
    outer = searching(lambda query: inner.invoke({"query": query})["found"])
    budgeted_tool(outer, pool, costs=ToolCosts({"search": "0.30"})).invoke("tea")

    assert_charged(pool, usd("0.34"), count=2)


def test_a_copy_of_the_tool_spends_from_the_same_budget(pool: BudgetPool) -> None:
    made = budgeted_tool(searching(str.upper), pool, costs=COSTS)
    for copied in (made.model_copy(), copy.deepcopy(made)):
        copied.invoke({"query": "tea"})

    assert_charged(pool, usd("0.20"), count=2)


def test_a_mistake_is_told_when_the_tool_is_made(pool: BudgetPool) -> None:
    search = searching(str.upper)
    with pytest.raises(UnknownAccount):
        budgeted_tool(search, pool, "nowhere")
    with pytest.raises(UnitMismatch, match=r"give dollars, such as usd\('0.10'\)"):
        budgeted_tool(search, pool, max_cost=tokens(5))
    with pytest.raises(TypeError, match="under a budget already"):
        budgeted_tool(budgeted_tool(search, pool), BudgetPool("other"))


def test_a_message_that_reports_its_cost_is_passed_on(pool: BudgetPool) -> None:
    told = ToolMessage("x", tool_call_id="1", response_metadata={"cost_usd": "0.04"})
    made = budgeted_tool(searching(lambda _: told), pool, costs=COSTS)

    assert made.invoke({"query": "tea"}) is told
    assert_charged(pool, usd("0.04"), count=1)
