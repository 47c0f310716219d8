"""Middleware for `create_agent`: reserve, cap the answer, call, settle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.config import get_config
from langgraph.types import Command

from langchain_budget.account import Account, below
from langchain_budget.adapters import charges
from langchain_budget.adapters.attribution import caller_of
from langchain_budget.adapters.calls import CALLS
from langchain_budget.adapters.clamp import Clamp, clamp_of
from langchain_budget.adapters.context import Offer, OpenScope, offer_now, scope_now
from langchain_budget.adapters.finder import finder_of
from langchain_budget.adapters.requests import Request
from langchain_budget.adapters.scope import Tokens, enter, leave
from langchain_budget.core.amounts import OUTPUT_TOKENS, TOKENS, USD
from langchain_budget.core.rules import Order
from langchain_budget.errors import BudgetRefused, MissingExtra
from langchain_budget.ledger import Closing, Ledger
from langchain_budget.stores._drive import Talk
from langchain_budget.views import left_of

try:
    from langchain.agents.middleware import (
        AgentMiddleware,
        ModelRequest,
        ModelResponse,
        ToolCallRequest,
    )
except ImportError as error:
    extra, module = "langchain", "langchain"
    raise MissingExtra(extra, module) from error

TOOL_CALLS: Final = "tool_calls"
"""The unit that tool calls are counted in: `meter("tool_calls")(20)` limits them."""

OnExceeded = Literal["error", "end"]
_CHOICES: Final = ("error", "end")


class BudgetMiddleware(AgentMiddleware[Any, Any, Any]):
    """
    Holds the most that each model call can cost, caps its answer, and settles.

    Put it last in `middleware=[...]`: innermost, it meters every attempt of a retry.
    Models that tools or other middleware call are metered by a `BudgetCallbackHandler`
    or an open `with budget(...)`; a call that several hooks see is one hold.

    Args:
        pool: A pool or one of its accounts.
        account: The path below *pool* to charge; left out, the account named like
            the agent, or *pool* itself.
        on_exceeded: `"error"` raises what was refused, `"end"` ends the agent with a
            message that says so.

    Raises:
        UnknownAccount: There is no such account.
        MissingExtra: `langchain` is not installed.
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
        self._ledger = pool.ledger
        self._base = pool.path if account is None else below(account, pool.path)
        self._named = account is not None
        self._ends = on_exceeded == "end"
        self._ledger.run(self._ledger.route(self._base))

    @property
    def name(self) -> str:
        """Tells several budgets of one agent apart."""
        return f"BudgetMiddleware[{self._base}]"

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any] | AIMessage:
        """Reserve, cap, call, settle."""
        try:
            step = self._ledger.run(self._admit(request))
            with step:
                return handler(step.request)
        except BudgetRefused as refusal:
            return self._end(refusal)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | AIMessage:
        """Awaitable twin of `wrap_model_call`."""
        try:
            step = await self._ledger.arun(self._admit(request))
            with step:
                return await handler(step.request)
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

    def _admit(self, request: ModelRequest[Any]) -> Talk[_Step]:
        """Hold the most that the call can cost after its answer was capped."""
        ledger, metadata = self._ledger, _metadata()
        account = self._account(metadata)
        size = CALLS.estimator(ledger).size(*_contents(request))
        price = ledger.prices.price_of(size.model)
        left = yield from left_of(ledger, account, (USD, TOKENS, OUTPUT_TOKENS))
        clamp: Clamp = clamp_of(size, price, left)
        size = size._replace(
            output_tokens=clamp.output_tokens, worst_output=clamp.output_tokens
        )
        order = Order(
            charges.held(size, price, size.output_tokens),
            started=True,
            labels=_labels(metadata, size),
            unpriced=price is None,
        )
        hold = yield from ledger.reserve(account, order)
        settings = clamp.settings(size.model.provider)
        if settings:
            request = request.override(
                model_settings={**request.model_settings, **settings}
            )
        return _Step(request, Offer(ledger, hold, size), Account(ledger, account))

    def _count(self, request: ToolCallRequest) -> Talk[None]:
        ledger, metadata = self._ledger, _metadata()
        caller = caller_of(metadata)
        labels = {
            "agent": caller.agent,
            "node": caller.node,
            "tool": str(request.tool_call.get("name", "")),
        }
        order = Order({TOOL_CALLS: 1}, labels=labels)
        hold = yield from ledger.reserve(self._account(metadata), order)
        charge = charges.counted(hold.amounts, labels)
        yield from ledger.close(Closing(hold, charge))

    def _account(self, metadata: Mapping[str, Any]) -> str:
        if self._named:
            return self._base
        caller = caller_of(metadata)
        return finder_of(self._ledger).find(self._ledger, self._base, caller)

    def _end(self, refusal: BudgetRefused) -> AIMessage:
        if not self._ends:
            raise refusal
        return AIMessage(
            f"I stopped before I was done: {refusal}",
            response_metadata={"budget_stop": refusal.kind},
        )

    def _not_run(self, request: ToolCallRequest, refusal: BudgetRefused) -> ToolMessage:
        if not self._ends:
            raise refusal
        return ToolMessage(
            f"This tool was not run: {refusal}",
            tool_call_id=request.tool_call["id"] or "",
            name=request.tool_call["name"],
            status="error",
        )


class _Step:
    """One model call: its hold is offered inside, and closed on every way out."""

    def __init__(
        self, request: ModelRequest[Any], offer: Offer, account: Account
    ) -> None:
        self.request = request
        self.account = account
        self.outer: OpenScope | None = None
        self.lost = False
        self._offer = offer

    def __enter__(self) -> None:
        self.outer = scope_now.get()
        self._tokens: Tokens = enter(self)
        self._offered = offer_now.set(self._offer)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        offer_now.reset(self._offered)
        leave(self._tokens)
        if self._offer.claim():
            ledger = self._offer.ledger
            ledger.run(ledger.close(Closing(self._offer.hold, None)))
        else:
            CALLS.give_up(self._offer.hold)


class _Contents(NamedTuple):
    """What the estimator wants to know of a request."""

    messages: list[Any]
    metadata: Mapping[str, Any]
    params: Mapping[str, Any]


def _contents(request: ModelRequest[Any]) -> _Contents:
    """The messages, and the model's parameters as its own callbacks would show them."""
    model, settings = request.model, dict(request.model_settings)
    system = [request.system_message] if request.system_message else []
    known = getattr(model, "_get_invocation_params", None)
    params = {**(known(**settings) if known else {}), **settings}
    params["tools"] = [convert_to_openai_tool(tool) for tool in request.tools]
    described = getattr(model, "_get_ls_params", None)
    metadata = described(**settings) if described else {}
    return _Contents([*system, *request.messages], metadata, params)


def _metadata() -> Mapping[str, Any]:
    return get_config().get("metadata") or {}


def _labels(metadata: Mapping[str, Any], size: Request) -> dict[str, str]:
    caller = caller_of(metadata)
    return {
        "agent": caller.agent,
        "node": caller.node,
        "model": size.model.model,
        "provider": size.model.provider,
    }
