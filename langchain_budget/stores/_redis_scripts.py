"""The scripts, and the keys of a book that they are given."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha1
from importlib.resources import files
from typing import Final, NamedTuple

_TEXTS: Final = files("langchain_budget.stores") / "lua"

PREFIX: Final = "langchain-budget:"

_KEYS: Final = ("ledger", "due", "journal", "names", "mortal")


class Script(NamedTuple):
    """What a server is asked to run, by its hash once it knows it."""

    text: str
    sha: str


def _script(*names: str) -> Script:
    text = "\n".join((_TEXTS / f"{name}.lua").read_text("utf-8") for name in names)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


OPENING: Final = _script("opening")
SCRIPTS: Final[Mapping[str, Script]] = {
    "hold": _script("book", "judging", "applying", "hold", "undoing"),
    "post": _script("book", "judging", "applying", "post", "undoing"),
    "read": _script("book", "reading"),
}
"""By the command of a question."""


def keys_of(book: str) -> tuple[bytes, ...]:
    """
    All keys of a book; what stands in braces keeps them together in a cluster.

    >>> keys_of("a{b}")[0]
    b'langchain-budget:{a%7Bb%7D}:ledger'
    """
    name = book.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return tuple(f"{PREFIX}{{{name}}}:{key}".encode() for key in _KEYS)
