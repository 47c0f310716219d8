"""The books that calls go on with while the shared ones do not answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final, NamedTuple

from langchain_budget.core.accounts import SEPARATOR, parent_of
from langchain_budget.core.charges import OUTAGE
from langchain_budget.core.leases import note_of
from langchain_budget.core.postings import NOTHING, Delta, Posting
from langchain_budget.core.routes import Line, Route
from langchain_budget.core.rules import Order
from langchain_budget.dividing import TurnedAway
from langchain_budget.errors import StoreError, UnknownAccount
from langchain_budget.forks import new_latch
from langchain_budget.leases.lease import LeaseLedger, PurseLedger
from langchain_budget.leases.purse import Purse, Terms
from langchain_budget.leases.store import LeaseStore
from langchain_budget.ledger import Ledger
from langchain_budget.outages.policy import OnOutage
from langchain_budget.outages.takings import Taken, Trusting, lines
from langchain_budget.stores._drive import Talk

MOST_LEASES: Final = 100
"""Accounts for which a lease is kept ready: more would set too much money aside."""


class Place(NamedTuple):
    """Where a call is charged while the shared books do not answer."""

    ledger: PurseLedger
    path: str


class Spare(ABC):
    """Books of this process, for outages."""

    @abstractmethod
    def place(self, path: str) -> Place | None:
        """Where to charge instead of the account at *path*, if that is possible."""

    @abstractmethod
    def purses(self) -> Iterable[Purse]:
        """What is spent from."""

    def stand_by(self, path: str, *, usable: bool) -> Talk[None]:  # noqa: ARG002
        """The shared books answer, and the account at *path* is in use."""
        yield from ()

    @abstractmethod
    def report(self) -> Talk[bool]:
        """Book what was spent in the shared books, if anything; raises `StoreError`."""

    def start_anew(self) -> dict[str, int]:
        """Another outage begins; what was used before it."""
        return self.used()

    def leave_alone(self, seconds: float, error: StoreError) -> None:  # noqa: B027
        """The shared books have failed, and are not asked for so long."""

    def spared(self, path: str) -> Talk[bool]:  # noqa: ARG002
        """Return what is kept ready for the account at *path*; whether that is any."""
        yield from ()
        return False

    def freed(self, path: str) -> Talk[bool]:  # noqa: ARG002
        """Likewise, and for all accounts below it."""
        yield from ()
        return False

    def give_back(self, path: str) -> Talk[bool]:  # noqa: ARG002
        """Return the lease that has this account, if it is one that nobody uses."""
        yield from ()
        return False

    def paths(self) -> tuple[str, ...]:
        """The accounts of all leases."""
        return ()

    @property
    def owes(self) -> bool:
        """Whether something was spent, or may yet be, that the shared books want."""
        return any(purse.tally or purse.busy for purse in self.purses())

    def used(self) -> dict[str, int]:
        """What was spent and is held."""
        sums: dict[str, int] = {}
        for purse in self.purses():
            for key, seen in purse.balances([purse.path]).items():
                sums[key.unit] = sums.get(key.unit, 0) + seen.spent + seen.held
        return sums


class Allowance(Spare):
    """So much may be spent in each outage, whatever the limits say."""

    def __init__(self, shared: Ledger, root: str, policy: OnOutage) -> None:
        self._shared = shared
        self._sizes = policy.sizes
        self._purse = Trusting(shared, root, policy)
        self._ledger = PurseLedger(shared, self._purse)
        self._unsent: list[Posting] = []
        self._reporting = new_latch()

    def place(self, path: str) -> Place | None:
        """Where to charge instead of the account at *path*."""
        return Place(self._ledger, path)

    def purses(self) -> Iterable[Purse]:
        """What is spent from."""
        return (self._purse,)

    def start_anew(self) -> dict[str, int]:
        """Calls that began in an earlier outage, and still run, count in this one."""
        self._ledger.run(self._ledger.sweep())
        seen = self._purse.balances([self._purse.path])
        before = {key.unit: balance.spent for key, balance in seen.items()}
        granted = {unit: self._sizes[unit] + before[unit] for unit in self._sizes}
        self._purse.fill(granted)
        return before

    @property
    def owes(self) -> bool:
        """Whether something was spent that the shared books do not know."""
        return bool(self._unsent) or super().owes

    def report(self) -> Talk[bool]:
        """Each account's charges in one posting, which is sent until it is taken."""
        if not self._reporting.acquire(blocking=False):
            return False
        try:
            self._ledger.run(self._ledger.sweep())
            yield from self._write(self._purse.takings.take_all())
            return (yield from self._send())
        finally:
            self._reporting.release()

    def _send(self) -> Talk[bool]:
        sent = bool(self._unsent)
        while self._unsent:
            receipt = yield self._unsent[0]
            self._shared.tell_of(receipt)
            del self._unsent[0]
        return sent

    def _write(self, taken: dict[str, Taken]) -> Talk[None]:
        try:
            for account in list(taken):
                posting = yield from self._posting(account, taken[account])
                self._unsent.append(posting)
                del taken[account]
        finally:
            self._purse.takings.put_all_back(taken)

    def _posting(self, account: str, taken: Taken) -> Talk[Posting]:
        try:
            route = yield from self._shared.route(account)
        except UnknownAccount:
            route = yield from self._shared.route(self._purse.path)
        sums: dict[Line, int] = {}
        for (_, labels, at), amounts in taken.sums.items():
            way = yield from self._way(route, labels)
            ago = self._purse.now() - at
            now = (yield from self._shared.moment(way)) if way.timed else 0.0
            for line, value in lines(way, amounts, (now - ago, now)):
                sums[line] = sums.get(line, 0) + value
        note = note_of([part._replace(account=route.account) for part in taken.parts])
        deltas = tuple(
            Delta(keys, spent=value, spill=spill if value > 0 else ())
            for (keys, spill), value in sums.items()
            if value
        )
        posting_id = self._shared.new_id()
        return Posting(posting_id, OUTAGE, route.account, deltas, note=note)

    def _way(self, route: Route, labels: tuple[tuple[str, str], ...]) -> Talk[Route]:
        """With the accounts of `limit_each`, as far as they can be opened."""
        order = Order(NOTHING, labels=dict(labels))
        try:
            return (yield from self._shared.way(route.account, order))
        except TurnedAway:
            return route


