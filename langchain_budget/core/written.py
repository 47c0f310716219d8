"""What people write: numbers, units, keys and reasons."""

from __future__ import annotations

import re
from typing import Final

from langchain_budget.core.amounts import (
    CALLS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    TOKENS,
    USD,
)
from langchain_budget.core.faults import InvalidAmount, InvalidName

UNITS: Final = (
    *(USD, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, CALLS, "tool_calls"),
    *("cached_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens"),
)
"""What hooks count. Other units are meters."""

LONGEST_KEY: Final = 500
"""Characters: indexes of databases take no rows of any size."""

_GROUPED: Final = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?")


def ungrouped(number: str) -> str:
    """
    A number without the commas that group its thousands.

    Raises:
        InvalidAmount: A comma does something else: `1,5` may be a decimal comma.

    >>> ungrouped("1,234.50")
    '1234.50'
    """
    if "," in number and not _GROUPED.fullmatch(number):
        msg = (
            f"{number!r}: a comma may only group thousands, as in '1,234.50'; write a "
            f"point before decimals, as in '1.50'"
        )
        raise InvalidAmount(msg)
    return number.replace(",", "")


def built_in(unit: str) -> str:
    """A unit as it is called here, if it is one that hooks count; others stay."""
    said = unit.strip()
    return said.lower() if said.lower() in UNITS else said


def writable(text: str) -> str:
    r"""
    A text that can be written as UTF-8: halves of characters are spelt out.

    >>> print(writable("caf\udce9"))
    caf\udce9
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def check_key(key: object) -> str:
    """
    A key that every store can keep; empty is none.

    Raises:
        InvalidName: It is no text, too long, or has what cannot be printed.
    """
    if isinstance(key, str) and len(key) <= LONGEST_KEY and key.isprintable():
        return key
    msg = f"key {key!r:.60}: give text of at most {LONGEST_KEY} printable characters"
    raise InvalidName(msg)


def check_reason(reason: object) -> str:
    """
    A reason for the journal, as every store can keep it.

    Raises:
        InvalidName: It is no text.
    """
    if not isinstance(reason, str):
        msg = f"reason {reason!r:.60}: give text, like 'invoice 17'"
        raise InvalidName(msg)
    return writable(reason)


def checked(reason: object, key: object) -> tuple[str, str]:
    """Both, as they can be kept."""
    return check_reason(reason), check_key(key)
