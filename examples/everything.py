"""
All of it on one pool: accounts, windows, ticks, tools, users, a treasury and alerts.

Each rule is told once, and every call then has to fit into all of them at once.
"""

from functools import partial

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_budget import (
    Alerts,
    BudgetCallbackHandler,
    BudgetPool,
    BudgetRefused,
    MemoryStore,
    Price,
    PriceTable,
    Rule,
    ToolCosts,
    Treasury,
    budgeted_tool,
    calls,
    meter,
    tokens,
    usd,
)
from langchain_budget.core.policies.allocation import by_priority
from langchain_budget.testing import FakeChatModel, StillClock

# Each answer of a model takes 1,000 tokens, which cost 10 cents.
PRICES = PriceTable({"fake": Price.per_million(input=100, output=100)})
COSTS = ToolCosts({"search": "0.05", "digest": 0})


def open_pool(store=None):
    lasting = [usd(20), usd(10).per("day"), usd(90).per("month")]
    lasting += [tokens(60_000), tokens(50_000).per("5h")]
    pool = BudgetPool("acme", *lasting, store=store, prices=PRICES)
    pool.open("reserve", carve=usd(2))
    pool.open("researcher", carve=usd(0), priority=9)
    pool.open("writer", carve=usd(0), priority=4)

    each_agent = [tokens(9_500).per("tick"), tokens(40_000).per("run")]
    each_tool = [meter("tool_calls")(2).per("tick"), calls(2).per("tick")]
    pool.limit_each("agent", limit=each_agent)
    pool.limit_each("agent", "tool", named={"search": each_tool, "digest": each_tool})
    pool.limit_each("user_id", limit=usd("1.20").per("day"))
    return pool


def share_out(treasury):
    least = partial(by_priority, minimum=usd(1).value)
    treasury.allocate(least, usd(4), reason="a new month")


def next_step(messages):
    """The scripted researcher: search, have what was found digested, answer."""
    done = sum(isinstance(each, ToolMessage) for each in messages)
    if done == 2:
        return "It is a plant."
    name = ("search", "digest")[done]
    call = {"name": name, "args": {"text": "tea"}, "id": name}
    return AIMessage("", tool_calls=[call])


def models():
    made = partial(FakeChatModel, usage=(100, 900), max_tokens=900)
    return made(replies=[next_step]), made(replies=["In short."])


def build_graph(pool, treasury, thinker, speaker):
    """A researcher and a writer; when money is short, the writer alone."""

    @tool
    def search(text: str) -> dict:
        """Search; the answer says what it has cost."""
        return {"found": text, "cost_usd": 0.04}

    @tool
    def digest(text: str) -> str:
        """Make it short, by a model."""
        return speaker.invoke(f"Sum up {text}.").text

    def by_level(_: MessagesState) -> str:
        full = treasury.level("researcher").name == "full"
        return "researcher" if full else "writer"

    paid = [budgeted_tool(each, pool, costs=COSTS) for each in (search, digest)]
    builder = StateGraph(MessagesState)
    builder.add_node("researcher", create_agent(thinker, paid, name="researcher"))
    builder.add_node("writer", create_agent(speaker, name="writer"))
    builder.add_conditional_edges(START, by_level, ["researcher", "writer"])
    builder.add_edge("researcher", "writer")
    builder.add_edge("writer", END)
    return builder.compile(checkpointer=InMemorySaver())


def config_of(pool, user, thread):
    return {
        "callbacks": [BudgetCallbackHandler(pool)],
        "metadata": {"user_id": user},
        "configurable": {"thread_id": thread},
    }


QUESTION = {"messages": [("user", "What is tea?")]}


def asker(pool, graph):
    """Prints what becomes of a question, and what it has cost."""

    def ask(user, thread, question=QUESTION):
        before = pool.balance().spent
        try:
            graph.invoke(question, config_of(pool, user, thread))
            said = "answered"
        except BudgetRefused as no:
            said = str(no).partition(" (")[0]
        print(f"{user}: {said}; spent {pool.balance().spent - before}")

    return ask


def questions(pool, ask):
    researcher = pool.account("researcher")
    ask("ada", "first")
    researcher.freeze("under review")
    ask("bob", "second")
    researcher.thaw()
    ask("bob", "second", None)  # on from where it stopped
    ask("ada", "third")  # no third search in one tick
    pool.advance("tick")
    ask("ada", "third", None)
    ask("ada", "fourth")  # not above $1.20 a day for one user
    ask("bob", "fifth")
    ask("bob", "sixth")  # less than half is left: the writer alone


def main():
    pool = open_pool(MemoryStore(clock=StillClock()))  # it is always the same day
    treasury = Treasury(pool, reserve="reserve")
    share_out(treasury)
    Alerts(pool, [Rule("50%")], units=["usd"], tell=lambda alert: print(alert.message))

    thinker, speaker = models()
    questions(pool, asker(pool, build_graph(pool, treasury, thinker, speaker)))

    pool.account("writer").transfer("researcher", usd("0.10"), reason="a trade")
    helped = treasury.emergency("researcher", usd("0.50"), reason="a deadline")
    print(f"emergency: {helped.why}")
    treasury.rebalance()

    print()
    print(pool)

    # What is on the books is what the models and tools really used.
    used = sum(thinker.total[:2]) + sum(speaker.total[:2])
    assert pool.balance("tokens").spent == tokens(used)
    assert pool.admin.verify().ok


if __name__ == "__main__":
    main()
