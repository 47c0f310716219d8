"""A step that dawdles while another one is done: the outcome is the same everywhere."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import pytest

from langchain_budget import (
    AccountClosed,
    AccountFrozen,
    BudgetError,
    BudgetExceeded,
    BudgetPool,
    HoldNotOpen,
    InvalidAmount,
    Reservation,
    usd,
)
from langchain_budget.core.rules import HOLD_TTL_SECONDS, Order
from langchain_budget.stores._open import open_store
from langchain_budget.testing import StillClock
from tests.faults.books import NAME
from tests.faults.dawdling import Dawdling
from tests.invariants import assert_books_add_up, assert_quiet
from tests.twins import Do

HELD, USED, OTHER_USED = usd("0.60"), usd("0.25"), usd("0.40")
ALL = usd(1)
FIRST = {"before": False, "after": True}
NUMBERS = count()


class Race:
    """Two pool objects on the same books, as two processes have; `one` dawdles."""

    def __init__(self, url: str) -> None:
        self.clock = StillClock(1_000_000)
        book = f"book {next(NUMBERS)}"
        store = open_store(url, book=book, clock=self.clock)
        same = store if url == "memory://" else None
        other = same or open_store(url, book=book, clock=self.clock)
        self.dawdling = Dawdling(store)
        self.one = BudgetPool(NAME, ALL, store=self.dawdling)
        self.other = BudgetPool(NAME, ALL, store=other)
        self.mine: type[BudgetError] | None = None
        self.theirs: type[BudgetError] | None = None

    def meanwhile(
        self, moment: str, kind: str, action: Callable[..., object], *args: object
    ) -> None:
        """Have the other one do *action*; what it is refused is kept."""

        def act() -> None:
            try:
                action(*args)
            except BudgetError as error:
                self.theirs = type(error)

        self.dawdling.meanwhile(moment, kind, act)

    async def do(
        self, do: Do, method: Callable[..., object], *args: object, **options: object
    ) -> None:
        """Do the dawdling step; what it is refused is kept."""
        try:
            await do(method, *args, **options)
        except BudgetError as error:
            self.mine = type(error)

    @property
    def refused(self) -> tuple[type[BudgetError] | None, type[BudgetError] | None]:
        """What the dawdling one was refused, and the other one."""
        return self.mine, self.theirs

    def started(self) -> Reservation:
        """Set money aside for a call that has begun."""
        order = Order({"usd": HELD.value}, started=True)
        ledger = self.one.ledger
        return Reservation(ledger, ledger.run(ledger.reserve(NAME, order)))

    def as_other(self, reservation: Reservation) -> Reservation:
        """Give the same to the other process."""
        return Reservation(self.other.ledger, reservation.hold)

    def time_passes(self) -> None:
        """Let every hold outlive its time, and notice."""
        self.clock.advance(HOLD_TTL_SECONDS + 1)
        self.other.balance()


@pytest.fixture
def race(lasting_url: str) -> Iterator[Race]:
    race = Race(lasting_url)
    yield race
    assert race.dawdling.idle, "what was to happen meanwhile did not happen"
    assert_books_add_up(race.other.ledger.store)
    for pool in (race.one, race.other):
        pool.ledger.store.close()


@pytest.fixture(params=["before", "after"])
def moment(request: pytest.FixtureRequest) -> str:
    """When the other one comes: before the first one's posting, or after."""
    moment: str = request.param
    return moment


@pytest.mark.parametrize("begun", [True, False])
async def test_a_settle_and_the_end_of_the_time_to_live(
    race: Race, do: Do, moment: str, *, begun: bool
) -> None:
    hold = race.started() if begun else race.one.reserve(HELD)
    race.meanwhile(moment, "settle", race.time_passes)

    await do(hold.settle, USED)

    assert race.other.balance().spent == USED
    assert_quiet(race.dawdling)


async def test_a_sweep_and_a_late_settle(race: Race, do: Do, moment: str) -> None:
    hold = race.as_other(race.started())
    race.clock.advance(HOLD_TTL_SECONDS + 1)
    race.meanwhile(moment, "expire", hold.settle, USED)

    await do(race.one.balance)

    assert race.other.balance().spent == USED
    assert_quiet(race.dawdling)


async def test_two_sweeps(race: Race, do: Do, moment: str) -> None:
    race.started()
    race.clock.advance(HOLD_TTL_SECONDS + 1)
    race.meanwhile(moment, "expire", race.other.balance)

    await do(race.one.balance)

    assert race.other.balance().spent == HELD
    assert_quiet(race.dawdling)


async def test_a_sign_of_life_and_a_sweep(race: Race, moment: str) -> None:
    hold = race.started()
    race.meanwhile(moment, "keep", race.clock.advance, HOLD_TTL_SECONDS - 1)
    race.clock.advance(HOLD_TTL_SECONDS - 1)

    race.one.ledger.run(race.one.ledger.keep(hold.hold))

    kept = race.other.ledger.store.hold(hold.hold.id)
    assert kept is not None
    assert kept.status == "open"
    hold.settle(USED)
    assert race.other.balance().spent == USED


