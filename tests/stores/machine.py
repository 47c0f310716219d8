"""The same history on several stores at once, and on a naive model of the rules."""

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from langchain_budget import BudgetError, BudgetRefused, Reservation
from langchain_budget.core.accounts import Row, Spec
from langchain_budget.core.amounts import USD, Amount
from langchain_budget.core.postings import (
    CounterKey,
    Delta,
    OpenHold,
    Posting,
    Refusal,
)
from langchain_budget.core.postings import Hold as Held
from langchain_budget.core.rules import Charge, Order
from langchain_budget.stores.base import Store
from langchain_budget.testing import StillClock
from tests.invariants import (
    assert_admitted,
    assert_books_add_up,
    assert_nothing_is_overdue,
    assert_quiet,
    assert_report_adds_up,
    trace,
)
from tests.stores.naive import SHARED, SLICE, Hold, Naive, No, Node, Windows
from tests.stores.side import Side

Makers = Sequence[Callable[[StillClock], Store]]

START = 1_800_000_000.0
LIFE_SECONDS = 60
DAILY = "daily"
PER_WINDOW = 9
SHARES = {"30%": 300_000, "100%": 1_000_000}
dollars = st.integers(0, 12)
some = dollars.filter(bool)


def usd(value: int) -> Amount:
    return Amount(USD, value)


def tokens(value: int) -> Amount:
    return Amount("tokens", value)


