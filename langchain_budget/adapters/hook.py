"""The one handler of all scopes, and how the framework is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from langchain_budget.account import Account
from langchain_budget.adapters.attribution import Caller
from langchain_budget.adapters.callbacks import Charged, MeterHandler
from langchain_budget.adapters.calls import CALLS
from langchain_budget.adapters.context import OpenScope, enclosing, scope_now
from langchain_budget.adapters.finder import finder_of
from langchain_budget.adapters.heralds import MARK
from langchain_budget.adapters.inline import HeardHandler
from langchain_budget.adapters.runs import KEPT
from langchain_budget.adapters.steps import STEPS
from langchain_budget.adapters.weaknesses import SCOPES
from langchain_budget.forks import new_lock
from langchain_budget.ledger import Ledger


class ScopeHandler(MeterHandler):
    """The one handler of all scopes; a call is charged to the innermost open one."""

    def _blocks(self) -> bool:
        scopes = enclosing(scope_now.get())
        blocking = any(each.account.ledger.store.blocking for each in scopes)
        return blocking or STEPS.blocking

    def _charged(self, caller: Caller, parent: UUID | None) -> Iterable[Charged]:
        innermost: dict[object, Account] = {}
        for each in enclosing(_scope(parent)):
            innermost.setdefault(each.account.ledger.identity, each.account)
        return [
            (of.ledger, finder_of(of.ledger).find(of.ledger, of.path, caller))
            for of in innermost.values()
        ]

    def _is_on(self, ledger: Ledger, parent: UUID | None) -> bool:
        scopes = enclosing(_scope(parent))
        return any(ledger.is_same(each.account.ledger) for each in scopes)


def _scope(parent: UUID | None) -> OpenScope | None:
    """The innermost one here, or else of the run: a thread may carry no context."""
    return scope_now.get() or next(
        (run.scope for _, run in CALLS.runs.above(parent) if run.scope), None
    )


def enter(scope: OpenScope) -> Token[Any]:
    """From here on, in this context, calls are charged to *scope*."""
    HOOKS.register()
    return scope_now.set(scope)


def leave(token: Token[Any]) -> bool:
    """Undo `enter`; false in another context than that one, which still has it."""
    try:
        scope_now.reset(token)
    except ValueError:
        return False
    return True


class Lookout(HeardHandler):
    """Warns of model calls that nobody holds for, in a thread that a scope has lost."""

    raise_error = True  # a warning that was made an error is one

    def __init__(self) -> None:
        self._unsure: dict[int, None] = {}
        """Calls that a handler on a thread may be about to hold for."""

    def on_chat_model_start(self, *_: Any, run_id: UUID, **options: Any) -> None:
        """
        Warn, if nobody holds for it.

        Handlers that were given to the run are told of it first. But an event loop
        tells those on threads last, of a start and of an end: there it is at the end
        that it can be seen whether they hold.
        """
        params = options.get("invocation_params") or {}
        self._unsure.pop(run_id.int, None)
        if MARK in params or CALLS.is_known(run_id):
            return
        if not _is_on_loop():
            SCOPES.tell()
            return
        self._unsure[run_id.int] = None
        if len(self._unsure) > KEPT:
            self._unsure.pop(next(iter(self._unsure)), None)

    def on_llm_start(self, *_: Any, run_id: UUID, **options: Any) -> None:
        """Likewise, for models that complete plain text."""
        self.on_chat_model_start(run_id=run_id, **options)

    def on_llm_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Warn, if nobody has held for it."""
        is_unsure = self._unsure.pop(run_id.int, self) is None
        if is_unsure and not CALLS.is_known(run_id):
            SCOPES.tell()

    def on_llm_error(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """No warning takes the place of an error."""
        self._unsure.pop(run_id.int, None)


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Hook:
    """
    What the framework asks, once it is registered, for a handler to add to a run.

    It asks as it would ask a `ContextVar`, twice: if the second time there is none any
    more, it makes one of the *kind*.

    Args:
        kind: The handler's class.
        handler: Tells which one, if any.
    """

    def __init__(
        self,
        kind: type[BaseCallbackHandler],
        handler: Callable[[], BaseCallbackHandler | None],
    ) -> None:
        self.kind = kind
        self.get = handler


def _meter() -> BaseCallbackHandler | None:
    """
    Inside a scope there is one, and everywhere while a guard may reserve.

    A guard's reservation is found, and given back, by following runs.
    """
    return _HANDLER if scope_now.get() is not None or STEPS else None


def _lookout() -> BaseCallbackHandler | None:
    """In a thread that a scope has lost there is one that tells so."""
    is_strayed = scope_now.get() is None and SCOPES.is_strayed()
    return _LOOKOUT if is_strayed else None


class _Hooks:
    """Those of this library."""

    def __init__(self, *hooks: _Hook) -> None:
        self._hooks = hooks
        self._lock = new_lock()
        self._is_registered = False

    def register(self) -> None:
        """Be asked at the start of every run from now on."""
        if self._is_registered:
            return
        # It loads tracers, a third of what all of this library takes to load.
        from langchain_core.tracers.context import (  # noqa: PLC0415
            register_configure_hook,
        )

        with self._lock:
            if not self._is_registered:
                for each in self._hooks:
                    asked = cast("ContextVar[BaseCallbackHandler | None]", each)
                    register_configure_hook(asked, True, each.kind)  # noqa: FBT003
                self._is_registered = True


_HANDLER = ScopeHandler()
_LOOKOUT = Lookout()
HOOKS = _Hooks(_Hook(ScopeHandler, _meter), _Hook(Lookout, _lookout))