async def test_two_settles_are_one_and_the_first_counts(
    race: Race, do: Do, moment: str
) -> None:
    hold = race.one.reserve(HELD)
    race.meanwhile(moment, "settle", race.as_other(hold).settle, OTHER_USED)

    await do(hold.settle, USED)

    assert race.other.balance().spent == (USED if FIRST[moment] else OTHER_USED)
    assert_quiet(race.dawdling)


async def test_a_guess_gives_way_to_a_report(race: Race, do: Do, moment: str) -> None:
    hold = race.one.reserve(HELD)
    race.meanwhile(moment, "settle", race.as_other(hold).settle, USED)

    await do(hold.settle)

    assert race.other.balance().spent == USED
    assert_quiet(race.dawdling)


async def test_two_reports_after_a_guess_are_one(
    race: Race, do: Do, moment: str
) -> None:
    hold = race.one.reserve(HELD)
    hold.settle()
    again = Reservation(race.one.ledger, hold.hold)
    race.meanwhile(moment, "supersede", race.as_other(hold).settle, OTHER_USED)

    await do(again.settle, USED)

    assert race.other.balance().spent == (USED if FIRST[moment] else OTHER_USED)
    assert_quiet(race.dawdling)


async def test_a_release_and_a_settle(race: Race, do: Do, moment: str) -> None:
    hold = race.one.reserve(HELD)
    race.meanwhile(moment, "release", race.as_other(hold).settle, USED)

    await race.do(do, hold.release)

    spent, refused = {
        "before": (USED, (HoldNotOpen, None)),
        "after": (usd(0), (None, HoldNotOpen)),
    }[moment]
    assert race.other.balance().spent == spent
    assert race.refused == refused
    assert_quiet(race.dawdling)


async def test_a_settle_and_a_void(race: Race, do: Do, moment: str) -> None:
    hold = race.one.reserve(HELD)
    void = partial(race.other.admin.void, hold.hold.id, reason="stuck")
    race.meanwhile(moment, "settle", void)

    await do(hold.settle, USED)

    assert race.other.balance().spent == USED
    assert race.refused == (None, HoldNotOpen if FIRST[moment] else None)
    assert_quiet(race.dawdling)


async def test_a_void_and_a_settle(race: Race, do: Do, moment: str) -> None:
    hold = race.one.reserve(HELD)
    race.meanwhile(moment, "void", race.as_other(hold).settle, USED)

    await race.do(do, race.one.admin.void, hold.hold.id, reason="stuck")

    assert race.other.balance().spent == USED
    assert race.refused == (None if FIRST[moment] else HoldNotOpen, None)
    assert_quiet(race.dawdling)


async def test_two_that_take_back_what_was_spent_once(
    race: Race, do: Do, moment: str
) -> None:
    race.one.reserve(USED).settle(USED)
    again = partial(race.other.admin.adjust, -USED, reason="not delivered")
    race.meanwhile(moment, "adjust", again)

    await race.do(do, race.one.admin.adjust, -USED, reason="not delivered")

    assert race.other.balance().spent == usd(0)
    refused = (None, InvalidAmount) if FIRST[moment] else (InvalidAmount, None)
    assert race.refused == refused


async def test_a_settle_and_the_close_of_its_account(
    race: Race, do: Do, moment: str
) -> None:
    slice_ = race.one.open("web", carve=HELD)
    hold = slice_.reserve(HELD)
    race.meanwhile(moment, "settle", race.other.account("web").close)

    await do(hold.settle, USED)

    assert race.other.balance().spent == USED
    assert race.other.balance().available == ALL - USED
    assert_quiet(race.dawdling)


@pytest.mark.parametrize("kind", ["close", "return"])
async def test_the_close_of_an_account_and_a_settle_in_it(
    race: Race, do: Do, moment: str, kind: str
) -> None:
    slice_ = race.one.open("web", carve=ALL)
    hold = slice_.reserve(HELD)
    race.meanwhile(moment, kind, race.as_other(hold).settle, USED)

    await do(slice_.close)

    assert race.other.balance().spent == USED
    assert race.other.balance().available == ALL - USED
    assert_quiet(race.dawdling)


async def test_an_overrun_in_a_slice_and_its_close(
    race: Race, do: Do, moment: str
) -> None:
    slice_ = race.one.open("web", carve=HELD)
    hold = slice_.reserve(HELD)
    race.meanwhile(moment, "settle", race.other.account("web").close)

    await do(hold.settle, usd("0.90"))

    assert race.other.balance().spent == usd("0.90")
    assert race.other.balance().available == usd("0.10")
    assert_quiet(race.dawdling)


async def test_a_reserve_and_a_freeze(race: Race, do: Do, moment: str) -> None:
    race.meanwhile(moment, "reserve", race.other.freeze)

    await race.do(do, race.one.reserve, HELD)

    held = HELD if FIRST[moment] else usd(0)
    assert race.other.balance().held == held
    assert race.refused == (None if FIRST[moment] else AccountFrozen, None)


