"""A chat model that pays for its own calls: `budgeted(model, pool)`."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableBinding, RunnableWithFallbacks
from langchain_core.runnables.retry import RunnableRetry

from langchain_budget.account import Account
from langchain_budget.adapters.chat import BudgetedModel, class_of
from langchain_budget.adapters.embeddings import PAYING, BudgetedTexts, paying
from langchain_budget.adapters.heralds import heralded
from langchain_budget.adapters.paid import Purse
from langchain_budget.adapters.payers import payer_of
from langchain_budget.adapters.retries import warn_of_retries
from langchain_budget.arguments import patience

_Model = TypeVar(
    "_Model", bound=Runnable[Any, Any] | Embeddings | BaseDocumentCompressor
)


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
    copy.__class__ = class_of(type(model))
    private = {**(copy.__pydantic_private__ or {}), "_purse": purse}
    object.__setattr__(copy, "__pydantic_private__", private)
    return copy
