"""Per-agent budgets: a quota for each agent, to be traded, under one ceiling."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self

import yaml  # type: ignore[import-untyped]  # it comes without types

from langchain_budget.account import Account
from langchain_budget.core.accounts import check_name
from langchain_budget.core.amounts import Amount, usd
from langchain_budget.core.announcements import BY_HAND, Freezes, agent_of
from langchain_budget.core.faults import BudgetError, InvalidAmount, InvalidName
from langchain_budget.events import Event
from langchain_budget.pool import BudgetPool
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.stores.base import Store

Tell = Callable[[str, Mapping[str, Any]], object]
"""Is told the name of an event and what belongs to it."""

INITIAL: Final = usd("0.10")
CEILING: Final = usd(10)

SECTIONS: Final = {
    "agents": ("initial_llm_budget", "llm_budget_tradeable"),
    "budget": ("total_api_cost_limit", "per_agent_enforcement"),
}
MONEY: Final = ("initial_llm_budget", "total_api_cost_limit")


class InvalidSettings(BudgetError, ValueError):
    """
    Settings that cannot be followed; nothing was opened.

    Attributes:
        where: The key in question, such as `agents.initial_llm_budget`; empty if it
            is the whole.
        problem: What is wrong, and what to write instead.
    """

    def __init__(self, where: str, problem: str, file: str = "") -> None:
        super().__init__(where, problem, file)
        self.where, self.problem, self.file = where, problem, file

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.where, self.problem) if part)


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

    >>> budgets = PerAgentBudgets.of({"agents": {"initial_llm_budget": 0.10}})
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
    def load(cls, file: str | os.PathLike[str]) -> Self:
        """
        Read a YAML file.

        Raises:
            InvalidSettings: It cannot be read, or says something that makes no sense.
        """
        name = Path(file).name
        try:
            text = Path(file).read_text(encoding="utf-8")
            return cls.of(yaml.load(text, _Exact))  # noqa: S506  # a SafeLoader
        except (OSError, UnicodeDecodeError) as error:
            told = f"cannot be read ({getattr(error, 'strerror', None) or error})"
            raise InvalidSettings("", told, name) from error
        except yaml.YAMLError as error:
            told = f"is no YAML ({' '.join(str(error).split())})"
            raise InvalidSettings("", told, name) from error
        except InvalidSettings as error:
            raise InvalidSettings(error.where, error.problem, name) from error

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None) -> Self:
        """
        Take what a YAML file would say: a mapping with `agents` and `budget`.

        Money may be text, a whole number, a Decimal, or a float, which counts as what
        it is printed as: 0.1 is ten cents.

        Raises:
            InvalidSettings: A key is unknown, or a value makes no sense.
        """
        given: dict[str, Any] = {}
        sections = _mapping("", settings)
        _check_known("", sections, SECTIONS)
        for section, keys in SECTIONS.items():
            values = _mapping(section, sections.get(section))
            _check_known(section, values, keys)
            given |= {key: _value(section, key, values[key]) for key in values}
        return cls(**given)

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
        agents = _agents(names)
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


def _agents(names: Iterable[str]) -> tuple[str, ...]:
    given = (names,) if isinstance(names, str) else tuple(names)
    agents = tuple(map(check_name, given))
    twice = sorted({name for name in agents if agents.count(name) > 1})
    if not agents or twice:
        msg = f"agents {list(agents)!r}: name one or more, each of them once"
        raise InvalidName(msg)
    return agents


def _mapping(where: str, given: object) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidSettings(where, f"{given!r} has no keys: write one key a line")
    return given


def _check_known(section: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in given:
        if key in known:
            continue
        near = get_close_matches(str(key), _every_key(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        raise InvalidSettings(_path(section, key), f"there is no such key; {hint}")


def _every_key() -> list[str]:
    nested = [_path(section, key) for section, keys in SECTIONS.items() for key in keys]
    return [*SECTIONS, *nested]


def _value(section: str, key: str, given: Any) -> Any:
    where = _path(section, key)
    if key in MONEY:
        return None if given is None else _dollars(where, given)
    if not isinstance(given, bool):
        raise InvalidSettings(where, f"{given!r}: write true or false")
    return given


def _dollars(where: str, given: Any) -> Amount:
    """Dollars as they are written; a float is what it is printed as."""
    try:
        return usd(Decimal(str(given)) if isinstance(given, float) else given)
    except InvalidAmount as error:
        told = f"{given!r}: write dollars like 0.10, 0 for nothing, null for no limit"
        raise InvalidSettings(where, told) from error


def _path(section: str, key: object) -> str:
    return f"{section}.{key}" if section else str(key)


class _Exact(yaml.SafeLoader):  # type: ignore[misc]  # likewise
    """Reads numbers as they are written, and refuses a key that is given twice."""

    def number(self, node: yaml.ScalarNode) -> Decimal | str:
        text = str(self.construct_scalar(node))
        try:
            return Decimal(text.replace("_", ""))
        except InvalidOperation:
            return text

    def mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise InvalidSettings(str(twice[0]), "is given twice, give it once")
        return dict(self.construct_mapping(node, deep=True))


_Exact.add_constructor("tag:yaml.org,2002:float", _Exact.number)
_Exact.add_constructor("tag:yaml.org,2002:map", _Exact.mapping)
