"""A store between whose steps a test can do something else: a race, forced."""

import asyncio
from collections.abc import Callable

from langchain_budget import MemoryStore
from langchain_budget.core.postings import Posting, Receipt, Refusal


class InterruptedStore(MemoryStore):
    """
    Before it takes the next posting of a kind, it does what *before* says, once.

    Whoever awaits that it takes a *stuck* kind waits for ever.
    """

    def __init__(self, *clock: Callable[[], float]) -> None:
        super().__init__(*clock)
        self.before: dict[str, Callable[[], object]] = {}
        self.stuck: set[str] = set()
        self.reached = asyncio.Event()

    def post(self, posting: Posting) -> Receipt | Refusal:
        interruption = self.before.pop(posting.kind, None)
        if interruption is not None:
            interruption()
        return super().post(posting)

    async def apost(self, posting: Posting) -> Receipt | Refusal:
        if posting.kind in self.stuck:
            self.reached.set()
            await asyncio.Event().wait()
        return self.post(posting)
