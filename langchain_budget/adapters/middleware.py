"""Middleware for `create_agent`: reserve, cap the answer, call, settle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import Token
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal
from uuid import UUID

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langgraph.config import get_config
from langgraph.types import Command

from langchain_budget.account import Account, account_of, below
from langchain_budget.adapters import charges
from langchain_budget.adapters.agent_requests import size_of
from langchain_budget.adapters.attribution import caller_of
from langchain_budget.adapters.calls import CALLS, first_open
from langchain_budget.adapters.clamp import Capped, hold_capped
from langchain_budget.adapters.context import (
    Offer,
    OpenScope,
    innermost,
    offers_now,
    scope_now,
)
from langchain_budget.adapters.extra import (
    AgentMiddleware,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_budget.adapters.finder import finder_of
from langchain_budget.adapters.hook import enter, leave
from langchain_budget.adapters.requests import Request
from langchain_budget.adapters.steps import STEPS
from langchain_budget.core.rules import Order
from langchain_budget.errors import AccountFrozen, BudgetExceeded, BudgetRefused
from langchain_budget.ledger import Closing
from langchain_budget.stores._drive import Talk

TOOL_CALLS: Final = "tool_calls"
"""The unit that tool calls are counted in: `meter("tool_calls")(20)` limits them."""

STOPPED: Final = "budget_stop"
"""Marks messages of this middleware, in `response_metadata`: why it stopped."""

OnExceeded = Literal["error", "end"]
_CHOICES: Final = ("error", "end")


class BudgetMiddleware(AgentMiddleware[Any, Any, Any]):
    """
    Holds the most that each model call can cost, caps its answer, and settles.

    Put it last in `middleware=[...]`: innermost, it meters every attempt of a retry.
    Models that tools or other middleware call are metered by a `BudgetCallbackHandler`
    or an open `with budget(...)`; a call that several hooks see is one hold.

    An agent takes one of each pool: `create_agent` rejects a second as a duplicate,
    since a call is charged to one account. Open that account below the other one,
    and both limits bind.

    Args:
        pool: A pool or one of its accounts.
        account: The path below *pool* to charge; left out, the account named like
            the agent, or *pool* itself.
        on_exceeded: `"error"` raises what was refused, `"end"` ends the agent with a
            message that says so.

    Raises:
        UnknownAccount: There is no such account.
        MissingExtra: `langchain` is not installed.

    >>> from langchain.agents import create_agent
    >>> from langchain_budget import BudgetMiddleware, BudgetPool, tokens
    >>> from langchain_budget.testing import FakeChatModel
    >>> pool = BudgetPool("acme", tokens(100))
    >>> model = FakeChatModel(replies=["Hello."], usage=(12, 3))
    >>> agent = create_agent(model, middleware=[BudgetMiddleware(pool)])
    >>> answer = agent.invoke({"messages": [("user", "Hi")]})
    >>> print(pool.balance("tokens").spent, "of", model.calls[0].max_tokens)
    15 tokens of 91
    """

    def __init__(
        self,
        pool: Account,
        account: str | None = None,
        *,
        on_exceeded: OnExceeded = "error",
    ) -> None:
        super().__init__()
        if on_exceeded not in _CHOICES:
            msg = f"on_exceeded={on_exceeded!r}: choose one of {', '.join(_CHOICES)}"
            raise ValueError(msg)
        self._ledger = account_of(pool).ledger
        path = pool.path if account is None else below(account, pool.path)
        self._account = Account(pool.ledger, path)
        self._named = account is not None
        self._ends = on_exceeded == "end"
        self._ledger.run(self._ledger.route(path))

    @property
    def name(self) -> str:
        """The same for all of one pool, so that an agent takes only one of them."""
        return f"BudgetMiddleware[{id(self._ledger):x}]"

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any] | AIMessage:
        """Reserve, cap, call, settle."""
        if stop := self._stopped(request.messages):
            return stop
        try:
            with self._ledger.run(self._admit(request)) as admitted:
                return handler(admitted)
        except BudgetRefused as refusal:
            return self._end(refusal)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | AIMessage:
        """Awaitable twin of `wrap_model_call`."""
        if stop := self._stopped(request.messages):
            return stop
        try:
            with await self._ledger.arun(self._admit(request)) as admitted:
                return await handler(admitted)
        except BudgetRefused as refusal:
            return self._end(refusal)

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        """Count the tool call before it runs."""
        try:
            self._ledger.run(self._count(request))
        except BudgetRefused as refusal:
            return self._not_run(request, refusal)
        return handler(request)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Awaitable twin of `wrap_tool_call`."""
        try:
            await self._ledger.arun(self._count(request))
        except BudgetRefused as refusal:
            return self._not_run(request, refusal)
        return await handler(request)

    def _admit(self, request: ModelRequest[Any]) -> Talk[_ModelCall]:
        """Hold the most that the call can cost after its answer was capped."""
        ledger, metadata = self._ledger, _metadata()
        account = self._charged(metadata)
        size = size_of(request, CALLS.estimator(ledger))
        labels = _labels(metadata, model=size.model.model, provider=size.model.provider)
        places = STEPS.places(ledger, account, _run())
        hold = partial(hold_capped, ledger, size, labels)
        capped = yield from first_open(places, hold)
        return _ModelCall(request, Account(ledger, account), size, capped)

    def _count(self, request: ToolCallRequest) -> Talk[None]:
        ledger, metadata = self._ledger, _metadata()
        labels = _labels(metadata, tool=str(request.tool_call.get("name", "")))
        places = STEPS.places(ledger, self._charged(metadata), _run())
        order = Order({TOOL_CALLS: 1}, labels=labels)
        hold = yield from first_open(places, partial(ledger.reserve, order=order))
        yield from ledger.close(Closing(hold, charges.counted(hold.amounts, labels)))

    def _charged(self, metadata: Mapping[str, Any]) -> str:
        base = innermost(self._account)
        if self._named:
            return base
        return finder_of(self._ledger).find(self._ledger, base, caller_of(metadata))

    def _end(self, refusal: BudgetRefused) -> AIMessage:
        if not self._ends_at(refusal):
            raise refusal
        return _last_words(str(refusal), refusal.kind)

    def _ends_at(self, refusal: BudgetRefused) -> bool:
        """A budget that is used up ends an agent; one that is set up wrong does not."""
        return self._ends and isinstance(refusal, BudgetExceeded | AccountFrozen)

    def _not_run(self, request: ToolCallRequest, refusal: BudgetRefused) -> ToolMessage:
        if not self._ends_at(refusal):
            raise refusal
        return ToolMessage(
            f"This tool was not run: {refusal}",
            tool_call_id=request.tool_call["id"] or "",
            name=request.tool_call["name"],
            status="error",
            response_metadata={STOPPED: refusal.kind},
        )

    def _stopped(self, messages: Sequence[BaseMessage]) -> AIMessage | None:
        """The end, when one of the tools just asked for was refused."""
        for message in _newest_tool_messages(messages) if self._ends else ():
            if kind := message.response_metadata.get(STOPPED):
                return _last_words(message.text, kind)
        return None