class Leases(Spare):
    """Leases that are kept ready while the shared books answer."""

    def __init__(self, shared: Ledger, policy: OnOutage) -> None:
        self._shared = shared
        self._terms = Terms(policy.sizes, policy.ttl_seconds, policy.clock, alone=True)
        self._homes: dict[str, str] = {}
        self._ledgers: dict[str, LeaseLedger] = {}

    def place(self, path: str) -> Place | None:
        """Where to charge instead of the account at *path*, if it has a lease."""
        home = self._homes.get(path, path)
        ledger = self._ledgers.get(home)
        return Place(ledger, home) if ledger else None

    def purses(self) -> Iterable[Purse]:
        """What is spent from."""
        return self._leases()

    def leave_alone(self, seconds: float, error: StoreError) -> None:
        """None of the leases asks the shared books meanwhile."""
        for lease in self._leases():
            lease.leave_alone(seconds, error)

    def stand_by(self, path: str, *, usable: bool) -> Talk[None]:
        """Have a lease of the account if calls can use it, and renew it in time."""
        home = self._homes.get(path)
        if home is None:
            home = yield from self._home(path)
        ledger = self._ledgers.get(home)
        if ledger is None and usable and len(self._ledgers) < MOST_LEASES:
            made = LeaseLedger(self._shared, home, self._terms)
            ledger = self._ledgers.setdefault(home, made)
        if ledger is not None:
            yield from ledger.lease.keep_up()

    def report(self) -> Talk[bool]:
        """What leases have spent is reported when they are renewed: do it now."""
        owing = [purse for purse in self._leases() if purse.tally]
        for lease in owing:
            yield from lease.keep_up(at_once=True)
        return any(not lease.tally for lease in owing)

    def spared(self, path: str) -> Talk[bool]:
        """Return what is kept ready for the account at *path*; whether that is any."""
        place = self.place(path)
        lease = place and self._ledgers[place.path].lease
        if not lease or not any(value > 0 for value in lease.left().values()):
            return False
        yield from lease.keep_up(at_once=True, empty=True)
        return True

    def freed(self, path: str) -> Talk[bool]:
        """Likewise, and for all accounts below it: the next call leases anew."""
        found = False
        for home, ledger in list(self._ledgers.items()):
            if not (home + SEPARATOR).startswith(path + SEPARATOR):
                continue
            ended = yield from self.give_back(ledger.lease.contract.path)
            found = ended or (yield from self.spared(home)) or found
        return found

    def give_back(self, path: str) -> Talk[bool]:
        """Return the lease that has this account, if it is one that nobody uses."""
        for home, ledger in list(self._ledgers.items()):
            lease = ledger.lease
            mine = lease.contract.path == path and not lease.busy
            if mine and (yield from lease.given_back()):
                self._ledgers.pop(home, None)
                return True
        return False

    def paths(self) -> tuple[str, ...]:
        """The accounts of all leases."""
        return tuple(lease.contract.path for lease in self._leases())

    def _leases(self) -> list[LeaseStore]:
        return [ledger.lease for ledger in list(self._ledgers.values())]

    def _home(self, path: str) -> Talk[str]:
        """What is reserved for a step of a graph has no lease; its account has."""
        row = (yield from self._shared.route(path)).rows[0]
        home = (parent_of(path) or path) if row.is_passing else path
        self._homes[path] = home
        return home


def spare_of(shared: Ledger, root: str, policy: OnOutage) -> Spare | None:
    """The spare books of a policy; one that is closed has none."""
    if not policy.sizes:
        return None
    return Leases(shared, policy) if policy.leases else Allowance(shared, root, policy)
