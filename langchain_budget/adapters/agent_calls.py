"""One model call of an agent, as its middleware holds for it."""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import Any

from langchain_budget.account import Account
from langchain_budget.adapters.calls import CALLS
from langchain_budget.adapters.caps import unbound
from langchain_budget.adapters.clamp import Capped
from langchain_budget.adapters.context import (
    Offer,
    OpenScope,
    offers_now,
    scope_now,
)
from langchain_budget.adapters.extra import ModelRequest
from langchain_budget.adapters.hook import enter, leave
from langchain_budget.adapters.requests import Request
from langchain_budget.ledger import Closing


class ModelCall:
    """One model call: its hold is offered inside, and closed on every way out."""

    def __init__(
        self,
        request: ModelRequest[Any],
        account: Account,
        size: Request,
        capped: Capped,
    ) -> None:
        hold, clamp = capped
        told = clamp.settings(size, *unbound(request.model, request.model_settings))
        settings = {**request.model_settings, **told}
        size = size._replace(
            output_tokens=clamp.output_tokens, worst_output=clamp.output_tokens
        )
        self.account = account
        self.outer: OpenScope | None = None
        self.lost = False
        self._request = request.override(model_settings=settings)
        self._offer = Offer(account.ledger, hold, size, clamp)

    def __enter__(self) -> ModelRequest[Any]:
        self.outer = scope_now.get()
        self._scope: Token[Any] = enter(self)
        self._offered = offers_now.set((self._offer, *offers_now.get()))
        return self._request

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        offers_now.reset(self._offered)
        self.lost = not leave(self._scope)
        if self._offer.withdraw():
            ledger = self._offer.ledger
            ledger.run(ledger.close(Closing(self._offer.hold, None)))
        else:
            CALLS.give_up(self._offer.hold)
