"""What an account is, beside its limits: how important, whether it may trade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from langchain_budget.core.accounts import Row, Spec
from langchain_budget.core.faults import InvalidName, InvalidPriority, told

PRIORITIES: Final = range(1, 11)
MIDDLE_PRIORITY: Final = 5
"""Of an account that nobody gave one, nor any above it."""

_PRIORITY: Final = "priority"
_TRADEABLE: Final = "tradeable"
_ENFORCED: Final = "enforced"
_META: Final = "meta:"
_NO: Final = "no"


class Traits(NamedTuple):
    """
    What an account was said to be when it was opened.

    Attributes:
        priority: From 1 to 10, the more the more important; 0 is that of its parent.
        tradeable: Whether its budget may be given to others, and theirs to it.
        enforced: Whether its own limits stop calls, or are only watched.
        metadata: Whatever its owner wants to find again.
    """

    priority: int = 0
    tradeable: bool = True
    enforced: bool = True
    metadata: Mapping[str, str] = {}

    def labels(self) -> tuple[tuple[str, str], ...]:
        """As a specification keeps them; what nobody said is left out."""
        found = {f"{_META}{key}": value for key, value in self.metadata.items()}
        if self.priority:
            found[_PRIORITY] = str(self.priority)
        if not self.tradeable:
            found[_TRADEABLE] = _NO
        if not self.enforced:
            found[_ENFORCED] = _NO
        return tuple(sorted(found.items()))


def traits_of(spec: Spec) -> Traits:
    """What a specification says of an account."""
    found = dict(spec.labels)
    start = len(_META)
    return Traits(
        int(found.get(_PRIORITY, "0")),
        found.get(_TRADEABLE) != _NO,
        found.get(_ENFORCED) != _NO,
        {key[start:]: said for key, said in found.items() if key.startswith(_META)},
    )


def check_priority(priority: Any) -> int:
    """
    A priority from 1 to 10.

    Raises:
        InvalidPriority: It is anything else, such as 0, 11, `True` or 5.0.
    """
    if type(priority) is not int or priority not in PRIORITIES:
        raise InvalidPriority(priority)
    return int(priority)


def check_metadata(metadata: Any, what: str = "metadata") -> Mapping[str, str]:
    """Metadata that can be kept: text by text."""
    if not isinstance(metadata, Mapping | None):
        msg = f"{what}={told(metadata)}: give a mapping of text by text"
        raise InvalidName(msg)
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            msg = f"{what} {key!r}: {value!r}: give text by text"
            raise InvalidName(msg)
    return dict(metadata or {})


def priority_of(rows: tuple[Row, ...]) -> int:
    """That of the innermost account that has one; 5 where none has."""
    said = (traits_of(row.spec).priority for row in rows)
    return next((each for each in said if each), MIDDLE_PRIORITY)
