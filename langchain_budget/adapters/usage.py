"""Read from LangChain's answers what a call used and which model gave it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, cast

from langchain_core.messages import BaseMessage, UsageMetadata
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from langchain_budget.pricing.usage import Usage

Raw = Mapping[str, Any]

TIERS: Final = ("priority", "flex")
"""Service tiers that LangChain tells by key or prefix, the dearer first."""


MOST_TOKENS: Final = 10**12
"""More than this in one call is no count: no context is a millionth of it."""


def usage_of(
    answer: BaseMessage | Generation, *, for_an_hour: bool = False
) -> Usage | None:
    """
    Tell what a message reports in its `usage_metadata`; `None` if that is unknown.

    Details are taken out of their totals, so that each token is counted once. Where
    they contradict each other, the higher number is believed: a total is raised to
    what its details need, tokens that only `total_tokens` has are output, and of
    audio that was also cached the cached part is booked as audio. A detail that is
    negative or no number counts as none. A total that is, or a usage of no tokens at
    all, is no usage: no call is without input.

    Anthropic's streams do not tell how long something is cached for: *for_an_hour*,
    which costs more, if the request asked for that anywhere.
    """
    return usage_told(_metadata(answer), for_an_hour=for_an_hour)


def usage_told(metadata: Raw | None, *, for_an_hour: bool = False) -> Usage | None:
    """Likewise, of a message's `usage_metadata` itself."""
    return _usage(_dated(metadata, for_an_hour)) if metadata else None


def with_more(told: Raw | None, more: Raw | None) -> Raw | None:
    """
    What a stream has reported so far, and what its next piece reports.

    Pieces are added, as LangChain adds them; what cannot be is believed by itself.
    """
    if not (told and more):
        return more or told
    try:
        return add_usage(cast("UsageMetadata", told), cast("UsageMetadata", more))
    except ValueError:
        return more


def usage_of_result(result: LLMResult, *, for_an_hour: bool = False) -> Usage | None:
    """
    Tell what a whole result used: of its first answer, else of its `llm_output`.

    With several answers to one request, each reports the usage of all.
    """
    first = _first(result)
    usage = usage_of(first, for_an_hour=for_an_hour) if first is not None else None
    return usage or _usage_of_output(result.llm_output or {})


def says_all(result: LLMResult) -> bool:
    """Tell whether it may have the usage of a whole request, so of all its prompts."""
    return (
        not _is_chat(result) and _usage_of_output(result.llm_output or {}) is not None
    )


def says_nothing(result: LLMResult) -> bool:
    """Tell whether LangChain has left the usage out, as another prompt has it."""
    told = (result.llm_output or {}).get("token_usage")
    return told == {} and not _is_chat(result)


def _is_chat(result: LLMResult) -> bool:
    return isinstance(_first(result), ChatGeneration)


def model_of_result(result: LLMResult) -> str:
    """Tell which model answered, by its own account; empty if it does not say."""
    message = getattr(_first(result), "message", None)
    told = (getattr(message, "response_metadata", None), result.llm_output)
    names = (_mapping(each).get(key) for each in told for key in _MODEL_KEYS)
    return next((name for name in names if name and isinstance(name, str)), "")


def is_cache_hit(answer: object) -> bool:
    """Tell whether LangChain's own cache gave this answer, so that nothing was paid."""
    return _metadata(answer).get("total_cost") == 0


def _dated(metadata: Raw, for_an_hour: bool) -> Raw:  # noqa: FBT001  # its one question
    """Book what was cached for a time that is not told under the time asked for."""
    details = _mapping(metadata.get("input_token_details"))
    if not for_an_hour or _HOUR in details:
        return metadata
    hour = {_HOUR: details.get("cache_creation"), "cache_creation": 0}
    return {**metadata, "input_token_details": {**details, **hour}}


_HOUR: Final = "ephemeral_1h_input_tokens"
_MODEL_KEYS = ("model_name", "model")


def _first(result: LLMResult) -> Any:
    return next(iter(next(iter(result.generations), ())), None)


def _metadata(answer: object) -> Raw:
    # Asking a message for what it has not is slow.
    is_message = isinstance(answer, BaseMessage)
    message = answer if is_message else getattr(answer, "message", answer)
    return _mapping(getattr(message, "usage_metadata", None))


