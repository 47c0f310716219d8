"""What the scripts' replies say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from langchain_budget.core.accounts import SEPARATOR, Row
from langchain_budget.core.judge import short
from langchain_budget.core.postings import (
    Balance,
    Change,
    CounterKey,
    Entry,
    Hold,
    Kind,
    Receipt,
    Refusal,
    new,
)
from langchain_budget.stores import _codec as codec
from langchain_budget.stores._redis_plan import Job, checks_of
from langchain_budget.stores._wire import Net, Pour, change_of

Texts = Sequence[bytes]


def text(reply: bytes) -> str:
    """Bytes as the text that they were made of."""
    return reply.decode("utf-8", "surrogatepass")


def answer(job: Job, reply: bytes) -> Receipt | Refusal:
    """The reply to a posting: a word, and what belongs to it."""
    word, _, rest = text(reply).partition(" ")
    if word == "ok":
        return _receipt(job, rest.split(" "))
    if word in ("known", "closed", "unknown"):
        return _about_hold(job, word, rest)
    return _refusal(job, word, rest)


def _receipt(job: Job, words: Sequence[str]) -> Receipt:
    seq, *told = words
    return new(Receipt, (int(seq), tuple(_changes(job, told)) if told else (), None))


def _changes(job: Job, words: Sequence[str]) -> Iterator[Change]:
    """Changes by how balances were: `granted spent lent` of each; then what spilled."""
    _, work, keys = job
    numbers = [None if word == "-" else int(word) for word in words]
    balances: dict[CounterKey, Balance] = {}
    for place, key in enumerate(keys):
        granted, spent, lent = numbers[3 * place : 3 * place + 3]
        balances[key] = new(Balance, (granted, 0, spent, lent))
    spilled = _spilled(work.pours, numbers[3 * len(keys) :])
    for net in chain(work.nets, spilled):
        change = change_of(net, balances[net[0]])
        if change is not None:
            yield change
        if work.pours:
            balances[net.key] = _after(net, balances[net.key])


def _spilled(pours: Iterable[Pour], overs: Iterable[int | None]) -> Iterator[Net]:
    """What overruns of slices have done to balances."""
    for pour, over in zip(pours, overs, strict=True):
        if over:
            yield Net(pour.slice, granted=over, grants=1, shown=1)
            yield from (Net(payer, lent=over, shown=1) for payer in pour.payers)


def _after(net: Net, before: Balance) -> Balance:
    granted, held, spent, lent = before
    limit = (granted or 0) + net.granted if net.grants else granted
    return Balance(limit, held, spent + net.spent, lent + net.lent)


def _about_hold(job: Job, word: str, rest: str) -> Receipt | Refusal:
    account, asked = job.posting.account, job.posting.hold
    hold_id = asked.id if asked else ""
    if word == "unknown":
        return Refusal(Kind.UNKNOWN, account, detail=hold_id)
    state, _, body = rest.partition("\n")
    hold = _hold(hold_id, state, body)
    if word == "known":
        return Receipt(0, (), hold)
    return Refusal(Kind.NOT_OPEN, account, detail=hold_id, hold=hold)


def _refusal(job: Job, word: str, rest: str) -> Refusal:
    posting = job.posting
    if word == "account":
        place, _, state = rest.partition(" ")
        asked = (*posting.admit, *posting.seen)[int(place)]
        return _refused_account(*asked, state)
    if word == "balance":
        return _refused_balance(job, rest.split(" "))
    if word == "outside":
        return Refusal(Kind.OUTSIDE, posting.account, detail=str(float(rest)))
    return Refusal(Kind.CONFLICT, posting.account, detail=posting.id)


def _refused_account(path: str, version: int, state: str) -> Refusal:
    found, _, why = state.partition(" ")
    if found != str(version):
        return Refusal(Kind.STALE if found else Kind.UNKNOWN, path)
    word, _, reason = why.partition(" ")
    kind = Kind.CLOSED if word == "closed" else Kind.FROZEN
    return Refusal(kind, path, detail=reason)


def _refused_balance(job: Job, words: Sequence[str]) -> Refusal:
    kind, key, number = checks_of(job.posting)[int(words[0])]
    balance = _balance("" if words[1] == "-" else words[1], *words[2:])
    if kind == "short":
        return short(key, number, balance)
    refused = Kind.UNPRICED if kind == "unpriced" else Kind.OVERFLOW
    return Refusal(refused, key.account, key.unit, number, balance)


def _balance(granted: str, available: str, spent: str, lent: str) -> Balance:
    """A balance as it is kept: what is held is what the rest leaves."""
    limit = int(granted) if granted else None
    used, gone = int(spent or "0"), int(lent or "0")
    return Balance(limit, (limit or 0) - int(available) - used - gone, used, gone)


def _hold(hold_id: str, state: str, body: str) -> Hold:
    status, basis, opened, expires, charged = state.split(" ", 4)
    times = float(opened), float(expires)
    if status == "unseen":
        return codec.never_opened(hold_id, charged, times[0])
    states = status, "" if basis == "-" else basis, charged
    return codec.hold_of(hold_id, times, states, body)


def holds(reply: Texts) -> tuple[Hold, ...]:
    """Holds by what was first opened."""
    words = iter(map(text, reply))
    found = [_hold(*each) for each in zip(words, words, words, strict=True)]
    return tuple(sorted(found, key=lambda hold: hold.opened_at))


def first_hold(reply: Texts) -> Hold | None:
    """The one hold that was asked for."""
    return next(iter(holds(reply)), None)


def rows(reply: Texts) -> Mapping[str, Row]:
    """Accounts by path."""
    words = iter(map(text, reply))
    return {path: _row(path, body) for path, body in zip(words, words, strict=True)}


def sorted_rows(reply: Texts) -> tuple[Row, ...]:
    """Accounts, parents first."""
    found = rows(reply).values()
    return tuple(sorted(found, key=lambda row: row.path.split(SEPARATOR)))


def _row(path: str, body: str) -> Row:
    till, _, written = body.partition(" ")
    version, frozen, closed, kept = codec.value_of(written)
    return codec.row_of(
        path, version, (frozen, closed, float(till) if till else None), kept
    )


def balances(reply: Sequence[bytes]) -> Mapping[CounterKey, Balance]:
    """Balances by counter."""
    words = iter(map(text, reply))
    lines = zip(words, words, words, words, words, strict=True)
    return {CounterKey(*name.split("\n")[:3]): _balance(*line) for name, *line in lines}


def entries(reply: Sequence[tuple[bytes, Texts]]) -> tuple[Entry, ...]:
    """Entries of the journal, by their number."""
    return tuple(_entry(text(number), text(body)) for number, (_, body) in reply)


def _entry(number: str, body: str) -> Entry:
    head, words, written, *spilled = body.split("\n")
    at, _, mark = head.partition(" ")
    kind, posting, account, hold = codec.value_of(words)
    return codec.entry_of(
        int(number.partition("-")[0]),
        float(at),
        (kind, posting, account, hold),
        written,
        *spilled,
        unseen=bool(mark),
    )


def now(reply: bytes) -> float:
    """Seconds since 1970."""
    return float(reply)
