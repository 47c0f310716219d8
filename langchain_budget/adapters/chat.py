"""What a wrapped chat model does around the methods that every chat model has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import lru_cache, partial
from inspect import signature
from typing import Any, Final, NamedTuple, NoReturn, cast

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from langchain_budget.adapters.bare import bare
from langchain_budget.adapters.calls import CALLS
from langchain_budget.adapters.caps import own_cap
from langchain_budget.adapters.heralds import MARK, Mark, announced, unheralded
from langchain_budget.adapters.paid import PaidCall, Purse, cut_short
from langchain_budget.adapters.uncached import cautious, was_cut
from langchain_budget.stores._drive import Talk

_META: Final[Any] = type(BaseChatModel)
"""Makes classes of models."""

_EVENTS: Final = ("_stream_chat_model_events", "_astream_chat_model_events")
"""What a class may have that makes events of its own, past its stream."""


class _Asked(NamedTuple):
    """A call as the framework makes it."""

    messages: Any
    stop: Any
    run_manager: Any
    kwargs: Mapping[str, Any]


class Marked:
    """A model whose calls are held for by a wrapped one, and that says so."""

    _purse: Any

    def _get_invocation_params(self, stop: Any = None, **kwargs: Any) -> dict[str, Any]:
        """What handlers are told of a call; those of the same books leave it to us."""
        params = super()._get_invocation_params(stop, **kwargs)  # type: ignore[misc]
        return {**params, MARK: Mark.of(_purse_of(self).ledger)}


class BudgetedModel(Marked):
    """
    What a wrapped model does around its calls, and at each of their ends.

    An answer, an error, a stream that nobody reads on, a task that is cancelled. An
    answer out of a cache does not come here, and costs nothing.
    """

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        asked = _Asked(messages, stop, run_manager, kwargs)
        call = _purse_of(self).ledger.run(_admit(self, asked))
        try:
            result = _own(self, "_generate", call, asked)()
        except BaseException as error:
            call.close(call.broken(error))
            raise
        call.close(call.answered(result.generations, result.llm_output))
        return was_cut(result) if call.capped else cast("ChatResult", result)

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        asked = _Asked(messages, stop, run_manager, kwargs)
        call = await _purse_of(self).ledger.arun(_admit(self, asked))
        try:
            result = await _own(self, "_agenerate", call, asked)()
        except BaseException as error:
            await call.aclose(call.broken(error))
            raise
        await call.aclose(call.answered(result.generations, result.llm_output))
        return was_cut(result) if call.capped else cast("ChatResult", result)

    def _generate_with_cache(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        """An answer that was cut short for want of money is not kept for others."""
        model = cautious(cast("BaseChatModel", self))
        generate = super(BudgetedModel, model)._generate_with_cache  # type: ignore[misc]
        return cast("ChatResult", generate(messages, stop, run_manager, **kwargs))

    async def _agenerate_with_cache(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        model = cautious(cast("BaseChatModel", self))
        generate = super(BudgetedModel, model)._agenerate_with_cache  # type: ignore[misc]
        return cast("ChatResult", await generate(messages, stop, run_manager, **kwargs))

    def configurable_fields(self, **_fields: Any) -> NoReturn:
        """Raise: the framework would make a new model of it, which pays for nothing."""
        msg = (
            "a budgeted model is made anew where its fields are configured, without "
            "its budget: configure the model first, then budgeted(...) around it"
        )
        raise TypeError(msg)

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        """Written down as the model that was wrapped, without its budget."""
        own = type(self).__bases__[-1].__bases__[-1]
        state = bare(self, own).__getstate__()
        told = state["__dict__"]
        state["__dict__"] = {**told, "callbacks": unheralded(told["callbacks"])}
        private = {**state["__pydantic_private__"]}
        del private["_purse"]
        return (
            object.__new__,
            (own,),
            {**state, "__pydantic_private__": private or None},
        )


class Streaming:
    """Likewise around the stream of a model that has one."""

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        asked = _Asked(messages, stop, run_manager, kwargs)
        call = _purse_of(self).ledger.run(_admit(self, asked))
        pieces: Any = None
        try:
            pieces = _own(self, "_stream", call, asked)()
            for chunk in pieces:
                over = call.note(chunk)
                yield chunk
                if over:
                    yield cut_short(chunk.message)
                    break
        except BaseException as error:
            call.close(call.broken(error))
            raise
        finally:  # whoever reads no further closes the connection with it
            if hasattr(pieces, "close"):
                pieces.close()
        call.close(call.streamed())


class AsyncStreaming:
    """Likewise around the stream that is awaited."""

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        asked = _Asked(messages, stop, run_manager, kwargs)
        call = await _purse_of(self).ledger.arun(_admit(self, asked))
        pieces: Any = None
        try:
            pieces = _own(self, "_astream", call, asked)()
            async for chunk in pieces:
                over = call.note(chunk)
                yield chunk
                if over:
                    yield cut_short(chunk.message)
                    break
        except BaseException as error:
            await call.aclose(call.broken(error))
            raise
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()
        await call.aclose(call.streamed())


def _purse_of(model: Any) -> Purse:
    purse: Purse | None = model._purse  # noqa: SLF001  # of our own
    if purse is None:
        msg = (
            f"this {type(model).__name__} was made anew by the class of a budgeted "
            f"one, and has no budget: budgeted(...) around it gives it one"
        )
        raise TypeError(msg)
    return purse


def _admit(model: Any, asked: _Asked) -> Talk[PaidCall]:
    """
    Hold the most that the call can cost.

    Raises:
        BudgetRefused: There is not enough; the call must not be made.
    """
    purse, kwargs = _purse_of(model), asked.kwargs
    told = model._get_invocation_params(stop=asked.stop, **kwargs)  # noqa: SLF001
    metadata = model._get_ls_params(stop=asked.stop, **kwargs)  # noqa: SLF001
    params = {**own_cap(model, kwargs), **told, **kwargs}
    size = CALLS.estimator(purse.ledger).size(asked.messages, metadata, params)
    return purse.admit(size, announced(asked.run_manager))


def _own(model: Any, name: str, call: PaidCall, asked: _Asked) -> Callable[[], Any]:
    """
    The method of the model's own class, on the model without us, and the call's cap.

    What it calls itself is the same call, in whatever thread it does so: it does not
    come back to us.
    """
    inner = type(model).__bases__[-1]
    plain = bare(model, inner)
    options = {"stop": asked.stop, **asked.kwargs}
    options |= call.settings(plain, options)
    if _hears(inner, name):
        options["run_manager"] = asked.run_manager
    return partial(getattr(plain, name), asked.messages, **options)


@lru_cache(maxsize=1024)
def _hears(own: type, name: str) -> bool:
    """Whether a method takes the manager of its run, as the framework asks it."""
    return "run_manager" in signature(getattr(own, name)).parameters


@lru_cache(maxsize=256)
def class_of(own: type[BaseChatModel]) -> type[BaseChatModel]:
    """
    One subclass for each class of models, of the same name.

    It streams where that class does, and no native events pass it by: the framework
    makes them of the stream.
    """
    streams = own._stream is not BaseChatModel._stream  # noqa: SLF001
    astreams = streams or own._astream is not BaseChatModel._astream  # noqa: SLF001
    ours = (*((Streaming,) * streams), *((AsyncStreaming,) * astreams))
    marked = _made(own, (Marked, own), _purse=PrivateAttr(default=None))
    made: type[BaseChatModel] = _made(own, (BudgetedModel, *ours, marked))
    for name in _EVENTS:
        if hasattr(own, name):
            setattr(made, name, None)
    return made


def _made(own: Any, bases: tuple[Any, ...], **body: Any) -> Any:
    names = ("__module__", "__qualname__", "__doc__")
    return _META(own.__name__, bases, {n: getattr(own, n) for n in names} | body)
