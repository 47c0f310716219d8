"""Which messages of a long conversation to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, takewhile
from typing import Any, Final, TypeVar, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    MessageLikeRepresentation,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)

from langchain_budget.adapters.counting import REQUEST_TOKENS, RequestCounter
from langchain_budget.core.amounts import tokens
from langchain_budget.pricing.prices import ModelRef

MOST_TOKENS: Final = 2_000
"""What a trimmed context may have, unless somebody says otherwise."""

CHARACTERS_PER_TOKEN: Final = 4
"""How the documented rule counts: characters divided by this, rounded down."""

Count = Callable[[Sequence[BaseMessage]], int]
"""Tells how many tokens some messages have."""

Message = TypeVar("Message", bound=MessageLikeRepresentation)


def trim_context(
    messages: Sequence[Message],
    max_tokens: int = MOST_TOKENS,
    *,
    count: Count | None = None,
    as_documented: bool = False,
) -> list[Message]:
    """
    The newest messages of a conversation that fit into *max_tokens*, in order.

    What a model needs to go on is kept even if that alone is too long: the system
    prompt at the beginning, the last message of the user, and the newest step. Calls
    of tools and their results stay together. What is kept of older turns begins with
    a message of the user.

    Args:
        messages: Messages, or whatever LangChain takes for such.
        max_tokens: The most that they may have together.
        count: Counts tokens; left out, rather too many than too few are counted,
            images and files by their kind and size.
        as_documented: Go from newest to oldest, count four characters as a token,
            and stop at the first message that does not fit: the system prompt goes
            when it is too old, and nothing may be left.

    Raises:
        InvalidAmount: *max_tokens* is no whole number, zero or more.

    >>> talk = [("system", "Be brief."), ("user", "Hi"), ("ai", "Hi."), ("user", "?")]
    >>> trim_context(talk, 2, count=len)
    [('system', 'Be brief.'), ('user', '?')]
    """
    most = tokens(max_tokens).value
    if as_documented:
        return _documented(messages, most)
    kept = _kept(convert_to_messages(messages), most, count or count_tokens)
    return [messages[at] for step in kept for at in step]


def _kept(messages: list[BaseMessage], most: int, count: Count) -> list[range]:
    """The steps to keep: those that must be, and as many of the newest as fit."""
    lead = sum(1 for _ in takewhile(_is_system, messages))
    steps = list(_steps(messages, lead))
    asking = [step for step in steps if isinstance(messages[step.start], HumanMessage)]
    must = [range(lead), *asking[-1:], *steps[-1:]]
    kept = set(must)
    room = most - sum(count(messages[each.start : each.stop]) for each in kept if each)
    for step in reversed(steps):
        if step not in kept:
            room -= count(messages[step.start : step.stop])
            if room < 0:
                break
            kept.add(step)
    first = next((step.start for step in asking if step in kept), 0)
    return [range(lead), *(each for each in steps if each in kept and each[0] >= first)]


def _steps(messages: list[BaseMessage], lead: int) -> Iterator[range]:
    """Pieces of the conversation after *lead*; tool calls and results are one."""
    called: dict[str, int] = {}
    joined: set[int] = set()
    for at, message in enumerate(messages):
        if isinstance(message, AIMessage):
            called |= {call["id"] or "": at for call in message.tool_calls}
        elif isinstance(message, ToolMessage):
            caller = called.get(message.tool_call_id, at)
            joined.update(range(caller + 1, at + 1))
    starts = [at for at in range(lead, len(messages)) if at not in joined]
    return (range(*ends) for ends in pairwise([*starts, len(messages)]))


def count_tokens(messages: Sequence[BaseMessage]) -> int:
    """Count rather too many tokens than too few, whatever the model."""
    return _COUNTER.count(messages, None, _ANY_MODEL) - REQUEST_TOKENS


def _documented(messages: Sequence[Message], most: int) -> list[Message]:
    kept: list[Message] = []
    for message in reversed(messages):
        most -= len(_text(message)) // CHARACTERS_PER_TOKEN
        if most < 0:
            break
        kept.append(message)
    return kept[::-1]


def _text(message: MessageLikeRepresentation) -> str:
    """What a message says; of content in blocks, only what is text."""
    if isinstance(message, Mapping):
        message = HumanMessage(cast("Any", message["content"]))
    return str(convert_to_messages([message])[0].text)


def _is_system(message: BaseMessage) -> bool:
    return isinstance(message, SystemMessage)


_COUNTER: Final = RequestCounter()
_ANY_MODEL: Final = ModelRef("", "")
