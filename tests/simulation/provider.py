"""A naive model provider: it knows what each call cost, whatever the books say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Amounts = Mapping[str, int]


class End(StrEnum):
    """How a call ended, as far as the provider and the process that made it know."""

    RUNNING = "running"
    ANSWERED = "answered"
    """The process was told what it cost, and has handed that on to the ledger."""
    CANCELLED = "cancelled"
    """The process went away from it, and has charged what it had seen."""
    UNUSED = "unused"
    """The money was given back before the call was made."""
    KILLED = "killed"
    """The process died before it knew what the call cost."""
    IN_DOUBT = "in doubt"
    """The process died after it knew, and may or may not have said so."""


@dataclass(slots=True)
class Call:
    """What was bought with one hold."""

    process: str
    held: Amounts
    started: bool
    cost: Amounts
    end: End = End.RUNNING
    confirmed: bool = False
    """Whether the ledger has said that it booked the end."""
    said: list[Amounts] = field(default_factory=list)
    """What the process has told the ledger of it, one after another."""


class Provider:
    """The log of all calls, by the id of the hold that paid for them."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}

    def process_died(self, name: str) -> None:
        for call in self.calls.values():
            if call.process == name and not call.confirmed:
                running = call.end is End.RUNNING
                call.end = End.KILLED if running else End.IN_DOUBT

    def allowed(self, hold_id: str) -> tuple[Amounts, ...]:
        """What the books may say that this call was charged."""
        call = self.calls[hold_id]
        forgotten = call.held if call.started else {}
        match call.end:
            case End.ANSWERED:
                return (call.cost,)
            case End.RUNNING | End.KILLED:
                return (forgotten,)
            case _:
                return (*call.said, forgotten)
