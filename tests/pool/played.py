"""Random histories of a pool, and what is compared of it."""

from collections.abc import Callable

from hypothesis import strategies as st

from langchain_budget import BudgetError, BudgetPool, Reservation, usd
from langchain_budget.testing import StillClock

NAMES = st.sampled_from(["acme", "acme/web", "acme/web/deep", "acme/mail"])
MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            ["reserve", "settle", "release", "wait", "top", "limit", "adjust"]
        ),
        NAMES,
        st.integers(0, 4),
    ),
    max_size=25,
)


def open_holds(pool: BudgetPool) -> set[tuple[object, ...]]:
    """Open holds, and how long they live, to the tenth second."""
    return {
        (
            hold.id,
            hold.account,
            hold.amounts,
            hold.started,
            round(hold.seconds_left, -1),
        )
        for hold in pool.admin.holds()
    }


def play(
    pool: BudgetPool, clock: StillClock, moves: list[tuple[str, str, int]]
) -> None:
    """Do what is asked, as far as the books allow."""
    reserved: list[Reservation] = []
    for what, path, number in moves:
        account = pool.account(path)
        do: dict[str, Callable[[], object]] = {
            "reserve": lambda: reserved.append(account.reserve(usd(number))),  # noqa: B023
            "settle": lambda: reserved.pop().settle(usd(number)),  # noqa: B023
            "release": lambda: reserved.pop().release(),
            "wait": lambda: clock.advance(number * 300),  # noqa: B023
            "top": lambda: account.top_up(usd(number)),  # noqa: B023
            "limit": lambda: account.set_limit(usd(number)),  # noqa: B023
            "adjust": lambda: account.admin.adjust(usd(number) - usd(2), reason="x"),  # noqa: B023
        }
        if what in ("settle", "release") and not reserved:
            continue
        try:
            do[what]()
        except BudgetError:
            continue
