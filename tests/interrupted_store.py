"""A store between whose steps a test can do something else: a race, forced."""

from collections.abc import Callable

from langchain_budget import MemoryStore
from langchain_budget.core.postings import Posting, Receipt, Refusal


class InterruptedStore(MemoryStore):
    """Before it takes the next posting of a kind, it does what *before* says, once."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Callable[[], object]] = {}

    def post(self, posting: Posting) -> Receipt | Refusal:
        interruption = self.before.pop(posting.kind, None)
        if interruption is not None:
            interruption()
        return super().post(posting)
