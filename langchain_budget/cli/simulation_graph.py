"""
The graph of `langchain-budget simulate`: agents that act in turn, and a market.

In each tick every agent calls its model once, charged to the account that is named
like its node. Then who has more than it will need sells some to who is frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypedDict

from langchain_core.language_models import BaseChatModel
from langgraph.graph import END, START, StateGraph

from langchain_budget import (
    Account,
    Amount,
    BudgetCallbackHandler,
    BudgetExceeded,
    BudgetPool,
)
from langchain_budget.core.amounts import CALLS, USD
from langchain_budget.reports.report import AccountBalance

TOKEN_NANOS: Final = 10_000
"""What one token of an answer costs, in nano-dollars: $10 for a million."""

MOST_TOKENS: Final = 2_000
"""The longest answer that an agent asks for."""

CLOCK: Final = "clock"
MARKET: Final = "market"

Node = Any
"""A function of the state, or a graph: what `add_node` takes."""


class State(TypedDict, total=False):
    """How far the simulation has come, and why it ended, if it did."""

    tick: int
    ended: str


class World(NamedTuple):
    """What the simulation is about."""

    pool: BudgetPool
    models: Mapping[str, BaseChatModel]
    ticks: int
    trades: bool
    """Whether agents may sell what they do not need."""
    enforced: bool
    """Whether an agent's own budget stops it, or only the ceiling of all."""

    @property
    def accounts(self) -> dict[str, Account]:
        """The account of each agent."""
        return {name: self.pool.account(name) for name in self.models}


def build_graph(world: World) -> Node:
    """One round is a tick: the clock, each agent in turn, the market."""
    builder = StateGraph(State)
    builder.add_node(CLOCK, lambda state: State(tick=state.get("tick", 0) + 1))
    builder.add_node(MARKET, market(world))
    before = CLOCK
    for name in world.models:
        builder.add_node(name, acting(world, name))
        builder.add_edge(before, name)
        before = name
    builder.add_edge(START, CLOCK)
    builder.add_edge(before, MARKET)
    builder.add_conditional_edges(MARKET, going_on(world), [CLOCK, END])
    return builder.compile().with_config(
        callbacks=[BudgetCallbackHandler(world.pool)],
        recursion_limit=world.ticks * (len(world.models) + 2) + 1,
    )


def acting(world: World, name: str) -> Node:
    """Call the model once, for an answer as long as there is money for."""
    pool, account, model = world.pool, world.pool.account(name), world.models[name]

    def act(state: State) -> None:
        purses = [pool, account] if world.enforced else [pool]
        tokens = min(affordable(purse.balance()) for purse in purses)
        try:
            model.invoke(f"Tick {state['tick']}: go on.", max_tokens=tokens or 1)
        except BudgetExceeded:
            return  # nothing was sent or spent; it waits for the market

    return act


def affordable(balance: AccountBalance) -> int:
    """How many tokens an account can pay for, up to the longest answer."""
    if balance.available is None:
        return MOST_TOKENS
    return max(0, min(balance.available.value // TOKEN_NANOS, MOST_TOKENS))


def market(world: World) -> Node:
    """Sell to each who is frozen what another will not need; then see who can act."""

    def trade(state: State) -> State:
        if world.enforced and world.trades:
            left = world.ticks - state["tick"]
            for name in world.models if left else ():
                buy(world, name, left)
        return State(ended=reason_to_end(world))

    return trade


def buy(world: World, name: str, ticks: int) -> None:
    """Revive an agent that cannot pay for an answer, if anybody can spare enough."""
    account, means = world.accounts[name], cost_of_a_call(world)
    if affordable(account.balance()) or name not in means:
        return
    offers = {
        seller: offer(each.balance(), means.get(seller, 0) * ticks)
        for seller, each in world.accounts.items()
        if seller != name
    }
    seller = max(offers, key=lambda each: offers[each], default=name)
    if offers.get(seller, 0) >= means[name]:
        price = min(offers[seller], means[name] * ticks)
        sold = Amount(USD, price // TOKEN_NANOS * TOKEN_NANOS)
        world.accounts[seller].transfer(account, sold, reason="surplus")


def cost_of_a_call(world: World) -> dict[str, int]:
    """What each agent has paid for a call so far, in nano-dollars, rounded up."""
    lines = world.pool.report().by("agent")
    sums = {agent: line.amounts for (agent,), line in lines.items()}
    return {
        agent: -(-amounts[USD] // amounts[CALLS])
        for agent, amounts in sums.items()
        if amounts.get(CALLS) and agent in world.models
    }


def offer(balance: AccountBalance, needed: int) -> int:
    """Half of what an agent has beyond its own need, in nano-dollars."""
    if balance.available is None:
        return 0
    return max(0, balance.available.value - needed) // 2


def reason_to_end(world: World) -> str:
    """Why nobody can act any more; empty while somebody can."""
    if not affordable(world.pool.balance()):
        return "the ceiling for all agents is reached"
    purses = [account.balance() for account in world.accounts.values()]
    if world.enforced and not any(map(affordable, purses)):
        return "every agent has used its budget up"
    return ""


def going_on(world: World) -> Callable[[State], str]:
    """Whether there is another tick."""

    def route(state: State) -> str:
        over = state.get("ended") or state["tick"] >= world.ticks
        return END if over else CLOCK

    return route
