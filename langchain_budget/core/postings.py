"""The words that the ledger and its stores speak: postings, holds, answers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from langchain_budget.core.accounts import Row
from langchain_budget.core.amounts import Vector
from langchain_budget.core.windows import LIFETIME

NOTHING: Final[Mapping[str, int]] = {}
NO_LABELS: Final[Mapping[str, str]] = {}

new: Final = tuple.__new__
"""
`new(Hold, (...))` makes what `Hold(...)` makes, in a third of the time.

All fields are given, in their order. A reserve and settle make nine such values, so
this is a quarter of what they cost; it has no place where nothing was measured.
"""


class Status(StrEnum):
    """Where a hold is in its life; it leaves `OPEN` at most once."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"


class Basis(StrEnum):
    """How well a charge is known."""

    REPORTED = "reported"
    """The provider said so."""
    ESTIMATED = "estimated"
    """The provider did not say; this is what was counted or held."""
    UNKNOWN = "unknown"
    """Reported, but the cost in dollars has no price."""
    NONE = ""
    """Nothing was charged."""

    @property
    def is_final(self) -> bool:
        """Whether the provider said so; such a charge is not replaced."""
        return self in (Basis.REPORTED, Basis.UNKNOWN)


class Kind(StrEnum):
    """Why a posting was refused."""

    EXHAUSTED = "exhausted"
    CONTENDED = "contended"
    """There would be enough but for holds that are still open."""
    TOO_LARGE = "too_large"
    """More than a single call may need, whatever is left."""
    FROZEN = "frozen"
    CLOSED = "closed"
    UNPRICED = "unpriced"
    STORE = "store"
    STALE = "stale"
    """An account has changed since the posting was built: build it again."""
    OUTSIDE = "outside"
    """The store's clock is outside of the windows that were reckoned with."""
    OVERFLOW = "overflow"
    """More would be granted than is counted."""
    NOT_OPEN = "not_open"
    """The hold was closed before."""
    UNKNOWN = "unknown"
    """There is no such account or hold."""
    CONFLICT = "conflict"
    """The id was used before, for another posting."""


class CounterKey(NamedTuple):
    """Names one counter: an account, a unit, and an instance of a window."""

    account: str
    unit: str
    window: str = LIFETIME
    """Which instance of which window: `day@2026-11-22`."""

    @property
    def limit(self) -> str:
        """Which ceiling of its account it is granted at first: `usd`, `usd@day`."""
        span, _, _ = self.window.partition("@")
        return f"{self.unit}@{span}" if span else self.unit


class Balance(NamedTuple):
    """What a counter says."""

    granted: int | None = None
    held: int = 0
    spent: int = 0
    lent: int = 0

    @property
    def available(self) -> int | None:
        """What may still be held; `None` is unlimited."""
        if self.granted is None:
            return None
        return self.granted - self.held - self.spent - self.lent


class Spill(NamedTuple):
    """Where the overrun of a slice goes: its parent grants it more, unguarded."""

    slice: CounterKey
    payers: tuple[CounterKey, ...]


class Delta(NamedTuple):
    """
    The same change to each of several counters.

    A guarded one is refused when what is available would fall below zero. Within
    a posting no counter is named by two guarded deltas.
    """

    counters: tuple[CounterKey, ...]
    granted: int = 0
    held: int = 0
    spent: int = 0
    lent: int = 0
    guarded: bool = False
    spill: tuple[Spill, ...] = ()


class OpenHold(NamedTuple):
    """Ask the store for a new hold."""

    id: str
    ttl_seconds: float
    started: bool
    """Whether the thing that is paid for has begun; decides what expiry does."""
    amounts: Vector
    worst: Vector
    """The most that it could cost, in the units where that is more."""
    labels: Mapping[str, str] = NO_LABELS


class CloseHold(NamedTuple):
    """
    Take a hold out of one of the states *before*, and give back what it *held*.

    A hold that the store does not know may be on its way: one that is closed
    *unseen* is never opened.
    """

    id: str
    status: Status
    basis: Basis
    charged: Vector
    before: frozenset[tuple[Status, Basis]]
    held: tuple[Delta, ...] = ()
    """The deltas that the hold was opened with; none where it is no longer open."""
    unseen: bool = False


