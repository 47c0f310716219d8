"""What the cases say to a store, and how they look at what it made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langchain_budget.core import rules
from langchain_budget.core.accounts import Row, Spec
from langchain_budget.core.amounts import USD
from langchain_budget.core.postings import (
    Basis,
    CloseHold,
    CounterKey,
    Delta,
    Hold,
    OpenHold,
    Posting,
    Receipt,
    Refusal,
    Spill,
)
from langchain_budget.core.routes import Route
from langchain_budget.core.rules import Charge
from langchain_budget.stores.base import Store
from langchain_budget.testing._conformance.fold import folded

ROOT: Final = "acme"
WEB: Final = "acme/web"
DEEP: Final = "acme/web/deep"
START: Final = 1_800_000_000.25
LIFE: Final = 60.0

_NOWHERE: Final = Route((Row("nowhere", 1, Spec()),))
"""Cases only charge what was held, so nobody has to find the way."""


def key(account: str, unit: str = USD, window: str = "") -> CounterKey:
    return CounterKey(account, unit, window)


PATH: Final = (key(WEB), key(ROOT))
"""What a charge to `WEB` draws on."""


def account(path: str, ceilings: Mapping[str, int] = {}, **fields: Any) -> Row:
    return Row(path, 1, Spec(), tuple(ceilings.items()))._replace(**fields)


def opening(*rows: Row, deltas: tuple[Delta, ...] = (), **fields: Any) -> Posting:
    """Write accounts as they are; the last one is what it is about."""
    last = rows[-1]
    posting_id = f"open {last.path} {last.version}"
    posting = Posting(posting_id, "open", last.path, deltas, rows=rows)
    return posting._replace(**fields)


def held(value: int, *keys: CounterKey, spill: tuple[Spill, ...] = ()) -> Delta:
    return Delta(keys or PATH, held=value, guarded=True, spill=spill)


def reserve(hold_id: str, *deltas: Delta, **asked: Any) -> Posting:
    amounts = {delta.counters[0].unit: delta.held for delta in deltas}
    wanted = OpenHold(hold_id, LIFE, started=True, amounts=amounts, worst={})
    owner = deltas[0].counters[0].account
    hold = wanted._replace(**asked)
    return Posting(hold_id, "reserve", owner, deltas, hold=hold)


def settle(hold: Hold, value: int, basis: Basis = Basis.REPORTED) -> Posting:
    return rules.settle(hold, _charge(hold, value, basis), _NOWHERE)


def release(hold: Hold) -> Posting:
    return rules.release(hold, _NOWHERE)


def expire(hold: Hold) -> Posting:
    return rules.expire(hold, _NOWHERE)


def supersede(hold: Hold, value: int, basis: Basis = Basis.REPORTED) -> Posting:
    """Replace any charge that was not final, whatever *hold* is believed to be."""
    posting = rules.supersede(hold, _charge(hold, value, basis), _NOWHERE)
    assert isinstance(posting.hold, CloseHold)
    asked = posting.hold._replace(before=rules.SUPERSEDABLE)
    return posting._replace(hold=asked)


def _charge(hold: Hold, value: int, basis: Basis) -> Charge:
    return Charge(dict.fromkeys(hold.amounts, value), basis, {"agent": "web"})


def grant(posting_id: str, value: int, *keys: CounterKey) -> Posting:
    keys = keys or (key(ROOT),)
    deltas = (Delta(keys, granted=value),)
    return Posting(posting_id, "top_up", keys[0].account, deltas)


def tree(store: Store, **ceilings: int) -> None:
    """Open `ROOT` with 10 and below it `WEB` with 5, if nothing else is said."""
    for path, ceiling in ({"acme": 10, "web": 5} | ceilings).items():
        full = path if path == ROOT else f"{ROOT}/{path}"
        applied(store, opening(account(full, {USD: ceiling})))


def applied(store: Store, posting: Posting) -> Receipt:
    """Post what has to be applied."""
    answer = store.post(posting)
    assert isinstance(answer, Receipt), answer
    return answer


def opened(store: Store, posting: Posting) -> Hold:
    """Reserve what has to be admitted."""
    applied(store, posting)
    hold = store.hold(posting.id)
    assert hold is not None
    return hold


def refused(store: Store, posting: Posting) -> Refusal:
    """Post what has to be refused, and has to leave no trace."""
    answer = without_trace(store, posting)
    assert isinstance(answer, Refusal), answer
    return answer


def without_trace(store: Store, posting: Posting) -> Receipt | Refusal:
    before = trace(store, posting)
    answer = store.post(posting)
    assert trace(store, posting) == before
    return answer


def trace(store: Store, *postings: Posting) -> tuple[object, ...]:
    """All that a store tells, where *postings* may have left something too."""
    rows = store.below("")
    keys = [key for posting in postings for key in keys_of(posting)]
    accounts = dict.fromkeys([*(row.path for row in rows), *(key[0] for key in keys)])
    asked = [each.hold.id for each in postings if each.hold is not None]
    return (
        {row.path: row for row in rows},
        dict(store.balances(accounts)),
        [store.hold(each) for each in asked],
        {hold.id: hold for hold in store.open_holds()},
        {hold.id for hold in store.overdue()},
        {row.path for row in store.lapsed()},
        store.journal(),
    )


def keys_of(posting: Posting) -> Iterable[CounterKey]:
    yield from posting.unpriced
    for delta in posting.deltas:
        yield from delta.counters


def told(receipt: Receipt) -> dict[CounterKey, tuple[int, int, int, int]]:
    """The changes of a receipt by counter, several of one counter as one."""
    changes: dict[CounterKey, tuple[int, int, int, int]] = {}
    for changed, granted, used, granted_after, used_after in receipt.changes:
        before = changes.get(changed, (granted, used))[:2]
        changes[changed] = (*before, granted_after, used_after)
    return changes


def assert_books_add_up(store: Store) -> None:
    """Balances are a fold of the journal; held is what open holds hold."""
    journal = store.journal()
    books = folded(journal)
    accounts = dict.fromkeys(each.account for each in books)
    holding: Counter[CounterKey] = Counter()
    for hold in store.open_holds():
        for delta in hold.deltas:
            holding.update(dict.fromkeys(delta.counters, delta.held))
    assert [entry.seq for entry in journal] == list(range(1, len(journal) + 1))
    assert dict(store.balances(accounts)) == books
    assert +holding == +Counter({each: seen.held for each, seen in books.items()})
