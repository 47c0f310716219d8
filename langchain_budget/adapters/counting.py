"""Count the tokens of a request before it is sent; what was counted is remembered."""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast
from weakref import ref

from langchain_core.messages import BaseMessage

from langchain_budget.pricing.prices import ModelRef
from langchain_budget.pricing.tokens import CLAUDE_PERCENT, Tokenizer, tokenizer_of

REQUEST_TOKENS: Final = 3
MESSAGE_TOKENS: Final = 4
"""Tokens around a request and around each message, as OpenAI gives them for chats."""

CLAUDE_TOOL_TOKENS: Final = 350
"""Instructions that Anthropic adds once there are tools: 313 or 346, it says."""

IMAGE_TOKENS: Final = 5_000
"""An image, whatever its size.

Claude from Opus 4.7 on takes up to 2,576 x 1,456 pixels at 750 a token, and up to
about 1,600 tokens before; OpenAI takes 765 to 1,500 of high detail (gpt-4o-mini alone
far more: 2,833 and 5,667 for each tile).
"""

AUDIO_TOKENS_PER_KB: Final = 8
"""Audio: Gemini takes 32 tokens a second, and 4 kB a second is low quality."""

FILE_TOKENS_PER_KB: Final = 100
"""A file or video, roughly: 4,600 tokens (Claude) for a PDF page of 50 kB."""

UNSEEN_KB: Final = 200
"""Taken for the size of a file or recording that is given by its address only."""

MOST_SCHEMAS: Final = 1_000
MOST_LISTS: Final = 16
"""Sets of tools that are remembered: by what is in them, and as the same list."""

Messages = Sequence[BaseMessage] | Sequence[str]
Tools = Sequence[Mapping[str, Any]]


class RequestCounter:
    """
    Count what goes into a model call: messages, tools and the format asked for.

    Rather too many than too few, but for images and files, whose tokens depend on what
    is in them. A message that was counted before costs a look-up, until it is
    collected; no text is kept. It is known by its identity and that of its content: a
    new content is counted anew, a block changed in place goes unnoticed.
    """

    def __init__(self) -> None:
        self._messages: dict[Tokenizer, _Seen] = {}
        self._schemas: dict[tuple[Tokenizer, bytes], int] = {}
        self._lists: dict[tuple[Tokenizer, int], tuple[object, int]] = {}

    def count(
        self,
        messages: Messages,
        tools: Tools | None,
        model: ModelRef,
        *,
        response_format: object = None,
    ) -> int:
        """Count a request's input tokens as *model* would."""
        tokenizer = tokenizer_of(model)
        total = REQUEST_TOKENS + self._count_messages(messages, tokenizer)
        if tools:
            total += self._count_tools(tools, tokenizer)
        if response_format:
            total += self._count_schema(response_format, tokenizer)
        return total

    def _count_messages(self, messages: Messages, tokenizer: Tokenizer) -> int:
        if messages and isinstance(messages[0], str):
            prompts = cast("Sequence[str]", messages)
            return sum(tokenizer.count(prompt) for prompt in prompts)
        seen = self._messages.get(tokenizer)
        if seen is None:
            seen = self._messages.setdefault(tokenizer, _Seen(tokenizer))
        return seen.count(cast("Sequence[BaseMessage]", messages))

    def _count_tools(self, tools: Tools, tokenizer: Tokenizer) -> int:
        key = tokenizer, id(tools)
        held, tokens = self._lists.get(key, (None, 0))
        if held is not tools:
            tokens = self._count_schema(tools, tokenizer)
            if tokenizer.percent == CLAUDE_PERCENT:
                tokens += CLAUDE_TOOL_TOKENS
            if len(self._lists) >= MOST_LISTS:
                self._lists.clear()
            self._lists[key] = tools, tokens  # held, so that its id stays its own
        return tokens

    def _count_schema(self, schema: Any, tokenizer: Tokenizer) -> int:
        try:
            key = tokenizer, marshal.dumps(schema, 2)
        except ValueError:  # it holds something else than plain values
            return tokenizer.count(_json(schema))
        tokens = self._schemas.get(key)
        if tokens is None:
            if len(self._schemas) >= MOST_SCHEMAS:
                self._schemas.clear()
            tokens = self._schemas[key] = tokenizer.count(_json(schema))
        return tokens


