"""A chat model that pays for its own calls: `budgeted(model, pool)`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableBinding, RunnableWithFallbacks
from langchain_core.runnables.retry import RunnableRetry
from pydantic import PrivateAttr

from langchain_budget.account import Account
from langchain_budget.adapters.calls import CALLS
from langchain_budget.adapters.embeddings import PAYING, BudgetedTexts, paying
from langchain_budget.adapters.heralds import MARK, Mark, announced, heralded
from langchain_budget.adapters.paid import PaidCall, Purse, cut_short
from langchain_budget.adapters.payers import payer_of
from langchain_budget.adapters.retries import warn_of_retries
from langchain_budget.adapters.uncached import cautious, was_cut
from langchain_budget.arguments import patience
from langchain_budget.stores._drive import Talk

_Model = TypeVar(
    "_Model", bound=Runnable[Any, Any] | Embeddings | BaseDocumentCompressor
)

_at_work: ContextVar[object] = ContextVar("budget_model", default=None)
"""The wrapped model whose own method runs: what it calls itself is the same call."""

_END: Final = object()

_META: Final[Any] = type(BaseChatModel)
"""Makes classes of models."""


class BudgetedModel:
    """
    What a wrapped model does around the methods that every chat model has.

    These see each call that is made, and each of its ends: an answer, an error, a
    stream that nobody reads on, a task that is cancelled. An answer out of a cache
    does not come here, and costs nothing.
    """

    _purse: Any

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        generate = super()._generate  # type: ignore[misc]  # of the model's own class
        if _at_work.get() is self:
            return cast("ChatResult", generate(messages, stop, run_manager, **kwargs))
        call = self._purse.ledger.run(self._admit(messages, stop, run_manager, kwargs))
        token = _at_work.set(self)
        try:
            result = generate(messages, stop, run_manager, **(kwargs | call.settings))
        except BaseException as error:
            call.close(call.broken(error))
            raise
        finally:
            _at_work.reset(token)
        call.close(call.answered(result.generations, result.llm_output))
        return was_cut(result, call.settings)

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        generate = super()._agenerate  # type: ignore[misc]
        if _at_work.get() is self:
            return cast(
                "ChatResult", await generate(messages, stop, run_manager, **kwargs)
            )
        talk = self._admit(messages, stop, run_manager, kwargs)
        call = await self._purse.ledger.arun(talk)
        token = _at_work.set(self)
        try:
            result = await generate(
                messages, stop, run_manager, **(kwargs | call.settings)
            )
        except BaseException as error:
            await call.aclose(call.broken(error))
            raise
        finally:
            _at_work.reset(token)
        await call.aclose(call.answered(result.generations, result.llm_output))
        return was_cut(result, call.settings)

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        stream = super()._stream  # type: ignore[misc]
        if _at_work.get() is self:
            yield from stream(messages, stop, run_manager, **kwargs)
            return
        call = self._purse.ledger.run(self._admit(messages, stop, run_manager, kwargs))
        pieces: Any = None
        try:
            pieces = stream(messages, stop, run_manager, **(kwargs | call.settings))
            while (chunk := self._next(pieces)) is not _END:
                over = call.note(chunk)
                yield chunk
                if over:
                    yield cut_short(chunk.message)
                    break
        except BaseException as error:
            call.close(call.broken(error))
            raise
        finally:
            _close(pieces)  # and with it the connection, whoever reads no further
        call.close(call.streamed())

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        stream = super()._astream  # type: ignore[misc]
        if _at_work.get() is self:
            async for chunk in stream(messages, stop, run_manager, **kwargs):
                yield chunk
            return
        talk = self._admit(messages, stop, run_manager, kwargs)
        call = await self._purse.ledger.arun(talk)
        pieces: Any = None
        try:
            pieces = stream(messages, stop, run_manager, **(kwargs | call.settings))
            while (chunk := await self._anext(pieces)) is not _END:
                over = call.note(chunk)
                yield chunk
                if over:
                    yield cut_short(chunk.message)
                    break
        except BaseException as error:
            await call.aclose(call.broken(error))
            raise
        finally:
            await _aclose(pieces)
        await call.aclose(call.streamed())

    def _next(self, pieces: Iterator[Any]) -> Any:
        """The next piece; what is in force while it is made is not afterwards."""
        token = _at_work.set(self)
        try:
            return next(pieces, _END)
        finally:
            _at_work.reset(token)

    async def _anext(self, pieces: AsyncIterator[Any]) -> Any:
        token = _at_work.set(self)
        try:
            return await anext(pieces, _END)
        finally:
            _at_work.reset(token)

    def _admit(
        self, messages: Any, stop: Any, run_manager: Any, kwargs: Mapping[str, Any]
    ) -> Talk[PaidCall]:
        model = cast("BaseChatModel", self)
        params = {**model._get_invocation_params(stop=stop, **kwargs), **kwargs}  # noqa: SLF001
        metadata = model._get_ls_params(stop=stop, **kwargs)  # noqa: SLF001
        size = CALLS.estimator(self._purse.ledger).size(messages, metadata, params)
        return cast("Talk[PaidCall]", self._purse.admit(size, announced(run_manager)))

    def _get_invocation_params(self, stop: Any = None, **kwargs: Any) -> dict[str, Any]:
        """What handlers are told of a call; those of the same books leave it to us."""
        params = super()._get_invocation_params(stop, **kwargs)  # type: ignore[misc]
        return {**params, MARK: Mark.of(self._purse.ledger)}

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


def budgeted(
    model: _Model,
    pool: Account,
    account: str | None = None,
    *,
    wait_seconds: float = 0.0,
) -> _Model:
    """
    A copy of *model* that holds the most each call can cost before it makes it.

    Its answers are capped to what is left, by the parameter that the provider has for
    it, so that what is spent never exceeds a limit: as long as the provider keeps to
    the cap, its client does not retry by itself (`max_retries=0`), and the input is
    not longer than it was counted. Each end of a call is seen: an answer, an error, a
    stream that nobody reads on, a task that is cancelled. An answer out of a cache
    costs nothing. A `BudgetCallbackHandler`, a scope or a middleware of the same pool
    may see the same call: it is held for once.

    Embeddings and rerankers, which no handler sees, are held for and charged by the
    tokens of their texts as counted, for LangChain passes on no usage, and by what
    the price table has `per_call`. An empty list of texts is no call.

    Args:
        model: A chat model, or one with `bind`, `with_retry` or `with_fallbacks`
            around it, which stay around the wrapped one; or embeddings, or a
            reranker (a `BaseDocumentCompressor` that asks one model).
        pool: A pool or one of its accounts.
        account: The path below *pool* to charge; left out, the account named like
            the agent or node, or *pool* itself.
        wait_seconds: How long a call waits for what others hold.

    Returns:
        A model of the same class, with the same tools, profile and settings.

    Warns:
        HiddenRetriesWarning: The client retries by itself: pass `max_retries=0` and
            put `with_retry` around the result, where each attempt is held for.

    Raises:
        TypeError: It cannot be wrapped so that its calls are enforced.
        UnknownAccount: There is no such account.

    >>> from langchain_budget import BudgetPool, budgeted, tokens
    >>> from langchain_budget.testing import FakeChatModel
    >>> pool = BudgetPool("acme", tokens(200))
    >>> model = budgeted(FakeChatModel(replies=["Hello."], usage=(12, 3)), pool)
    >>> answer = model.invoke("Hi")
    >>> print(pool.balance("tokens").spent, "held:", pool.balance("tokens").held)
    15 tokens held: 0 tokens
    """
    purse = Purse(payer_of(pool, account), patience(wait_seconds))
    warn_of_retries(model, stacklevel=2)
    return cast("_Model", _wrapped(model, purse))


def _wrapped(model: Any, purse: Purse) -> Any:
    if isinstance(model, RunnableRetry | RunnableBinding):
        return model.model_copy(update={"bound": _wrapped(model.bound, purse)})
    if isinstance(model, RunnableWithFallbacks):
        each = [_wrapped(fallback, purse) for fallback in model.fallbacks]
        inner = _wrapped(model.runnable, purse)
        return model.model_copy(update={"runnable": inner, "fallbacks": each})
    if isinstance(model, BudgetedModel | BudgetedTexts):
        msg = "this model is budgeted already: wrap the model that it was made of"
        raise TypeError(msg)
    if isinstance(model, PAYING):
        return paying(model, purse)
    if not isinstance(model, BaseChatModel):
        msg = (
            f"{type(model).__name__} is no chat model: wrap the model itself, before "
            f"with_structured_output or a chain is made of it, and a configurable "
            f"model after it was configured"
        )
        raise TypeError(msg)
    return _paying(model, purse)


def _paying(model: BaseChatModel, purse: Purse) -> BaseChatModel:
    """A copy that is of a subclass of the model's own class."""
    copy = model.model_copy(update={"callbacks": heralded(model.callbacks)})
    copy.__class__ = _class_of(type(model))
    private = {**(copy.__pydantic_private__ or {}), "_purse": purse}
    object.__setattr__(copy, "__pydantic_private__", private)
    return copy


def _close(pieces: Any) -> None:
    """Close a generator; another iterator has nothing to close."""
    if hasattr(pieces, "close"):
        pieces.close()


async def _aclose(pieces: Any) -> None:
    if hasattr(pieces, "aclose"):
        await pieces.aclose()


@lru_cache(maxsize=256)
def _class_of(own: type[BaseChatModel]) -> type[BaseChatModel]:
    """One subclass for each class of models, of the same name."""
    body = {
        "__module__": own.__module__,
        "__qualname__": own.__qualname__,
        "__doc__": own.__doc__,
        "_purse": PrivateAttr(default=None),
    }
    made: type[BaseChatModel] = _META(own.__name__, (BudgetedModel, own), body)
    return made
