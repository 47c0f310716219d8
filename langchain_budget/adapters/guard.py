"""The guard node: it looks at the budget before a step of a graph, and routes."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import MethodType
from typing import Any, Final, Literal
from uuid import UUID

from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langgraph.types import Command

from langchain_budget.account import Account, account_of, below
from langchain_budget.adapters.attribution import Caller, divided_by
from langchain_budget.adapters.context import innermost
from langchain_budget.adapters.finder import finder_of
from langchain_budget.adapters.hook import HOOKS
from langchain_budget.adapters.notes import update_of
from langchain_budget.adapters.steps import STEPS, Place, Reserved, graph_of
from langchain_budget.adapters.top_ups import (
    OnRefusal,
    asked,
    check_refusal,
    granted,
)
from langchain_budget.adapters.weaknesses import WeakEnforcementWarning
from langchain_budget.arguments import Amounts, amounts_of, patience
from langchain_budget.core.accounts import STEP, join, spec_of
from langchain_budget.core.amounts import Amount, vector
from langchain_budget.core.postings import Refusal
from langchain_budget.core.rules import Order
from langchain_budget.errors import BudgetRefused, StoreError, refused
from langchain_budget.stores._drive import Talk

_BRANCH: Final = "branch:to:"


class StaticEdgeWarning(WeakEnforcementWarning):
    """A guard node has a plain edge as well, which its decision does not stop."""


class BudgetGuard(Runnable[Any, Command[str]]):
    """A node that goes to one node or another by what can be afforded."""

    def __init__(  # noqa: PLR0913  # as `budget_guard` is asked
        self,
        account: Account,
        *,
        then: str,
        otherwise: str | None,
        needs: tuple[Amount, ...],
        reserve: tuple[Amount, ...],
        wait_seconds: float,
        on_exceeded: OnRefusal,
        note: str | None,
    ) -> None:
        self.name = f"budget_guard({account.path})"
        self._account = account
        self._then = then
        self._otherwise = otherwise
        self._needs = vector(needs)
        self._reserve = spec_of(carve=reserve)._replace(labels=(STEP,), borrows=True)
        self._wait = wait_seconds
        self._how = on_exceeded
        self._note = note
        self._checked = False
        _declare(self, [then, otherwise])
        if reserve:
            STEPS.follow(self)
            HOOKS.register()

    def __call__(self, state: Any) -> Command[str]:
        """Decide; `add_node` looks here for what a node returns."""
        return self.invoke(state)

    @property
    def blocking(self) -> bool:
        """Whether its books may wait for something outside of this process."""
        return self._account.ledger.store.blocking

    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Command[str]:
        """Decide where to go."""
        self._warn_of_edges()
        config, ledger = ensure_config(config), self._account.ledger
        while True:
            try:
                ledger.run(self._decide(config))
            except BudgetRefused as refusal:
                grant = asked(self._how, refusal)
                if grant is None:
                    return self._turned_away(config, refusal)
                ledger.run(granted(ledger, *grant))
            else:
                update = update_of(config, self._note, self._then, None)
                return Command(goto=self._then, update=update)

    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Command[str]:
        """Awaitable twin of `invoke`."""
        self._warn_of_edges()
        config, ledger = ensure_config(config), self._account.ledger
        while True:
            try:
                await ledger.arun(self._decide(config))
            except BudgetRefused as refusal:
                grant = asked(self._how, refusal)
                if grant is None:
                    return self._turned_away(config, refusal)
                await ledger.arun(granted(ledger, *grant))
            else:
                update = update_of(config, self._note, self._then, None)
                return Command(goto=self._then, update=update)

    def _turned_away(
        self, config: RunnableConfig, refusal: BudgetRefused
    ) -> Command[str]:
        if self._otherwise is None:
            raise refusal
        update = update_of(config, self._note, self._then, refusal)
        return Command(goto=self._otherwise, update=update)

    def _decide(self, config: RunnableConfig) -> Talk[None]:
        """Raises when it is not affordable anywhere that the step may draw on."""
        ledger = self._account.ledger
        worker = Caller((self._then,), "", self._then)
        account = finder_of(ledger).find(ledger, innermost(self._account), worker)
        parent = getattr(config.get("callbacks"), "parent_run_id", None)
        *reserved, last = STEPS.places(ledger, account, parent)
        for path in reserved:
            with suppress(BudgetRefused):
                return (yield from self._set_aside(path, config, parent))
        yield from self._set_aside(last, config, parent)

    def _set_aside(
        self, path: str, config: RunnableConfig, parent: UUID | None
    ) -> Talk[None]:
        ledger = self._account.ledger
        needs = self._needs or (yield from self._least(path))
        labels = divided_by(ledger, config.get("metadata") or {})
        order = Order(needs, labels=labels, wait_seconds=self._wait)
        refusal = yield from ledger.judged(path, order)
        if refusal is not None:
            yield from self._waited(path, order, refusal)
        if self._reserve.carved:
            metadata = config.get("metadata") or {}
            place = Place(graph_of(parent, metadata), self._then)
            own = join(path, f"step-{ledger.new_id()}")
            step = int(metadata.get("langgraph_step") or 0)
            reserved = Reserved(ledger, path, own, step)
            try:
                yield from STEPS.reserve(place, reserved, self._reserve)
            except StoreError as error:
                # Where calls may go on without the store, this one does so too.
                ledger.left_without(path, error)

    def _waited(self, path: str, order: Order, refusal: Refusal) -> Talk[None]:
        """Raises unless it becomes affordable soon."""
        if not self._wait:
            raise refused(refusal)
        hold = yield from self._account.ledger.reserve(path, order)
        yield from self._account.ledger.release(hold)

    def _least(self, path: str) -> Talk[dict[str, int]]:
        """One of every unit that binds there: what is exhausted has not even that."""
        ledger = self._account.ledger
        try:
            route = yield from ledger.route(path)
        except StoreError as error:
            return dict.fromkeys(ledger.left_without(path, error), 1)
        names = [name for row in route.rows for name, _ in row.ceilings]
        return {name.partition("@")[0]: 1 for name in names}

    def _warn_of_edges(self) -> None:
        """Once: a plain edge beside the guard runs its node whatever it decides."""
        if self._checked:
            return
        self._checked = True
        beside = sorted(set(_static_targets(self)))
        if beside:
            warnings.warn(
                f"the guard of {self._account.path!r} also has a plain edge to "
                f"{', '.join(beside)}, which runs whatever the guard decides: remove "
                f"add_edge(...) and name the node in then= or otherwise=",
                StaticEdgeWarning,
                stacklevel=2,
            )


def budget_guard(  # noqa: PLR0913  # each is a question of its own
    pool: Account,
    account: str | None = None,
    *,
    then: str,
    otherwise: str | None = None,
    needs: Amounts = None,
    reserve: Amounts = None,
    wait_seconds: float = 0.0,
    on_exceeded: OnRefusal = "error",
    note: str | None = None,
) -> BudgetGuard:
    """
    A node for a `StateGraph` that lets the next step run only if it is affordable.

    Its destinations are declared, so a drawing of the graph shows them; give it no
    edges of its own.

    Args:
        pool: A pool or one of its accounts.
        account: The path below *pool* of the account to look at; *pool* itself when
            left out.
        then: The node to go to when there is enough.
        otherwise: The node to go to when there is not, `END` to end, or `None` to
            raise what a refused call would raise.
        needs: What must be affordable now; left out, something must be left of
            every limit. Only a reservation keeps others from spending it meanwhile.
        reserve: Set this aside for the next step. Its calls draw on it first, and
            then on what the account has free; the rest returns when the step ends.
        wait_seconds: How long to wait when there is too little only because of what
            others hold.
        on_exceeded: What else becomes of a step that is not affordable. `"error"`:
            nothing; `"interrupt"` asks a person for a top-up first, and looks again
            when the graph is resumed with an amount; `"drain"` has the graph stop at
            the end of this step, too. Outside of a graph all three are the same.
        note: The key of the graph's state under which a `BudgetNote` says why it went
            *otherwise*; `None` is written over it when the step is let through later.

    Raises:
        UnknownAccount: There is no such account.
        ValueError: There is no such `on_exceeded`, or a *note* without *otherwise*.

    >>> from langgraph.graph import END, START, StateGraph
    >>> from langchain_budget import BudgetPool, budget_guard, usd
    >>> pool = BudgetPool("acme", usd(0))
    >>> builder = StateGraph(dict)
    >>> _ = builder.add_node("guard", budget_guard(pool, then="work", otherwise=END))
    >>> _ = builder.add_node("work", lambda state: {"done": True})
    >>> _ = builder.add_edge(START, "guard")
    >>> builder.compile().invoke({"question": "Why?"})
    {'question': 'Why?'}
    """
    if note is not None and otherwise is None:
        msg = f"note={note!r} is written on the way to otherwise=...: give both"
        raise ValueError(msg)
    target = account_of(pool)
    if account is not None:
        target = Account(pool.ledger, below(account, pool.path))
    pool.ledger.run(pool.ledger.route(target.path))
    return BudgetGuard(
        target,
        then=then,
        otherwise=otherwise,
        needs=amounts_of(needs),
        reserve=amounts_of(reserve),
        wait_seconds=patience(wait_seconds),
        on_exceeded=check_refusal(on_exceeded),
        note=note,
    )


def _declare(guard: BudgetGuard, targets: Iterable[str | None]) -> None:
    """Name the destinations in the return type of its call: they are drawn then."""

    def __call__(self: BudgetGuard, state: Any) -> Any:  # noqa: N807  # its own name
        return self.invoke(state)

    names = tuple(dict.fromkeys(each for each in targets if each is not None))
    command: Any = Command
    literal: Any = Literal
    __call__.__annotations__ = {"return": command[literal[names]]}
    guard.__dict__["__call__"] = MethodType(__call__, guard)


def _static_targets(guard: BudgetGuard) -> Iterator[str]:
    """
    Nodes that a plain edge leads to from the guard.

    A node does not know its edges: they are writers that stand behind it in the
    compiled graph's list of steps, which is found among what refers to the guard.
    """
    for steps in gc.get_referrers(guard):
        if isinstance(steps, list) and steps and steps[0] is guard:
            for writer in steps[1:]:
                for write in getattr(writer, "writes", ()):
                    channel = str(getattr(write, "channel", ""))
                    if channel.startswith(_BRANCH):
                        yield channel.removeprefix(_BRANCH)
