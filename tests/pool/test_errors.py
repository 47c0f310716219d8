"""Every error says what happened, with the numbers, and what to do."""

import copy
import pickle
from collections.abc import Callable

import pytest
from langchain_core.exceptions import ModelError
from langgraph.errors import GraphBubbleUp

from langchain_budget import (
    BudgetError,
    BudgetExceeded,
    BudgetPool,
    BudgetRefused,
    HoldNotOpen,
    InvalidTransfer,
    LimitConflict,
    MissingExtra,
    PriceUnknown,
    StoreError,
    StoreUnavailable,
    UnknownAccount,
    tokens,
    usd,
)
from langchain_budget.core.accounts import spec_of
from langchain_budget.core.postings import Kind, Refusal
from langchain_budget.errors import (
    AccountClosed,
    AccountFrozen,
    IdConflict,
    InexactAmount,
    refused,
)


def exceeded() -> BudgetError:
    pool = BudgetPool("acme", tokens(100))
    pool.open("team", carve=tokens(20))
    pool.reserve(tokens(40)).settle(tokens(30))
    pool.reserve(tokens(10))
    return raised(lambda: pool.reserve(tokens(60)))


def raised(call: Callable[[], object]) -> BudgetError:
    with pytest.raises(BudgetError) as error:
        call()
    return error.value


def unpriced() -> BudgetError:
    return refused(Refusal(Kind.UNPRICED, "acme", "usd", detail="new-model"))


ERRORS: list[tuple[Callable[[], BudgetError], type[BudgetError], list[str]]] = [
    (
        exceeded,
        BudgetExceeded,
        [
            *("'acme'", "40 tokens left of 100 tokens", "30 tokens spent"),
            *("10 tokens held", "20 tokens lent", "60 tokens", "Top it up"),
        ],
    ),
    (
        lambda: refused(Refusal(Kind.FROZEN, "acme", detail="month end")),
        AccountFrozen,
        ["'acme'", "month end", "Thaw it"],
    ),
    (
        lambda: refused(Refusal(Kind.CLOSED, "acme/web")),
        AccountClosed,
        ["'acme/web'", "closed", "Open a new one"],
    ),
    (unpriced, PriceUnknown, ["'new-model'", "'acme'", "prices=PriceTable("]),
    (
        lambda: refused(Refusal(Kind.STORE, "acme", detail="timeout")),
        StoreUnavailable,
        ["'acme'", "timeout", "until it answers again"],
    ),
    (
        lambda: LimitConflict("acme", spec_of([usd(1)]), spec_of([usd(2)])),
        LimitConflict,
        ["'acme'", "$1.00", "$2.00", "set_limit"],
    ),
    (lambda: UnknownAccount("acme/web"), UnknownAccount, ["'acme/web'", "open it"]),
    (lambda: HoldNotOpen("h1", "settled"), HoldNotOpen, ["'h1'", "settled", "once"]),
    (lambda: IdConflict("k1"), IdConflict, ["'k1'", "key of its own"]),
    (lambda: InvalidTransfer("no"), InvalidTransfer, ["no"]),
    (lambda: StoreError("down"), StoreError, ["down"]),
    (
        lambda: MissingExtra("langchain", "langchain.agents"),
        MissingExtra,
        ["langchain.agents", "pip install 'langchain-budget[langchain]'"],
    ),
    (lambda: raised(lambda: tokens(-1)), BudgetError, ["-1 tokens", "zero or more"]),
    (
        lambda: raised(lambda: usd(0.1)),  # type: ignore[arg-type]  # the mistake
        InexactAmount,
        ["0.1 is a float", "usd('0.50')"],
    ),
]
every_error = pytest.mark.parametrize(
    ("make", "kind", "said"), ERRORS, ids=[kind.__name__ for _, kind, _ in ERRORS]
)


@every_error
def test_an_error_says_what_happened_and_what_to_do(
    make: Callable[[], BudgetError], kind: type[BudgetError], said: list[str]
) -> None:
    error = make()

    assert isinstance(error, kind)
    assert [each for each in said if each not in str(error)] == []


@every_error
def test_an_error_survives_pickling_and_copying(
    make: Callable[[], BudgetError], kind: type[BudgetError], said: list[str]
) -> None:
    error = make()

    for again in (
        pickle.loads(pickle.dumps(error)),  # noqa: S301  # our own bytes
        copy.copy(error),
        copy.deepcopy(error),
    ):
        assert type(again) is type(error)
        assert isinstance(again, kind)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
        assert all(each in str(again) for each in said)


def test_an_exceeded_budget_tells_its_numbers() -> None:
    error = exceeded()

    assert isinstance(error, BudgetExceeded)
    assert (error.account, error.kind) == ("acme", "exhausted")
    assert (error.limit, error.spent, error.held) == (
        tokens(100),
        tokens(30),
        tokens(10),
    )
    assert (error.wanted, error.available) == (tokens(60), tokens(40))


def test_an_unknown_price_tells_the_model() -> None:
    error = unpriced()

    assert isinstance(error, PriceUnknown)
    assert error.model == "new-model"


@pytest.mark.parametrize(
    "kind", [BudgetExceeded, AccountFrozen, AccountClosed, PriceUnknown]
)
def test_the_framework_lets_every_refusal_through(kind: type[BudgetError]) -> None:
    assert issubclass(kind, BudgetRefused)
    assert issubclass(kind, GraphBubbleUp)
    assert issubclass(kind, ModelError)


def test_other_errors_are_no_refusals() -> None:
    for kind in (LimitConflict, HoldNotOpen, StoreError, UnknownAccount):
        assert not issubclass(kind, GraphBubbleUp)
