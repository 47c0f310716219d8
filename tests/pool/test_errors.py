"""Every error says what happened, with the numbers, and what to do."""

import copy
import gc
import pickle
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from langchain_core.exceptions import ModelError
from langgraph.errors import GraphBubbleUp

from langchain_budget import (
    BudgetError,
    BudgetExceeded,
    BudgetPool,
    BudgetRefused,
    CallTooLarge,
    HoldNotOpen,
    InvalidTransfer,
    LimitConflict,
    MemoryStore,
    MissingExtra,
    PriceUnknown,
    StoreError,
    StoreUnavailable,
    UnknownAccount,
    tokens,
    usd,
)
from langchain_budget.core.accounts import spec_of
from langchain_budget.core.postings import Entry, Kind, Refusal
from langchain_budget.errors import (
    AccountClosed,
    AccountFrozen,
    IdConflict,
    InexactAmount,
    refused,
)
from tests.twins import Do


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


def carried(error: BudgetError) -> dict[str, object]:
    """All but the books, which stay where they are."""
    return {name: each for name, each in vars(error).items() if name != "_books"}


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
        assert carried(again) == carried(error)
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


REMEDIES = {
    Kind.EXHAUSTED: "Top it up",
    Kind.CONTENDED: "try again when they settle",
    Kind.TOO_LARGE: "Send less",
    Kind.FROZEN: "Thaw it",
    Kind.CLOSED: "Open a new one",
    Kind.UNPRICED: "Declare it",
    Kind.STORE: "Bring the store back",
}


@pytest.mark.parametrize(("kind", "remedy"), REMEDIES.items())
def test_every_refusal_has_a_remedy_that_its_text_ends_with(
    kind: Kind, remedy: str
) -> None:
    error = refused(Refusal(kind, "acme", "usd", detail="why"))

    assert isinstance(error, BudgetRefused)
    if kind is not Kind.CLOSED:
        assert remedy in error.remedy
    assert str(error).endswith(f". {error.remedy}")


def test_one_that_has_no_room_for_more_accounts_says_which_number_to_raise() -> None:
    pool = BudgetPool("acme")
    pool.limit_each("team", limit=usd(1), most=1)
    pool.reserve(usd("0.50"), labels={"team": "red"})

    with pytest.raises(AccountClosed) as error:
        pool.reserve(usd("0.50"), labels={"team": "blue"})

    assert (
        error.value.remedy == "Close some, or raise most= of limit_each('team', ...)."
    )


@pytest.fixture(params=["memory", "sqlite"])
def acme(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BudgetPool]:
    store = None if request.param == "memory" else f"sqlite:///{tmp_path / 'books.db'}"
    pool = BudgetPool("acme", usd(1), store=store)
    yield pool
    if store:
        pool.ledger.store.close()


def refusals(pool: BudgetPool) -> dict[str, Callable[[], object]]:
    """Ways to be refused; each leaves the pool as it was."""
    frozen, closed = pool.open("frozen"), pool.open("closed")
    frozen.freeze()
    closed.close()
    return {
        "exhausted": lambda: pool.reserve(usd(2)),
        "frozen": lambda: frozen.reserve(usd("0.10")),
        "closed": lambda: closed.reserve(usd("0.10")),
        "carve": lambda: pool.open("carved", carve=usd(2)),
    }


@pytest.mark.parametrize("how", ["exhausted", "frozen", "closed", "carve"])
async def test_a_refusal_gives_the_report_of_the_pool_when_it_is_asked(
    acme: BudgetPool, how: str, do: Do
) -> None:
    with pytest.raises(BudgetRefused) as caught:
        refusals(acme)[how]()
    acme.reserve(usd("0.40")).settle(usd("0.30"))

    report = await do(caught.value.report)

    assert str(report) == str(acme.report())
    assert report.spent() == usd("0.30")


async def test_so_does_one_that_was_awaited(acme: BudgetPool, do: Do) -> None:
    with pytest.raises(BudgetExceeded) as caught:
        await do(acme.reserve, usd(2))

    assert str(await do(caught.value.report)) == str(acme.report())


def test_a_call_that_is_too_large_gives_it_too() -> None:
    pool = BudgetPool("acme")
    pool.ledger.per_call = {"tokens": 10}

    with pytest.raises(CallTooLarge) as caught:
        pool.reserve(tokens(11))

    assert str(caught.value.report()) == str(pool.report())


def test_the_report_of_a_user_is_that_of_the_pool() -> None:
    pool = BudgetPool("acme", usd(10))
    pool.limit_each("user", limit=usd(1))

    with pytest.raises(BudgetExceeded) as caught:
        pool.reserve(usd(2), labels={"user": "ada"})

    assert caught.value.account == "acme:user/ada"
    assert str(caught.value.report()) == str(pool.report())


class Counting(MemoryStore):
    """How often its journal was read."""

    read = 0

    def journal(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        self.read += 1
        return super().journal(after, limit)


def test_to_refuse_reads_no_journal() -> None:
    store = Counting()
    pool = BudgetPool("acme", usd(1), store=store)

    with pytest.raises(BudgetExceeded) as caught:
        pool.reserve(usd(2))

    assert store.read == 0
    caught.value.report()
    assert store.read == 1


def test_a_copy_has_no_report() -> None:
    error = exceeded()

    assert isinstance(error, BudgetRefused)
    assert error.report() is not None
    for again in (
        pickle.loads(pickle.dumps(error)),  # noqa: S301  # our own bytes
        copy.copy(error),
    ):
        assert again.report() is None
        assert again.partial == ()


def test_a_refusal_keeps_the_books_only_as_long_as_it_lives() -> None:
    def books_of_a_refusal() -> weakref.ref[object]:
        pool = BudgetPool("acme", usd(1))
        try:
            pool.reserve(usd(2))
        except BudgetExceeded as refusal:
            refusal.report()
        return weakref.ref(pool.ledger)

    gc.disable()
    try:
        books = books_of_a_refusal()
        assert books() is None
    finally:
        gc.enable()
