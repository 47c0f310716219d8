"""`with budget(...)`: a limit for whatever runs inside, with no wiring."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Coroutine
from contextvars import Token, copy_context
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar, cast

from langchain_budget.account import Account
from langchain_budget.adapters.context import OpenScope, enclosing, scope_now
from langchain_budget.adapters.hook import enter, leave
from langchain_budget.adapters.readings import Readings
from langchain_budget.adapters.weaknesses import SCOPES
from langchain_budget.core.amounts import Amount
from langchain_budget.errors import BudgetError
from langchain_budget.pool import BudgetPool
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.tree import close_account

_Params = ParamSpec("_Params")
_Returned = TypeVar("_Returned")

_serial = itertools.count(1)


class ScopeClosed(BudgetError, RuntimeError):
    """A scope was entered twice, or used before it was entered."""


class Scope(Readings):
    """
    A budget for a block of code or for each call of a function; see `budget`.

    Attributes:
        account: The account that calls inside are charged to.
    """

    def __init__(
        self,
        *limits: Amount | Account | None,
        name: str | None = None,
        prices: PriceBook | None = None,
    ) -> None:
        self._limits = limits
        self._name = name
        self._prices = prices
        self._account: Account | None = None
        self._token: Token[Any] | None = None
        self._own = True
        self.outer: OpenScope | None = None
        self.lost = False

    @property
    def account(self) -> Account:
        """The account that calls inside are charged to."""
        if self._account is None:
            msg = "this budget has not begun: use it in a `with` statement"
            raise ScopeClosed(msg)
        return self._account

    def __enter__(self) -> Self:
        if self._account is not None:
            msg = "this budget was used before: write `with budget(...)` anew"
            raise ScopeClosed(msg)
        self.outer = next(enclosing(scope_now.get()), None)
        self._account, self._own = self._open()
        self._token = enter(self)
        SCOPES.opened(self)
        return self

    def __exit__(self, *_: object) -> None:
        SCOPES.closed(self)
        if self._token is not None:
            self.lost = not leave(self._token)
        if self._own:
            ledger = self.account.ledger
            ledger.run(ledger.finish(partial(close_account, ledger, self.account.path)))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def __call__(
        self, function: Callable[_Params, _Returned]
    ) -> Callable[_Params, _Returned]:
        """Give *function* a fresh budget at each call."""
        called = getattr(function, "__call__", function)  # noqa: B004  # may be async
        if any(map(inspect.isgeneratorfunction, (function, called))) or any(
            map(inspect.isasyncgenfunction, (function, called))
        ):
            raise TypeError(_runs_later(function, "is a generator"))
        if any(map(inspect.iscoroutinefunction, (function, called))):
            asks = cast("Callable[_Params, Coroutine[Any, Any, Any]]", function)
            return cast("Callable[_Params, _Returned]", self._around_coroutine(asks))

        @functools.wraps(function)
        def limited(*args: _Params.args, **kwargs: _Params.kwargs) -> _Returned:
            with self._fresh():
                returned = function(*args, **kwargs)
                _check_done(function, returned)
                return returned

        return limited

    def _around_coroutine(
        self, function: Callable[_Params, Coroutine[Any, Any, _Returned]]
    ) -> Callable[_Params, Coroutine[Any, Any, _Returned]]:
        @functools.wraps(function)
        async def limited(*args: _Params.args, **kwargs: _Params.kwargs) -> _Returned:
            with self._fresh():
                return await function(*args, **kwargs)

        return limited

    def wrap(
        self, function: Callable[_Params, _Returned]
    ) -> Callable[_Params, _Returned]:
        """
        *function*, charged here wherever it runs: raw threads carry no context.

        >>> import threading
        >>> from langchain_budget import budget, tokens
        >>> from langchain_budget.testing import FakeChatModel
        >>> model = FakeChatModel(replies=["Hello."], usage=(12, 3))
        >>> with budget(tokens(5_000)) as b:
        ...     thread = threading.Thread(target=b.wrap(model.invoke), args=("Hi",))
        ...     thread.start()
        ...     thread.join()
        >>> b.total_tokens
        15
        """

        @functools.wraps(function)
        def carried(*args: _Params.args, **kwargs: _Params.kwargs) -> _Returned:
            def inside() -> _Returned:
                enter(self)
                return function(*args, **kwargs)

            return copy_context().run(inside)

        return carried

    def __repr__(self) -> str:
        begun = repr(self._account.path) if self._account else "not begun"
        return f"<budget {begun}>"

    def _fresh(self) -> Scope:
        return Scope(*self._limits, name=self._name, prices=self._prices)

    def _open(self) -> tuple[Account, bool]:
        """The account given, a child of the enclosing scope's, or a private pool."""
        given = [each for each in self._limits if isinstance(each, Account)]
        if given:
            return given[0], False
        limits = [each for each in self._limits if not isinstance(each, Account)]
        name = self._name or "budget"
        if self.outer is not None or self._name is None:
            # A child is opened anew each time, and its account is closed at the end.
            name = f"{name}-{next(_serial)}"
        if self.outer is None or self._prices is not None:
            return BudgetPool(name, *limits, prices=self._prices), True
        chosen = [each for each in limits if each is not None]
        return self.outer.account.open(name, limit=chosen), True


def _check_done(function: object, returned: object) -> None:
    """Refuse what has only begun: it would run after the budget has ended."""
    waits = inspect.isawaitable(returned)
    if waits or inspect.isgenerator(returned) or inspect.isasyncgen(returned):
        stop = getattr(returned, "close", None) or getattr(returned, "cancel", None)
        if stop is not None:
            stop()
        what = "returned something to await" if waits else "returned a generator"
        raise TypeError(_runs_later(function, what))


def _runs_later(function: object, what: str) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return (
        f"{name} {what}: that runs after the call, and its budget, have ended. Make it "
        f"an `async def` that awaits, or write `with budget(...)` around the code that "
        f"awaits or reads it."
    )


def budget(
    *limits: Amount | Account | None,
    name: str | None = None,
    prices: PriceBook | None = None,
) -> Scope:
    """
    A limit for every model call made in a block, or in each call of a function.

    Calls in tasks, and in threads that carry context, belong to the block they were
    started in; a stream settles in the block that read its first chunk. A budget
    inside another is a child of it: both limits bind.

    Args:
        limits: `usd("0.50")`, `tokens(10_000)`, `calls(20)`, at most one of each
            unit; none at all only meters. Or one open account of a pool, to charge
            the block to it.
        name: The name of its account; made up when left out.
        prices: Prices of your own, asked before the public catalogue.

    Returns:
        A `Scope`, to be used in a `with` statement or as a decorator.

    Raises:
        BudgetRefused: From the model call that does not fit any more.

    >>> from langchain_budget import budget, tokens
    >>> from langchain_budget.testing import FakeChatModel
    >>> model = FakeChatModel(replies=["Hello."], usage=(12, 3))
    >>> with budget(tokens(5_000)) as b:
    ...     answer = model.invoke("Hi")
    >>> b.total_tokens
    15
    """
    accounts = sum(isinstance(each, Account) for each in limits)
    if accounts and len(limits) > 1:
        msg = "give limits, or one account: an account has limits of its own"
        raise TypeError(msg)
    return Scope(*limits, name=name, prices=prices)
