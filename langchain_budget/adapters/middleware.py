"""Middleware for `create_agent`: reserve, cap the answer, call, settle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import Token
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.config import get_config
from langgraph.types import Command

from langchain_budget.account import Account
from langchain_budget.adapters.agent_requests import size_of
from langchain_budget.adapters.calls import CALLS, first_open
from langchain_budget.adapters.clamp import Capped, hold_capped
from langchain_budget.adapters.context import (
    Offer,
    OpenScope,
    offers_now,
    scope_now,
)
from langchain_budget.adapters.extra import (
    AgentMiddleware,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_budget.adapters.hook import enter, leave
from langchain_budget.adapters.payers import labels_of, payer_of
from langchain_budget.adapters.requests import Request
from langchain_budget.adapters.tool_calls import Desk, RunningTool, count
from langchain_budget.adapters.tools import is_budgeted, observed
from langchain_budget.arguments import patience
from langchain_budget.errors import AccountFrozen, BudgetExceeded, BudgetRefused
from langchain_budget.ledger import Closing
from langchain_budget.pricing.tool_costs import ToolCosts
from langchain_budget.stores._drive import Talk

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
        tool_costs: What tools are expected to cost. That is held before each of them
            runs, and settled at what it reports; left out, they are only counted.
        wait_seconds: How long a model call waits for an answer of full length when
            there is too little only because of what others hold; accounts of a higher
            priority go first. Then it is capped to what is left, or refused.

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
        tool_costs: ToolCosts | None = None,
        wait_seconds: float = 0.0,
    ) -> None:
        super().__init__()
        if on_exceeded not in _CHOICES:
            msg = f"on_exceeded={on_exceeded!r}: choose one of {', '.join(_CHOICES)}"
            raise ValueError(msg)
        self._payer = payer_of(pool, account)
        self._ledger = self._payer.ledger
        self._ends = on_exceeded == "end"
        self._costs = tool_costs
        self._wait = patience(wait_seconds)

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
        """Reserve, run, settle; or count the tool call before it runs."""
        try:
            call = self._ledger.run(self._admit_tool(request))
        except BudgetRefused as refusal:
            return self._not_run(request, refusal)
        if call is None:
            return handler(request)
        with call:
            return call.answered(handler(_observed(request)))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Awaitable twin of `wrap_tool_call`."""
        try:
            call = await self._ledger.arun(self._admit_tool(request))
        except BudgetRefused as refusal:
            return self._not_run(request, refusal)
        if call is None:
            return await handler(request)
        async with call:
            return call.answered(await handler(_observed(request)))

    def _admit(self, request: ModelRequest[Any]) -> Talk[_ModelCall]:
        """Hold the most that the call can cost after its answer was capped."""
        ledger, config = self._ledger, get_config()
        places = self._payer.places(config)
        size = size_of(request, CALLS.estimator(ledger))
        provider, model = size.model
        labels = labels_of(ledger, config, model=model, provider=provider)
        hold = partial(hold_capped, ledger, size, labels, self._wait)
        capped = yield from first_open(places, hold)
        return _ModelCall(request, Account(ledger, places[-1]), size, capped)

    def _admit_tool(self, request: ToolCallRequest) -> Talk[RunningTool | None]:
        """Hold for the tool, unless it does so itself, or was only to be counted."""
        call, config = request.tool_call, get_config()
        if is_budgeted(request.tool, self._ledger):
            return None
        if self._costs is None:
            yield from count(self._payer, str(call["name"]), config)
            return None
        desk = Desk(self._payer, self._costs)
        return (yield from desk.admit(str(call["name"]), call["args"], config))

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


def _observed(request: ToolCallRequest) -> ToolCallRequest:
    """The same of a tool that tells what it returns, before a message is made of it."""
    if not isinstance(request.tool, BaseTool):
        return request
    return request.override(tool=observed(request.tool))
