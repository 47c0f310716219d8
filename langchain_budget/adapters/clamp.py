"""How long an answer may be so that what is left pays for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from langchain_budget.adapters.charges import held
from langchain_budget.adapters.requests import Request
from langchain_budget.core.amounts import OUTPUT_TOKENS, TOKENS, USD
from langchain_budget.pricing.prices import Price

SMALLEST_ANSWER: Final = 64
"""Output tokens below which an answer is not worth its input: refuse instead."""

UNCAPPED_ANSWER: Final = 8_192
"""Output tokens held for a model that states no maximum and was given no cap."""

_NAMES: Final = {"google_genai": "max_output_tokens"}
"""Providers whose clients call the cap something else than `max_tokens`."""


class Clamp(NamedTuple):
    """The most that comes out, and whether the model must be told."""

    output_tokens: int
    told: bool

    def settings(self, provider: str) -> dict[str, int]:
        """Model settings that cap the answer; none when it needs no capping."""
        if not self.told:
            return {}
        return {_NAMES.get(provider, "max_tokens"): self.output_tokens}


def clamp_of(request: Request, price: Price | None, left: Mapping[str, int]) -> Clamp:
    """
    The longest answer up to the request's own cap that *left* pays for.

    When not even a small answer fits, the whole request is asked for, so that the
    refusal names what it would have taken.
    """
    most = request.worst_output
    if not request.capped:
        most = max(most, UNCAPPED_ANSWER)
    if _fits(request, price, left, most):
        return Clamp(most, told=False)
    longest = _longest(request, price, left, most)
    floor = min(SMALLEST_ANSWER, most)
    return Clamp(longest, told=True) if longest >= floor else Clamp(floor, told=True)


def _longest(
    request: Request, price: Price | None, left: Mapping[str, int], most: int
) -> int:
    """By halving: costs only rise with the length of the answer."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(request, price, left, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _fits(
    request: Request, price: Price | None, left: Mapping[str, int], output: int
) -> bool:
    wanted = held(request, price, output)
    return all(
        wanted.get(unit, 0) <= left[unit]
        for unit in (USD, TOKENS, OUTPUT_TOKENS)
        if unit in left
    )
