"""Embeddings and rerankers that pay for their own calls: see `budgeted`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import ensure_config
from pydantic import BaseModel, PrivateAttr

from langchain_budget.adapters import charges
from langchain_budget.adapters.bare import bare
from langchain_budget.adapters.calls import CALLS, first_open
from langchain_budget.adapters.clamp import Capped, Clamp
from langchain_budget.adapters.paid import PaidCall, Purse
from langchain_budget.adapters.payers import labels_of
from langchain_budget.adapters.requests import Request
from langchain_budget.adapters.settling import tariff_of_paid
from langchain_budget.core.rules import Order
from langchain_budget.errors import PriceUnknown
from langchain_budget.stores._drive import Talk

_Result = TypeVar("_Result")

_NAMES: Final = ("model", "model_name", "model_id", "deployment_name")
"""Where clients of embeddings and rerankers keep the name of their model."""


class BudgetedTexts:
    """
    What embeddings and rerankers do around their calls, since no handler sees them.

    LangChain passes on no usage of theirs: a call is charged what was counted, marked
    as estimated, and one that the provider refused is charged nothing.
    """

    _purse: Any

    def _paid(self, texts: Sequence[str], call: Callable[[], _Result]) -> _Result:
        """What *call* returns, held for and charged; of no texts it is no call."""
        if not texts:
            return call()
        paid = self._purse.ledger.run(_admitted(self._purse, self, texts))
        try:
            result = call()
        except BaseException as error:
            paid.close(paid.broken(error))
            raise
        paid.close(paid.counted())
        return result

    async def _apaid(
        self, texts: Sequence[str], call: Callable[[], Coroutine[Any, Any, _Result]]
    ) -> _Result:
        """Awaitable twin of `_paid`."""
        if not texts:
            return await call()
        talk = _admitted(self._purse, self, texts)
        paid = await self._purse.ledger.arun(talk)
        try:
            result = await call()
        except BaseException as error:
            await paid.aclose(paid.broken(error))
            raise
        await paid.aclose(paid.counted())
        return result


class BudgetedEmbeddings(BudgetedTexts):
    """What is mixed into a class of embeddings."""

    def embed_documents(self, texts: list[str], *args: Any, **options: Any) -> Any:
        """Hold, embed, settle."""
        embed = _own(self).embed_documents
        return self._paid(texts, partial(embed, texts, *args, **options))

    def embed_query(self, text: str, *args: Any, **options: Any) -> Any:
        """Hold, embed, settle."""
        embed = _own(self).embed_query
        return self._paid([text], partial(embed, text, *args, **options))

    async def aembed_documents(
        self, texts: list[str], *args: Any, **options: Any
    ) -> Any:
        """Awaitable twin of `embed_documents`."""
        embed = _own(self).aembed_documents
        return await self._apaid(texts, partial(embed, texts, *args, **options))

    async def aembed_query(self, text: str, *args: Any, **options: Any) -> Any:
        """Awaitable twin of `embed_query`."""
        embed = _own(self).aembed_query
        return await self._apaid([text], partial(embed, text, *args, **options))


class BudgetedReranker(BudgetedTexts):
    """What is mixed into a class of rerankers."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, *args: Any, **options: Any
    ) -> Any:
        """Hold, rank, settle."""
        rank = _own(self).compress_documents
        texts = _ranked(documents, query)
        return self._paid(texts, partial(rank, documents, query, *args, **options))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, *args: Any, **options: Any
    ) -> Any:
        """Awaitable twin of `compress_documents`."""
        rank = _own(self).acompress_documents
        call = partial(rank, documents, query, *args, **options)
        return await self._apaid(_ranked(documents, query), call)


class CountedCall(PaidCall):
    """A call of which nobody will say what it used."""

    def counted(self) -> Any:
        """What is charged for it when it has ended well: what was counted."""
        call = self._call
        tariff = tariff_of_paid(call)
        return charges.estimated(call.request, 0, tariff, call.labels, whole=True)


def paying(model: Any, purse: Purse) -> Any:
    """A copy of embeddings or a reranker that is of a subclass of its own class."""
    own: Any = type(model)
    if not isinstance(model, BaseModel):
        plain = object.__new__(_class_of(own))
        vars(plain).update(vars(model), _purse=purse)
        return plain
    made = model.model_copy()
    made.__class__ = _class_of(own)
    private = {**(made.__pydantic_private__ or {}), "_purse": purse}
    object.__setattr__(made, "__pydantic_private__", private)
    return made


def _own(model: Any) -> Any:
    """The model without us: what it calls of itself is the same call."""
    return bare(model, type(model).__bases__[-1])


@lru_cache(maxsize=256)
def _class_of(own: Any) -> Any:
    """One subclass for each class, of the same name."""
    ours = BudgetedEmbeddings if issubclass(own, Embeddings) else BudgetedReranker
    body: dict[str, Any] = {
        "__module__": own.__module__,
        "__qualname__": own.__qualname__,
        "__doc__": own.__doc__,
    }
    if issubclass(own, BaseModel):
        body["_purse"] = PrivateAttr(default=None)
    return type(own)(own.__name__, (ours, own), body)


PAYING: Final = (Embeddings, BaseDocumentCompressor)
"""What `paying` can wrap."""


def _admitted(purse: Purse, model: object, texts: Sequence[str]) -> Talk[CountedCall]:
    """
    Hold what the call costs: its input, and what each call is priced at.

    Raises:
        BudgetRefused: There is not enough; the call must not be made.
    """
    ledger, config = purse.ledger, ensure_config()
    request = _sized(purse, model, texts)
    provider, name = request.model
    labels = labels_of(ledger, config, provider=provider, model=name)
    places = purse.payer.places(config)
    quote = ledger.quote(places[-1], request.model)
    order = Order(
        charges.held(request, quote.price, 0),
        started=True,
        labels=labels,
        unpriced=quote.price is None,
        wait_seconds=purse.wait_seconds,
    )
    try:
        hold = yield from first_open(places, lambda path: ledger.reserve(path, order))
    except PriceUnknown as refusal:
        raise refusal from quote.fault
    return CountedCall(ledger, request, labels, Capped(hold, Clamp(0)))


def _sized(purse: Purse, model: object, texts: Sequence[str]) -> Request:
    names = (getattr(model, name, None) for name in _NAMES)
    name = next((each for each in names if each and isinstance(each, str)), "")
    package = type(model).__module__.partition(".")[0]
    is_integration = package.startswith("langchain_")
    provider = package.removeprefix("langchain_") if is_integration else ""
    metadata = {"ls_provider": provider, "ls_model_name": name}
    request = CALLS.estimator(purse.ledger).size(texts, metadata, {})
    return request._replace(output_tokens=0, worst_output=0)


def _ranked(documents: Sequence[Document], query: str) -> list[str]:
    """What a reranker reads; nothing when there is nothing to rank."""
    return [query, *(each.page_content for each in documents)] if documents else []