def _mapping(value: object) -> Raw:
    return value if isinstance(value, Mapping) else {}


def _usage_of_output(output: Raw) -> Usage | None:
    """Read what a provider said in its own words."""
    told = _mapping(output.get("token_usage") or output.get("usage"))
    if "prompt_tokens" in told:
        return _usage(_openai(told))
    return _usage(_anthropic(told))


def _openai(told: Raw) -> Raw:
    into = _mapping(told.get("prompt_tokens_details"))
    out = _mapping(told.get("completion_tokens_details"))
    return {
        "input_tokens": told.get("prompt_tokens"),
        "output_tokens": told.get("completion_tokens"),
        "total_tokens": told.get("total_tokens"),
        "input_token_details": {
            "cache_read": into.get("cached_tokens"),
            "cache_creation": into.get("cache_write_tokens"),
            "audio": into.get("audio_tokens"),
        },
        "output_token_details": {
            "reasoning": out.get("reasoning_tokens"),
            "audio": out.get("audio_tokens"),
        },
    }


def _anthropic(told: Raw) -> Raw:
    """Add what was cached to the input, as LangChain does; Anthropic leaves it out."""
    read = _count(told.get("cache_read_input_tokens")) or 0
    write = _count(told.get("cache_creation_input_tokens")) or 0
    plain = _count(told.get("input_tokens"))
    return {
        "input_tokens": None if plain is None else plain + read + write,
        "output_tokens": told.get("output_tokens"),
        "input_token_details": {"cache_read": read, "cache_creation": write},
    }


def _usage(told: Raw) -> Usage | None:
    return _without_details(told) or _with_details(told)


def _without_details(told: Raw) -> Usage | None:
    """The plain case, at a tenth of the time; `None` where there is more to it."""
    into, out = told.get("input_tokens"), told.get("output_tokens")
    if told.get("input_token_details") or told.get("output_token_details"):
        return None
    if type(into) is not int or type(out) is not int:
        return None
    if not (0 < into <= MOST_TOKENS and 0 <= out <= MOST_TOKENS):
        return None
    total = told.get("total_tokens")
    return Usage(into, output=out) if total is None or total == into + out else None


def _with_details(told: Raw) -> Usage | None:
    total_in = _count(told.get("input_tokens"))
    total_out = _count(told.get("output_tokens"))
    if total_in is None or total_out is None:
        return None
    into = _details(told.get("input_token_details"))
    out = _details(told.get("output_token_details"))
    usage = _with_output(_input(total_in, into), total_out, out)
    unexplained = max(0, (_count(told.get("total_tokens")) or 0) - usage.total)
    tier = next((each for each in TIERS if each in into or each in out), "")
    usage = usage._replace(output=usage.output + unexplained, tier=tier)
    return usage if usage.total else None


def _input(total: int, details: Counter[str]) -> Usage:
    # LangChain sets "cache_creation" to zero where the two others are known.
    hour = details[_HOUR]
    write = details["ephemeral_5m_input_tokens"] + details["cache_creation"]
    read, audio = details["cache_read"], details["audio"]
    total = max(total, hour + write + read, hour + write + audio)
    read = min(read, total - hour - write - audio)
    return Usage(
        input=total - hour - write - audio - read,
        cache_read=read,
        cache_write=write,
        cache_write_1h=hour,
        input_audio=audio,
    )


def _with_output(usage: Usage, total: int, details: Counter[str]) -> Usage:
    reasoning, audio = details["reasoning"], details["audio"]
    plain = max(0, total - reasoning - audio)
    return usage._replace(output=plain, reasoning=reasoning, output_audio=audio)


def _details(told: object) -> Counter[str]:
    """Count details without the prefix of a service tier; a tier seen is a key."""
    found: Counter[str] = Counter()
    for name, value in _mapping(told).items():
        tier, _, rest = str(name).partition("_")
        if tier in TIERS:
            found[tier] += 0
        found[rest if tier in TIERS else name] += _count(value) or 0
    return found


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    sane = math.isfinite(value) and 0 <= value <= MOST_TOKENS
    return math.ceil(value) if sane else None
