"""What is unconfirmed of leased money, where one entry sums up many calls."""

from langchain_budget.core.charges import LAPSE, LEASE
from langchain_budget.core.postings import Basis, Entry, Note, Part
from langchain_budget.reports.doubts import Doubts, totals


def entry(seq: int, kind: str, *unconfirmed: int) -> Entry:
    parts = tuple(
        Part("acme", {}, Basis.ESTIMATED, {"model": "m"}, {"usd": value})
        for value in unconfirmed
    )
    note = Note(basis=Basis.ESTIMATED, parts=parts)
    return Entry(seq, float(seq), kind, f"lease:{seq}", "acme", "", note, ())


def test_each_part_of_a_lease_may_be_in_doubt() -> None:
    doubts = Doubts()

    doubts.add(entry(1, LEASE, 5, 3))

    assert list(doubts.left) == ["lease:1:0", "lease:1:1"]
    assert totals(doubts.left.values()) == {"usd": 8}


def test_a_worker_that_comes_back_takes_the_latest_doubts_back() -> None:
    doubts = Doubts()
    doubts.add(entry(1, LEASE, 5))
    doubts.add(entry(2, LAPSE, 4))

    doubts.add(entry(3, LEASE, -6))

    assert [(name, each.short) for name, each in doubts.left.items()] == [
        ("lease:1:0", {"usd": 3})
    ]