class _ModelCall:
    """One model call: its hold is offered inside, and closed on every way out."""

    def __init__(
        self,
        request: ModelRequest[Any],
        account: Account,
        size: Request,
        capped: Capped,
    ) -> None:
        hold, clamp = capped
        settings = {**request.model_settings, **clamp.settings(size)}
        size = size._replace(
            output_tokens=clamp.output_tokens, worst_output=clamp.output_tokens
        )
        self.account = account
        self.outer: OpenScope | None = None
        self.lost = False
        self._request = request.override(model_settings=settings)
        self._offer = Offer(account.ledger, hold, size)

    def __enter__(self) -> ModelRequest[Any]:
        self.outer = scope_now.get()
        self._scope: Token[Any] = enter(self)
        self._offered = offers_now.set((self._offer, *offers_now.get()))
        return self._request

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        offers_now.reset(self._offered)
        self.lost = not leave(self._scope)
        if self._offer.claim():
            ledger = self._offer.ledger
            ledger.run(ledger.close(Closing(self._offer.hold, None)))
        else:
            CALLS.give_up(self._offer.hold)


def _newest_tool_messages(messages: Sequence[BaseMessage]) -> Iterator[ToolMessage]:
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            return
        yield message


def _last_words(reason: str, kind: str) -> AIMessage:
    said = f"I stopped before I was done. {reason}"
    return AIMessage(said, response_metadata={STOPPED: kind})


def _metadata() -> Mapping[str, Any]:
    return get_config().get("metadata") or {}


def _run() -> UUID | None:
    """The run of the agent's node that is at work."""
    return getattr(get_config().get("callbacks"), "parent_run_id", None)


def _labels(metadata: Mapping[str, Any], **more: str) -> dict[str, str]:
    caller = caller_of(metadata)
    return {"agent": caller.agent, "node": caller.node, **more}
