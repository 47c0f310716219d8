"""Middleware for `create_agent`: reserve, cap the answer, call, settle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.config import get_config
from langgraph.types import Command

from langchain_budget.account import Account
from langchain_budget.adapters.agent_calls import ModelCall
from langchain_budget.adapters.agent_requests import size_of
from langchain_budget.adapters.calls import CALLS, first_open
from langchain_budget.adapters.clamp import hold_capped
from langchain_budget.adapters.extra import (
    AgentMiddleware,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_budget.adapters.finalisation import last_account
from langchain_budget.adapters.payers import labels_of, payer_of
from langchain_budget.adapters.stops import (
    Anew,
    Answer,
    OnExceeded,
    Stop,
    arun_steps,
    check_ours,
    check_stop,
    is_used_up,
    marks,
    run_steps,
    so_far,
)
from langchain_budget.adapters.tool_calls import Desk, RunningTool, count
from langchain_budget.adapters.tools import is_budgeted, observed
from langchain_budget.adapters.top_ups import Grant, granted
from langchain_budget.adapters.uncached import STOPPED
from langchain_budget.adapters.weaknesses import lost_handler
from langchain_budget.arguments import patience
from langchain_budget.core.amounts import Amount
from langchain_budget.errors import BudgetRefused
from langchain_budget.pricing.tool_costs import ToolCosts
from langchain_budget.stores._drive import Talk


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
        on_exceeded: What becomes of a model call that is not affordable. `"error"`
            raises the refusal; `"end"` ends the agent with a message that says so;
            `"check_in"` lets the model say once, without tools, what is done and what
            is left; `"interrupt"` asks a person for a top-up, and goes on when the
            graph is resumed with an amount; `"downgrade"` tries the *models* instead,
            then ends; `"drain"` ends, and has the graph stop at the end of this step.
        models: For `"downgrade"`, dearest first; each is held for like the first.
        finalisation: For `"check_in"`: set aside for its last answer, in an account
            of that name below the one that is charged; left out, 5% of what it has.
        message: What a person reads at the end, in place of the refusal.
        tool_message: What the model reads in place of the refusal, as the answer of a
            tool that was not run.
        exempt_tools: Tools that are neither counted nor refused.
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

    def __init__(  # noqa: PLR0913  # each is a question of its own
        self,
        pool: Account,
        account: str | None = None,
        *,
        on_exceeded: OnExceeded = "error",
        models: Sequence[BaseChatModel] = (),
        finalisation: Amount | None = None,
        message: str = "",
        tool_message: str = "",
        exempt_tools: Collection[str] = (),
        tool_costs: ToolCosts | None = None,
        wait_seconds: float = 0.0,
    ) -> None:
        super().__init__()
        check_stop(on_exceeded, models, finalisation)
        self._payer = payer_of(pool, account)
        self._ledger = self._payer.ledger
        last = last_account(self._payer.account, on_exceeded, finalisation)
        self._stop = Stop(on_exceeded, tuple(models), last, message, tool_message)
        self._exempt = frozenset(exempt_tools)
        self._costs = tool_costs
        self._wait = patience(wait_seconds)

    def __deepcopy__(self, memo: object) -> Self:
        """The same: a copy of an agent spends from the same budget."""
        return self

    @property
    def name(self) -> str:
        """The same for all of one pool, so that an agent takes only one of them."""
        return f"BudgetMiddleware[{id(self._ledger):x}]"

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any] | AIMessage:
        """Reserve, cap, call, settle; stop as asked when it is not affordable."""
        if stop := self._stopped(request):
            return stop

        def call(step: Anew) -> Answer:
            with self._ledger.run(self._admit(step)) as admitted:
                return handler(admitted)

        try:
            return call(Anew(request))
        except BudgetRefused as refusal:
            steps = self._stop.steps(request, self._ours(so_far(refusal, request)))
            return run_steps(steps, call, self._grant)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | AIMessage:
        """Awaitable twin of `wrap_model_call`."""
        if stop := self._stopped(request):
            return stop

        async def call(step: Anew) -> Answer:
            with await self._ledger.arun(self._admit(step)) as admitted:
                return await handler(admitted)

        try:
            return await call(Anew(request))
        except BudgetRefused as refusal:
            steps = self._stop.steps(request, self._ours(so_far(refusal, request)))
            return await arun_steps(steps, call, self._agrant)

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

    def _admit(self, step: Anew) -> Talk[ModelCall]:
        """Hold the most that the call can cost after its answer was capped."""
        ledger, config, request = self._ledger, get_config(), step.request
        places = (step.account,) if step.account else self._payer.places(config)
        if request.tools:
            lost_handler(ledger, request.model)
        size = size_of(request, CALLS.estimator(ledger))
        model, provider = size.model.model, size.model.provider
        labels = labels_of(ledger, config, model=model, provider=provider)
        hold = partial(hold_capped, ledger, size, labels, self._wait)
        capped = yield from first_open(places, hold)
        return ModelCall(request, Account(ledger, places[-1]), size, capped)

    def _ours(self, refusal: BudgetRefused) -> BudgetRefused:
        return check_ours(self._payer.account.path, refusal)

    def _grant(self, grant: Grant) -> None:
        self._ledger.run(granted(self._ledger, *grant))

    async def _agrant(self, grant: Grant) -> None:
        await self._ledger.arun(granted(self._ledger, *grant))

    def _admit_tool(self, request: ToolCallRequest) -> Talk[RunningTool | None]:
        """Hold for the tool, unless it does so itself, or was only to be counted."""
        call, config = request.tool_call, get_config()
        if call["name"] in self._exempt:
            return None
        if is_budgeted(request.tool, self._ledger):
            return None
        if self._costs is None:
            yield from count(self._payer, str(call["name"]), config)
            return None
        desk = Desk(self._payer, self._costs)
        return (yield from desk.admit(str(call["name"]), call["args"], config))

    def _not_run(self, request: ToolCallRequest, refusal: BudgetRefused) -> ToolMessage:
        if self._stop.raises or not is_used_up(refusal):
            raise so_far(refusal, request)
        why = f"This tool was not run: {refusal}"
        return ToolMessage(
            self._stop.tool_message or why,
            artifact=why,
            tool_call_id=request.tool_call["id"] or "",
            name=request.tool_call["name"],
            status="error",
            response_metadata=marks(refusal),
        )

    def _stopped(self, request: ModelRequest[Any]) -> AIMessage | None:
        """The end, when one of the tools just asked for was refused."""
        if self._stop.how != "end":
            return None
        messages = request.state.get("messages") or request.messages
        for message in _newest_tool_messages(messages):
            if message.response_metadata.get(STOPPED):
                why = message.artifact or message.text
                return self._stop.end(why, message.response_metadata)
        return None


def _newest_tool_messages(messages: Sequence[BaseMessage]) -> Iterator[ToolMessage]:
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            return
        yield message


def _observed(request: ToolCallRequest) -> ToolCallRequest:
    """The same of a tool that tells what it returns, before a message is made of it."""
    if not isinstance(request.tool, BaseTool):
        return request
    return request.override(tool=observed(request.tool))
