"""The pieces of a streamed answer: what they say, and how many tokens they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks

from langchain_budget.adapters.said import said
from langchain_budget.adapters.usage import Raw

SMALL_CHUNK: Final = 12
"""Streamed pieces up to this many bytes are one token, as providers send them."""


class Piece(NamedTuple):
    """Some of a streamed answer."""

    said: AIMessageChunk | str
    tokens: int
    usage: Raw | None = None
    """What the stream reported with it, in the framework's words."""
    is_event: bool = False
    """Told by an event; where tokens are told as well, it says the same again."""


def piece_of(token: object, message: Any) -> Piece:
    """A piece as handlers are told of it; the message is `None` for plain text."""
    text = message if isinstance(message, AIMessageChunk) else said(token)
    usage = getattr(message, "usage_metadata", None) if message is not None else None
    return Piece(text, tokens_in(token, message), usage)


def delta_of(event: Mapping[str, Any]) -> Piece:
    """A piece of a stream of protocol events."""
    delta = event.get("delta") or event.get("content") or {}
    parts = delta if isinstance(delta, Mapping) else {"text": delta}
    texts = [each for name, each in parts.items() if name != "type"]
    tokens = sum(_pieces(len(each.encode())) for each in texts if isinstance(each, str))
    return Piece(str(parts.get("text") or ""), tokens, is_event=True)


def whole(pieces: Sequence[AIMessageChunk | str]) -> AIMessageChunk:
    """All that was streamed, as one message."""
    first, *others = (
        AIMessageChunk(content=each) if isinstance(each, str) else each
        for each in pieces
    )
    return add_ai_message_chunks(first, *others)


def tokens_in(token: object, message: object) -> int:
    """Output tokens in one streamed piece; never fewer than one for some output."""
    text = said(token)
    calls = getattr(message, "tool_call_chunks", None) or ()
    size = sum(len(str(call.get("args") or "")) for call in calls)
    return _pieces(len(text.encode()) if text else 0) + _pieces(size)


def _pieces(size: int) -> int:
    if not size:
        return 0
    return 1 if size <= SMALL_CHUNK else -(-size // 3)
