"""What a call under way is charged at its end."""

from __future__ import annotations

from functools import partial

from langchain_core.outputs import LLMResult

from langchain_budget.adapters import charges
from langchain_budget.adapters.charges import Tariff, tariff_of
from langchain_budget.adapters.exits import costs_nothing
from langchain_budget.adapters.requests import Estimator
from langchain_budget.adapters.underway import Call
from langchain_budget.adapters.usage import (
    is_cache_hit,
    model_of_result,
    says_all,
    usage_of_result,
    usage_told,
)
from langchain_budget.core.charges import FAILED
from langchain_budget.core.postings import NOTHING, Basis
from langchain_budget.core.rules import Charge
from langchain_budget.errors import BudgetRefused
from langchain_budget.ledger import Closing
from langchain_budget.pricing.usage import Usage


def charge_of(call: Call, result: LLMResult, estimator: Estimator) -> Charge:
    """What a call is charged that has ended well."""
    request = call.request
    tariff = tariff_of_paid(call, model_of_result(result))
    usage = usage_of_result(result, for_an_hour=request.for_an_hour) or _told(call)
    generation = _first(result)
    if is_cache_hit(getattr(generation, "message", None)):
        return charges.from_cache(usage, tariff, call.labels)
    if usage is None or not usage.total_input:
        text = getattr(generation, "text", "")
        counted = max(call.seen, estimator.text(text, request.model))
        output = usage.total_output if usage else counted
        return charges.estimated(request, output, tariff, call.labels, whole=True)
    if call.batch is None or not says_all(result):
        estimator.learn(request, usage)
    return charges.reported(usage, tariff, call.labels)


def broken(call: Call, error: BaseException) -> Charge | None:
    """What a call is charged that has ended in *error*; `None` is nothing."""
    if call.seen or call.usage or not costs_nothing(error):
        return failed(unended(call), error)
    nothing = Charge(NOTHING, Basis.REPORTED, call.labels)
    return failed(nothing, error) if is_failure(error) else None


def failed(charge: Charge, error: BaseException) -> Charge:
    """The same charge, counted as that of a call which has failed if it has."""
    if not is_failure(error):
        return charge
    labels = {**charge.labels, FAILED: type(error).__name__}
    return charge._replace(labels=labels)


def is_failure(error: BaseException) -> bool:
    """Whether the call went wrong: it was not cut off, by its caller or by a budget."""
    return isinstance(error, Exception) and not isinstance(error, BudgetRefused)


def included(call: Call) -> Charge:
    """What a call is charged whose usage another one has reported with its own."""
    return charges.reported(Usage(0), tariff_of_paid(call), call.labels)


def unended(call: Call) -> Charge:
    """What a call is charged whose end nobody reported."""
    return _unended(call, tariff_of_paid(call))


def unheard(call: Call) -> Charge:
    """Likewise where the price book cannot be asked: at what it has said last."""
    model = call.request.model
    return _unended(call, Tariff(model, call.ledger.prices.last(model)))


def tariff_of_paid(call: Call, answered: str = "") -> Tariff:
    """
    What the model costs of a call that is paid, and so must be charged.

    An interrupt on the way leaves the charge behind for the next who asks the books.
    """
    account = call.hold.account if call.hold else ""
    quoted = partial(call.ledger.quote, account)
    try:
        return tariff_of(quoted, call.request.model, answered)
    except BaseException:
        _leave_behind(call)
        raise


def _unended(call: Call, tariff: Tariff) -> Charge:
    """
    What it was heard of: as much as was reported, and what was seen beyond that.

    That may be less than was used, so it is never more than an estimate.
    """
    usage, request = _told(call), call.request
    if usage is None:
        return charges.estimated(request, call.seen, tariff, call.labels)
    if not usage.total_input:
        usage = usage._replace(input=request.input_tokens)
    unreported = max(0, call.seen - usage.total_output)
    tier = usage.tier or request.terms.tier
    usage = usage._replace(output=usage.output + unreported, tier=tier)
    charge = charges.reported(usage, tariff, call.labels)
    return charge._replace(basis=Basis.ESTIMATED, whole=False)


def _told(call: Call) -> Usage | None:
    return usage_told(call.usage, for_an_hour=call.request.for_an_hour)


def _leave_behind(call: Call) -> None:
    if call.hold and not call.closed:
        call.closed = True
        call.ledger.late.append(Closing(call.hold, unheard(call)))
        call.ledger.late.extend(Closing(more, None) for more in call.more)


def _first(result: LLMResult) -> object:
    rows = result.generations
    return rows[0][0] if rows and rows[0] else None
