"""Asking a person for more, with LangGraph's interrupts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, TypedDict, TypeGuard, get_args

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.types import interrupt

from langchain_budget import grants
from langchain_budget.adapters.payers import metadata_of
from langchain_budget.core.accounts import root_of
from langchain_budget.core.amounts import USD, Amount, nanos, show
from langchain_budget.core.postings import CounterKey
from langchain_budget.core.windows import Window
from langchain_budget.errors import (
    BudgetExceeded,
    BudgetRefused,
    CallTooLarge,
    InvalidAmount,
)
from langchain_budget.forks import new_lock
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Talk

ASKED: Final = "budget_top_up"
"""The `type` of what a graph is interrupted with."""

KEPT: Final = 10_000
"""Executions of nodes of which it is remembered how often they asked."""


OnRefusal = Literal["error", "interrupt", "drain"]
"""What a handler, or a guard, does about what is not affordable."""


class TopUpRequest(TypedDict):
    """
    What a person sees who is asked for more: `Interrupt.value`.

    Attributes:
        type: `budget_top_up`.
        account: Where it is lacking.
        unit: What is lacking, such as `usd`.
        wanted: What the next call may need, as text: `$0.02`.
        short: How much is lacking, as whole units: nano-dollars, or tokens.
        message: All of it in words.
    """

    type: str
    account: str
    unit: str
    wanted: str
    short: int
    message: str


class TopUp(NamedTuple):
    """What a person has answered: how much, who it was, and why."""

    amount: Amount
    approver: str = ""
    reason: str = ""


class Grant(NamedTuple):
    """A person has granted more: book it."""

    refusal: BudgetExceeded
    top_up: TopUp
    key: str


class _Asked:
    """How often each execution of a node has asked so far."""

    def __init__(self) -> None:
        self._times: OrderedDict[object, int] = OrderedDict()
        self._lock = new_lock()

    def next(self, execution: object) -> int:
        with self._lock:
            times = self._times.pop(execution, 0)
            self._times[execution] = times + 1
            if len(self._times) > KEPT:
                self._times.popitem(last=False)
        return times


_asked: Final = _Asked()


def ask(refusal: BudgetExceeded) -> tuple[TopUp, str]:
    """
    Interrupt the graph; when it is resumed, what was answered, and a key for it.

    The key is the same whenever this task is executed again, so that what was granted
    is granted once, however often the node begins anew.

    Raises:
        BudgetExceeded: The answer was no: the refusal itself.
        InvalidAmount: The answer makes no sense.
    """
    config = get_config()
    number = _asked.next(_execution(config))
    answer = top_up_of(interrupt(request_of(refusal)), refusal.refusal.unit)
    if answer is None:
        raise refusal
    return answer, f"top-up:{_task(config)}:{number}"


def request_of(refusal: BudgetExceeded) -> TopUpRequest:
    """What a person is asked."""
    said = refusal.refusal
    return TopUpRequest(
        type=ASKED,
        account=said.account,
        unit=said.unit,
        wanted=show(said.unit, said.wanted),
        short=said.wanted - (said.balance.available or 0),
        message=str(refusal),
    )


def top_up_of(answer: Any, unit: str) -> TopUp | None:
    """
    What somebody answered: an amount, or a mapping with who and why; or a no.

    >>> top_up_of({"amount": "0.50", "approver": "ada"}, "usd")
    TopUp(amount=usd('0.50'), approver='ada', reason='')
    >>> top_up_of(False, "usd")
    """
    if isinstance(answer, Mapping):
        amount = top_up_of(answer.get("amount"), unit)
        who, why = (str(answer.get(name) or "") for name in ("approver", "reason"))
        return amount and amount._replace(approver=who, reason=why)
    if answer is None or answer is False or answer == "":
        return None
    if isinstance(answer, Amount):
        return TopUp(answer)
    return TopUp(_amount(answer, unit))


def _amount(answer: Any, unit: str) -> Amount:
    if unit == USD:
        text = answer.lstrip("$") if isinstance(answer, str) else answer
        return Amount(USD, nanos(Decimal(str(text)) if type(text) is float else text))
    if not str(answer).isdecimal():
        msg = f"{answer!r}: answer with a whole number of {unit}, or with False"
        raise InvalidAmount(msg)
    return Amount(unit, int(answer))


def granted(
    ledger: Ledger, refusal: BudgetExceeded, top_up: TopUp, key: str
) -> Talk[None]:
    """Grant what was answered where it was lacking, once."""
    who = f" by {top_up.approver}" if top_up.approver else ""
    reason = f"approved{who}: {top_up.reason or 'no reason given'}"
    said = refusal.refusal
    counter = CounterKey(said.account, said.unit, said.window)
    yield from grants.grant(ledger, counter, top_up.amount, reason, key)


def check_refusal(how: OnRefusal) -> OnRefusal:
    """The same; raises `ValueError` where it is none."""
    choices = get_args(OnRefusal)
    if how not in choices:
        msg = f"on_exceeded={how!r}: choose one of {', '.join(choices)}"
        raise ValueError(msg)
    return how


def mender(
    ledger: Ledger, path: str, how: OnRefusal
) -> Callable[[BudgetExceeded], None] | None:
    """What a handler does about a call that is not affordable, inside a graph."""

    def mend(refusal: BudgetExceeded) -> None:
        if not is_in_graph() or not is_ours(root_of(path), refusal):
            raise refusal
        if how == "drain":
            drain(refusal)
            raise refusal
        if not can_be_topped_up(refusal):
            raise refusal
        top_up, key = ask(refusal)
        ledger.run(granted(ledger, refusal, top_up, key))

    return None if how == "error" else mend


def asked(how: OnRefusal, refusal: BudgetRefused) -> Grant | None:
    """
    What a person grants who is asked; or the graph is to stop, as *how* says.

    `None` where nobody is asked, or the answer is no.
    """
    if not is_in_graph():
        return None
    if how == "drain":
        drain(refusal)
    if how != "interrupt" or not can_be_topped_up(refusal):
        return None
    try:
        return Grant(refusal, *ask(refusal))
    except BudgetExceeded:
        return None


def can_be_topped_up(refusal: BudgetRefused) -> TypeGuard[BudgetExceeded]:
    """
    Whether more money would help, and can be given for once.

    Not where a single call is too large; and a rolling window does not end, so what
    is granted in it would be granted for ever: that is for `set_limit`.
    """
    if not isinstance(refusal, BudgetExceeded) or isinstance(refusal, CallTooLarge):
        return False
    return not Window(refusal.refusal.window.partition("@")[0]).is_rolling


def is_in_graph() -> bool:
    """Whether there is a graph that can be interrupted."""
    try:
        return "__pregel_scratchpad" in (get_config().get("configurable") or {})
    except RuntimeError:
        return False


def drain(refusal: BudgetExceeded | BudgetRefused) -> None:
    """Have the graph stop at the end of this step, so that it can go on later."""
    from langgraph.runtime import get_runtime  # noqa: PLC0415  # it loads a lot

    control = getattr(get_runtime(), "control", None)
    if control is not None:
        control.request_drain(str(refusal))


def is_ours(ledger_root: str, refusal: BudgetExceeded) -> bool:
    """Whether it is in the books of this pool that something is lacking."""
    return root_of(refusal.account) == ledger_root


def _task(config: RunnableConfig) -> str:
    """The thread and the task, which stay the same when a node begins anew."""
    metadata = metadata_of(config)
    thread = metadata.get("thread_id", "")
    return f"{thread}:{metadata.get('langgraph_checkpoint_ns', '')}"


def _execution(config: RunnableConfig) -> object:
    """This execution of the task, which no other one is."""
    return getattr(config.get("callbacks"), "parent_run_id", None) or id(config)