class KeepHold(NamedTuple):
    """Let an open hold live *ttl_seconds* from now on; the journal is not told."""

    id: str
    ttl_seconds: float


class Part(NamedTuple):
    """Some of the charge of a note: what one of several callers used."""

    account: str
    amounts: Vector
    basis: Basis
    labels: Mapping[str, str] = NO_LABELS
    unconfirmed: Vector = NOTHING
    times: int = 1
    """How many charges it sums up; below zero where some are taken back."""


class Note(NamedTuple):
    """What the journal says about a posting."""

    amounts: Vector = NOTHING
    unconfirmed: Vector = NOTHING
    """What may have been spent beyond *amounts*, until it is reconciled."""
    basis: Basis = Basis.NONE
    labels: Mapping[str, str] = NO_LABELS
    reason: str = ""
    parts: tuple[Part, ...] = ()
    """Who used how much of *amounts*, where that is known; they come to the same."""


NO_NOTE: Final = Note()


class Posting(NamedTuple):
    """
    One change to the books, applied whole or not at all.

    *admit* names accounts that must be open, unfrozen and at that version; *seen*
    only at that version; *unpriced* names counters that must have no ceiling, since
    the cost is not known. The store's clock must be within *during*, if given.
    """

    id: str
    kind: str
    account: str
    deltas: tuple[Delta, ...] = ()
    admit: tuple[tuple[str, int], ...] = ()
    hold: OpenHold | CloseHold | KeepHold | None = None
    note: Note = NO_NOTE
    seen: tuple[tuple[str, int], ...] = ()
    unpriced: tuple[CounterKey, ...] = ()
    rows: tuple[Row, ...] = ()
    ttl_seconds: float | None = None
    """How long the *rows* live from now on, by the store's clock."""
    during: tuple[float, float] | None = None
    """From when, and until before when, the deltas are in the right windows."""


class Hold(NamedTuple):
    """A reservation, as a store tells of it."""

    id: str
    account: str
    amounts: Vector
    worst: Vector
    deltas: tuple[Delta, ...]
    started: bool
    opened_at: float = 0.0
    expires_at: float = 0.0
    status: Status = Status.OPEN
    basis: Basis = Basis.NONE
    charged: Vector = NOTHING
    labels: Mapping[str, str] = NO_LABELS


Change = tuple[CounterKey, int, int, int, int]
"""A limited counter: granted and used before a posting, granted and used after it;
used is spent plus lent. A plain tuple, since each settle makes several."""


class Receipt(NamedTuple):
    """A posting was applied."""

    seq: int
    changes: tuple[Change, ...] = ()
    hold: Hold | None = None
    """The hold as it is now; an old reserve that comes again may find it closed."""


class Refusal(NamedTuple):
    """A posting was not applied, and left no trace."""

    kind: Kind
    account: str
    unit: str = ""
    wanted: int = 0
    balance: Balance = Balance()
    detail: str = ""
    hold: Hold | None = None
    window: str = LIFETIME
    """Which window's limit it was: `day@2026-11-22`."""

    @property
    def limit(self) -> str:
        """The name of the limit: `usd`, `usd@day`."""
        return CounterKey(self.account, self.unit, self.window).limit


class Effect(NamedTuple):
    """What an entry did to one counter."""

    key: CounterKey
    granted: int = 0
    held: int = 0
    spent: int = 0
    lent: int = 0


class Entry(NamedTuple):
    """One line of the journal, in the order of *seq*."""

    seq: int
    at: float
    kind: str
    posting: str
    account: str
    hold: str
    note: Note
    deltas: tuple[Delta, ...]
    released: tuple[Delta, ...] = ()
    """The deltas of the hold that this entry closed."""
    spilled: tuple[Effect, ...] = ()
    rows: tuple[Row, ...] = ()
