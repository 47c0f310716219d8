"""Whether a server can keep books, asked when a store is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    ReadOnlyError,
)

from langchain_budget.errors import StoreError, UnknownStore, UnusableStore
from langchain_budget.ids import new_id
from langchain_budget.stores._redis_connections import (
    FAILURES,
    Address,
    Client,
    Connections,
)
from langchain_budget.stores._redis_scripts import OPENING, PREFIX, keys_of

SCHEMA: Final = "1"
"""The number of the layout of keys that this release knows."""

_OLDEST: Final = (6, 2)
_FORBIDDEN: Final = ("permission", "user executing the script can't")
"""How servers say that a user may not do something, within a script or not."""


class Opened(NamedTuple):
    """A book, found or made."""

    connections: Connections
    epoch: str
    seq: int


def open_book(address: Address, book: str) -> Opened:
    """
    Connect, see whether the server will do, and find the book, or make it.

    Raises:
        UnusableStore: The message says what is wrong and what to do.
        StoreError: The server cannot be reached, or is not ready.
        UnknownStore: The URL has an option that redis-py does not know.
    """
    connections = Connections(address)
    try:
        with _said(address.where):
            info = _info(connections.client())
            if info.get("cluster_enabled"):
                connections.close()
                connections = Connections(address, cluster=True)
            _check_server(address.where, info)
            epoch, seq = _find(connections.client(), address.where, book)
    except BaseException:
        connections.close()
        raise
    return Opened(connections, epoch, seq)


def _info(client: Client) -> Mapping[str, Any]:
    """What the server tells of itself; nothing, where that is forbidden."""
    try:
        info: Mapping[str, Any] = client.info()
    except NoPermissionError:
        return {}
    return info


def _check_server(where: str, info: Mapping[str, Any]) -> None:
    version = str(info.get("redis_version", ""))
    if version and tuple(map(int, version.split(".")[:2])) < _OLDEST:
        msg = f"the Redis at {where} is {version}: 6.2 or newer is needed, or Valkey"
        raise UnusableStore(msg)
    policy = str(info.get("maxmemory_policy", ""))
    if policy.startswith("allkeys") and info.get("maxmemory"):
        raise UnusableStore(
            f"the Redis at {where} throws keys away when its memory is full "
            f"({policy}), and books with them: set maxmemory-policy noeviction"
        )


def _find(client: Client, where: str, book: str) -> tuple[str, int]:
    keys = keys_of(book)
    word, *found = (
        each.decode()
        for each in client.eval(OPENING.text, len(keys), *keys, SCHEMA, new_id())
    )
    if word == "schema":
        raise UnusableStore(
            f"the book {book!r} at {where} was made by another release (layout "
            f"{found[0]}, this one knows {SCHEMA}): upgrade langchain-budget"
        )
    if word == "foreign":
        key, kind = found
        raise UnusableStore(
            f"the key {key!r} at {where} is not ours, or what is left of a damaged "
            f"book ({kind}): name another book, or remove it"
        )
    epoch, seq = found
    return epoch, int(seq)


@contextmanager
def _said(where: str) -> Iterator[None]:
    """Say of what redis-py raises whether it can mend itself."""
    try:
        yield
    except AuthenticationError as error:
        msg = f"the Redis at {where} does not let us in ({error}): check the password"
        raise UnusableStore(msg) from error
    except ReadOnlyError as error:
        msg = f"the Redis at {where} is a replica that only reads: give its primary"
        raise UnusableStore(msg) from error
    except FAILURES as error:
        if not any(words in str(error) for words in _FORBIDDEN):
            raise StoreError(f"the Redis at {where} failed: {error}") from error
        msg = (
            f"the Redis at {where} forbids something ({error}): the user needs rights "
            f"to run scripts, and to read and write keys that begin {PREFIX}"
        )
        raise UnusableStore(msg) from error
    except TypeError as error:
        raise UnknownStore(f"store at {where}: {error}") from error
