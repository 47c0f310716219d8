"""The prompts of one `generate`: some providers report the usage of all with one."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

from langchain_core.outputs import LLMResult

from langchain_budget.adapters.underway import Call
from langchain_budget.adapters.usage import says_all, says_nothing
from langchain_budget.forks import Lock, new_lock
from langchain_budget.ledger import Ledger


@dataclass(slots=True, eq=False, weakref_slot=True)
class Batch:
    """What the prompts of one `generate` share, on the books of one pool."""

    announced: object
    """Told to handlers with each of its prompts, and with no other."""
    paid: bool = False
    """Whether a prompt has reported what all of them used."""
    unpaid: list[Call] = field(default_factory=list)
    """The calls that have ended without a word of what they used."""
    lock: Lock = field(default_factory=new_lock)

    def included(self, call: Call, result: LLMResult) -> list[Call]:
        """
        The calls that are known, now that *call* has ended, to cost nothing more.

        LangChain gives the usage of a request with several prompts to the first of
        them; handlers on threads may hear of another before.
        """
        with self.lock:
            if says_nothing(result):
                self.unpaid.append(call)
            elif says_all(result):
                self.paid = True
            known: list[Call] = []
            if self.paid:
                known, self.unpaid = self.unpaid, []
        return known


class Batches:
    """Those of calls under way; they are told of by several threads at once."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._known: weakref.WeakValueDictionary[tuple[int, int], Batch] = (
            weakref.WeakValueDictionary()
        )

    def of(self, announced: object, ledger: Ledger) -> Batch:
        """The one of these prompts on these books."""
        with self._lock:
            key = id(announced), id(ledger)
            return self._known.setdefault(key, Batch(announced))
