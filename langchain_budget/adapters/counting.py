"""Count the tokens of a request before it is sent; what was counted is remembered."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple, cast
from weakref import WeakKeyDictionary, ref

from langchain_core.messages import BaseMessage

from langchain_budget.adapters import parameters
from langchain_budget.adapters.schemas import as_json
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


class Counted(NamedTuple):
    """The tokens of some messages, and of these what is guessed for files."""

    tokens: int
    media: int = 0


class RequestCounter:
    """
    Count what goes into a model call: messages, tools and other settings.

    Rather too many than too few, but for images and files, whose tokens depend on what
    is in them. A message that was counted before costs a look-up, until it is
    collected; no text is kept. It is counted anew when its content or its tool calls
    are others, or a value in their blocks is, or in a mapping in these: what lies
    deeper and is changed in place goes unnoticed. Likewise a list of tools.
    """

    def __init__(self) -> None:
        self._messages: dict[Tokenizer, _Seen] = {}
        self._schemas: dict[tuple[Tokenizer, bytes], int] = {}
        self._classes: WeakKeyDictionary[type, dict[Tokenizer, int]] = (
            WeakKeyDictionary()
        )
        self._lists: dict[tuple[Tokenizer, int], tuple[object, int, int]] = {}

    def count(
        self,
        messages: Messages,
        tools: Tools | None,
        model: ModelRef,
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """Count a request's input tokens as *model* would."""
        return self.counted(messages, tools, model, settings or {}).tokens

    def counted(
        self,
        messages: Messages,
        tools: Tools | None,
        model: ModelRef,
        settings: Mapping[str, Any],
    ) -> Counted:
        """Likewise, and tell how much of it is a guess."""
        tokenizer = tokenizer_of(model)
        total, media = self._count_messages(messages, tokenizer)
        if tools:
            total += self._count_tools(tools, tokenizer)
        for text, least in parameters.texts(settings):
            tokens = self._count_setting(text, tokenizer)
            total += tokens if tokens >= least else 0
        is_told = tools or parameters.has_form(settings)
        if is_told and tokenizer.percent == CLAUDE_PERCENT:
            total += CLAUDE_TOOL_TOKENS
        return Counted(REQUEST_TOKENS + total, media)

    def _count_messages(self, messages: Messages, tokenizer: Tokenizer) -> Counted:
        if messages and isinstance(messages[0], str):
            prompts = cast("Sequence[str]", messages)
            return Counted(sum(tokenizer.count(prompt) for prompt in prompts))
        seen = self._messages.get(tokenizer)
        if seen is None:
            seen = self._messages.setdefault(tokenizer, _Seen(tokenizer))
        return seen.count(cast("Sequence[BaseMessage]", messages))

    def _count_tools(self, tools: Tools, tokenizer: Tokenizer) -> int:
        key = tokenizer, id(tools)
        if not isinstance(tools, list | tuple):
            return self._count_schema(tools, tokenizer)
        shape = hash((*_shape(tools),))
        held, seen, tokens = self._lists.get(key, (None, 0, 0))
        if held is not tools or seen != shape:
            tokens = self._count_schema(tools, tokenizer)
            if len(self._lists) >= MOST_LISTS:
                self._lists.clear()
            # Held, so that its id stays its own.
            self._lists[key] = tools, shape, tokens
        return tokens

    def _count_setting(self, setting: Any, tokenizer: Tokenizer) -> int:
        if not isinstance(setting, type):
            return self._count_schema(setting, tokenizer)
        known = self._classes.setdefault(setting, {})
        if tokenizer not in known:
            known[tokenizer] = tokenizer.count(as_json(setting))
        return known[tokenizer]

    def _count_schema(self, schema: Any, tokenizer: Tokenizer) -> int:
        try:
            key = tokenizer, blake2b(marshal.dumps(schema, 2), digest_size=16).digest()
        except ValueError:  # it holds something else than plain values
            return tokenizer.count(as_json(schema))
        tokens = self._schemas.get(key)
        if tokens is None:
            if len(self._schemas) >= MOST_SCHEMAS:
                self._schemas.clear()
            text = schema if isinstance(schema, str) else as_json(schema)
            tokens = self._schemas[key] = tokenizer.count(text)
        return tokens


