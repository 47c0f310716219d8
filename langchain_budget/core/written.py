"""Numbers and units as people write them."""

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
from langchain_budget.core.faults import InvalidAmount

UNITS: Final = (
    *(USD, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, CALLS, "tool_calls"),
    *("cached_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens"),
)
"""What hooks count. Other units are meters."""

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
