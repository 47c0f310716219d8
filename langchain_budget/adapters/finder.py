"""Which account a caller is charged to."""

from __future__ import annotations

import weakref
from collections.abc import Mapping

from langchain_budget.adapters.attribution import Caller
from langchain_budget.core.accounts import SEPARATOR
from langchain_budget.ledger import Ledger


class Finder:
    """
    Finds accounts by the names that callers have.

    Args:
        overrides: Accounts by label, asked before names are compared.
    """

    def __init__(self, overrides: Mapping[str, str] | None = None) -> None:
        self._overrides = dict(overrides or {})
        self._known: tuple[int, dict[tuple[str, tuple[str, ...]], str]] = (-1, {})
        """What was found, and of which generation of accounts: one is no other's."""

    def find(self, ledger: Ledger, base: str, caller: Caller) -> str:
        """The account below *base* that is named like the caller, else *base*."""
        if not caller.names:
            return base
        generation, found = self._known
        if generation != ledger.generation:
            generation, found = self._known = ledger.generation, {}
        key = (base, caller.names)
        path = found.get(key)
        if path is None:
            path = found[key] = self._search(ledger, base, caller.names)
        return path

    def _search(self, ledger: Ledger, base: str, names: tuple[str, ...]) -> str:
        overridden = (self._overrides.get(name) for name in names)
        override = next((path for path in overridden if path), None)
        if override is not None:
            return override
        paths = ledger.run(ledger.open_below(base))
        for name in names:
            matches = [path for path in paths if path.endswith(SEPARATOR + name)]
            if matches:
                return min(matches, key=lambda path: _unlikeness(path, names))
        return base


def _unlikeness(path: str, names: tuple[str, ...]) -> tuple[int, int, str]:
    """Prefer the account whose ancestors the caller names too, then the shallowest."""
    parts = path.split(SEPARATOR)
    shared = sum(part in names for part in parts)
    return (-shared, len(parts), path)


def finder_of(ledger: Ledger) -> Finder:
    """The finder without overrides of these books, made once."""
    return _FINDERS.get(ledger) or _FINDERS.setdefault(ledger, Finder())


_FINDERS: weakref.WeakKeyDictionary[Ledger, Finder] = weakref.WeakKeyDictionary()
