"""A model call as the framework announces it, and what is held for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from langchain_budget.adapters.attribution import Caller, divided_by
from langchain_budget.adapters.calls import CALLS, Booking
from langchain_budget.adapters.labels import labels_of_run
from langchain_budget.adapters.requests import Messages
from langchain_budget.adapters.steps import STEPS
from langchain_budget.adapters.underway import Announcement
from langchain_budget.errors import BudgetExceeded
from langchain_budget.ledger import Ledger


class Asked(NamedTuple):
    """What the framework says of a model call that is to be made."""

    messages: Messages
    run_id: UUID
    parent: UUID | None
    caller: Caller
    options: Mapping[str, Any]

    @property
    def params(self) -> Mapping[str, Any]:
        """What the model is called with, besides the messages."""
        return self.options.get("invocation_params") or {}

    @property
    def has_siblings(self) -> bool:
        """Whether it is one of several prompts of one request."""
        return int(self.options.get("batch_size", 1)) > 1

    def announced(self) -> Announcement:
        """The request that all handlers are told of with the same objects."""
        if self.has_siblings:
            return CALLS.under_way.announced(self.options.get("options"))
        return CALLS.under_way.announced(self.options.get("metadata"), self.run_id.int)


def booking_of(
    asked: Asked,
    ledger: Ledger,
    account: str,
    worst: bool,  # noqa: FBT001  # as `Booking` has it
    mend: Callable[[BudgetExceeded], None] | None,
) -> Booking:
    """What to hold for it, and where, if it is charged to *account*."""
    messages, run_id, parent, caller, options = asked
    metadata = options.get("metadata") or {}
    request = CALLS.estimator(ledger).size(messages, metadata, asked.params)
    labels = labels_of_run(caller, run_id, parent, metadata)
    labels |= divided_by(ledger, metadata)
    labels["provider"], labels["model"] = request.model
    places = STEPS.places(ledger, account, parent)
    return Booking(ledger, places, request, labels, worst, mend)
