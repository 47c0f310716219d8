"""A posting as the script gets it: what to judge, what to add, what to keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import LARGEST
from langchain_budget.core.postings import (
    Basis,
    CloseHold,
    CounterKey,
    KeepHold,
    OpenHold,
    Posting,
    Status,
    new,
)
from langchain_budget.stores import _codec as codec
from langchain_budget.stores._wire import Net, Pour, Work, work_of

Versions = tuple[tuple[str, int], ...]

SECTION: Final = "\x1e"
HOLE: Final = "\x01"
"""Where the script writes how much spilled; JSON has no such character."""


class Check(NamedTuple):
    """What is judged of one counter."""

    kind: str
    """`unpriced`: no limit; `short`: so much is left; `many`: not too much granted."""
    key: CounterKey
    number: int
    """What is wanted, or granted."""


class Job(NamedTuple):
    """A posting worked out for the script."""

    posting: Posting
    work: Work
    keys: tuple[CounterKey, ...]
    """The counters that the script reads: those of the nets, then some more."""


def job_of(posting: Posting) -> Job:
    """Work out what *posting* comes to."""
    work = work_of(posting)
    keys = tuple([net[0] for net in work.nets])
    if posting.unpriced or work.pours:
        poured = [key for slice_, payers in work.pours for key in (slice_, *payers)]
        keys = tuple(dict.fromkeys((*keys, *posting.unpriced, *poured)))
    return Job(posting, work, keys)


def checks_of(posting: Posting) -> list[Check]:
    """What is judged, in the order of judging."""
    checks = [Check("unpriced", key, 0) for key in posting.unpriced]
    for keys, granted, held, spent, lent, guarded, _ in posting.deltas:
        if guarded:
            wanted = held + spent + lent - granted
            checks += [new(Check, ("short", key, wanted)) for key in keys]
        if granted > 0:
            checks += [new(Check, ("many", key, granted)) for key in keys]
    return checks


def arguments(job: Job) -> tuple[str, ...]:
    """What the script is sent: the id, the plan, the entry, the text of a new hold."""
    posting = job.posting
    asked = posting.hold
    plan = _plan(job)
    entry = f"{_words(posting)}\n{codec.entry_text(posting)}"
    if type(asked) is OpenHold:
        return asked.id, plan, entry, codec.hold_text(posting, asked)
    return posting.id if asked is None else asked.id, plan, entry


@lru_cache(maxsize=10_000)
def counter_name(key: CounterKey) -> str:
    """What a counter is called in the store; no name has a line break in it."""
    account, unit, window = key
    return f"{account}\n{unit}\n{window}\n"


def _plan(job: Job) -> str:
    """Sections, and fields in them: the script takes a plan apart by patterns."""
    posting, work, keys = job
    nets = _nets(work.nets)
    if len(keys) > len(work.nets):
        nets += "".join([f"\t{counter_name(key)}\t" for key in keys[len(work.nets) :]])
    return SECTION.join(
        (
            _about(job),
            _accounts(posting.admit, posting.seen),
            nets,
            _checks(job),
            "".join([_pour(pour, keys) for pour in work.pours]),
        )
    )


@lru_cache(maxsize=10_000)
def _accounts(admit: Versions, seen: Versions) -> str:
    """What must be open and at a version, and what must be at one."""
    lines = [f"a{version} {path}\t" for path, version in admit]
    lines += [f"s{version} {path}\t" for path, version in seen]
    return "".join(lines)


def _about(job: Job) -> str:
    """What to do, whether the receipt tells of balances, when, and more."""
    posting, work, _ = job
    asked = posting.hold
    tells = bool(work.pours) or any(net[6] for net in work.nets)
    from_, till = posting.during or ("", "")
    head = f"{tells:d}\t{from_}\t{till}"
    if type(asked) is OpenHold:
        return f"open\t{head}\t{asked.ttl_seconds}"
    if type(asked) is CloseHold:
        return f"close\t{head}\t{_closing(posting, asked)}"
    if type(asked) is KeepHold:
        return f"keep\t{head}\t{asked.ttl_seconds}"
    return f"post\t{head}\t{_other(posting)}"


def _nets(nets: Iterable[Net]) -> str:
    """What is added, to available, spent, lent, granted; and to which counters."""
    parts: list[str] = []
    same: tuple[int, ...] = ()
    for net in nets:
        if net[1:] == same:
            parts.append(f"\f{counter_name(net[0])}")
            continue
        key, granted, held, spent, lent, grants, shown = net
        same = net[1:]
        available = granted - held - spent - lent
        more = f" {spent} {lent} {granted if grants else ''}" if shown else ""
        parts.append(f"\t{available}{more}\t{counter_name(key)}")
    return f"{''.join(parts)}\t"[1:]


def _checks(job: Job) -> str:
    """What is judged, from one place to another; counters are numbered from 1."""
    posting, work, keys = job
    if posting.unpriced or any(net[5] for net in work.nets):
        return "".join([_check(check, keys) for check in checks_of(posting)])
    lines: list[list[int]] = []
    for at, wanted in work.guards:
        if lines and lines[-1][1:] == [at, wanted]:
            lines[-1][1] += 1
        else:
            lines.append([at + 1, at + 1, wanted])
    return "".join(
        [f"short {first} {last} {wanted}\t" for first, last, wanted in lines]
    )


def _check(check: Check, keys: tuple[CounterKey, ...]) -> str:
    kind, key, number = check
    place, bound = keys.index(key) + 1, LARGEST - number if kind == "many" else number
    return f"{kind} {place} {place} {bound}\t"


def _pour(pour: Pour, keys: tuple[CounterKey, ...]) -> str:
    key, payers = pour
    effects = [f"[{codec.text_of(key)},{HOLE},0,0,0]"]
    effects += (f"[{codec.text_of(payer)},0,0,0,{HOLE}]" for payer in payers)
    listed = " ".join(str(keys.index(payer) + 1) for payer in payers)
    return f"{keys.index(key) + 1} {listed}\t{','.join(effects)}\t"


def _words(posting: Posting) -> str:
    hold = posting.hold.id if posting.hold else ""
    return codec.text_of([posting.kind, posting.id, posting.account, hold])


def _closing(posting: Posting, asked: CloseHold) -> str:
    """The new status and basis, those that may be before, who gives up, the charge."""
    before, status = _before(asked.before), _state(asked.status, asked.basis)
    unseen = posting.account if asked.unseen else ""
    return f"{status}\t|{before}|\t{unseen}\t{codec.text_of(asked.charged)}"


@lru_cache
def _before(states: frozenset[tuple[Status, Basis]]) -> str:
    return "|".join([_state(*each) for each in states])


def _other(posting: Posting) -> str:
    """What must be the same when the id comes again, how long rows live, and rows."""
    content = codec.content_text(posting).encode("utf-8", "surrogatepass")
    ttl = "" if posting.ttl_seconds is None else posting.ttl_seconds
    rows = codec.text_of([_row(row) for row in posting.rows])
    return f"{sha256(content).hexdigest()}\t{ttl}\t{rows}"


def _row(row: Row) -> Mapping[str, object]:
    kept = [row.version, row.frozen, row.closed, codec.row_text(row)]
    lifelong = [
        f"{counter_name(CounterKey(row.path, name))}\t{value}\t"
        for name, value in row.ceilings
        if "@" not in name
    ]
    return {
        "path": row.path,
        "state": _row_state(row),
        "till": "" if row.expires_at is None else repr(row.expires_at),
        "text": codec.text_of(kept),
        "closed": row.closed,
        "ceilings": "\n" + "".join(f"{name} {value}\n" for name, value in row.ceilings),
        "counters": "".join(lifelong),
    }


def _state(status: Status, basis: Basis) -> str:
    return f"{status} {basis or '-'}"


def _row_state(row: Row) -> str:
    """The version alone, if the account admits; else what is in the way, too."""
    if row.closed:
        return f"{row.version} closed"
    return f"{row.version} frozen {row.frozen}" if row.frozen else str(row.version)
