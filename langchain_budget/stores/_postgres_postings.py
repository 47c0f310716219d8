"""A posting as the function in the database gets it, and what its answer says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from langchain_budget.core.accounts import Row, Spec
from langchain_budget.core.judge import judge, refuse_accounts, refuse_time
from langchain_budget.core.postings import (
    Balance,
    Change,
    CloseHold,
    CounterKey,
    Effect,
    Entry,
    Hold,
    KeepHold,
    Kind,
    OpenHold,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.stores import _codec as codec
from langchain_budget.stores._wire import (
    Net,
    Pour,
    Work,
    change_of,
    close_refused,
    same_hold,
    work_of,
)

_OPEN: Final = "open"
_EMPTY: Final = "{}"


class Job(NamedTuple):
    """A posting worked out; the function knows counters by their place."""

    posting: Posting
    work: Work
    keys: tuple[CounterKey, ...]
    """Those of the nets, then those that are only looked at."""


class Answer(NamedTuple):
    """What the function says."""

    generation: int
    """That of the accounts; whoever was admitted is, as long as it is the same."""
    outcome: str
    now: float
    entry: int
    balances: Sequence[Sequence[Any]] | None
    """Granted, held, spent and lent of each key, before the posting."""
    spilled: Sequence[int]
    detail: str | None


def job_of(posting: Posting) -> Job:
    """Work out what *posting* comes to."""
    work = work_of(posting)
    keys = tuple(net[0] for net in work.nets)
    if work.pours or posting.unpriced:
        more = [key for pour in work.pours for key in (pour.slice, *pour.payers)]
        keys = tuple(dict.fromkeys((*keys, *more, *posting.unpriced)))
    return Job(posting, work, keys)


def arguments(job: Job, clock: float | None, passed: int | None) -> tuple[Any, ...]:
    """What the function is given, but for the book."""
    posting, _, keys = job
    asked = posting.hold
    return (
        clock,
        posting.kind,
        posting.id,
        posting.account,
        codec.entry_text(posting),
        *_accounts(posting),
        passed,
        *(posting.during or (None, None)),
        *_names(keys),
        *_numbers(job),
        *_judged(job),
        *_pours(job),
        *(_held(posting) if asked is not None else _other(posting)),
    )


def read(job: Job, answer: Answer) -> Receipt | Refusal:
    """The answer in the words of the port."""
    if answer.outcome == "done":
        return Receipt(answer.entry, _changes(job, answer))
    if answer.outcome == "kept":
        return Receipt(0)
    if answer.outcome != "known":
        refusal = _refused(job, answer)
        assert refusal is not None  # noqa: S101  # the same numbers were judged
        return refusal
    if job.posting.hold is None:
        return _posted(job, answer)
    return _held_before(job.posting, answer)


def spilled(pours: Iterable[Pour], overs: Sequence[int]) -> list[Effect]:
    """What the overruns of slices did."""
    effects: list[Effect] = []
    for pour, over in zip(pours, overs, strict=True):
        if over > 0:
            effects.append(Effect(pour.slice, granted=over))
            effects += (Effect(payer, lent=over) for payer in pour.payers)
    return effects


def entry_from(line: Sequence[Any]) -> Entry:
    """An entry of the journal, from its line."""
    seq, at, kind, posting, account, hold, unseen, overs, body = line
    words = (kind, posting, account, hold)
    entry = codec.entry_of(seq, at, words, body, unseen=unseen)
    if not overs:
        return entry
    pours = [
        Pour(*spill)
        for delta in entry.deltas
        if not delta.guarded
        for spill in delta.spill
    ]
    return entry._replace(spilled=tuple(spilled(pours, overs)))


def _accounts(posting: Posting) -> tuple[str, str, str]:
    admit, seen = posting.admit, posting.seen
    if not (admit or seen):
        return _EMPTY, _EMPTY, "0"
    return *_versions(admit + seen), str(len(admit))


@lru_cache(1024)
def _versions(asked: tuple[tuple[str, int], ...]) -> tuple[str, str]:
    paths, versions = zip(*asked, strict=True)
    return _texts(paths), _integers(versions)


@lru_cache(1024)
def _names(keys: tuple[CounterKey, ...]) -> tuple[str, str, str]:
    """The same for each call of a route."""
    if not keys:
        return _EMPTY, _EMPTY, _EMPTY
    accounts, units, windows = zip(*keys, strict=True)
    return _texts(accounts), _texts(units), _texts(windows)


def _numbers(job: Job) -> tuple[str, ...]:
    """What is added, and whether that makes a limit."""
    if not job.work.nets:
        return (_EMPTY,) * 5
    _, granted, held, spent, lent, grants, _ = zip(*job.work.nets, strict=True)
    return *map(_integers, (granted, held, spent, lent)), _booleans(grants)


def _judged(job: Job) -> tuple[str, str, str]:
    """What must be available, what may be more, and what has no limit."""
    posting, work, keys = job
    wanted: dict[CounterKey, int] = {}
    for place, value in work.guards:
        key = work.nets[place][0]
        wanted[key] = max(value, wanted.get(key, value))
    more: dict[CounterKey, int] = {}
    for delta in posting.deltas:
        if delta.granted > 0:
            for key in delta.counters:
                more[key] = max(delta.granted, more.get(key, 0))
    unpriced = [key in posting.unpriced for key in keys] if posting.unpriced else ()
    return _known(wanted, keys), _known(more, keys), _booleans(unpriced)


def _pours(job: Job) -> tuple[str, str]:
    """The places of a slice and its payers, for each; and how many keys change."""
    _, work, keys = job
    changing = str(len(work.nets))
    if not work.pours:
        return _EMPTY, changing
    places = {key: place for place, key in enumerate(keys, 1)}
    lists = [
        _integers([places[key] for key in (pour.slice, *pour.payers)])
        for pour in work.pours
    ]
    return _texts(lists), changing


def _held(posting: Posting) -> tuple[Any, ...]:
    """What is done to a hold: what, to which, from which states, and what it becomes."""
    asked = posting.hold
    if type(asked) is OpenHold:
        body = codec.hold_text(posting, asked)
        ttl = asked.ttl_seconds
        return _OPEN, asked.id, _EMPTY, True, ttl, '{open,"",""}', body, ""
    if type(asked) is KeepHold:
        ttl = asked.ttl_seconds
        return "keep", asked.id, "{open/}", False, ttl, _EMPTY, "", ""
    assert type(asked) is CloseHold  # noqa: S101  # there is no fourth
    states = _texts(f"{status}/{basis}" for status, basis in asked.before)
    charged = codec.text_of(asked.charged)
    end = _texts((asked.status, asked.basis, charged))
    return "close", asked.id, states, asked.unseen, 0.0, end, "", ""


def _other(posting: Posting) -> tuple[Any, ...]:
    rows = {row.path: row for row in posting.rows}.values()
    written = codec.text_of([*map(_written, rows)]) if rows else ""
    content = _digest(posting)
    return "", "", _EMPTY, False, posting.ttl_seconds, _EMPTY, content, written


def _digest(posting: Posting) -> str:
    """Of what must be the same when the posting comes again."""
    return sha256(codec.content_text(posting).encode()).hexdigest()


def _written(row: Row) -> tuple[object, ...]:
    states = codec.text_of(row.frozen) if row.frozen else "", row.closed
    ceilings = dict(row.ceilings)
    return (
        row.path,
        row.version,
        *states,
        row.expires_at,
        ceilings,
        codec.row_text(row),
    )


def _changes(job: Job, answer: Answer) -> tuple[Change, ...]:
    """What the receipt tells; the same whenever it is asked for."""
    nets, pours = job.work.nets, job.work.pours
    if answer.balances is None or not (pours or any(net.shown for net in nets)):
        return ()
    seen = dict(zip(job.keys, answer.balances, strict=True))
    effects = spilled(pours, answer.spilled)
    told = []
    for net in (*nets, *map(_shown, effects)):
        before = Balance(*seen[net.key])
        change = change_of(net, before)
        if change is not None:
            told.append(change)
        if effects:
            seen[net.key] = _after(net, before)
    return tuple(told)


def _shown(effect: Effect) -> Net:
    return Net(*effect, grants=effect.granted, shown=1)


def _after(net: Net, before: Balance) -> Balance:
    granted, held, spent, lent = before
    if net.grants:
        granted = (granted or 0) + net.granted
    return Balance(granted, held + net.held, spent + net.spent, lent + net.lent)


def _refused(job: Job, answer: Answer) -> Refusal | None:
    """Judge what the function has judged, to find out what was against it."""
    posting = job.posting
    if answer.outcome == "outside":
        return refuse_time(posting, answer.now)
    if answer.outcome == "accounts":
        lines = codec.value_of(answer.detail or "[]")
        return refuse_accounts(posting, {line[0]: _judged_row(*line) for line in lines})
    seen = zip(job.keys, answer.balances or (), strict=True)
    balances = {key: Balance(*balance) for key, balance in seen}
    admitted = posting._replace(admit=(), seen=())
    return judge(admitted, {}, balances.__getitem__)


def _judged_row(path: str, version: int, frozen: str, closed: bool) -> Row:  # noqa: FBT001
    return Row(path, version, Spec(), frozen=reason(frozen), closed=closed)


def reason(frozen: str) -> str:
    return codec.value_of(frozen) if frozen else ""


def _posted(job: Job, answer: Answer) -> Receipt | Refusal:
    """What was said when the posting came for the first time."""
    posting = job.posting
    if answer.detail != _digest(posting):
        return Refusal(Kind.CONFLICT, posting.account, detail=posting.id)
    return Receipt(answer.entry, _changes(job, answer))


def _held_before(posting: Posting, answer: Answer) -> Receipt | Refusal:
    """What is said of a hold that was known before, or is not known."""
    asked = posting.hold
    fields = codec.value_of(answer.detail) if answer.detail else None
    hold = hold_from(posting.hold.id, fields) if fields else None
    if type(asked) is not OpenHold:
        assert asked is not None
        refusal = close_refused(posting, asked, hold)
        assert refusal is not None
        return refusal
    assert hold is not None
    if same_hold(hold, fields[-1], codec.hold_text(posting, asked)):
        return Receipt(0, (), hold)
    return Refusal(Kind.CONFLICT, posting.account, detail=posting.id)


def hold_from(hold_id: str, fields: Sequence[Any]) -> Hold:
    """A hold, from its line."""
    account, opened_at, expires_at, status, basis, charged, body = fields
    if not body:
        return codec.never_opened(hold_id, account, opened_at)
    times, states = (opened_at, expires_at), (status, basis, charged)
    return codec.hold_of(hold_id, times, states, body)


def _texts(values: Iterable[str]) -> str:
    quoted = (v.replace("\\", "\\\\").replace('"', '\\"') for v in values)
    inside = '","'.join(quoted)
    return f'{{"{inside}"}}'


def _integers(values: Iterable[int]) -> str:
    return f"{{{','.join(map(str, values))}}}"


def _booleans(values: Iterable[object]) -> str:
    return f"{{{','.join('t' if each else 'f' for each in values)}}}"


def _known(values: dict[CounterKey, int], keys: Iterable[CounterKey]) -> str:
    """An array with nothing at the keys that have no value."""
    if not values:
        return _EMPTY
    return f"{{{','.join(str(values.get(key, 'NULL')) for key in keys)}}}"
