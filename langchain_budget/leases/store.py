"""A store that is one worker's memory, and asks the shared one now and then."""

from __future__ import annotations

import logging
import math
import os
import weakref
from collections.abc import Mapping
from typing import Final, TypeVar

from langchain_budget.core.accounts import Row, lineage
from langchain_budget.core.amounts import Vector
from langchain_budget.core.postings import (
    NOTHING,
    CloseHold,
    KeepHold,
    Kind,
    OpenHold,
    Posting,
    Receipt,
    Refusal,
)
from langchain_budget.errors import (
    BudgetError,
    InvalidLease,
    InvalidTransfer,
    StoreError,
    refused,
)
from langchain_budget.forks import new_lock
from langchain_budget.leases._contract import NEVER, TRIES
from langchain_budget.leases._looking import UNSEEN, Looking
from langchain_budget.leases._turn import Turn
from langchain_budget.leases.purse import Terms
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Ask, Talk, adrive, drive

RETRY_SECONDS: Final = 1.0
"""How long a store is left alone after it has failed."""

_ENTER: Final = Ask("enter")
_log = logging.getLogger("langchain_budget")
_Result = TypeVar("_Result")


class LeaseStore(Looking):
    """
    What was leased is spent here; reports, more money and time come from *shared*.

    Nothing is admitted past the deadline of the lease without asking. Before it, a
    store that fails is only a reason to ask again later.
    """

    def __init__(self, shared: Ledger, path: str, terms: Terms) -> None:
        super().__init__(shared, path, terms)
        self._failed: StoreError | None = None
        self._pid = os.getpid()
        _ALL.add(self)

    def disown(self) -> None:
        """This is another process now: nothing is admitted, whoever held the lock."""
        self._lock = new_lock()
        self._turn = Turn()
        self.contract.good_until = self.contract.due_at = NEVER

    def renew(self) -> None:
        """
        Speak with the shared books now, whether it is due or not.

        Raises:
            BudgetRefused, StoreError, InvalidLease: They do not lend.
        """
        _check(drive(self._in_turn(self._dealt(NOTHING)), self._outside))

    async def arenew(self) -> None:
        """Awaitable twin of `renew`."""
        _check(await adrive(self._in_turn(self._dealt(NOTHING)), self._outside))

    def post(self, posting: Posting) -> Receipt | Refusal:
        """Apply *posting*, or say why not and change nothing."""
        answer = self._at_once(posting)
        return drive(self._posted(posting), self._outside) if answer is None else answer

    async def apost(self, posting: Posting) -> Receipt | Refusal:
        """Awaitable twin of `post`."""
        answer = self._at_once(posting)
        if answer is None:
            return await adrive(self._posted(posting), self._outside)
        return answer

    def _at_once(self, posting: Posting) -> Receipt | Refusal | None:
        """The answer, where nobody else has to be asked."""
        asked = type(posting.hold)
        if self._clock() >= self.contract.due_at:
            return None
        if asked is OpenHold:
            answer = super().post(posting)
            return None if self.lacks(answer) else answer
        return super().post(posting) if asked is CloseHold else None

    def _local(self, posting: Posting) -> Receipt | Refusal:
        return super().post(posting)

    def _posted(self, posting: Posting) -> Talk[Receipt | Refusal]:
        if type(posting.hold) in (CloseHold, KeepHold):
            answer = self._local(posting)
            yield from self.keep_up()
            return answer
        if type(posting.hold) is OpenHold:
            return (yield from self._admitted(posting))
        return (yield from self._changed(posting))

    def _changed(self, posting: Posting) -> Talk[Receipt | Refusal]:
        """A change of accounts: those below the leased one are this worker's own."""
        fixed = lineage(self.path)
        grants = (delta.counters for delta in posting.deltas if delta.granted)
        if any(key.account in fixed for keys in grants for key in keys):
            raise _shared(self.path)
        rows = {row.path: row for row in posting.rows if row.path in fixed}
        if rows:
            yield from self._ended(rows)
        elif any(self.wants(posting).values()):
            return (yield from self._admitted(posting))
        return self._local(posting)

    def _ended(self, rows: Mapping[str, Row]) -> Talk[None]:
        """To close the leased account here is to give the lease back."""
        if not (rows.keys() == {self.path} and rows[self.path].closed):
            raise _shared(self.path)
        yield from self._in_turn(self.contract.give_back())

    def _admitted(self, posting: Posting) -> Talk[Receipt | Refusal]:
        if self._clock() < self.contract.good_until:
            yield from self.keep_up()
        if self._clock() < self.contract.good_until:
            answer = self._local(posting)
            if not self.lacks(answer):
                return answer
        return (yield from self._in_turn(self._brought(posting)))

    def _in_turn(self, talk: Talk[_Result]) -> Talk[_Result | Refusal]:
        if self._pid != os.getpid():
            return _forked(self.path, self._pid)
        yield _ENTER
        try:
            return (yield from talk)
        finally:
            self._turn.leave()

    def _brought(self, posting: Posting) -> Talk[Receipt | Refusal]:
        """Have more money, or time, and then post; others may have seen to it."""
        answer: Receipt | Refusal = self.contract.why
        for _ in range(TRIES):
            if self._clock() < self.contract.good_until:
                answer = self._local(posting)
                if not self.lacks(answer):
                    break
            told = yield from self._dealt(self.wants(posting), posting)
            answer = told or self._local(posting)
            if not self.lacks(answer):
                break
        return answer

    def _dealt(
        self, wanted: Vector, posting: Posting | None = None
    ) -> Talk[Receipt | Refusal | None]:
        """A store that has just failed is not asked again by whoever waited for it."""
        if self.contract.ending:
            return self.contract.why
        if self._failed and self._clock() < self._retry_at:
            raise StoreError(str(self._failed)) from self._failed
        try:
            told = yield from self.contract.deal(wanted, posting)
        except StoreError as error:
            self.leave_alone(RETRY_SECONDS, error)
            raise
        self._failed, self._sight = None, UNSEEN
        return told

    def keep_up(self, *, at_once: bool = False, empty: bool = False) -> Talk[None]:
        """
        Speak with the shared books if that is due; if they fail, do it later.

        Args:
            at_once: Whether it is due or not.
            empty: Have nothing free after that.
        """
        contract, now = self.contract, self._clock()
        over = self._pid != os.getpid() or (contract.over and not self.tally)
        due = at_once or now >= contract.due_at
        if over or not due or now < self._retry_at:
            return
        if contract.ending:
            yield _ENTER
        elif not self._turn.entered():
            return
        try:
            yield from self._spoken(empty=empty)
        finally:
            self._turn.leave()

    def given_back(self) -> Talk[bool]:
        """End the lease now, unless somebody else is speaking with the shared books."""
        if not self._turn.entered():
            return False
        try:
            yield from self.contract.give_back()
        finally:
            self._turn.leave()
        return True

    def _spoken(self, *, empty: bool) -> Talk[None]:
        try:
            if self.contract.ending:
                yield from self.contract.give_back()
            else:
                yield from self.contract.deal(NOTHING, empty=empty)
        except BudgetError as error:
            _log.warning("the lease of %s was not renewed: %s", self.path, error)
            lasting = isinstance(error, InvalidLease)
            self._retry_at = math.inf if lasting else self._clock() + RETRY_SECONDS

    def leave_alone(self, seconds: float, error: StoreError) -> None:
        """The store fails: it is not asked for so long."""
        self._failed, self._retry_at = error, self._clock() + seconds


def _check(answer: Receipt | Refusal | None) -> None:
    if isinstance(answer, Refusal):
        raise refused(answer)


def _shared(path: str) -> InvalidTransfer:
    return InvalidTransfer(
        f"{path!r} is leased here: change it in the shared books, by the pool that it "
        f"was leased from; they reach this worker when it renews"
    )


def _forked(path: str, pid: int) -> Refusal:
    detail = f"its lease belongs to process {pid}: take one after the fork"
    return Refusal(Kind.CLOSED, path, detail=detail)


_ALL: weakref.WeakSet[LeaseStore] = weakref.WeakSet()
"""The leases of this process."""


def _after_fork() -> None:
    """What the parent process has leased is not for its children to spend."""
    for store in list(_ALL):
        store.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
