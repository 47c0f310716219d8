"""From what a user names a store by, to the store."""

from __future__ import annotations

from langchain_budget.errors import UnknownStore
from langchain_budget.stores.base import Store
from langchain_budget.stores.memory import MemoryStore


def open_store(store: Store | str | None) -> Store:
    """The store itself, or the one that a URL names; `None` is a private memory."""
    if isinstance(store, Store):
        return store
    if store is None or store == "memory://":
        return MemoryStore()
    msg = (
        f"store {store!r}: this release keeps books in memory only; "
        f"give None, 'memory://', or a Store object"
    )
    raise UnknownStore(msg)