@pytest.mark.parametrize("kind", ["freeze", "thaw"])
async def test_a_switch_and_a_reserve(
    race: Race, do: Do, moment: str, kind: str
) -> None:
    if kind == "thaw":
        race.one.freeze()
    race.meanwhile(moment, kind, race.other.reserve, HELD)

    await do(getattr(race.one, kind))

    admitted = (kind == "freeze") != FIRST[moment]
    assert race.other.balance().held == (HELD if admitted else usd(0))
    assert race.refused == (None, None if admitted else AccountFrozen)


async def test_a_reserve_and_a_close(race: Race, do: Do, moment: str) -> None:
    web = race.one.open("web", limit=HELD)
    web.reserve(USED).release()
    race.meanwhile(moment, "reserve", race.other.account("web").close)

    await race.do(do, web.reserve, HELD)

    held = HELD if FIRST[moment] else usd(0)
    assert race.other.balance().held == held
    assert race.refused == (None if FIRST[moment] else AccountClosed, None)


async def test_two_reserves_of_the_last_cent(race: Race, do: Do, moment: str) -> None:
    race.meanwhile(moment, "reserve", race.other.reserve, ALL)

    await race.do(do, race.one.reserve, ALL)

    assert race.other.balance().held == ALL
    assert race.refused == loser(moment)


async def test_a_transfer_and_a_reserve_of_the_last_cent(
    race: Race, do: Do, moment: str
) -> None:
    payer, payee = (race.one.open(name, limit=HELD) for name in ("payer", "payee"))
    same = race.other.account("payer")
    race.meanwhile(moment, "transfer", same.reserve, HELD)

    await race.do(do, payer.transfer, payee, HELD)

    moved = FIRST[moment]
    assert payee.balance().granted == (HELD + HELD if moved else HELD)
    assert payer.balance().available == usd(0)
    assert race.refused == loser(moment)


async def test_a_reserve_and_a_transfer_of_the_last_cent(
    race: Race, do: Do, moment: str
) -> None:
    payer, payee = (race.one.open(name, limit=HELD) for name in ("payer", "payee"))
    same = race.other.account("payer")
    race.meanwhile(moment, "reserve", same.transfer, race.other.account("payee"), HELD)

    await race.do(do, payer.reserve, HELD)

    moved = not FIRST[moment]
    assert payee.balance().granted == (HELD + HELD if moved else HELD)
    assert race.refused == loser(moment)


async def test_a_lower_limit_and_a_reserve(race: Race, do: Do, moment: str) -> None:
    race.meanwhile(moment, "set_limit", race.other.reserve, HELD)

    await do(race.one.set_limit, USED)

    seen = race.other.balance()
    assert seen.granted == USED
    assert seen.held == (usd(0) if FIRST[moment] else HELD)
    assert race.refused == (None, BudgetExceeded if FIRST[moment] else None)


async def test_a_reserve_and_a_lower_limit(race: Race, do: Do, moment: str) -> None:
    race.meanwhile(moment, "reserve", race.other.set_limit, USED)

    await race.do(do, race.one.reserve, HELD)

    assert race.other.balance().granted == USED
    assert race.refused == (None if FIRST[moment] else BudgetExceeded, None)


async def test_two_limits_of_which_the_last_counts(
    race: Race, do: Do, moment: str
) -> None:
    race.meanwhile(moment, "set_limit", race.other.set_limit, usd(2))

    await do(race.one.set_limit, usd(3))

    assert race.other.balance().granted == (usd(2) if FIRST[moment] else usd(3))


async def test_a_lower_slice_and_a_reserve_in_it(
    race: Race, do: Do, moment: str
) -> None:
    web = race.one.open("web", carve=ALL)
    same = race.other.account("web")
    race.meanwhile(moment, "set_limit", same.reserve, HELD)

    await do(web.set_limit, USED)

    kept = USED if FIRST[moment] else HELD
    assert same.balance().granted == kept
    assert race.other.balance().lent == kept


async def test_a_slice_and_a_reserve_of_the_last_cent(
    race: Race, do: Do, moment: str
) -> None:
    race.meanwhile(moment, "open", race.other.reserve, ALL)

    await race.do(do, race.one.open, "web", carve=ALL)

    seen = race.other.balance()
    assert (seen.lent or seen.held) == ALL
    assert seen.available == usd(0)
    assert race.refused == loser(moment)


async def test_two_that_open_one_account(race: Race, do: Do, moment: str) -> None:
    race.meanwhile(moment, "open", lambda: race.other.open("web", carve=HELD))

    await do(race.one.open, "web", carve=HELD)

    assert race.other.balance().lent == HELD
    assert race.refused == (None, None)


async def test_two_grants_under_one_key(race: Race, do: Do, moment: str) -> None:
    grant = {"key": "invoice 7"}
    race.meanwhile(moment, "top_up", lambda: race.other.top_up(ALL, **grant))

    await do(race.one.top_up, ALL, **grant)

    assert race.other.balance().granted == ALL + ALL


def loser(moment: str) -> tuple[type[BudgetError] | None, type[BudgetError] | None]:
    """Whoever comes second is refused."""
    return (None, BudgetExceeded) if FIRST[moment] else (BudgetExceeded, None)
