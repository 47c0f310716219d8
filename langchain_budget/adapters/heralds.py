"""How a wrapped model learns which run of the framework calls it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.messages import BaseMessage
from langchain_core.runnables.config import ensure_config

from langchain_budget.ledger import Ledger

MARK: Final = "budget"
"""In a call's invocation parameters: it is held for by the model itself."""


class Mark(str):
    """
    Says which books a model holds for its calls on; handlers of these leave them to it.

    Wherever parameters are written down it is just a word.
    """

    __slots__ = ("ledger",)

    ledger: Ledger

    @classmethod
    def of(cls, ledger: Ledger) -> Self:
        """A mark of these books."""
        made = cls("by the model itself")
        made.ledger = ledger
        return made

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def is_held_by_model(params: Mapping[str, Any], ledger: Ledger) -> bool:
    """Whether the model that is called holds for the call on these books."""
    mark = params.get(MARK)
    return isinstance(mark, Mark) and ledger.is_same(mark.ledger)


class Announced(NamedTuple):
    """What the framework says of a call."""

    run_id: UUID | None
    parent: UUID | None
    metadata: Mapping[str, Any]


_announced: ContextVar[tuple[Announced, ...]] = ContextVar("budget_run", default=())


class Herald(BaseCallbackHandler):
    """Passes on, to the model in the same context, what handlers are told."""

    run_inline = True
    ignore_chain = True
    ignore_agent = True
    ignore_retriever = True
    ignore_retry = True
    ignore_custom_event = True

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Remember it for the call that follows."""
        told = Announced(run_id, parent_run_id, metadata or {})
        _announced.set((*_announced.get()[-KEPT:], told))


KEPT: Final = 64
"""Calls of one `generate` that may be announced before the first of them is made."""

HERALD: Final = Herald()


def announced(run_manager: Any) -> Announced:
    """The run that calls the model now; of a direct call, what the context says."""
    told = _announced.get()
    run_id = getattr(run_manager, "run_id", None)
    found = [each for each in told if run_id is None or each.run_id == run_id]
    if found:
        _announced.set(tuple(each for each in told if each is not found[-1]))
        return found[-1]
    if run_manager is not None:
        parent = getattr(run_manager, "parent_run_id", None)
        return Announced(run_id, parent, getattr(run_manager, "metadata", None) or {})
    return Announced(None, None, ensure_config().get("metadata") or {})


def heralded(callbacks: Any) -> Any:
    """A model's callbacks, and the herald with them."""
    if isinstance(callbacks, BaseCallbackManager):
        manager = callbacks.copy()
        manager.add_handler(HERALD, inherit=False)
        return manager
    return [*(callbacks or []), HERALD]


def unheralded(callbacks: Any) -> Any:
    """A model's callbacks as they were before `heralded`."""
    if isinstance(callbacks, BaseCallbackManager):
        manager = callbacks.copy()
        manager.remove_handler(HERALD)
        return manager
    return [each for each in callbacks or () if each is not HERALD] or None
