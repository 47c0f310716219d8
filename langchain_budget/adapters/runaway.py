"""Guards against agents that run away: the same tool again and again, too deep."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langgraph.config import get_config
from langgraph.types import Command

from langchain_budget.account import Account
from langchain_budget.adapters.extra import AgentMiddleware, ToolCallRequest
from langchain_budget.adapters.middleware import BudgetMiddleware
from langchain_budget.adapters.payers import labels_of, metadata_of, payer_of
from langchain_budget.core.events import Refused
from langchain_budget.core.faults import InvalidPolicy
from langchain_budget.core.limits import window_in
from langchain_budget.core.postings import Balance, Basis, Kind, Refusal
from langchain_budget.core.rules import Charge, Order
from langchain_budget.core.windows import Window
from langchain_budget.errors import BudgetExceeded
from langchain_budget.ledger import Closing
from langchain_budget.stores._drive import Talk

IDENTICAL: Final = "identical_tool_calls"
DEPTH: Final = "depth"
SPAWNS: Final = "spawns"
"""The unit that agents inside agents are counted in: `meter("spawns")(20)`."""

MOST_IDENTICAL: Final = 3
"""Calls of one tool with one set of arguments since the last word of a person."""

MOST_DEPTH: Final = 5
"""Agents inside each other, the outermost included."""

MINUTE: Final = 60
"""Seconds: the longest rolling window that stops a run away agent in time."""


class RunawayStopped(BudgetExceeded):
    """A guard against agents that run away has stopped one; `guard` names it."""

    @property
    def guard(self) -> str:
        """`identical_tool_calls` or `depth`."""
        return self.refusal.unit

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return f"Look at why it does so, or raise {self.guard}= of RunawayGuard."

    def _why(self) -> str:
        most = self.refusal.balance.granted
        return (
            f"the {self.guard!r} guard of account {self.account!r} stops here: "
            f"{self.refusal.detail}; at most {most} is allowed"
        )


class RunawayGuard(AgentMiddleware[Any, Any, Any]):
    """
    Stops an agent that calls a tool in vain, or whose agents call agents for ever.

    How much is spent in a minute, and how many agents are started inside agents, are
    limits like others: `usd(1).per("minute")`, and `meter("spawns")(20)`, which this
    middleware counts.

    Args:
        pool: A pool or one of its accounts.
        account: The path below *pool*; left out, the account named like the agent,
            or *pool* itself.
        identical_tool_calls: How often one tool may be called with the same arguments
            since the last word of a person.
        depth: How many agents may be inside each other, the outermost included; a
            graph around an agent counts as one.
        on_exceeded: `"error"` raises; `"tell"` has the model read why its call was
            not run, so that it can do something else.

    Raises:
        InvalidPolicy: A number is none.
        MissingExtra: `langchain` is not installed.
    """

    def __init__(
        self,
        pool: Account,
        account: str | None = None,
        *,
        identical_tool_calls: int = MOST_IDENTICAL,
        depth: int = MOST_DEPTH,
        on_exceeded: Literal["error", "tell"] = "error",
    ) -> None:
        super().__init__()
        self._payer = payer_of(pool, account)
        self._identical = _whole(IDENTICAL, identical_tool_calls)
        self._depth = _whole(DEPTH, depth)
        if on_exceeded not in ("error", "tell"):
            msg = f"on_exceeded={on_exceeded!r}: choose 'error' or 'tell'"
            raise InvalidPolicy(msg)
        self._tells = on_exceeded == "tell"

    def before_agent(self, state: Any, runtime: Any) -> None:
        """Count an agent that is started inside another, unless it is too deep."""
        self._payer.ledger.run(self._entered())

    async def abefore_agent(self, state: Any, runtime: Any) -> None:
        """Awaitable twin of `before_agent`."""
        await self._payer.ledger.arun(self._entered())

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Run the tool, unless it was called so too often."""
        return self._refused(request) or handler(request)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Awaitable twin of `wrap_tool_call`."""
        return self._refused(request) or await handler(request)

    def _refused(self, request: ToolCallRequest) -> ToolMessage | None:
        call = request.tool_call
        times = _times(call, _messages(request.state))
        if times <= self._identical:
            return None
        why = f"tool {call['name']!r} was called {times} times with the same arguments"
        error = self._stopped(IDENTICAL, times, self._identical, why)
        if not self._tells:
            raise error
        return ToolMessage(
            f"This tool was not run: {error}",
            tool_call_id=call["id"] or "",
            name=call["name"],
            status="error",
        )

    def _entered(self) -> Talk[None]:
        config = get_config()
        deep = _depth(metadata_of(config))
        if deep > self._depth:
            why = f"this agent is number {deep} of agents inside each other"
            raise self._stopped(DEPTH, deep, self._depth, why)
        if deep == 1:
            return
        ledger, path = self._payer.ledger, self._payer.path(metadata_of(config))
        labels = labels_of(ledger, config)
        hold = yield from ledger.reserve(path, Order({SPAWNS: 1}, labels=labels))
        charge = Charge({SPAWNS: 1}, Basis.REPORTED, labels)
        yield from ledger.close(Closing(hold, charge))

    def _stopped(self, guard: str, found: int, most: int, why: str) -> RunawayStopped:
        path = self._payer.path(metadata_of(get_config()))
        refusal = Refusal(Kind.EXHAUSTED, path, guard, found, Balance(most), why)
        event = Refused(account=path, refusal=refusal, wanted_by=path)
        self._payer.ledger.listeners.tell([event])
        return RunawayStopped(refusal).came_from(self._payer.ledger)


def production(
    pool: Account, account: str | None = None, **options: Any
) -> list[AgentMiddleware[Any, Any, Any]]:
    """
    Middleware for an agent in production, in the right order.

    Guards against agents that run away, then `BudgetMiddleware`. What may be spent in
    a minute is a limit of the pool, so that all processes keep to it; without one an
    agent that runs away spends all there is at once.

    Args:
        pool: A pool or one of its accounts, with a limit for each minute on the way
            to the root.
        account: The path below *pool*, as in `BudgetMiddleware`.
        options: For `BudgetMiddleware`: `on_exceeded`, `tool_costs` and so on.

    Raises:
        InvalidPolicy: There is no limit for each minute.

    >>> from langchain_budget import BudgetPool, usd
    >>> pool = BudgetPool("acme", usd(10), usd(1).per("minute"))
    >>> [type(each).__name__ for each in production(pool)]
    ['RunawayGuard', 'BudgetMiddleware']
    """
    payer = payer_of(pool, account)
    rows = payer.ledger.run(payer.ledger.route(payer.account.path)).rows
    windows = (window_in(name) for row in rows for name, _ in row.ceilings)
    if not any(window is not None and _is_short(window) for window in windows):
        msg = (
            f"{payer.account.path!r} has no limit for a minute: open the pool with "
            f"one, BudgetPool(..., usd(10), usd(1).per('minute'))"
        )
        raise InvalidPolicy(msg)
    return [RunawayGuard(pool, account), BudgetMiddleware(pool, account, **options)]


def _whole(name: str, number: object) -> int:
    if type(number) is not int or number < 1:
        msg = f"{name}={number!r}: give a whole number above zero"
        raise InvalidPolicy(msg)
    return number


def _is_short(window: Window) -> bool:
    """Whether it is a minute, or one that is no longer and never begins anew."""
    return window.span == "minute" or (window.is_rolling and window.seconds <= MINUTE)


def _depth(metadata: Mapping[str, Any]) -> int:
    """
    How many agents are inside each other: one for each level of the namespace.

    A task that starts several graphs, one after another, has a number for each behind
    its own name; these are no levels.
    """
    levels = str(metadata.get("langgraph_checkpoint_ns", "")).split("|")
    return sum(not each.isdigit() for each in levels)


def _messages(state: Any) -> Sequence[BaseMessage]:
    found = state.get("messages") if isinstance(state, Mapping) else None
    return found or ()


def _times(call: Mapping[str, Any], messages: Sequence[BaseMessage]) -> int:
    """How often this was called since the last word of a person, this call included."""
    times = 0
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            break
        calls = getattr(message, "tool_calls", ())
        ids = [each["id"] for each in calls if _same(call, each)]
        # Of several in one message, those before this one.
        times += ids.index(call["id"]) + 1 if call["id"] in ids else len(ids)
    return times


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one["name"] == other["name"] and _text(one["args"]) == _text(other["args"])


def _text(arguments: object) -> str:
    return json.dumps(arguments, sort_keys=True, default=repr)
