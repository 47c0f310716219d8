"""A chat model for tests that knows what it costs and ends badly on request."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    UsageMetadata,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, SkipValidation
from typing_extensions import override

from langchain_budget.testing._answers import (
    Answer,
    Reply,
    Usage,
    count_words,
    pieces,
    play,
)
from langchain_budget.testing._calls import CallInFlight, CallLog, ModelCall, Total
from langchain_budget.testing.gate import Gate

Tokens = tuple[int, int]  # input, output


class FakeChatModel(BaseChatModel):
    """A scripted chat model that reports its usage, whole or streamed.

    A stream sends one token a chunk: a word, or a tool call with its arguments. The
    text is all that is kept of a scripted message's content. Without *usage*, input
    is counted in words and output in chunks. `calls` and `total` tell what was really
    used, also by calls that failed, were cancelled or abandoned; copies share them.
    """

    replies: Sequence[SkipValidation[Reply]] = Field(default=(), repr=False)
    """Texts, messages, exceptions, or functions of the messages.

    The last one repeats; without any, the last message is echoed.
    """
    usage: Tokens | Sequence[Tokens] | None = None
    """Input and output tokens: of every reply, or of each (the last one repeats).

    A scripted message's own `usage_metadata` goes first.
    """
    input_details: Mapping[str, int] = {}
    """Such as `cache_read`, `cache_creation`, `audio`: parts of the input."""
    output_details: Mapping[str, int] = {}
    """Such as `reasoning`, `audio`: parts of the output."""
    no_usage: bool = False
    """Report none."""
    split_usage: bool = False
    """Stream input tokens with the first chunk and output tokens with the last."""
    fail_after: int | None = None
    """Break each stream after so many chunks."""
    max_tokens: int | None = None
    model_name: str = "fake"
    provider: str = "fake"
    gate: Gate | None = Field(default=None, repr=False)
    """Where each call announces itself and waits before it generates anything."""
    log: CallLog = Field(default_factory=CallLog, repr=False)

    @property
    def calls(self) -> tuple[ModelCall, ...]:
        """The calls that have ended, in that order."""
        return self.log.calls

    @property
    def total(self) -> Total:
        """What they used together."""
        return self.log.total

    @property
    @override
    def _llm_type(self) -> str:
        return "fake"

    @property
    @override
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model_name, "max_tokens": self.max_tokens}

    @override
    def _get_ls_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> LangSmithParams:
        params = super()._get_ls_params(stop, **kwargs)
        params["ls_provider"] = self.provider
        if (limit := self._limit(kwargs)) is not None:
            params["ls_max_tokens"] = limit
        return params

    @override
    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(t) for t in tools], **kwargs)

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._call(messages, kwargs) as call:
            if self.gate:
                self.gate.enter()
            return self._whole(call, messages)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._call(messages, kwargs) as call:
            if self.gate:
                await self.gate.aenter()
            return self._whole(call, messages)

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self._call(messages, kwargs) as call:
            if self.gate:
                self.gate.enter()
            for chunk in self._chunks(call, messages):
                if run_manager:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with self._call(messages, kwargs) as call:
            if self.gate:
                await self.gate.aenter()
            for chunk in self._chunks(call, messages):
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
                await asyncio.sleep(0)  # others run, and a cancelled stream ends

    @contextmanager
    def _call(
        self, messages: list[BaseMessage], kwargs: Mapping[str, Any]
    ) -> Iterator[CallInFlight]:
        number = self.log.next_number()
        tools = kwargs.get("tools") or ()
        planned = self._planned(number)
        call = CallInFlight(
            number,
            kwargs.get("model", self.model_name),
            self._limit(kwargs),
            tuple(tool["function"]["name"] for tool in tools),
            planned[0] if planned else count_words(messages, tools),
        )
        try:
            yield call
        finally:
            self.log.add(call.ended())

    def _whole(self, call: CallInFlight, messages: list[BaseMessage]) -> ChatResult:
        answer = self._answer(call, messages)
        call.output_tokens = answer.usage.output_tokens
        call.completed = True
        message = answer.message(self._reported(answer.usage))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _chunks(
        self, call: CallInFlight, messages: list[BaseMessage]
    ) -> Iterator[ChatGenerationChunk]:
        answer = self._answer(call, messages)
        for sent, chunk in enumerate(self._with_usage(answer)):
            if sent == self.fail_after:
                raise ConnectionError(f"the stream broke after {sent} chunks")
            call.completed = chunk.chunk_position == "last"
            output = answer.usage.output_tokens
            call.output_tokens = output if call.completed else min(sent + 1, output)
            yield ChatGenerationChunk(message=chunk)

    def _with_usage(self, answer: Answer) -> Sequence[AIMessageChunk]:
        chunks = answer.chunks()
        last = answer.usage
        if self.split_usage and len(chunks) > 1:
            first, last = answer.usage.split()
            chunks[0].usage_metadata = self._reported(first)
        chunks[-1].usage_metadata = self._reported(last)
        return chunks

    def _answer(self, call: CallInFlight, messages: list[BaseMessage]) -> Answer:
        said = self._played(call, messages)
        every = pieces(said, call.number)
        kept = every[: call.max_tokens]
        finish = "tool_calls" if said.tool_calls else "stop"
        metadata = {
            "finish_reason": "length" if len(kept) < len(every) else finish,
            "model_name": call.model,
            "model_provider": self.provider,
        }
        usage = self._used(call, said, len(kept))
        call.input_tokens = usage.input_tokens
        return Answer(kept, usage, {**metadata, **said.response_metadata})

    def _played(self, call: CallInFlight, messages: list[BaseMessage]) -> AIMessage:
        try:
            return play(self.replies, call.number, messages)
        except BaseException:
            call.input_tokens = 0  # a provider that fails does not charge
            raise

    def _used(self, call: CallInFlight, said: AIMessage, counted: int) -> Usage:
        planned = self._planned(call.number) or (call.input_tokens, counted)
        details = self.input_details, self.output_details
        if own := said.usage_metadata:
            planned = own["input_tokens"], own["output_tokens"]
            details = _details(own)
        limit = planned[1] if call.max_tokens is None else call.max_tokens
        return Usage(planned[0], min(planned[1], limit), *details)

    def _planned(self, number: int) -> Tokens | None:
        match self.usage:
            case None:
                return None
            case (int(given), int(returned)):
                return given, returned
            case usages:
                return usages[min(number, len(usages) - 1)]

    def _reported(self, usage: Usage) -> UsageMetadata | None:
        return None if self.no_usage else usage.metadata()

    def _limit(self, kwargs: Mapping[str, Any]) -> int | None:
        given = kwargs.get("max_tokens", kwargs.get("max_completion_tokens"))
        limit: int | None = self.max_tokens if given is None else given
        return limit


def _details(usage: UsageMetadata) -> tuple[Mapping[str, int], Mapping[str, int]]:
    given = usage.get("input_token_details", {})
    returned = usage.get("output_token_details", {})
    return cast("Mapping[str, int]", given), cast("Mapping[str, int]", returned)
