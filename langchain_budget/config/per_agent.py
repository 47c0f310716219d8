"""Per-agent budgets: a quota for each agent, to be traded, under one ceiling."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator

from langchain_budget.account import Account
from langchain_budget.config.fields import Flag, Strict, dollars, validated
from langchain_budget.config.sources import Source, named, read_file
from langchain_budget.core.accounts import check_name
from langchain_budget.core.amounts import Amount, usd
from langchain_budget.core.announcements import BY_HAND, Freezes, agent_of
from langchain_budget.core.faults import InvalidName
from langchain_budget.events import Event
from langchain_budget.funds import child_of
from langchain_budget.pool import BudgetPool
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.stores.base import Store

Tell = Callable[[str, Mapping[str, Any]], object]
"""Is told the name of an event and what belongs to it."""

INITIAL: Final = usd("0.10")
CEILING: Final = usd(10)


def _money(given: Any) -> Amount | None:
    """Dollars as they are written; nothing at all is no limit."""
    return None if given is None else usd(dollars(given))


def _said(given: Any) -> Any:
    """What a section says; an empty one says nothing."""
    return {} if given is None else given


Money = Annotated[Amount | None, BeforeValidator(_money)]
Section = BeforeValidator(_said)


class _Agents(Strict):
    initial_llm_budget: Money = INITIAL
    llm_budget_tradeable: Flag = True


class _Budget(Strict):
    total_api_cost_limit: Money = CEILING
    per_agent_enforcement: Flag = True


class _Settings(Strict):
    agents: Annotated[_Agents, Section] = _Agents()
    budget: Annotated[_Budget, Section] = _Budget()


@dataclass(frozen=True, slots=True, kw_only=True)
class PerAgentBudgets:
    """
    What each agent may spend, and all of them together.

    Nothing and no limit are two things: 0 allows nothing, `None` (in a file: null)
    sets no limit. What is left out is as below.

    Attributes:
        initial_llm_budget: The quota that each agent starts with, in dollars.
        llm_budget_tradeable: Whether agents may give each other of their quotas.
        total_api_cost_limit: What all agents together may spend, in dollars: reaching
            it stops everybody.
        per_agent_enforcement: Whether a quota stops its agent. If not, quotas are
            counted all the same, but only the ceiling stops anybody.

    >>> budgets = PerAgentBudgets.load({"agents": {"initial_llm_budget": 0.10}})
    >>> pool = budgets.open(["ada", "bob"])
    >>> pool.account("ada").transfer("bob", usd("0.04"))
    >>> print(pool.account("ada").balance().available)
    $0.06
    """

    initial_llm_budget: Amount | None = INITIAL
    llm_budget_tradeable: bool = True
    total_api_cost_limit: Amount | None = CEILING
    per_agent_enforcement: bool = True

    @classmethod
    def load(cls, source: Source) -> Self:
        """
        Take what a YAML file says, or a mapping with `agents` and `budget`.

        Money may be text, a whole number, a Decimal, or a float, which counts as what
        it is printed as: 0.1 is ten cents.

        Raises:
            InvalidConfig: It cannot be read, a key is unknown, or a value makes no
                sense; all that is wrong is named.
        """
        given = source
        if isinstance(source, str | os.PathLike):
            given = read_file(source)
        found = validated(_Settings, _said(given), named(source))
        return cls(**found.agents.model_dump(), **found.budget.model_dump())

    def open(
        self,
        names: Iterable[str],
        *,
        pool: str = "agents",
        store: Store | str | None = None,
        prices: PriceBook | None = None,
    ) -> BudgetPool:
        """
        Open a pool with an account for each agent, which its calls are charged to.

        Args:
            names: The agents, called as in the graph.
            pool: What the pool is called.
            store: Where the books are: a URL, a store, or this object's own memory.
            prices: Prices of your own, asked before the public catalogue.

        Raises:
            InvalidName: There is no agent, or one is named twice or in a strange way.
            LimitConflict: The store has them with other budgets.
        """
        agents = _agents(names, pool)
        made = BudgetPool(pool, self.total_api_cost_limit, store=store, prices=prices)
        for name in agents:
            self.register(made, name)
        return made

    def register(self, pool: BudgetPool, name: str) -> Account:
        """Open the account of one more agent, with the quota of a new one."""
        return pool.open(
            name,
            limit=self.initial_llm_budget,
            tradeable=self.llm_budget_tradeable,
            enforce=self.per_agent_enforcement,
        )

    def announce(self, pool: BudgetPool, tell: Tell) -> Callable[[], None]:
        """
        Tell of each agent that freezes or goes on, from now on: once for each edge.

        *tell* gets `"agent_frozen"` with the keys `agent_id` and `reason`, which is
        `llm_budget_exhausted` or what was said by hand; or `"agent_unfrozen"` with
        `agent_id`, `unfrozen_by` and `resources_transferred`. Returns a function that
        ends it.
        """
        freezes = Freezes(enforced=self.per_agent_enforcement)
        _learn(freezes, pool)
        lock = Lock()

        def listen(event: Event) -> None:
            with lock:
                heard = freezes.hear(event)
            if heard is not None:
                tell(heard.name, heard.payload)

        return pool.subscribe(listen)


def _learn(freezes: Freezes, pool: BudgetPool) -> None:
    """Note who is frozen already."""
    for balance in pool.report().balances:
        agent = agent_of(balance.account)
        if agent is None:
            continue
        if balance.state == "frozen":
            freezes.know(agent, BY_HAND)
        if balance.granted is not None and balance.spent >= balance.granted:
            freezes.know(agent, balance.unit)


def _agents(names: Iterable[str], pool: str) -> tuple[str, ...]:
    given = (names,) if isinstance(names, str) else tuple(names)
    agents = tuple(map(check_name, given))
    twice = sorted({name for name in agents if agents.count(name) > 1})
    if not agents or twice:
        msg = f"agents {list(agents)!r}: name one or more, each of them once"
        raise InvalidName(msg)
    for name in agents:
        child_of(pool, name)
    return agents
