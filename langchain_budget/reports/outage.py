"""What a process has to say about a store that does not answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from langchain_budget.core.amounts import Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageStatus:
    """
    How this process treats calls while its store does not answer.

    Attributes:
        policy: In words: `closed`, `open up to $0.50`, `leases of $1.00`.
        down: Whether the store did not answer when it was last asked.
        since: When the last outage began, in seconds since 1970 by this process's
            clock; `None` if there was none.
        calls: How many calls were admitted in it.
        used: What they have used and hold.
        error: What the store said, or what the connection to it did.
    """

    policy: str
    down: bool = False
    since: float | None = None
    calls: int = 0
    used: tuple[Amount, ...] = ()
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        used = {each.unit: each.value for each in self.used}
        names = ("policy", "down", "since", "calls", "error")
        return {name: getattr(self, name) for name in names} | {"used": used}

    def __str__(self) -> str:
        policy = f"When the store does not answer: {self.policy}."
        if self.since is None:
            return policy
        began = datetime.fromtimestamp(self.since, UTC).isoformat(" ", "seconds")
        used = ", ".join(map(str, self.used)) or "nothing"
        when = f"since {began}" if self.down else f"last from {began} on"
        state = "It does not answer" if self.down else "It did not answer"
        return f"{policy} {state} {when}: {self.calls} calls, {used} ({self.error})."
