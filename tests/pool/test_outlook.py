"""Whether it is affordable is what a reserve says, whatever is set up and going on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_budget import (
    Account,
    BudgetError,
    BudgetPool,
    MemoryStore,
    calls,
    tree,
    usd,
)
from langchain_budget.core.accounts import spec_of
from langchain_budget.holds import Reservation
from langchain_budget.testing import StillClock
from tests.invariants import assert_books_add_up

NAMES: Final = (
    "acme",
    "acme/team",
    "acme/team/web",
    "acme/team/web/page",
    "acme/team/loan",
    "acme/day",
    "acme/day/hour",
    "acme/watched",
    "acme:user",
    "acme:user/ada",
    "acme:tool/web",
)

LABELS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"user": "ada"},
    {"user": "bob"},
    {"user": "eve", "tool": "web"},
    {"tool": "search"},
    {"user": "ada", "tool": "mail"},
)


def bound(account: Account, number: int) -> None:
    """Set the most that a single call may need."""
    account.ledger.per_call = {"usd": usd(number).value} if number else {}


CHANGES: Final[dict[str, Callable[[Account, int], object]]] = {
    "freeze": lambda account, _: account.freeze(),
    "thaw": lambda account, _: account.thaw(),
    "close": lambda account, _: account.close(),
    "observe": lambda account, number: account.admin.observe(on=number > 2),
    "top_up": lambda account, number: account.top_up(usd(number)),
    "set_limit": lambda account, number: account.set_limit(usd(number)),
    "bound": bound,
}


payer = st.integers(0, 7)
who = st.integers(0, len(NAMES) - 1)
few = st.integers(0, 6)
step = st.one_of(
    st.tuples(st.just("reserve"), payer, few),
    st.tuples(st.just("reserve"), payer, few),
    st.tuples(st.just("settle"), who, few),
    st.tuples(st.just("release"), who, few),
    st.tuples(st.just("wait"), who, few),
    st.tuples(st.sampled_from(sorted(CHANGES)), who, few),
)


class Books:
    """A small pool of all kinds of accounts, in which something happens."""

    def __init__(self, most: int, *, enforce: bool) -> None:
        self.clock = StillClock(1_000_000)
        self.store = MemoryStore(clock=self.clock)
        self.pool = BudgetPool("acme", usd(12), calls(9), store=self.store)
        team = self.pool.open("team", limit=usd(9))
        team.open("web", carve=usd(5)).open("page", limit=usd(2))
        lent = spec_of(carve=[usd(1)])._replace(borrows=True)
        self.pool.ledger.run(
            tree.open_account(self.pool.ledger, f"{team.path}/loan", lent)
        )
        day = self.pool.open("day", limit=usd(4).per("day"))
        day.open("hour", limit=[usd(2).per("1h"), calls(3).per("hour")])
        self.pool.open("watched", limit=usd(1), enforce=False)
        self.elsewhere = BudgetPool("acme", usd(12), calls(9), store=self.store)
        for pool in (self.pool, self.elsewhere):
            pool.limit_each("user", limit=usd(2), most=most, enforce=enforce)
            pool.limit_each("tool", limit=calls(2).per("minute"), most=most)
        self.open: list[Reservation] = []

    def do(self, what: str, name: str, number: int) -> None:
        """Let something happen; what is refused does not."""
        with suppress(BudgetError):
            if what in CHANGES:
                CHANGES[what](self._account(name, number), number)
            elif what in ("settle", "release") and self.open:
                hold = self.open.pop(0)
                hold.settle(usd(number)) if what == "settle" else hold.release()
            elif what == "wait":
                self.clock.advance(10**number)

    def _account(self, name: str, number: int) -> Account:
        """Seen from one of two processes."""
        pool = self.elsewhere if number % 3 == 0 else self.pool
        return Account(pool.ledger, name)

    def compare(self, name: str, number: int) -> None:
        """Ask, and then do it."""
        account = self._account(name, number)
        amounts = [usd(number)] if number % 2 else [usd(number), calls(1)]
        labels = LABELS[number % len(LABELS)]
        said = said_by(lambda: account.can_afford(*amounts, labels=labels).reason)
        done = said_by(
            lambda: self.open.append(
                account.reserve(*amounts, labels=labels, ttl_seconds=60)
            )
        )
        assert said == done


def said_by(act: Callable[[], str | None]) -> str:
    """Tell what is said; nothing is a yes."""
    try:
        return act() or ""
    except BudgetError as error:
        return str(error)


@settings(max_examples=200, deadline=None)
@given(st.lists(step, max_size=30), st.integers(1, 2), st.booleans())
def test_what_is_affordable_is_admitted_and_nothing_else(
    steps: list[tuple[str, int, int]],
    most: int,
    enforce: bool,  # noqa: FBT001
) -> None:
    books = Books(most, enforce=enforce)

    for what, name, number in steps:
        if what == "reserve":
            books.compare(NAMES[name], number)
        else:
            books.do(what, NAMES[name], number)

    assert_books_add_up(books.store)