class _Seen:
    """The tokens of messages that are still alive, as one tokenizer counts them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._texts: dict[int, tuple[int, int]] = {}
        self._lists: dict[int, tuple[int, int, int]] = {}
        self._alive: dict[int, ref[BaseMessage]] = {}

    def count(self, messages: Sequence[BaseMessage]) -> int:
        known = self._texts.get
        total = 0
        for message in messages:
            tokens, content = known(id(message), _NEW)
            if content != id(message.content):
                tokens = self._look(message)
            total += tokens
        return total

    def _look(self, message: BaseMessage) -> int:
        content = message.content
        if isinstance(content, str):
            tokens = self._count(message)
            self._texts[id(message)] = tokens, id(content)
            return tokens
        tokens, *held = self._lists.get(id(message), (0, 0, 0))
        if held != [id(content), len(content)]:
            tokens = self._count(message)
            self._lists[id(message)] = tokens, id(content), len(content)
        return tokens

    def _count(self, message: BaseMessage) -> int:
        key = id(message)
        # Called before another object can have the id.
        self._alive[key] = ref(message, lambda _: self._forget(key))
        return _count(message, self._tokenizer)

    def _forget(self, key: int) -> None:
        for table in (self._texts, self._lists, self._alive):
            table.pop(key, None)


_NEW: Final = (0, 0)


def _count(message: BaseMessage, tokenizer: Tokenizer) -> int:
    media = sum(map(_media_tokens, _blocks(message)))
    return MESSAGE_TOKENS + media + tokenizer.count("\n".join(_texts(message)))


def _texts(message: BaseMessage) -> Iterator[str]:
    if message.name:
        yield message.name
    if message.content and isinstance(message.content, str):
        yield message.content
    calls = getattr(message, "tool_calls", ())
    for block in _blocks(message):
        kind = block.get("type")
        if kind == "text":
            yield str(block.get("text"))
        elif not (_is_media(block) or (calls and kind in _CALLS)):
            yield _json(block)
    for call in (*calls, *getattr(message, "invalid_tool_calls", ())):
        yield f"{call['name']}{_json(call['args'])}"


def _blocks(message: BaseMessage) -> Iterator[Mapping[str, Any]]:
    content = message.content
    yield from () if isinstance(content, str) else map(_block, content)


def _block(block: object) -> Mapping[str, Any]:
    return block if isinstance(block, Mapping) else {"type": "text", "text": block}


def _is_media(block: Mapping[str, Any]) -> bool:
    source = block.get("source")
    is_text = isinstance(source, Mapping) and source.get("type") in {"text", "content"}
    return block.get("type") in _MEDIA and not is_text


def _media_tokens(block: Mapping[str, Any]) -> int:
    kind = block.get("type")
    if not _is_media(block):
        return 0
    if kind in _IMAGES:
        return IMAGE_TOKENS
    per_kb = AUDIO_TOKENS_PER_KB if kind in _AUDIO else FILE_TOKENS_PER_KB
    return per_kb * _size_kb(block)


def _size_kb(block: Mapping[str, Any]) -> int:
    """Tell the size of what is in *block* as base64, if it is there at all."""
    characters = max(map(_longest, block.values()), default=0)
    is_here = characters > _LONGEST_ADDRESS
    return -(-characters * 3 // 4_000) if is_here else UNSEEN_KB


def _longest(value: object) -> int:
    if isinstance(value, Mapping):
        return max(map(_longest, value.values()), default=0)
    return len(value) if isinstance(value, str | bytes) else 0


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except (RecursionError, TypeError, ValueError):  # a cycle, or keys of other types
        return str(value)


_IMAGES = frozenset({"image", "image_url", "input_image", "image_generation_call"})
_AUDIO = frozenset({"audio", "input_audio"})
_FILES = frozenset({"document", "file", "input_file", "media", "video", "video_url"})
_MEDIA = _IMAGES | _AUDIO | _FILES
_CALLS = frozenset({"function_call", "tool_call", "tool_call_chunk", "tool_use"})
"""Blocks that stand in a message's tool calls once more."""
_LONGEST_ADDRESS = 2_000
