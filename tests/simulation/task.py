"""What goes on in a world: tasks of processes, and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.simulation.network import Reply
from tests.simulation.process import Life, Process
from tests.simulation.wire import Message

DAY_ONE: Final = 1_000_000.0


@dataclass(eq=False, slots=True)
class Task:
    """Something that a process does, one question to the store after another."""

    name: str
    process: Process
    life: Life
    waits: Message | None = None
    reply: Reply | None = None
    unfair: str = ""
    """Why the last refusal was a false block, if it was one."""
    failures: int = 0
    """How often the store has failed it."""
    swept_at: float = float("inf")
    """When it last asked what is overdue: it gives back that, and no more."""


@dataclass(slots=True)
class Clock:
    """Seconds that pass, and that jump, as the world says."""

    seconds: float = DAY_ONE

    def __call__(self) -> float:
        return self.seconds
