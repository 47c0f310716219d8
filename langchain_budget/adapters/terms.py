"""Read from a request what makes its tokens dearer than plain ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_budget.pricing.usage import Terms

STANDARD: Final = frozenset(
    {"auto", "default", "on_demand", "standard", "standard_only"}
)
"""
Names that providers have for their standard service tier.

What a project or an account has set for `auto` is known to the provider alone: it is
taken for the standard one, as no tier at all is.
"""

WRITES_UNASKED: Final = frozenset({"azure", "openai", "openrouter"})
"""
Providers that write to a cache, at a price of its own, what nobody marked for it.

OpenAI caches by itself, and its price list has a price of writes since GPT-5.6.
"""

_TIERS: Final = ("service_tier", "serviceTier")
_MARKS: Final = ("cache_control", "cachePoint")
"""What marks a block for the cache: Anthropic's word, and Bedrock's."""

_SPOKEN: Final = frozenset({"audio", "input_audio"})
_MODALITIES: Final = ("modalities", "response_modalities")


def terms_of(
    provider: str, messages: Sequence[Any], params: Mapping[str, Any]
) -> Terms:
    """What the request asks for, by the names that clients have for it."""
    settings = [params, *_mappings(params.get(key) for key in _INNER)]
    contents = (_several(getattr(each, "content", None)) for each in messages)
    blocks = [block for each in contents for block in _mappings(each)]
    tools = _mappings(_several(params.get("tools")))
    marks = [
        each[mark]
        for each in (*settings, *tools, *blocks)
        for mark in _MARKS
        if each.get(mark)
    ]
    return Terms(
        next(filter(None, map(_tier, settings)), ""),
        bool(marks) or provider in WRITES_UNASKED,
        any(mark.get("ttl") == "1h" for mark in _mappings(marks)),
        any(map(_is_audio, blocks)) or any(map(_has_spoken, messages)),
        any(map(_asks_for_voice, settings)),
    )


_INNER: Final = ("model_kwargs", "extra_body")
"""Where users put settings for which a client has no name."""


def _tier(settings: Mapping[str, Any]) -> str:
    told = (settings.get(name) for name in _TIERS)
    found = next((each for each in told if each), "")
    if isinstance(found, Mapping):
        found = found.get("type")
    name = str(getattr(found, "value", found) or "").lower()
    return "" if name in STANDARD else name


def _asks_for_voice(settings: Mapping[str, Any]) -> bool:
    told = (_several(settings.get(name)) for name in _MODALITIES)
    asked = (str(getattr(each, "value", each)) for some in told for each in some)
    return any("audio" in each.lower() for each in asked)


def _is_audio(block: Mapping[str, Any]) -> bool:
    if block.get("type") in _SPOKEN:
        return True
    file = block.get("file")
    told = (each.get("mime_type") for each in _mappings((block, file)))
    return any(str(each).startswith(("audio/", "video/")) for each in told)


def _has_spoken(message: Any) -> bool:
    """Whether it is an answer by voice, which is sent along as audio."""
    return bool((getattr(message, "additional_kwargs", None) or {}).get("audio"))


def _several(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _mappings(things: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    return (each for each in things if isinstance(each, Mapping))
