"""
The graph of `langchain-budget demo`: a supervisor and three workers on one pool.

Nothing in the nodes speaks of money, but for `analyst`, which lives with a refusal,
and the two that stand for an operator, `review` and `revive`. A handler in the
config meters and limits everything else, in subgraphs, fan-outs and tools alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import add, or_
from typing import Annotated, Any, Final, Literal, TypedDict

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send

from langchain_budget import (
    Account,
    Amount,
    BudgetMiddleware,
    BudgetPool,
    BudgetRefused,
    budget_guard,
)

MakeModel = Callable[[str, int], BaseChatModel]
"""A model for an agent whose answers have at most so many tokens."""

SHARES: Final = {"supervisor": 7, "research": 20, "analysts": 6, "writer": 67}
"""Hundredths of the pool's limit: too little for the analysts, on purpose."""

QUESTION: Final = "How does a town choose where to build its next library?"
TOPICS: Final = ("people", "land", "money", "transport", "schools")
PLAN: Final = ("research", "analysts", "writer", "analysts", "writer")
"""Who works when; the supervisor's model may prefer another order."""

Next = Literal["research", "guard", "writer", "__end__"]
DOORS: Final[Mapping[str, Next]] = {
    "research": "research",
    "analysts": "guard",
    "writer": "writer",
}
"""Where each worker is reached."""


class State(TypedDict):
    """What the supervisor knows."""

    notes: str
    findings: Annotated[dict[str, str], or_]
    draft: str
    visits: Annotated[list[str], add]


class Notes(TypedDict):
    """What research works on."""

    facts: str
    notes: str


class Findings(TypedDict):
    """What the analysts share."""

    notes: str
    findings: Annotated[dict[str, str], or_]


class Task(TypedDict):
    """What one analyst is given."""

    topic: str
    notes: str


def open_accounts(pool: BudgetPool, limit: Amount) -> None:
    """Open an account for each agent, with a limit of its own below the pool's."""
    for name, share in SHARES.items():
        cap = Amount(limit.unit, limit.value * share // 100)
        pool.open(name, limit=cap, warn_at=["80%"])


def build_graph(
    pool: BudgetPool, make_model: MakeModel, unit: str = "usd"
) -> Runnable[Any, Any]:
    """Put the team together; whoever invokes it brings the callback handler."""
    builder = StateGraph(State)
    builder.add_node("supervisor", supervisor(make_model("supervisor", 8)))
    builder.add_node("research", research(make_model("research", 80)))
    builder.add_node(
        "guard", budget_guard(pool, "analysts", then="analysts", otherwise="revive")
    )
    builder.add_node("analysts", analysts(make_model("analysts", 40)))
    builder.add_node("review", review(pool.account("analysts")))
    builder.add_node("revive", revive(pool, unit))
    builder.add_node("writer", writer(pool, make_model))
    builder.add_edge(START, "supervisor")
    builder.add_edge("research", "supervisor")
    builder.add_edge("analysts", "review")
    builder.add_edge("review", "supervisor")
    builder.add_edge("revive", "analysts")
    builder.add_edge("writer", "supervisor")
    return builder.compile()


def supervisor(model: BaseChatModel) -> Callable[[State], Command[Next]]:
    """Ask the model who is next; what it says counts if it makes sense."""

    def supervise(state: State) -> Command[Next]:
        left = to_do(state)
        if not left:
            return Command(goto=END)
        workers = list(dict.fromkeys(left))
        system = "You lead a team. Answer with one name."
        said = ask(model, system, f"Still to do: {', '.join(workers)}. Who is next?")
        named = [worker for worker in workers if worker in said.lower()]
        chosen = named[0] if len(named) == 1 else left[0]
        return Command(goto=DOORS[chosen], update={"visits": [chosen]})

    return supervise


def to_do(state: State) -> list[str]:
    """Tell what is left of the plan."""
    left = list(PLAN)
    for visit in state["visits"]:
        left.remove(visit)
    done = state.get("draft") and not missing(state)
    return [] if done and state["visits"][-1] == "writer" else left


def research(model: BaseChatModel) -> Runnable[Any, Any]:
    """A subgraph of two nodes; both spend what the account "research" has."""

    def gather(_: Notes) -> dict[str, str]:
        return {"facts": ask(model, "You gather facts, briefly.", QUESTION)}

    def digest(state: Notes) -> dict[str, str]:
        chunks = model.stream([("system", "Sum this up."), ("user", state["facts"])])
        return {"notes": reduce(add, chunks).text}

    builder = StateGraph(Notes)
    builder.add_sequence([gather, digest])
    builder.add_edge(START, "gather")
    return builder.compile()


def analysts(model: BaseChatModel) -> Runnable[Any, Any]:
    """One analyst for each topic that nobody has looked at, all at once."""

    def fan_out(state: Findings) -> list[Send]:
        notes = state.get("notes", "")
        return [Send("analyst", Task(topic=t, notes=notes)) for t in missing(state)]

    def analyst(task: Task) -> dict[str, dict[str, str]]:
        system = f"You are an analyst. In one sentence: what about {task['topic']}?"
        try:
            found = ask(model, system, f"{QUESTION}\n{task['notes']}")
        except BudgetRefused:
            return {}  # nothing was sent or spent; the topic waits for money
        return {"findings": {task["topic"]: found}}

    builder = StateGraph(Findings)
    builder.add_node("analyst", analyst)
    builder.add_conditional_edges(START, fan_out, ["analyst"])
    return builder.compile()


def missing(state: Findings | State) -> list[str]:
    """Tell which topics nobody has looked at."""
    return [topic for topic in TOPICS if topic not in state.get("findings", {})]


def review(account: Account) -> Callable[[State], None]:
    """Freeze the analysts if money has kept them from finishing."""

    def look(state: State) -> None:
        if waiting := len(missing(state)):
            account.freeze(f"{waiting} of {len(TOPICS)} topics wait for money")

    return look


def revive(pool: BudgetPool, unit: str) -> Callable[[State], None]:
    """Move half of what research has left to the analysts, and thaw them."""
    rich, poor = pool.account("research"), pool.account("analysts")

    def transfer(_: State) -> None:
        left = rich.balance(unit).available
        if left is not None and left.value > 1:
            rich.transfer(poor, Amount(unit, left.value // 2), reason="it is done")
        poor.thaw()

    return transfer


def writer(pool: BudgetPool, make_model: MakeModel) -> Callable[[State], dict[str, Any]]:
    """An agent with tools; its budget ends it gracefully, in mid-work if need be."""
    editor = make_model("writer", 60)

    @tool
    def look_up(topic: str) -> str:
        """Look a topic up in the archive."""
        return f"The archive has three letters about {topic}."

    @tool
    def polish(text: str) -> str:
        """Have an editor polish a text."""
        return ask(editor, "You are an editor. Polish this.", text)

    agent = create_agent(
        make_model("writer", 80),
        [look_up, polish],
        name="writer",
        system_prompt="You are a writer. Look up, draft, have it polished.",
        middleware=[BudgetMiddleware(pool, "writer", on_exceeded="end")],
    )

    def write(state: State) -> dict[str, Any]:
        findings = "\n".join(state.get("findings", {}).values())
        order = f"{QUESTION}\n{findings}"
        answer = agent.invoke({"messages": [("user", order)]})
        return {"draft": answer["messages"][-1].text}

    return write


def ask(model: BaseChatModel, system: str, question: str) -> str:
    """One question, one answer."""
    answer: BaseMessage = model.invoke([("system", system), ("user", question)])
    return answer.text
