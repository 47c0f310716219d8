"""Middleware that tells a model of its budget or sends it less, and leaves no trace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_budget.account import Account
from langchain_budget.adapters.extra import (
    AgentMiddleware,
    ModelRequest,
    ModelResponse,
)
from langchain_budget.adapters.status import Charged, Left, in_words
from langchain_budget.adapters.trimming import (
    MOST_TOKENS,
    Count,
    count_tokens,
    trim_context,
)
from langchain_budget.adapters.uncached import STOPPED
from langchain_budget.core.accounts import MARK_SCALE, ratio
from langchain_budget.core.amounts import tokens
from langchain_budget.core.faults import InvalidAmount
from langchain_budget.stores._drive import Talk

NOTE: Final = "budget_note"
"""Marks the messages that `BudgetStatus` adds, in `response_metadata`."""

PREFACE: Final = "[Automatic note, not from the user]"
"""What such a message begins with."""


class Informed(AgentMiddleware[Any, Any, Any]):
    """Changes requests by what an account has left."""

    def __init__(self, charged: Charged) -> None:
        super().__init__()
        self._charged = charged

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        """Call the model with the request as it was changed."""
        return handler(self._charged.ledger.run(self._changed(request)))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Awaitable twin of `wrap_model_call`."""
        return await handler(await self._charged.ledger.arun(self._changed(request)))

    def _changed(self, request: ModelRequest[Any]) -> Talk[ModelRequest[Any]]:
        raise NotImplementedError


class BudgetStatus(Informed):
    """
    Ends each request with a note of what is left, so that a model can plan with it.

    The note is in the request alone: not in the agent's state, nor in what is saved.
    It comes last, so that all before it is the same from call to call, and stays in
    a provider's prompt cache. Without a limit, or while the store does not answer,
    there is none.

    Put it before `BudgetMiddleware`, which then counts the note.

    Args:
        pool: A pool or one of its accounts.
        account: The path below *pool*; left out, the account named like the agent,
            or *pool* itself.
        every: After how many answers of the conversation there is a note again.

    Raises:
        UnknownAccount: There is no such account.
        InvalidAmount: *every* is no whole number above zero.
        MissingExtra: `langchain` is not installed.

    >>> from langchain.agents import create_agent
    >>> from langchain_budget import BudgetPool, usd
    >>> from langchain_budget.testing import FakeChatModel
    >>> echo = FakeChatModel()
    >>> agent = create_agent(echo, middleware=[BudgetStatus(BudgetPool("a", usd(1)))])
    >>> question, answer = agent.invoke({"messages": [("user", "Hi")]})["messages"]
    >>> print(answer.text)
    [Automatic note, not from the user] Budget: $1.00 of $1.00 left (0% used)
    """

    def __init__(
        self, pool: Account, account: str | None = None, *, every: int = 1
    ) -> None:
        if type(every) is not int or every < 1:
            msg = f"every={every!r}: give a whole number above zero"
            raise InvalidAmount(msg)
        super().__init__(Charged(pool, account))
        self._every = every

    def _changed(self, request: ModelRequest[Any]) -> Talk[ModelRequest[Any]]:
        if not self._is_due(request):
            return request
        limits = yield from self._charged.limits()
        if not limits:
            return request
        said = f"{PREFACE} {in_words(limits)}"
        note = HumanMessage(said, response_metadata={NOTE: True})
        return request.override(messages=[*request.messages, note])

    def _is_due(self, request: ModelRequest[Any]) -> bool:
        """Every so many answers; never where `BudgetMiddleware` is about to stop."""
        said = request.state["messages"]
        answers = sum(isinstance(each, AIMessage) for each in said)
        return answers % self._every == 0 and not _is_stopped(request.messages)


class ContextTrimming(Informed):
    """
    Sends the newest part of a conversation only; the agent's state keeps all of it.

    Put it before `BudgetMiddleware`, which then holds for what is really sent.

    A trimmed request begins with other messages than the one before it, which a
    provider's prompt cache has not. So it drops a quarter of *max_tokens* at a time,
    and the calls until the next quarter begin alike; and `below` leaves requests
    alone until money is short.

    Args:
        pool: A pool or one of its accounts.
        account: The path below *pool*; left out, the account named like the agent,
            or *pool* itself.
        max_tokens: The most that system prompt and messages may have, as in
            `trim_context`.
        below: Trim only once a limit of the account, or of one above it, has less
            than this share left: `"20%"`. Left out, trim always.
        count: Counts tokens, as in `trim_context`.

    Raises:
        UnknownAccount: There is no such account.
        InvalidAmount: *max_tokens* or *below* makes no sense.
        MissingExtra: `langchain` is not installed.

    >>> from langchain.agents import create_agent
    >>> from langchain_budget import BudgetPool, usd
    >>> from langchain_budget.testing import FakeChatModel
    >>> trimming = ContextTrimming(BudgetPool("acme", usd(1)), max_tokens=20)
    >>> model = FakeChatModel(replies=[lambda sent: f"I see {len(sent)}."])
    >>> agent = create_agent(model, middleware=[trimming])
    >>> talk = [("user", "A long story. " * 9), ("ai", "I see."), ("user", "And?")]
    >>> said = agent.invoke({"messages": talk})["messages"]
    >>> print(said[-1].text, len(said))
    I see 1. 4
    """

    def __init__(
        self,
        pool: Account,
        account: str | None = None,
        *,
        max_tokens: int = MOST_TOKENS,
        below: str | float | None = None,
        count: Count | None = None,
    ) -> None:
        self._most = tokens(max_tokens).value
        self._below = None if below is None else ratio(below)
        self._count = count or count_tokens
        super().__init__(Charged(pool, account))

    def _changed(self, request: ModelRequest[Any]) -> Talk[ModelRequest[Any]]:
        if self._below is not None:
            limits = yield from self._charged.limits()
            if not any(is_short(each, self._below) for each in limits or ()):
                return request
        return request.override(messages=self._trimmed(request))

    def _trimmed(self, request: ModelRequest[Any]) -> list[Any]:
        """The messages without what is too old; notes of the budget stay the last."""
        system = [request.system_message] if request.system_message else []
        notes = sum(1 for _ in takewhile(_is_note, reversed(request.messages)))
        end = len(request.messages) - notes
        talk = [*system, *request.messages[:end]]
        kept = trim_context(talk, self._room(talk), count=self._count)
        return [*kept[len(system) :], *request.messages[end:]]

    def _room(self, talk: Sequence[BaseMessage]) -> int:
        """As much as leaves out whole quarters, so that the rest begins alike."""
        total = self._count(talk)
        quarter = max(self._most // 4, 1)
        quarters = -(-(total - self._most) // quarter)
        return total - max(quarters, 0) * quarter


def _is_stopped(messages: Sequence[BaseMessage]) -> bool:
    """Whether one of the tools just asked for was refused."""
    newest = takewhile(lambda each: isinstance(each, ToolMessage), reversed(messages))
    return any(STOPPED in each.response_metadata for each in newest)


def _is_note(message: BaseMessage) -> bool:
    return bool(message.response_metadata.get(NOTE))


def is_short(limit: Left, share: int) -> bool:
    """Whether less than *share*, in millionths, is left of a limit."""
    return limit.left * MARK_SCALE < limit.granted * share
