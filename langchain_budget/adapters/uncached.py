"""A cache that takes no answer which was cut short for want of money."""

from __future__ import annotations

from typing import Any, Final

from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.globals import get_llm_cache
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.outputs import ChatGeneration, ChatResult

CUT_SHORT: Final = "budget_capped"
"""In `response_metadata`: the cap was the budget's, and the answer reached it."""

STOPPED: Final = "budget_stop"
"""In `response_metadata`: why an answer ends where it does."""

_LENGTH: Final = frozenset({"length", "max_tokens", "MAX_TOKENS", "max_output_tokens"})
"""What providers say of an answer that has reached its cap."""

_REASONS: Final = (
    "finish_reason",
    "stop_reason",
    "done_reason",
    "stopReason",
    "reason",
)
"""Where they say it; the last is within the `incomplete_details` of OpenAI."""


class Uncached(BaseCache):
    """Another cache, but for answers that the budget has cut short."""

    def __init__(self, cache: BaseCache) -> None:
        self._cache = cache

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """What the other cache has."""
        return self._cache.lookup(prompt, llm_string)

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """Awaitable twin of `lookup`."""
        return await self._cache.alookup(prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keep an answer that is as long as it wanted to be."""
        if not any(map(_is_cut, return_val)):
            self._cache.update(prompt, llm_string, return_val)

    async def aupdate(
        self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE
    ) -> None:
        """Awaitable twin of `update`."""
        if not any(map(_is_cut, return_val)):
            await self._cache.aupdate(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        """Clear the other cache."""
        self._cache.clear(**kwargs)


def was_cut(result: ChatResult) -> ChatResult:
    """Mark what has reached the cap, which the budget has set."""
    for generation in result.generations:
        mark_cut(generation)
    return result


def mark_cut(answer: ChatGeneration) -> None:
    """Mark an answer, or the piece of one, that says it has reached its cap."""
    metadata = answer.message.response_metadata
    told = (metadata, answer.generation_info or {})
    reasons = {str(each.get(name)) for each in told for name in _REASONS}
    details = metadata.get("incomplete_details") or {}
    if (reasons | {details.get("reason")}) & _LENGTH:
        metadata[CUT_SHORT] = True


def cautious(model: BaseChatModel) -> BaseChatModel:
    """The model with a cache that takes no answer which was cut short."""
    cache = model.cache if isinstance(model.cache, BaseCache) else get_llm_cache()
    if cache is None or model.cache is False or isinstance(cache, Uncached):
        return model
    return model.model_copy(update={"cache": Uncached(cache)})


def _is_cut(generation: Any) -> bool:
    metadata = getattr(getattr(generation, "message", None), "response_metadata", None)
    if (metadata or {}).get(STOPPED):
        return True
    return bool((metadata or {}).get(CUT_SHORT))
