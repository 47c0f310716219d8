"""Reservations that a guard makes for the next step, found again by its calls."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from langchain_budget.adapters.calls import CALLS
from langchain_budget.adapters.runs import Run
from langchain_budget.core.accounts import SEPARATOR, Spec
from langchain_budget.core.rules import HOLD_TTL_SECONDS
from langchain_budget.errors import BudgetError, BudgetRefused, StoreLeftAlone
from langchain_budget.forks import new_lock
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Talk
from langchain_budget.tree import close_account, open_account

Metadata = Mapping[str, Any]

_PULLED = "__pregel_pull"
"""How the framework marks a task that an edge started, not a `Send`."""


class Place(NamedTuple):
    """Where a step will run: in which run of a graph, and as which node."""

    graph: int | None
    node: str


class Reserved(NamedTuple):
    """An account that was carved out of another for one step."""

    ledger: Ledger
    account: str
    path: str
    after: int
    """The guard's own step: what it reserves for comes later."""


class Reserver(Protocol):
    """A guard that reserves."""

    @property
    def blocking(self) -> bool:
        """Whether its books may wait for something outside of this process."""


class Steps:
    """
    Reservations of this process: waiting for their step, then carried by its run.

    One is closed, and what it has left returned, when its step ends, when the graph
    around it ends, and at its time to live: a step whose start is cancelled, or that
    another handler refuses, is not said to end.
    """

    def __init__(self) -> None:
        self._guards: set[weakref.ref[Reserver]] = set()
        self._waiting: dict[tuple[Place, Ledger, str], Reserved] = {}
        self._carried: dict[int | None, dict[Reserved, None]] = {}
        """By runs of graphs: what runs of their nodes have taken."""
        self._lock = new_lock()

    def __bool__(self) -> bool:
        """Whether any guard reserves, so that runs have to be followed."""
        return bool(self._guards)

    @property
    def blocking(self) -> bool:
        """Whether closing a reservation may wait for something outside."""
        # A copy is one step for other threads, on which guards come and go.
        guards = (each() for each in list(self._guards))
        return any(guard.blocking for guard in guards if guard is not None)

    def follow(self, guard: Reserver) -> None:
        """Follow runs for as long as *guard* is in use."""
        self._guards.add(weakref.ref(guard, self._guards.discard))

    def reserve(self, place: Place, reserved: Reserved, spec: Spec) -> Talk[None]:
        """
        A talk that opens the account, unless this graph run did so before.

        Outside of a graph no step comes: each has its time to live.
        Cut off before it is answered, the account may be open: it is closed later.
        """
        ledger, account, path, _ = reserved
        key = place, ledger, account
        in_graph = place.graph is not None
        if in_graph and self._waiting.setdefault(key, reserved) is not reserved:
            return
        try:
            yield from open_account(ledger, path, spec, HOLD_TTL_SECONDS)
        except BaseException as error:
            self._waiting.pop(key, None)
            if not isinstance(error, BudgetRefused | StoreLeftAlone):
                ledger.late.append(partial(close_account, ledger, path))
            raise

    def entered(self, run: Run, metadata: Metadata | None) -> Run:
        """The run that starts, with what was reserved for it."""
        if not metadata:
            return run
        reserved: tuple[Reserved, ...] = ()
        if (metadata.get("langgraph_path") or ("",))[0] == _PULLED:
            place = Place(run.parent, str(metadata.get("langgraph_node")))
            reserved = self._taken(place, int(metadata.get("langgraph_step") or 0))
        return run._replace(task=task_of(metadata), reserved=reserved)

    def leave(self, run_id: UUID, run: Run) -> None:
        """A run has ended: so have its step, and all steps in it, run or not."""
        if self._waiting or self._carried:
            for reserved in self._over(run_id.int, run):
                _close(reserved)

    def places(
        self, ledger: Ledger, account: str, parent: UUID | None
    ) -> tuple[str, ...]:
        """Where to charge what would be charged to *account*, best place first."""
        if not self:
            return (account,)
        inside = account + SEPARATOR
        found = (each for _, run in CALLS.runs.above(parent) for each in run.reserved)
        mine = (each.path for each in found if ledger.is_same(each.ledger))
        return (*[path for path in mine if path.startswith(inside)], account)

    def _taken(self, place: Place, step: int) -> tuple[Reserved, ...]:
        if not self._waiting:
            return ()
        with self._lock:  # of a start and the end of its graph, either comes first
            found = [
                self._waiting.pop(key, None)
                for key, reserved in self._waiting.copy().items()
                if key[0] == place and reserved.after < step
            ]
            taken = tuple(each for each in found if each)
            if taken:
                carried = self._carried.setdefault(place.graph, {})
                carried.update(dict.fromkeys(taken))
        return taken

    def _over(self, number: int, run: Run) -> list[Reserved]:
        """What is to be closed as a run ends; what others close is left out."""
        with self._lock:
            carried = self._carried.get(run.parent, {})
            over = [each for each in run.reserved if carried.pop(each, self) is None]
            if not carried:
                self._carried.pop(run.parent, None)
            over += self._carried.pop(number, ())
            for key in list(self._waiting):
                if key[0].graph == number and (unused := self._waiting.pop(key, None)):
                    over.append(unused)
        return over


def graph_of(parent: UUID | None, metadata: Metadata) -> int | None:
    """The run of the graph that a task with this metadata is a part of."""
    number, task = parent.int if parent else None, task_of(metadata)
    for _, run in CALLS.runs.above(parent):
        if run.task != task:
            break
        number = run.parent
    return number


def task_of(metadata: Metadata) -> str:
    """What tells a graph's tasks apart; runs inside a task share it."""
    return str(metadata.get("langgraph_checkpoint_ns") or "")


def _close(reserved: Reserved) -> None:
    try:
        ledger = reserved.ledger
        ledger.run(ledger.finish(partial(_closing, reserved)))
    except BudgetError:
        # The time to live closes it: nothing is lost but time.
        return


def _closing(reserved: Reserved) -> Talk[None]:
    route = yield from reserved.ledger.route(reserved.path)
    if not route.rows[0].closed:
        yield from reserved.ledger.retire(route.rows[0])


STEPS = Steps()
"""The reservations of this process; guards make them, handlers find them."""
