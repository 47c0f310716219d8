"""What weakens a budget and can be seen: told once each, with what to do about it."""

from __future__ import annotations

import threading
import warnings
from typing import Any, Final
from weakref import WeakKeyDictionary

from langchain_budget.account import Account


class WeakEnforcementWarning(UserWarning):
    """A budget is wired so that it enforces less than it seems to; what all share."""


class TwoHandlersWarning(WeakEnforcementWarning):
    """Two handlers of one pool hear of one call: only the first one charges it."""


class LostHandlerWarning(WeakEnforcementWarning):
    """An agent drops the handler that was bound to its model with `with_config`."""


class OuterMiddlewareWarning(WeakEnforcementWarning):
    """Several model calls are made where `BudgetMiddleware` has held for one."""


class StrayThreadWarning(WeakEnforcementWarning):
    """A thread that was started under an open scope calls models outside of it."""


Told = type[WeakEnforcementWarning]

_told: WeakKeyDictionary[Any, set[Told]] = WeakKeyDictionary()


def warn_once(about: object, kind: Told, message: str) -> None:
    """Warn of this kind of weakness, the first time for these books or this scope."""
    told = _told.setdefault(about, set())
    if kind not in told:
        told.add(kind)
        warnings.warn(message, kind, stacklevel=2)


def two_handlers(ledger: object, first: str, second: str) -> None:
    """Two handlers of the same books have heard of the same call."""
    warn_once(
        ledger,
        TwoHandlersWarning,
        f"a model call reached two handlers of one pool, of {first!r} and {second!r}: "
        f"only the first charges it. Pass one BudgetCallbackHandler, to the outermost "
        f"run; accounts below its own are found by the names of agents and nodes",
    )


def lost_handler(ledger: object, model: object) -> None:
    """An agent with tools makes a new binding of its model, without the handlers."""
    config = getattr(model, "config", None) or {}
    callbacks = config.get("callbacks") or ()
    handlers = getattr(callbacks, "handlers", callbacks)
    if any(isinstance(getattr(each, "account", None), Account) for each in handlers):
        warn_once(
            ledger,
            LostHandlerWarning,
            "create_agent drops the handler of model.with_config(callbacks=[...]) when "
            "it binds its tools, so that it meters nothing: pass the handler in the "
            "config of the run, agent.invoke(..., config={'callbacks': [handler]})",
        )


def outer_middleware(ledger: object) -> None:
    """A second model call was made inside one that a middleware has held for."""
    warn_once(
        ledger,
        OuterMiddlewareWarning,
        "several model calls were made where BudgetMiddleware has held for one, as by "
        "a retry or fallback middleware inside it: only the first has its answer "
        "capped. Put BudgetMiddleware last in middleware=[...], innermost",
    )


class OpenScopes:
    """
    The scopes that the main thread has open, and the threads from before them.

    A thread that is none of these was started while the scope was open. Scopes of
    other threads are not kept: a server's threads come and go beside each other's.
    """

    def __init__(self) -> None:
        self._open: dict[int, tuple[Any, frozenset[threading.Thread]]] = {}

    def opened(self, scope: object) -> None:
        """A scope begins."""
        if threading.current_thread() is threading.main_thread():
            self._open[id(scope)] = scope, frozenset(threading.enumerate())

    def closed(self, scope: object) -> None:
        """A scope ends."""
        self._open.pop(id(scope), None)

    def is_strayed(self) -> bool:
        """Whether this thread was started under one that is still open."""
        return bool(self._open) and bool(self._left())

    def tell(self) -> None:
        """Warn that this thread has called a model outside of the scope."""
        scope = self._left()
        if scope is not None:
            name = threading.current_thread().name
            warn_once(
                scope,
                StrayThreadWarning,
                f"the thread {name!r} was started while {scope!r} was open, which does "
                f"not reach it: its model calls are not charged there. If they should "
                f"be, start it with b.wrap(function), where b is the open budget",
            )

    def _left(self) -> Any:
        me = threading.current_thread()
        for scope, before in reversed([*self._open.values()]):
            if me not in before:
                return scope
        return None


SCOPES: Final = OpenScopes()
"""The scopes of this process."""
