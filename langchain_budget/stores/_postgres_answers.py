"""What the function in the database, and the tables, say: in the words of the port."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from langchain_budget.core.accounts import Row, Spec
from langchain_budget.core.judge import judge, refuse_accounts, refuse_time
from langchain_budget.core.postings import (
    Balance,
    Change,
    CloseHold,
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
from langchain_budget.stores._postgres_postings import Job, digest
from langchain_budget.stores._wire import (
    Net,
    Pour,
    change_of,
    close_refused,
    same_hold,
)


class Answer(NamedTuple):
    """What the function says."""

    generation: int
    """That of the accounts; whoever was admitted is, as long as it is the same."""
    outcome: str
    """`done`, `kept`, `known`; or what was against it: `time`, `accounts`, `money`."""
    now: float
    entry: int
    balances: Sequence[Sequence[Any]] | None
    """Granted, held, spent and lent of each key, before the posting."""
    spilled: Sequence[int]
    """How much each slice had less than nothing left."""
    detail: str | None


def read(job: Job, answer: Answer) -> Receipt | Refusal:
    """The answer to a posting."""
    if answer.outcome == "done":
        return Receipt(answer.entry, _changes(job, answer))
    if answer.outcome == "known":
        return _known(job, answer)
    refusal = None if answer.outcome == "kept" else _refused(job, answer)
    return refusal or Receipt(0)


def row_from(fields: Sequence[Any]) -> Row:
    """An account, from its line."""
    path, version, frozen, closed, until, body = fields
    return codec.row_of(path, version, (_reason(frozen), closed, until), body)


def hold_from(fields: Sequence[Any]) -> Hold:
    """A hold, from its line."""
    hold_id, account, opened_at, expires_at, status, basis, charged, body = fields
    if not body:
        return codec.never_opened(hold_id, account, opened_at)
    times, states = (opened_at, expires_at), (status, basis, charged)
    return codec.hold_of(hold_id, times, states, body)


def entry_from(fields: Sequence[Any]) -> Entry:
    """An entry of the journal, from its line."""
    seq, at, *words, unseen, overs, body = fields
    entry = codec.entry_of(seq, at, tuple(words), body, unseen=unseen)
    if not overs:
        return entry
    loose = [delta for delta in entry.deltas if not delta.guarded]
    pours = [Pour(*spill) for delta in loose for spill in delta.spill]
    return entry._replace(spilled=tuple(_spilled(pours, overs)))


def _spilled(pours: Iterable[Pour], overs: Sequence[int]) -> list[Effect]:
    """What the overruns of slices did."""
    effects: list[Effect] = []
    for pour, over in zip(pours, overs, strict=True):
        if over > 0:
            effects.append(Effect(pour.slice, granted=over))
            effects += (Effect(payer, lent=over) for payer in pour.payers)
    return effects


def _changes(job: Job, answer: Answer) -> tuple[Change, ...]:
    """What the receipt tells: the same whenever it is asked for."""
    if answer.balances is None:
        return ()
    seen = {
        key: Balance(*balance)
        for key, balance in zip(job.keys, answer.balances, strict=True)
    }
    effects = _spilled(job.work.pours, answer.spilled)
    nets = (*job.work.nets, *map(_shown, effects)) if effects else job.work.nets
    changes = []
    for net in nets:
        change = change_of(net, seen[net.key])
        if change is not None:
            changes.append(change)
        if effects:
            seen[net.key] = _after(net, seen[net.key])
    return tuple(changes)


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
    if answer.outcome == "time":
        return refuse_time(posting, answer.now)
    if answer.outcome == "accounts":
        lines = codec.value_of(answer.detail or "[]")
        return refuse_accounts(posting, {line[0]: _state(*line) for line in lines})
    balances = {
        key: Balance(*balance)
        for key, balance in zip(job.keys, answer.balances or (), strict=True)
    }
    admitted = posting._replace(admit=(), seen=())
    return judge(admitted, {}, balances.__getitem__)


def _state(path: str, version: int, frozen: str, closed: bool) -> Row:  # noqa: FBT001
    return Row(path, version, Spec(), frozen=_reason(frozen), closed=closed)


def _reason(frozen: str) -> str:
    return str(codec.value_of(frozen)) if frozen else ""


def _known(job: Job, answer: Answer) -> Receipt | Refusal:
    """What is said of a posting or a hold that was there before, or of none."""
    posting = job.posting
    if posting.hold is not None:
        return _known_hold(posting, answer.detail)
    if answer.detail == digest(posting):
        return Receipt(answer.entry, _changes(job, answer))
    return Refusal(Kind.CONFLICT, posting.account, detail=posting.id)


def _known_hold(posting: Posting, detail: str | None) -> Receipt | Refusal:
    asked = posting.hold
    fields = codec.value_of(detail) if detail else None
    hold = hold_from(fields) if fields else None
    refusal = Refusal(Kind.CONFLICT, posting.account, detail=posting.id)
    if isinstance(asked, CloseHold | KeepHold):
        return close_refused(posting, asked, hold) or refusal
    if not (fields and hold and isinstance(asked, OpenHold)):
        return refusal
    same = same_hold(hold, fields[-1], codec.hold_text(posting, asked))
    return Receipt(0, (), hold) if same else refusal
