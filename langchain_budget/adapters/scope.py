"""`with budget(...)`: a limit for whatever runs inside, with no wiring."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Coroutine, Iterable
from contextvars import ContextVar, Token, copy_context
from decimal import Decimal
from typing import Any, ParamSpec, Self, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tracers.context import register_configure_hook

from langchain_budget.account import Account, Affordability
from langchain_budget.adapters.attribution import Caller
from langchain_budget.adapters.callbacks import Charged, MeterHandler
from langchain_budget.adapters.calls import CALLS
from langchain_budget.adapters.context import OpenScope, enclosing, scope_now
from langchain_budget.adapters.finder import finder_of
from langchain_budget.adapters.steps import STEPS
from langchain_budget.core import amounts as units
from langchain_budget.core.amounts import Amount
from langchain_budget.errors import BudgetError
from langchain_budget.ledger import Ledger
from langchain_budget.pool import BudgetPool
from langchain_budget.pricing.prices import PriceBook
from langchain_budget.reports.report import AccountBalance, Report

_Params = ParamSpec("_Params")
_Returned = TypeVar("_Returned")

_serial = itertools.count(1)


class ScopeClosed(BudgetError, RuntimeError):
    """A scope was entered twice, or used before it was entered."""


class Scope:
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
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            self.lost = not leave(self._token)
        if self._own:
            self.account.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def __call__(
        self, function: Callable[_Params, _Returned]
    ) -> Callable[_Params, _Returned]:
        """Give *function* a fresh budget at each call."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(
            function
        ):
            msg = (
                f"{function.__qualname__} is a generator: its body runs after the call "
                f"has returned. Write `with budget(...)` around the loop that reads it."
            )
            raise TypeError(msg)
        if inspect.iscoroutinefunction(function):
            return cast(
                "Callable[_Params, _Returned]", self._around_coroutine(function)
            )

        @functools.wraps(function)
        def limited(*args: _Params.args, **kwargs: _Params.kwargs) -> _Returned:
            with self._fresh():
                return function(*args, **kwargs)

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

    def open(self, name: str, **options: Any) -> Account:
        """A child account, as `Account.open`: for an agent or node of that name."""
        return self.account.open(name, **options)

    def can_afford(self, *wanted: Amount) -> Affordability:
        """Whether *wanted* could be reserved at this moment; advice only."""
        return self.account.can_afford(*wanted)

    def balance(self, unit: str = units.USD) -> AccountBalance:
        """What this budget has of *unit*."""
        return self.account.balance(unit)

    def report(self) -> Report:
        """Balances and spending by agent and node."""
        return self.account.report()

    @property
    def total_tokens(self) -> int:
        """Tokens used, input and output together."""
        return self._spent(units.TOKENS)

    @property
    def prompt_tokens(self) -> int:
        """Input tokens used, cached ones included."""
        return self._spent(units.INPUT_TOKENS)

    @property
    def completion_tokens(self) -> int:
        """Output tokens used, reasoning included."""
        return self._spent(units.OUTPUT_TOKENS)

    @property
    def successful_requests(self) -> int:
        """Model calls that were charged."""
        return self._spent(units.CALLS)

    @property
    def total_cost(self) -> Decimal:
        """Dollars spent, exact."""
        return Decimal(self._spent(units.USD)) / units.NANOS

    @property
    def usage_metadata(self) -> dict[str, dict[str, int]]:
        """Input, output and total tokens by model."""
        names = (units.INPUT_TOKENS, units.OUTPUT_TOKENS)
        return {
            model: {name: line.amounts.get(name, 0) for name in names}
            | {"total_tokens": line.amounts.get(units.TOKENS, 0)}
            for (model,), line in self.report().by("model").items()
        }

    def __str__(self) -> str:
        return str(self.report())

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()

    def _spent(self, unit: str) -> int:
        return self.report().spent(unit).value

    def _fresh(self) -> Scope:
        return Scope(*self._limits, name=self._name, prices=self._prices)

    def _open(self) -> tuple[Account, bool]:
        """The account given, a child of the enclosing scope's, or a private pool."""
        given = [each for each in self._limits if isinstance(each, Account)]
        if given:
            return given[0], False
        limits = [each for each in self._limits if not isinstance(each, Account)]
        name = self._name or f"budget-{next(_serial)}"
        if self.outer is None or self._prices is not None:
            return BudgetPool(name, *limits, prices=self._prices), True
        chosen = [each for each in limits if each is not None]
        return self.outer.account.open(name, limit=chosen), True


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


class ScopeHandler(MeterHandler):
    """The one handler of all scopes; a call is charged to the innermost open one."""

    @property
    def run_inline(self) -> bool:  # type: ignore[override]  # the base has a constant
        """Whether it may run on the event loop: when the store does not block."""
        scopes = enclosing(scope_now.get())
        blocking = any(each.account.ledger.store.blocking for each in scopes)
        return not (blocking or STEPS.blocking)

    def _charged(self, caller: Caller, parent: UUID | None) -> Iterable[Charged]:
        scope = scope_now.get() or next(
            (run.scope for _, run in CALLS.runs.above(parent) if run.scope), None
        )
        innermost: dict[Ledger, Account] = {}
        for each in enclosing(scope):
            innermost.setdefault(each.account.ledger, each.account)
        return [
            (ledger, finder_of(ledger).find(ledger, account.path, caller))
            for ledger, account in innermost.items()
        ]


def enter(scope: OpenScope) -> Token[Any]:
    """From here on, in this context, calls are charged to *scope*."""
    return scope_now.set(scope)


def leave(token: Token[Any]) -> bool:
    """Undo `enter`; false in another context than that one, which still has it."""
    try:
        scope_now.reset(token)
    except ValueError:
        return False
    return True


class _Hook:
    """
    What the framework asks at the start of every run for a handler to add.

    Inside a scope there is one, and everywhere while a guard may reserve: its
    reservation is found, and given back, by following runs.
    """

    def get(self) -> BaseCallbackHandler | None:
        return _HANDLER if scope_now.get() is not None or STEPS else None


_HANDLER = ScopeHandler()
_hook = cast("ContextVar[BaseCallbackHandler | None]", _Hook())
register_configure_hook(_hook, inheritable=True)