class Histories(RuleBasedStateMachine):
    """Each rule does the same to every store and to the model."""

    accounts = Bundle[Node]("accounts")
    holds = Bundle[tuple[Held, Hold]]("holds")
    daily = Bundle[tuple[Held, int]]("daily")

    def __init__(self, makers: Makers) -> None:
        super().__init__()
        self.clock = StillClock(START)
        self.stores = [make(self.clock) for make in makers]
        self.windows = Windows(PER_WINDOW)
        self.serial = 0
        self.days: list[tuple[Held, int]] = []

    @initialize(target=accounts, granted=st.integers(0, 40))
    def begin(self, granted: int) -> Any:
        """A tree with a slice in a slice, as far as there is money for it."""
        self.limit = granted
        self.sides = [Side(store, usd(granted)) for store in self.stores]
        row = Row(DAILY, 1, Spec(), (("usd@day", PER_WINDOW),))
        self.everywhere(
            lambda side: post(side, Posting("d", "open", DAILY, rows=(row,)))
        )
        self.naive = Naive(Node("acme", granted=granted))
        tree = [self.naive.root]
        for kind, value in ((SLICE, 8), (SHARED, 6), (SLICE, 3)):
            found = self.open(tree[-1], kind, value)
            tree += [found] if isinstance(found, Node) else []
        return multiple(*tree)

    @rule(
        target=accounts,
        parent=accounts,
        kind=st.sampled_from([SHARED, SLICE]),
        granted=st.none() | dollars | st.sampled_from([*SHARES]),
    )
    def open(self, parent: Node, kind: str, granted: int | str | None) -> Any:
        name = self.name()
        if isinstance(granted, str):
            return self.both(
                lambda side: side.at(parent.path).open(name, share=granted),
                lambda: self.naive.share(parent, name, SHARES[granted]),
            )
        kind = SHARED if granted is None else kind
        limit = None if granted is None else usd(granted)
        asked = {"carve": limit} if kind == SLICE else {"limit": limit}
        return self.both(
            lambda side: side.at(parent.path).open(name, **asked),
            lambda: self.naive.open(parent, name, kind, granted),
        )

    @rule(
        target=accounts,
        child=accounts,
        parent=accounts,
        renames=st.booleans(),
        as_it_is=st.sampled_from([False, False, True]),
    )
    def move(self, child: Node, parent: Node, *, renames: bool, as_it_is: bool) -> Any:
        """What is below another parent now is another account; the old one is shut."""
        child = child if as_it_is else self.naive.leaf(child)
        name = self.name() if renames else child.name
        return self.both(
            lambda side: (
                side.at(child.path).move_to(side.at(parent.path), name=name).path
            ),
            lambda: self.naive.move(child, parent, name),
        )

    @rule(where=accounts, amount=dollars, used=dollars)
    def call(self, where: Node, amount: int, used: int) -> None:
        hold = self.reserve(where, amount, started=True, looks=False)
        if isinstance(hold, tuple):
            self.settle(hold, used, 0)

    @rule(
        target=holds,
        where=accounts,
        amount=dollars,
        started=st.booleans(),
        looks=st.booleans(),
    )
    def reserve(self, where: Node, amount: int, *, started: bool, looks: bool) -> Any:
        """Who looks first sees what other programs changed."""
        afforded = looks and self.everywhere(
            lambda side: bool(side.at(where.path).can_afford(usd(amount)))
        )
        order = Order({USD: amount}, {}, LIFE_SECONDS, started, {"agent": where.name})
        until = self.clock() + LIFE_SECONDS
        held: list[Held] = []
        done = self.both(
            lambda side: held.append(reserved(side, where.path, order)),
            lambda: self.naive.reserve(where, amount, until, started=started),
        )
        assert not looks or afforded == isinstance(done, Hold)
        if not isinstance(done, Hold):
            return done
        assert_admitted(self.sides[0].line, held[0])
        assert {each.id for each in held} == {held[0].id}
        return held[0], done

    @rule(hold=holds, amount=st.none() | dollars, unlimited=st.just(0) | dollars)
    def settle(
        self, hold: tuple[Held, Hold], amount: int | None, unlimited: int
    ) -> None:
        used = [] if amount is None else [usd(amount)]
        used += [tokens(unlimited)] if unlimited else []
        self.both(
            lambda side: Reservation(side.pool.ledger, hold[0]).settle(*used),
            lambda: self.naive.settle(hold[1], amount, unlimited),
        )

    @rule(hold=holds)
    def release(self, hold: tuple[Held, Hold]) -> None:
        self.both(
            lambda side: Reservation(side.pool.ledger, hold[0]).release(),
            lambda: self.naive.release(hold[1]),
        )

    @rule(seconds=st.sampled_from([1, LIFE_SECONDS]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.everywhere(lambda side: side.pool.balance().spent)
        self.naive.expire(self.clock())
        for held, window in self.days:
            if held.expires_at <= self.clock():
                self.windows.close(window, held.amounts[USD], 0)
        self.days = [each for each in self.days if each[0].expires_at > self.clock()]
        assert_nothing_is_overdue(self.sides[0].line)

    @rule(payer=accounts, payee=accounts, amount=some)
    def transfer(self, payer: Node, payee: Node, amount: int) -> None:
        self.both(
            lambda side: side.at(payer.path).transfer(side.at(payee.path), usd(amount)),
            lambda: self.naive.transfer(payer, payee, amount),
        )

    @rule(where=accounts, amount=some)
    def top_up(self, where: Node, amount: int) -> None:
        self.both(
            lambda side: side.at(where.path).top_up(usd(amount)),
            lambda: self.naive.top_up(where, amount),
        )

    @rule(where=accounts, amount=dollars)
    def set_limit(self, where: Node, amount: int) -> None:
        done = self.both(
            lambda side: side.at(where.path).set_limit(usd(amount)),
            lambda: self.naive.set_limit(where, amount),
        )
        if where is self.naive.root and done is None:
            self.limit = amount

    @rule(where=accounts, frozen=st.booleans())
    def freeze_or_thaw(self, where: Node, *, frozen: bool) -> None:
        def mark(side: Side) -> None:
            account = side.at(where.path)
            account.freeze() if frozen else account.thaw()

        self.everywhere(mark)
        where.frozen = frozen

    @rule(where=consumes(accounts))
    def close(self, where: Node) -> None:
        if where.parent is not None:
            self.everywhere(lambda side: side.at(where.path).close())
            self.naive.close(where)

    @rule(amount=dollars, off=st.sampled_from([0, 0, 0, -1, 1]))
    def reserve_today(self, amount: int, off: int) -> None:
        """In a window that is now, was before, or has not yet begun."""
        today = int(self.clock() // LIFE_SECONDS)
        window = today + off
        posting = within(window, f"{DAILY}-{self.name()}", amount)
        done = self.both(
            lambda side: post(side, posting),
            lambda: self.windows.reserve(window, today, amount),
        )
        if done is None:
            held = self.sides[0].line.hold(posting.id)
            assert held is not None
            self.days.append((held, window))

    @rule(amount=dollars)
    def settle_today(self, amount: int) -> None:
        """What was reserved first, though its window may be over."""
        if self.days:
            held, window = self.days.pop(0)
            charge = Charge({USD: amount})
            self.everywhere(lambda side: settled(side, held, charge))
            self.windows.close(window, held.amounts[USD], amount)

    @rule()
    def crash(self) -> None:
        self.everywhere(lambda side: side.crash(usd(self.limit)))

    @rule(where=accounts, amount=dollars, lost=st.booleans(), crashes=st.booleans())
    def lose_a_reserve(
        self, where: Node, amount: int, *, lost: bool, crashes: bool
    ) -> None:
        """It may have been applied: the program gives it back, unless it crashes."""
        until = self.clock() + LIFE_SECONDS
        order = Order({USD: amount}, {}, LIFE_SECONDS)
        self.failing(
            "reserve", lambda side: reserved(side, where.path, order), lost=lost
        )
        if crashes:
            self.crash()
        if crashes and lost:
            self.say(lambda: self.naive.reserve(where, amount, until))
        self.everywhere(lambda side: side.pool.balance().spent)

    @rule(hold=holds, amount=st.none() | dollars, lost=st.booleans())
    def lose_a_settle(
        self, hold: tuple[Held, Hold], amount: int | None, *, lost: bool
    ) -> None:
        """Nobody is told: it is tried again by itself."""
        used = [] if amount is None else [usd(amount)]
        self.failing(
            "settle",
            lambda side: Reservation(side.pool.ledger, hold[0]).settle(*used),
            lost=lost,
        )
        self.everywhere(lambda side: side.pool.balance().spent)
        self.say(lambda: self.naive.settle(hold[1], amount))

    @rule(where=accounts, amount=some, lost=st.booleans())
    def lose_a_top_up(self, where: Node, amount: int, *, lost: bool) -> None:
        """The caller tries again with the same key."""
        key = f"key-{self.name()}"

        def grant(side: Side) -> None:
            side.at(where.path).top_up(usd(amount), key=key)

        self.failing("top_up", grant, lost=lost)
        self.both(grant, lambda: self.naive.top_up(where, amount), traceless=not lost)

    @rule()
    def switch(self) -> None:
        """Another program goes on; it has not heard what this one did."""
        self.everywhere(Side.switch)

    @rule(before=st.integers(0, 99))
    def come_again(self, before: int) -> None:
        """A posting that was done comes again, or one that was given up arrives."""
        books = trace(self.sides[0].line)
        for side in self.sides:
            side.again(before)
        assert trace(self.sides[0].line) == books

    def name(self) -> str:
        """A name that begins like those before it."""
        self.serial += 1
        return "a" * self.serial

    def both(
        self,
        do: Callable[[Side], object],
        say: Callable[[], Any],
        *,
        traceless: bool = True,
    ) -> Any:
        """What the model says to it; nothing, and no trace of it, when all refuse."""
        before = trace(self.sides[0].line)
        done = self.everywhere(do)
        said = self.say(say)
        if isinstance(said, No):
            assert isinstance(done, BudgetError), said
            assert_same_reason(done, said)
            assert not traceless or trace(self.sides[0].line) == before
            return multiple()
        assert not isinstance(done, BudgetError), done
        return said

    def say(self, say: Callable[[], Any]) -> Any:
        try:
            return say()
        except No as no:
            return no

    def everywhere(self, do: Callable[[Side], object]) -> object:
        """Do it on every store, and see the same come of it."""
        done = [outcome(do, side) for side in self.sides]
        assert len({shown(each) for each in done}) == 1, done
        return done[0]

    def failing(self, kind: str, do: Callable[[Side], object], *, lost: bool) -> None:
        for side in self.sides:
            side.line.breaks(kind, lost=lost)
        self.everywhere(do)
        for side in self.sides:
            side.line.mend()

    @invariant()
    def agree(self) -> None:
        """Stores say the same, to the last field; the model counts the same."""
        first, *others = (side.news() for side in self.sides)
        for other in others:
            for one, another in zip(first, other, strict=True):
                assert one == another
        for node in self.naive.nodes:
            self.agree_on(node)
        unlimited = self.sides[0].pool.balance("tokens")
        assert unlimited.spent.value == self.naive.tokens

    def agree_on(self, node: Node) -> None:
        balance = self.sides[0].at(node.path).balance()
        said = (self.naive.spent(node), self.naive.held(node))
        assert (balance.spent.value, balance.held.value) == said
        left = None if balance.available is None else balance.available.value
        assert left == self.naive.available(node)

    @invariant()
    def windows_agree(self) -> None:
        seen = self.sides[0].line.balances([DAILY])
        for window, held in self.windows.held.items():
            balance = seen[day(window)]
            used = (balance.granted, balance.held, balance.spent)
            assert used == (PER_WINDOW, held, self.windows.spent[window])

    @invariant()
    def add_up(self) -> None:
        """On one store: the others have just said the same."""
        assert_books_add_up(self.sides[0].line)
        assert_report_adds_up(self.sides[0].pool)

    def teardown(self) -> None:
        if hasattr(self, "naive"):
            self.clock.advance(LIFE_SECONDS)
            for side in self.sides:
                side.pool.close()
                side.pool.balance()
                assert_quiet(side.line)
        for store in self.stores:
            store.close()


def outcome(do: Callable[[Side], object], side: Side) -> object:
    try:
        return do(side)
    except BudgetError as error:
        return error


def shown(done: object) -> str:
    """What is the same on every store, in words."""
    return repr(
        getattr(done, "refusal", done) if isinstance(done, BudgetError) else done
    )


def assert_same_reason(error: BudgetError, no: No) -> None:
    if not no.args:
        return
    assert isinstance(error, BudgetRefused)
    refusal = error.refusal
    assert refusal.kind is no.args[0]
    assert refusal.account == no.args[1] or refusal.account == DAILY
    if no.args[2:]:
        assert (refusal.wanted, refusal.balance.available) == no.args[2:]


def reserved(side: Side, path: str, order: Order) -> Held:
    return side.pool.ledger.run(side.pool.ledger.reserve(path, order))


def settled(side: Side, held: Held, charge: Charge) -> None:
    side.pool.ledger.run(side.pool.ledger.settle(held, charge))


def post(side: Side, posting: Posting) -> None:
    answer = side.line.post(posting)
    if isinstance(answer, Refusal):
        raise BudgetRefused(answer._replace(detail=""))


def day(window: int) -> CounterKey:
    return CounterKey(DAILY, USD, f"day@{window}")


def within(window: int, hold_id: str, amount: int) -> Posting:
    held = Delta((CounterKey(DAILY, USD), day(window)), held=amount, guarded=True)
    asked = OpenHold(hold_id, LIFE_SECONDS, False, {USD: amount}, {})  # noqa: FBT003
    during = (window * LIFE_SECONDS, (window + 1) * LIFE_SECONDS)
    return Posting(hold_id, "reserve", DAILY, (held,), hold=asked, during=during)
