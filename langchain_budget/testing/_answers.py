"""From what a script says to the message, or the chunks, that a model returns."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InputTokenDetails,
    OutputTokenDetails,
    ToolCall,
    UsageMetadata,
)
from langchain_core.messages.tool import tool_call, tool_call_chunk

Said = str | AIMessage
Trouble = BaseException | type[BaseException]
Answering = Callable[[list[BaseMessage]], Said]
Reply = Said | Trouble | Answering
Piece = str | ToolCall  # what one token gets you: a word, or a whole tool call


class Usage(NamedTuple):
    """Tokens used by one answer; the details lie within the two sums."""

    input_tokens: int
    output_tokens: int
    input_details: Mapping[str, int]
    output_details: Mapping[str, int]

    def metadata(self) -> UsageMetadata:
        usage = UsageMetadata(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            total_tokens=self.input_tokens + self.output_tokens,
        )
        if details := _within(self.input_tokens, self.input_details):
            usage["input_token_details"] = cast("InputTokenDetails", details)
        if details := _within(self.output_tokens, self.output_details):
            usage["output_token_details"] = cast("OutputTokenDetails", details)
        return usage

    def split(self) -> "tuple[Usage, Usage]":
        return (
            Usage(self.input_tokens, 0, self.input_details, {}),
            Usage(0, self.output_tokens, {}, self.output_details),
        )


class Answer(NamedTuple):
    """One answer, cut to what the call allowed."""

    pieces: Sequence[Piece]
    usage: Usage
    metadata: Mapping[str, str]

    def message(self, usage: UsageMetadata | None) -> AIMessage:
        return AIMessage(
            "".join(piece for piece in self.pieces if isinstance(piece, str)),
            tool_calls=[piece for piece in self.pieces if not isinstance(piece, str)],
            response_metadata=dict(self.metadata),
            usage_metadata=usage,
        )

    def chunks(self) -> list[AIMessageChunk]:
        last = AIMessageChunk(
            content="", response_metadata=dict(self.metadata), chunk_position="last"
        )
        return [*(_chunk(piece, at) for at, piece in enumerate(self.pieces)), last]


def play(
    replies: Sequence[Reply], number: int, messages: list[BaseMessage]
) -> AIMessage:
    """The scripted reply to call *number*: the last one repeats, none is an echo."""
    reply = replies[min(number, len(replies) - 1)] if replies else messages[-1].text
    if not isinstance(reply, str | AIMessage):
        reply = _made(reply, messages)
    return reply if isinstance(reply, AIMessage) else AIMessage(reply)


def pieces(message: AIMessage, number: int) -> list[Piece]:
    words = [word for word in re.split(r"(?<=\s)(?=\S)", message.text) if word]
    return [*words, *_identified(message.tool_calls, number)]


def count_words(messages: Sequence[BaseMessage], tools: object) -> int:
    said = [str(message.content) for message in messages]
    described = json.dumps(tools) if tools else ""
    return sum(len(text.split()) for text in (*said, described))


def _made(reply: Trouble | Answering, messages: list[BaseMessage]) -> Said:
    if isinstance(reply, BaseException):
        raise reply
    if isinstance(reply, type):
        raise reply
    return reply(messages)


def _identified(calls: Sequence[ToolCall], number: int) -> list[Piece]:
    return [
        tool_call(
            name=call["name"],
            args=call["args"],
            id=call["id"] or f"call_{number}_{at}",
        )
        for at, call in enumerate(calls)
    ]


def _chunk(piece: Piece, index: int) -> AIMessageChunk:
    if isinstance(piece, str):
        return AIMessageChunk(content=piece)
    args = json.dumps(piece["args"])
    call = tool_call_chunk(name=piece["name"], args=args, id=piece["id"], index=index)
    return AIMessageChunk(content="", tool_call_chunks=[call])


def _within(total: int, details: Mapping[str, int]) -> dict[str, int]:
    return {name: min(count, total) for name, count in details.items()}
