"""Many at once: nobody comes between the look at a limit and the change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from langchain_budget.core.postings import (
    Balance,
    CounterKey,
    Entry,
    Kind,
    Posting,
    Receipt,
    Refusal,
    Status,
)
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.ways import (
    PATIENCE_SECONDS,
    RACERS,
    Answer,
    Awaited,
    Way,
)
from langchain_budget.testing._conformance.words import (
    PATH,
    ROOT,
    WEB,
    account,
    applied,
    assert_books_add_up,
    grant,
    held,
    key,
    opened,
    opening,
    release,
    reserve,
    settle,
    tree,
)

PLACES = 20
CALLS = 64
MANY = 10_000


class DawdlingKey(CounterKey):
    """The name of a counter; looking it up takes a while."""

    dawdle: Callable[[], None]

    def __hash__(self) -> int:
        self.dawdle()
        return super().__hash__()


def admitted(answers: list[Answer]) -> int:
    return sum(isinstance(each, Receipt) for each in answers)


class Races:
    """By threads or by tasks, on one store object or on one for each."""

    def test_a_limit_admits_exactly_what_it_has(
        self, store: Store, made: Store, way: Way
    ) -> None:
        tree(store, acme=PLACES, web=100)

        answers = way.race([(made, reserve(f"{n}", held(1))) for n in range(CALLS)])

        assert admitted(answers) == PLACES
        assert store.balances([ROOT])[key(ROOT)] == Balance(PLACES, held=PLACES)
        assert_books_add_up(store)

    def test_a_limit_admits_exactly_what_it_has_whatever_it_is_asked_through(
        self, store: Store, handles: list[Store], way: Way
    ) -> None:
        tree(store, acme=PLACES, web=100)

        answers = way.race(
            [
                (handles[n % RACERS], reserve(f"{n}", held(1), held(2, key(ROOT, "x"))))
                for n in range(CALLS)
            ]
        )

        assert admitted(answers) == PLACES
        assert len(store.open_holds()) == PLACES
        assert_books_add_up(store)

    def test_a_hold_closes_once_whoever_closes_it(
        self, store: Store, handles: list[Store], way: Way
    ) -> None:
        tree(store)
        hold = opened(store, reserve("it", held(4)))
        closes = [settle(hold, 3), release(hold)]

        answers = way.race([(each, closes[n % 2]) for n, each in enumerate(handles)])

        (entry,) = [each for each in store.journal() if each.hold and each.released]
        ended = store.hold("it")
        assert admitted(answers) == 1
        assert ended is not None
        spent = 3 if ended.status is Status.SETTLED else 0
        assert entry.kind == ("settle" if spent else "release")
        assert store.balances([WEB])[key(WEB)] == Balance(5, spent=spent)
        assert_books_add_up(store)

    def test_a_reserve_that_is_sent_by_many_opens_one_hold(
        self, store: Store, handles: list[Store], way: Way
    ) -> None:
        tree(store)

        answers = way.race([(each, reserve("same", held(4))) for each in handles])

        assert admitted(answers) == RACERS
        numbers = Counter(each.seq for each in answers if isinstance(each, Receipt))
        assert numbers == {0: RACERS - 1, 3: 1}
        assert store.balances([WEB])[key(WEB)] == Balance(5, held=4)

    def test_a_grant_that_is_sent_by_many_is_granted_once(
        self, store: Store, handles: list[Store], way: Way
    ) -> None:
        tree(store)

        answers = way.race([(each, grant("friday", 5)) for each in handles])

        assert answers == [answers[0]] * RACERS
        assert store.balances([ROOT])[key(ROOT)] == Balance(15)

    def test_an_account_is_opened_by_one_of_many(
        self, store: Store, handles: list[Store], way: Way
    ) -> None:
        tree(store)

        def open_by(number: int) -> Posting:
            row = account("acme/new", {"usd": number})
            seen = (("acme/new", 0),)
            return opening(row, seen=seen, admit=((ROOT, 1),), id=f"by {number}")

        answers = way.race([(each, open_by(n)) for n, each in enumerate(handles)])

        stale = Refusal(Kind.STALE, "acme/new")
        assert admitted(answers) == 1
        assert answers.count(stale) == RACERS - 1

    def test_settles_and_reserves_at_once_lose_nothing(
        self, store: Store, handles: list[Store], way: Way
    ) -> None:
        tree(store, acme=MANY, web=MANY)
        holds = [opened(store, reserve(f"old {n}", held(7))) for n in range(CALLS)]
        asked: list[Posting] = []
        for n, hold in enumerate(holds):
            asked += settle(hold, n), reserve(f"new {n}", held(1)), grant(f"g {n}", 1)

        answers = way.race([(handles[n % RACERS], it) for n, it in enumerate(asked)])

        assert admitted(answers) == len(asked)
        spent = sum(range(CALLS))
        balances = store.balances([ROOT, WEB])
        assert balances[key(ROOT)] == Balance(MANY + CALLS, held=CALLS, spent=spent)
        assert balances[key(WEB)] == Balance(MANY, held=CALLS, spent=spent)
        assert_books_add_up(store)

    def test_who_reads_along_misses_no_entry(
        self, store: Store, made: Store, way: Way, again: Callable[[Store], Store]
    ) -> None:
        tree(store)
        reader = again(made)
        read: list[Entry] = []
        asked = [(made, grant(f"{n}", 1)) for n in range(CALLS)]

        with ThreadPoolExecutor(1) as others:
            written = others.submit(way.race, asked)
            while not written.done():
                read += reader.journal(len(read), 5)
            read += reader.journal(len(read))

        assert read == list(store.journal())
        assert len(read) == CALLS + 2

    def test_two_postings_about_one_limit_follow_each_other(
        self, store: Store, made: Store
    ) -> None:
        """The first counter was looked at; then another call asks for its money."""
        tree(store)
        looking, done = Event(), Event()

        def dawdle() -> None:
            if not looking.is_set():
                looking.set()
                # A store that locks keeps the other one out until this has run out.
                done.wait(0.2)

        slow_key = DawdlingKey(ROOT, "usd")
        slow_key.dawdle = dawdle

        def second() -> Answer:
            assert looking.wait(PATIENCE_SECONDS)
            answer = made.post(reserve("quick", held(3)))
            done.set()
            return answer

        slow = reserve("slow", held(3, PATH[0], slow_key))
        with ThreadPoolExecutor(2) as callers:
            calls = callers.submit(made.post, slow), callers.submit(second)
            answers = [each.result(PATIENCE_SECONDS) for each in calls]

        assert admitted(answers) == 1
        assert_books_add_up(store)

    def test_a_store_may_be_asked_from_one_loop_after_another(
        self, store: Store, made: Store
    ) -> None:
        tree(store)

        for name in "ab":
            with Awaited() as another:
                applied(another.of(made), reserve(name, held(1)))
                assert admitted(another.race([(made, grant(name, 1))])) == 1

        assert len(store.open_holds()) == 2
