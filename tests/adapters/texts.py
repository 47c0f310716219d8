"""A model that completes plain text, as those before chats did."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseLLM
from langchain_core.outputs import Generation, LLMResult


class Completes(BaseLLM):
    """It reports as OpenAI's client does: with the first prompt, for all of them."""

    silent: bool = False

    @property
    def _llm_type(self) -> str:
        return "completes"

    def _generate(self, prompts: list[str], *_: Any, **__: Any) -> LLMResult:
        told = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        usage = {name: each * len(prompts) for name, each in told.items()}
        return LLMResult(
            generations=[[Generation(text="one two")] for _ in prompts],
            llm_output={"token_usage": {} if self.silent else usage},
        )