class _Seen:
    """The tokens of messages that are still alive, as one tokenizer counts them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, tuple[int, int, int]] = {}
        self._alive: dict[int, ref[BaseMessage]] = {}

    def count(self, messages: Sequence[BaseMessage]) -> Counted:
        known = self._known.get
        total = media = 0
        for message in messages:
            shape, tokens, guessed = known(id(message), _NEW)
            now = _shape_of(message)
            if shape != now:
                tokens, guessed = self._count(message, now)
            total += tokens
            media += guessed
        return Counted(total, media)

    def _count(self, message: BaseMessage, shape: int) -> Counted:
        key = id(message)
        # Called before another object can have the id.
        self._alive[key] = ref(message, lambda _: self._forget(key))
        counted = _count(message, self._tokenizer)
        self._known[key] = shape, *counted
        return counted

    def _forget(self, key: int) -> None:
        for table in (self._known, self._alive):
            table.pop(key, None)


_NEW: Final = (0, 0, 0)


def _shape_of(message: BaseMessage) -> int:
    """What a message has while nothing that can be seen quickly has changed in it."""
    fields = message.__dict__
    content, calls = fields["content"], fields.get("tool_calls")
    told = fields["additional_kwargs"]
    own = id(content), len(content), id(calls)
    if type(content) is str and not calls and not told:
        return hash(own)
    blocks = () if type(content) is str else content
    return hash((*own, *_shape([*blocks, *(calls or ()), told])))


def _shape(blocks: Iterable[object]) -> list[int]:
    """Identities, and lengths, for that of something gone may be given anew."""
    parts: list[int] = []
    for block in blocks:
        parts.append(id(block))
        for value in block.values() if isinstance(block, dict) else ():
            parts.append(id(value))
            if type(value) is dict:
                parts += map(id, value.values())
            elif type(value) is str:
                parts.append(len(value))
    return parts


def _count(message: BaseMessage, tokenizer: Tokenizer) -> Counted:
    media = sum(map(_media_tokens, _blocks(message)))
    text = tokenizer.count("\n".join(_texts(message)))
    return Counted(MESSAGE_TOKENS + media + text, media)


def _texts(message: BaseMessage) -> Iterator[str]:
    if message.name:
        yield message.name
    if message.content and isinstance(message.content, str):
        yield message.content
    calls = getattr(message, "tool_calls", ())
    invalid = getattr(message, "invalid_tool_calls", ())
    for block in _blocks(message):
        kind = block.get("type")
        if kind == "text":
            yield str(block.get("text"))
        elif not (_is_media(block) or (calls and kind in _CALLS)):
            yield as_json(block)
    for call in (*calls, *invalid):
        yield f"{call['name']}{as_json(call['args'])}"
    told = message.additional_kwargs
    names = _TOLD if calls or invalid else (*_TOLD, "tool_calls")
    yield from (as_json(told[name]) for name in names if told.get(name))


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


_IMAGES = frozenset({"image", "image_url", "input_image", "image_generation_call"})
_AUDIO = frozenset({"audio", "input_audio"})
_FILES = frozenset({"document", "file", "input_file", "media", "video", "video_url"})
_MEDIA = _IMAGES | _AUDIO | _FILES
_CALLS = frozenset({"function_call", "tool_call", "tool_call_chunk", "tool_use"})
"""Blocks that stand in a message's tool calls once more."""
_TOLD = ("function_call", "name", "reasoning", "refusal")
"""What of a message some clients send that stands nowhere else in it."""
_LONGEST_ADDRESS = 2_000
