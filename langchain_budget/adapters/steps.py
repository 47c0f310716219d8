"""Reservations that a guard makes for the next step, found again by its calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from langchain_budget import tree
from langchain_budget.adapters.calls import CALLS
from langchain_budget.adapters.runs import Run
from langchain_budget.core.accounts import SEPARATOR, Spec
from langchain_budget.core.rules import HOLD_TTL_SECONDS
from langchain_budget.errors import BudgetRefused
from langchain_budget.ledger import Ledger
from langchain_budget.stores._drive import Talk


class Address(NamedTuple):
    """Where a step will run: thread or root run, the graph's namespace, the node."""

    thread: str
    parent: str
    node: str


class Reserved(NamedTuple):
    """An account that was carved out for one step."""

    ledger: Ledger
    path: str
    step: int
    task: str
    """The guard's own task: running it again, as a resume does, finds this."""
    root: int | None
    """The run that all of it happens in, when that is known."""


class Steps:
    """
    Reservations that wait for their step, in this process.

    One is closed, and what it has left returned, when its step ends, when the run
    around it ends, when a guard reserves anew for the same address, and at its
    time to live.
    """

    def __init__(self) -> None:
        self._waiting: dict[Address, Reserved] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def reserve(
        self, address: Address, reserved: Reserved, spec: Spec
    ) -> Talk[None]:
        """A talk that opens the account, unless this very task did so before."""
        known = self._waiting.get(address)
        if known is not None and known.task and known.task == reserved.task:
            return
        if known is not None:
            yield from tree.close_account(known.ledger, known.path)
        yield from tree.open_account(
            reserved.ledger, reserved.path, spec, HOLD_TTL_SECONDS
        )
        self._waiting[address] = reserved

    def enter(
        self, run_id: UUID, parent: UUID | None, metadata: Mapping[str, Any] | None
    ) -> str:
        """The account of the step that a run is, empty when it is none."""
        if not metadata or any(run.step for _, run in CALLS.runs.above(parent)):
            return ""
        root = root_of(parent) or run_id.int
        *_, address = list(addresses(metadata, root)) or [None]
        found = self._waiting.get(address) if address else None
        if found is None or found.step != metadata.get("langgraph_step"):
            return ""
        return found.path

    def account(
        self,
        ledger: Ledger,
        account: str,
        parent: UUID | None,
        metadata: Mapping[str, Any],
    ) -> str:
        """The reservation that a call below *account* draws on, empty for none."""
        above = (run.step for _, run in CALLS.runs.above(parent) if run.step)
        waiting = (
            self._waiting.get(address)
            for address in addresses(metadata, root_of(parent))
        )
        paths = [*above, *(found.path for found in waiting if found)]
        inside = account + SEPARATOR
        return next(
            (
                each.path
                for each in self._waiting.values()
                if each.ledger is ledger
                and each.path in paths
                and each.path.startswith(inside)
            ),
            "",
        )

    def leave(self, run_id: UUID, run: Run) -> None:
        """A run has ended: so have the steps that were reserved for in it."""
        for address, reserved in list(self._waiting.items()):
            ended = reserved.path == run.step or reserved.root == run_id.int
            if ended and self._waiting.pop(address, None):
                self._close(reserved)

    def _close(self, reserved: Reserved) -> None:
        ledger = reserved.ledger
        try:
            ledger.run(tree.close_account(ledger, reserved.path))
        except BudgetRefused:
            # The time to live closes it: nothing is lost but time.
            return


def addresses(metadata: Mapping[str, Any], root: int | None) -> Iterator[Address]:
    """The steps that a run is in, outermost first."""
    namespace = metadata.get("langgraph_checkpoint_ns") or ""
    thread = str(metadata.get("thread_id") or root or "")
    parts = namespace.split("|") if namespace else []
    for depth, part in enumerate(parts):
        yield Address(thread, "|".join(parts[:depth]), part.partition(":")[0])


def root_of(parent: UUID | None) -> int | None:
    """The outermost run that is known around *parent*."""
    *_, last = [None, *(number for number, _ in CALLS.runs.above(parent))]
    return last


STEPS = Steps()
"""The reservations of this process; guards make them, handlers find them."""
