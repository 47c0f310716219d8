"""A URL of PostgreSQL, and what in it is meant for this library."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from langchain_budget.errors import UnknownStore, UnusableStore
from langchain_budget.stores._postgres_connections import Target

SECONDS: Final = 10.0
"""How long a question may take, with all that is tried again."""

CONNECTIONS: Final = 10
"""How many there are at most in a process, and in each loop."""

_OURS: Final = frozenset({"book", "connections", "prepare", "timeout"})
_SHORTEST_CONNECT_SECONDS: Final = 2


class Address(NamedTuple):
    """Where the books are, and how they are asked."""

    target: Target
    where: str
    """For people; without the password."""
    book: str
    seconds: float


def address_of(url: str, book: str) -> Address:
    """
    Read *url*; a book that it names is meant, not *book*.

    Raises:
        UnknownStore: An option of ours makes no sense.
        UnusableStore: The rest is nothing that libpq understands.
    """
    base, _, query = url.partition("?")
    theirs: list[str] = []
    ours: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name in _OURS:
            ours[name] = unquote_plus(value)
        else:
            theirs.append(part)
    rest = f"{base}?{'&'.join(theirs)}" if theirs else base
    seconds = _number(ours, "timeout", SECONDS)
    most = _number(ours, "connections", CONNECTIONS)
    prepares = _switch(ours, "prepare")
    conninfo, where = _conninfo(rest, seconds)
    target = Target(conninfo, int(most), prepares)
    return Address(target, where, ours.get("book", book), seconds)


def _conninfo(url: str, seconds: float) -> tuple[str, str]:
    """What libpq gets, and what people are told."""
    defaults: dict[str, Any] = {
        "fallback_application_name": "langchain-budget",
        "client_encoding": "utf8",
        "connect_timeout": max(int(seconds), _SHORTEST_CONNECT_SECONDS),
    }
    try:
        given = conninfo_to_dict(url)
        conninfo = make_conninfo(**(defaults | given))
    except psycopg.ProgrammingError as error:
        shown = _without_password(url)
        reason = _without_password(str(error)).strip()
        msg = f"store {shown!r}: {reason}; give postgresql://user@host:port/database"
        raise UnusableStore(msg) from None  # the cause may tell the password
    host, port = given.get("host", ""), given.get("port", "")
    place = f"{host}:{port}" if port else host
    return conninfo, f"postgresql://{place}/{given.get('dbname', '')}"


def _number(options: dict[str, str], name: str, default: float) -> float:
    given = options.get(name, "")
    try:
        number = float(given or default)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        msg = f"store option {name}={given!r}: give a number above zero"
        raise UnknownStore(msg)
    return number


def _switch(options: dict[str, str], name: str) -> bool:
    given = options.get(name, "yes")
    if given not in ("yes", "no"):
        msg = f"store option {name}={given!r}: give yes or no"
        raise UnknownStore(msg)
    return given == "yes"


def _without_password(text: str) -> str:
    """Leave out what stands between a user's name and a host, or after `password=`."""
    text = re.sub(r"(//[^/@:]*):[^@/]*@", r"\1:...@", text)
    return re.sub(r"(password=)[^&\s]*", r"\1...", text)
