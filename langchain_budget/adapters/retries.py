"""Retries that a model's client makes by itself, which nobody else sees."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Final

from langchain_core.runnables import RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase

from langchain_budget.adapters.weaknesses import WeakEnforcementWarning


class HiddenRetriesWarning(WeakEnforcementWarning):
    """The client of a wrapped model retries by itself: several calls are one here."""


_CLIENTS: Final = ("root_client", "root_async_client", "_client", "client")
"""Where models keep the client, which has a default of its own."""


def hidden_retries(model: object) -> int:
    """How often the client behind *model* repeats a call that failed, if it tells."""
    own = _retries(model)
    if own is not None:
        return own
    clients = (getattr(model, name, None) for name in _CLIENTS)
    told = [_retries(client) for client in clients if client is not None]
    return max((each for each in told if each is not None), default=0)


def warn_of_retries(model: object, stacklevel: int) -> None:
    """Once for all the models in *model*: what is held is what one attempt can cost."""
    told = {type(each).__name__: hidden_retries(each) for each in _inside(model)}
    found = [f"{name} (max_retries={n})" for name, n in told.items() if n]
    if found:
        warnings.warn(
            f"{', '.join(found)} retries by itself, and what failed may be billed all "
            f"the same: pass max_retries=0 to the model, and retry around it, "
            f"budgeted(model, pool).with_retry(...), where each attempt is held for",
            HiddenRetriesWarning,
            stacklevel=stacklevel + 1,
        )


def _inside(model: object) -> Iterator[object]:
    if isinstance(model, RunnableBindingBase):
        yield from _inside(model.bound)
    elif isinstance(model, RunnableWithFallbacks):
        for each in (model.runnable, *model.fallbacks):
            yield from _inside(each)
    else:
        yield model


def _retries(client: object) -> int | None:
    told = getattr(client, "max_retries", None)
    return told if type(told) is int else None
