"""From what a user names a store by, to the store."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from langchain_budget.errors import MissingExtra, UnknownStore, UnusableStore
from langchain_budget.stores.base import Store
from langchain_budget.stores.memory import MemoryStore

Clock = Callable[[], float]

BOOK: Final = "budget"
"""The book of whoever names none; a pool's is called as the pool is."""

EXAMPLES: Final = (
    "None, 'memory://', 'sqlite:///budget.db', 'postgresql://user@host/database', "
    "'redis://host:6379/0', or a Store object"
)


def open_store(
    store: Store | str | None,
    *,
    book: str = BOOK,
    clock: Clock | None = None,
    create: bool = True,
) -> Store:
    """
    The store itself, or the one that a URL names; `None` is a private memory.

    Args:
        store: A store, or a URL such as `sqlite:///budget.db`.
        book: Which of the books that are kept there.
        clock: Seconds since 1970, for tests; otherwise the store's own.
        create: Whether a file may be made that is not there.

    Raises:
        UnknownStore: The URL makes no sense; the message says what is expected.
        MissingExtra: The driver is not installed.
        UnusableStore, StoreError: What is there cannot keep books.
    """
    if isinstance(store, Store):
        return store
    if store is None:
        store = "memory://"
    if not isinstance(store, str):
        raise _unknown(store, "is no store")
    scheme = store.partition("://")[0] if "://" in store else ""
    if scheme not in _OPENERS:
        raise _unknown(_without_password(store), "names no store")
    options: dict[str, Any] = {"book": book}
    if clock is not None:
        options["clock"] = clock
    if scheme == "sqlite" and not create:
        _need_file(store)
    return _OPENERS[scheme](store, options)


def _unknown(given: object, why: str) -> UnknownStore:
    return UnknownStore(f"store {given!r} {why}: give {EXAMPLES}")


def _without_password(url: str) -> str:
    """Leave out what stands between the user's name and the host."""
    return re.sub(r"(//[^/@:]*):[^@/]*@", r"\1:...@", url)


def _memory(url: str, options: Mapping[str, Any]) -> Store:
    if url != "memory://":
        raise _unknown(url, "has too much in it")
    return MemoryStore(**{"clock": options["clock"]} if "clock" in options else {})


def _sqlite(url: str, options: Mapping[str, Any]) -> Store:
    parts = urlsplit(url)
    path = unquote(parts.path)[1:]
    if parts.netloc or not path or path == ":memory:":
        why = "names no file; three slashes stand before one, four before a path from /"
        raise _unknown(url, why)
    return _module("sqlite").SqliteStore(path, **options, **_sqlite_options(url))  # type: ignore[no-any-return]  # a module loaded by name


def _need_file(url: str) -> None:
    path = unquote(urlsplit(url).path)[1:]
    if path and not Path(path).is_file():
        msg = f"there is no file {path!r}: check the store's URL, or make a pool there"
        raise UnusableStore(msg)


def _sqlite_options(url: str) -> dict[str, Any]:
    """What stands behind the question mark."""
    found: dict[str, Any] = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    odd = found.keys() - {"wait_seconds", "synchronous"}
    if odd:
        known = "wait_seconds and synchronous"
        raise UnknownStore(f"store {url!r}: {', '.join(sorted(odd))}? It takes {known}")
    if "wait_seconds" in found:
        try:
            found["wait_seconds"] = float(found["wait_seconds"])
        except ValueError as error:
            msg = f"store {url!r}: wait_seconds is a number of seconds"
            raise UnknownStore(msg) from error
    return found


def _postgres(url: str, options: Mapping[str, Any]) -> Store:
    store: Store = _module("postgres", needs="psycopg").PostgresStore(url, **options)
    return store


def _redis(url: str, options: Mapping[str, Any]) -> Store:
    store: Store = _module("redis", needs="redis").RedisStore(url, **options)
    return store


def _module(name: str, needs: str = "") -> ModuleType:
    """The store's module; its driver is an extra of the same name."""
    try:
        return import_module(f"langchain_budget.stores.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != needs:
            raise
        raise MissingExtra(name, needs) from error


_OPENERS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], Store]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgres": _postgres,
    "postgresql": _postgres,
    "redis": _redis,
    "rediss": _redis,
    "unix": _redis,
}
