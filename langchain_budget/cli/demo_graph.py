"""
The graph of `langchain-budget demo`: a supervisor and three workers on one pool.

A callback handler meters and limits every model call, in subgraphs, fan-outs and
tools alike, so most nodes know nothing of money. Those that do are `analyst`, which
lives with a refusal, and `review` and `revive`, which stand for an operator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add, or_
from typing import Annotated, Any, Final, Literal, TypedDict

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send

from langchain_budget import (
    Amount,
    BudgetCallbackHandler,
    BudgetMiddleware,
    BudgetPool,
    BudgetRefused,
    budget_guard,
)

MakeModel = Callable[[str, int], BaseChatModel]
"""Makes a model for an agent; its answers have at most so many tokens."""

Node = Any
"""A function of the state, or a graph: what `add_node` takes."""

Next = Literal["research", "guard", "writer", "__end__"]
DOORS: Final[dict[str, Next]] = {
    "research": "research",
    "analysts": "guard",
    "writer": "writer",
}
"""The node at which each worker is reached."""

SHARES: Final = {"supervisor": 7, "research": 26, "analysts": 6, "writer": 61}
"""Hundredths of the pool's limit: too little for the analysts, on purpose."""

PLAN: Final = ("research", "analysts", "writer", "analysts", "writer")
"""Who works when, unless the supervisor's model prefers another order."""

QUESTION: Final = "How does a town choose where to build its next library?"
TOPICS: Final = ("people", "land", "money", "transport", "schools")


class State(TypedDict, total=False):
    """What the team knows; the subgraphs share it."""

    question: str
    facts: str
    notes: str
    findings: Annotated[dict[str, str], or_]
    draft: str
    visits: list[str]


class Task(TypedDict):
    """What one analyst is given."""

    topic: str
    notes: str


def open_accounts(pool: BudgetPool, limit: Amount) -> None:
    """Open an account for each agent, with a limit of its own below the pool's."""
    for name, share in SHARES.items():
        cap = Amount(limit.unit, limit.value * share // 100)
        pool.open(name, limit=cap, warn_at=["80%"])


def build_graph(pool: BudgetPool, make_model: MakeModel, unit: str) -> Node:
    """Put the team together; *unit* is what the pool's accounts are limited in."""
    builder = StateGraph(State)
    builder.add_node("supervisor", supervisor(make_model("supervisor", 6)))
    builder.add_node("research", research(make_model("research", 40)))
    builder.add_node("analysts", analysts(make_model("analysts", 24)))
    builder.add_node("writer", writer(pool, make_model))
    builder.add_node("review", review(pool))
    builder.add_node("revive", revive(pool, unit))
    guard = budget_guard(pool, "analysts", then="analysts", otherwise="revive")
    builder.add_node("guard", guard)

    builder.add_edge(START, "supervisor")
    builder.add_edge("research", "supervisor")
    builder.add_edge("analysts", "review")
    builder.add_edge("review", "supervisor")
    builder.add_edge("revive", "analysts")
    builder.add_edge("writer", "supervisor")
    return builder.compile().with_config(callbacks=[BudgetCallbackHandler(pool)])


def supervisor(model: BaseChatModel) -> Node:
    """Ask the model who is next; code decides when its answer makes no sense."""

    def supervise(state: State) -> Command[Next]:
        visits = state.get("visits", [])
        left = to_do(state, visits)
        if not left:
            return Command(goto="__end__")
        workers = list(dict.fromkeys(left))
        question = f"Still to do: {', '.join(workers)}. Who is next?"
        said = ask(model, "You lead a team. Answer with one name.", question).lower()
        named = [worker for worker in workers if worker in said]
        chosen = named[0] if len(named) == 1 else left[0]
        return Command(goto=DOORS[chosen], update={"visits": [*visits, chosen]})

    return supervise


def to_do(state: State, visits: list[str]) -> list[str]:
    """Tell what is left of the plan; nothing once a draft covers every topic."""
    if visits[-1:] == ["writer"] and not missing(state):
        return []
    left = list(PLAN)
    for visit in visits:
        left.remove(visit)
    return left


def research(model: BaseChatModel) -> Node:
    """A subgraph of two nodes; both spend what the account "research" has."""

    def gather(state: State) -> State:
        return {"facts": ask(model, "Gather facts, briefly.", state["question"])}

    def digest(state: State) -> State:
        chunks = model.stream([("system", "Sum this up."), ("user", state["facts"])])
        return {"notes": reduce(add, chunks).text}

    builder = StateGraph(State)
    builder.add_node("gather", gather)
    builder.add_node("digest", digest)
    builder.add_edge(START, "gather")
    builder.add_edge("gather", "digest")
    return builder.compile()


def analysts(model: BaseChatModel) -> Node:
    """One analyst for each topic that nobody has looked at, all at once."""

    def fan_out(state: State) -> list[Send]:
        notes = state.get("notes", "")
        return [Send("analyst", Task(topic=t, notes=notes)) for t in missing(state)]

    def analyst(state: Task) -> State:
        topic = state["topic"]
        system = f"You are an analyst. In one sentence: what about the {topic}?"
        try:
            found = ask(model, system, f"{QUESTION}\n{state['notes']}")
        except BudgetRefused:
            return {}  # nothing was sent or spent; the topic waits for money
        return {"findings": {topic: found}}

    builder = StateGraph(State)
    builder.add_node("analyst", analyst)
    builder.add_conditional_edges(START, fan_out, ["analyst"])
    return builder.compile()


def missing(state: State) -> list[str]:
    """Tell which topics nobody has looked at."""
    return [topic for topic in TOPICS if topic not in state.get("findings", {})]


def review(pool: BudgetPool) -> Node:
    """Freeze the analysts if a lack of money has kept them from finishing."""

    def look(state: State) -> None:
        if waiting := len(missing(state)):
            reason = f"{waiting} of {len(TOPICS)} topics wait for money"
            pool.account("analysts").freeze(reason)

    return look


def revive(pool: BudgetPool, unit: str) -> Node:
    """Move half of what research has left to the analysts, and thaw them."""
    rich, poor = pool.account("research"), pool.account("analysts")

    def transfer(state: State) -> None:
        left = rich.balance(unit).available
        if left is not None and left.value > 1:
            rich.transfer(poor, Amount(unit, left.value // 2), reason="it is done")
        poor.thaw(f"{len(missing(state))} topics can go on")

    return transfer


def writer(pool: BudgetPool, make_model: MakeModel) -> Node:
    """An agent with tools; out of money, it ends with what it has."""
    editor = make_model("writer", 32)

    @tool
    def look_up(topic: str) -> str:
        """Look a topic up in the archive."""
        return f"The archive has three letters about {topic}."

    @tool
    def polish(text: str) -> str:
        """Have an editor polish a text."""
        return ask(editor, "You are an editor. Polish this.", text)

    agent: Runnable[Any, Any] = create_agent(
        make_model("writer", 48),
        [look_up, polish],
        name="writer",
        system_prompt="You are a writer. Look up, draft, have it polished.",
        middleware=[BudgetMiddleware(pool, "writer", on_exceeded="end")],
    )

    def write(state: State) -> State:
        order = "\n".join([QUESTION, *state.get("findings", {}).values()])
        answer = agent.invoke({"messages": [HumanMessage(order)]})
        return {"draft": answer["messages"][-1].text}

    return write


def ask(model: BaseChatModel, system: str, question: str) -> str:
    """One question, one answer."""
    return model.invoke([("system", system), ("user", question)]).text
