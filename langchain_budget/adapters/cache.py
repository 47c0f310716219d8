"""Answers and results that were paid for once, kept for all who ask again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from threading import Lock
from typing import Any, Final, NamedTuple

from langchain_core.caches import BaseCache
from langchain_core.outputs import ChatGeneration, Generation
from typing_extensions import override

from langchain_budget.adapters.shelf import (
    MISS,
    MOST_ENTRIES,
    TTL_SECONDS,
    Miss,
    Shelf,
    copied,
)
from langchain_budget.core.amounts import USD, Amount, countable
from langchain_budget.core.faults import UnitMismatch
from langchain_budget.leases.lease import CLOCK, Clock

__all__ = ["MISS", "ResultCache", "SharedCache"]


class SharedCache(BaseCache):
    """
    Answers of models, for all agents that are given it: `Model(cache=cache)`.

    The second of two equal calls costs nothing, and reports show what it would have
    cost as avoided. Prompts are not kept, only their hashes; answers are. Everybody
    gets a copy with no id, so that a graph takes it for a message of its own.

    The framework does not ask caches for `stream` and `astream`.

    Args:
        ttl_seconds: An answer is good while it is younger; `None` is for ever.
        max_entries: How many are kept; then the oldest goes.
        clock: Seconds that only ever rise.

    Raises:
        InvalidAmount: The arguments make no sense.

    >>> from langchain_budget import BudgetCallbackHandler, BudgetPool, tokens
    >>> from langchain_budget.testing import FakeChatModel
    >>> pool = BudgetPool("acme", tokens(100))
    >>> config = {"callbacks": [BudgetCallbackHandler(pool)]}
    >>> model = FakeChatModel(replies=["Hi."], usage=(8, 2), cache=SharedCache())
    >>> for _ in range(3):
    ...     answer = model.invoke("Hello", config)
    >>> print(pool.balance("tokens").spent, pool.report().total.cached)
    10 tokens 2
    """

    def __init__(
        self,
        *,
        ttl_seconds: float | None = TTL_SECONDS,
        max_entries: int = MOST_ENTRIES,
        clock: Clock = CLOCK,
    ) -> None:
        self._shelf = Shelf(ttl_seconds, max_entries, clock)

    @override
    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        found = self._shelf.get(_hash([prompt, llm_string]))
        return None if isinstance(found, Miss) else found

    @override
    def update(
        self, prompt: str, llm_string: str, return_val: Sequence[Generation]
    ) -> None:
        kept = copied(list(return_val))
        if isinstance(kept, Miss):
            return
        for each in kept:
            if isinstance(each, ChatGeneration):
                each.message.id = None
        self._shelf.put(_hash([prompt, llm_string]), kept)

    @override
    def clear(self, **kwargs: Any) -> None:
        self._shelf.clear()

    @override
    async def alookup(
        self, prompt: str, llm_string: str
    ) -> Sequence[Generation] | None:
        return self.lookup(prompt, llm_string)

    @override
    async def aupdate(
        self, prompt: str, llm_string: str, return_val: Sequence[Generation]
    ) -> None:
        self.update(prompt, llm_string, return_val)

    @override
    async def aclear(self, **kwargs: Any) -> None:
        self.clear()


class ResultCache:
    """
    Results of tools, for all agents that call them.

    What has no key, or cannot be copied, is not kept, and is no error: it is a miss
    each time. Everybody gets a copy.

    Args:
        ttl_seconds: A result is good while it is younger; `None` is for ever.
        max_entries: How many are kept; then the oldest goes.
        clock: Seconds that only ever rise.

    Raises:
        InvalidAmount: The arguments make no sense.

    >>> from langchain_budget import usd
    >>> cache = ResultCache()
    >>> for _ in range(3):
    ...     key = cache.key("search", {"query": "budgets"})
    ...     found = cache.get(key)
    ...     if found is MISS:
    ...         found = "three books"
    ...         cache.set(key, found, cost=usd("0.002"))
    >>> print(cache.hits, cache.misses, cache.saved)
    2 1 $0.004
    """

    def __init__(
        self,
        *,
        ttl_seconds: float | None = TTL_SECONDS,
        max_entries: int = MOST_ENTRIES,
        clock: Clock = CLOCK,
    ) -> None:
        self._shelf = Shelf(ttl_seconds, max_entries, clock)
        self._lock = Lock()
        self._hits = self._misses = self._saved = 0

    @staticmethod
    def key(tool: str, params: Any) -> str | None:
        """
        The same for the same tool and parameters, in whatever order they are.

        `None` when they have no JSON, such as a set or an object.
        """
        try:
            return _hash({"tool": tool, "params": _canonical(params)})
        except (RecursionError, TypeError, ValueError):
            return None

    def get(self, key: str | None) -> Any:
        """A copy of what is kept under *key*, or `MISS`."""
        found = MISS if key is None else self._shelf.get(key)
        with self._lock:
            if isinstance(found, Miss):
                self._misses += 1
                return MISS
            self._hits += 1
            self._saved += found.cost
        return found.result

    def set(self, key: str | None, result: Any, *, cost: Amount | None = None) -> None:
        """
        Keep *result* under *key*; without a key, do not.

        Args:
            key: What `key` has returned.
            result: Anything that can be copied, also `None`.
            cost: Dollars that it has cost, and that each hit saves.

        Raises:
            InvalidAmount, UnitMismatch: The cost is no amount of dollars.
        """
        value = _dollars(cost)
        kept = copied(_Result(result, value))
        if key is not None and not isinstance(kept, Miss):
            self._shelf.put(key, kept)

    def clear(self) -> None:
        """Forget all results; the counts stay."""
        self._shelf.clear()

    @property
    def hits(self) -> int:
        """How often something was found."""
        return self._hits

    @property
    def misses(self) -> int:
        """How often nothing was."""
        return self._misses

    @property
    def saved(self) -> Amount:
        """Dollars that the hits have not cost."""
        return Amount(USD, self._saved)


class _Result(NamedTuple):
    result: Any
    cost: int


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """The same with keys that are all strings, and still tell `1` from `"1"`."""
    if isinstance(value, Mapping):
        return {_name(key): _canonical(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(each) for each in value]
    return value


def _name(key: Any) -> str:
    """A key of a mapping; what is no string is marked, and so is what looks like it."""
    if isinstance(key, str) and not key.startswith(_MARK):
        return key
    return _MARK + json.dumps(key, allow_nan=False)


def _dollars(cost: Amount | None) -> int:
    if cost is None:
        return 0
    if countable(cost).unit != USD:
        msg = f"{cost!r}: what a result has cost is counted in dollars, like usd(1)"
        raise UnitMismatch(msg)
    return cost.value


_MARK: Final = "\0"
