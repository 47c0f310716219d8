"""A tool that reserves what a call should cost, and settles what it did cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from types import new_class
from typing import Any, cast

from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool
from pydantic import PrivateAttr

from langchain_budget.account import Account
from langchain_budget.adapters.payers import payer_of
from langchain_budget.adapters.tool_calls import Desk, running
from langchain_budget.core.amounts import USD, Amount, countable
from langchain_budget.core.faults import UnitMismatch
from langchain_budget.ledger import Ledger
from langchain_budget.pricing.tool_costs import ToolCosts


def budgeted_tool(
    tool: BaseTool,
    pool: Account,
    account: str | None = None,
    *,
    costs: ToolCosts | None = None,
    max_cost: Amount | None = None,
) -> BaseTool:
    """
    *tool* under a budget: the same name, arguments and answers.

    Each call is counted in `tool_calls` and held for in dollars before the tool runs,
    from `ToolNode`, a chain, or by hand. Then it is charged what the tool reports as
    `cost_usd`, in its result or on the error that it raises; or, if it reports
    nothing, what was expected. A call that failed gives its dollars back; one that
    was cancelled or timed out may have cost them, and keeps them.

    What models inside the tool cost is metered apart: it belongs neither into *costs*
    nor into `cost_usd`.

    Args:
        tool: Any tool; it is left as it is.
        pool: A pool or one of its accounts.
        account: The path below *pool* to charge; left out, the account named like
            whoever calls, or *pool* itself.
        costs: What tools are expected to cost; left out, what unknown tools do.
        max_cost: What a single call may be expected to cost, in dollars.

    Raises:
        UnknownAccount: There is no such account.
        UnitMismatch: The maximum is not in dollars.
        TypeError: The tool is under a budget already.
        BudgetRefused: From the call that does not fit any more; `OperationTooDear`
            from one that is beyond *max_cost*.

    >>> from langchain_core.tools import tool
    >>> from langchain_budget import BudgetPool, usd
    >>> @tool
    ... def search(query: str) -> dict:
    ...     "Search for something."
    ...     return {"found": 3, "cost_usd": 0.004}
    >>> pool = BudgetPool("acme", usd("0.01"))
    >>> budgeted = budgeted_tool(search, pool, costs=ToolCosts({"search": "0.005"}))
    >>> budgeted.invoke("tea")["found"], print(pool.balance().spent)
    $0.004
    (3, None)
    """
    if isinstance(tool, _Budgeted):
        msg = (
            f"tool {tool.name!r} is under a budget already: open that account below "
            f"the other one, and the limits of both bind"
        )
        raise TypeError(msg)
    if max_cost is not None and countable(max_cost).unit != USD:
        msg = f"max_cost={max_cost!r}: give dollars, such as usd('0.10')"
        raise UnitMismatch(msg)
    desk = Desk(payer_of(pool, account), costs or ToolCosts(), max_cost)
    return _copy(tool, desk)


def observed(tool: BaseTool) -> BaseTool:
    """*tool*, or a copy, that tells the running call what it returns or raises."""
    return tool if isinstance(tool, _Budgeted) else _copy(tool, None)


def is_budgeted(tool: object, ledger: Ledger) -> bool:
    """Whether *tool* reserves on these books by itself."""
    desk = tool._desk if isinstance(tool, _Budgeted) else None  # noqa: SLF001  # ours
    return desk is not None and ledger.is_same(desk.payer.ledger)


def _copy(tool: BaseTool, desk: Desk | None) -> BaseTool:
    made = tool.model_copy()
    # All that was validated stays so: the new class has the same fields.
    object.__setattr__(made, "__class__", _budgeted(type(tool)))
    cast("_Budgeted", made)._desk = desk  # noqa: SLF001  # ours
    return made


class _Budgeted(BaseTool):
    """What a tool's class is mixed with; without a desk it only tells its results."""

    _desk: Desk | None = PrivateAttr(default=None)

    def run(self, tool_input: str | dict[str, Any], *args: Any, **options: Any) -> Any:
        """Reserve, run, settle."""
        if self._desk is None:
            return super().run(tool_input, *args, **options)
        config = ensure_config(options.get("config"))
        talk = self._desk.admit(self.name, tool_input, config)
        with self._desk.payer.ledger.run(talk) as call:
            return call.answered(super().run(tool_input, *args, **options))

    async def arun(
        self, tool_input: str | dict[str, Any], *args: Any, **options: Any
    ) -> Any:
        """Awaitable twin of `run`."""
        if self._desk is None:
            return await super().arun(tool_input, *args, **options)
        config = ensure_config(options.get("config"))
        talk = self._desk.admit(self.name, tool_input, config)
        async with await self._desk.payer.ledger.arun(talk) as call:
            return call.answered(await super().arun(tool_input, *args, **options))


@cache
def _budgeted(kind: type[BaseTool]) -> type[BaseTool]:
    """The class of budgeted tools of a kind; made once, for it takes a while."""
    body: dict[str, Any] = {"__module__": kind.__module__, "__doc__": kind.__doc__}
    body["_run"] = _told(kind._run)  # noqa: SLF001  # what tools override
    if kind._arun is not BaseTool._arun:  # noqa: SLF001  # the base's goes by `_run`
        body["_arun"] = _atold(kind._arun)  # noqa: SLF001
    made = new_class(kind.__name__, (_Budgeted, kind), {}, lambda own: own.update(body))
    return cast("type[BaseTool]", made)


def _told(run: Callable[..., Any]) -> Callable[..., Any]:
    """Likewise, and what it returns or raises is told; the signature is kept."""

    @wraps(run)
    def told(*args: Any, **options: Any) -> Any:
        with _listening() as note:
            result = run(*args, **options)
            note(result)
        return result

    return told


def _atold(run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(run)
    async def told(*args: Any, **options: Any) -> Any:
        with _listening() as note:
            result = await run(*args, **options)
            note(result)
        return result

    return told


@contextmanager
def _listening() -> Iterator[Callable[[object], None]]:
    call = running.get()
    note = call.note if call is not None else _nobody
    try:
        yield note
    except BaseException as error:
        note(error)
        raise


def _nobody(result: object) -> None:
    """Nobody has a hold for this call."""
