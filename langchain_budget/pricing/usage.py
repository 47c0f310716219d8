"""What one model call used, in token buckets that do not overlap."""

from __future__ import annotations

from typing import NamedTuple


class Usage(NamedTuple):
    """
    Tokens of one call; each token is in exactly one bucket, so they add up.

    A provider counts cached tokens as input and reasoning as output once more: those
    totals are `total_input` and `total_output` here. Counts are zero or more.

    >>> Usage(input=200, cache_read=800, output=20, reasoning=30).total
    1050
    """

    input: int = 0
    """Plain input: text, images and files that no cache had or took."""
    cache_read: int = 0
    cache_write: int = 0
    """Written to a cache for its default time, which is five minutes with Anthropic."""
    cache_write_1h: int = 0
    input_audio: int = 0
    output: int = 0
    """Plain output: text and tool calls."""
    reasoning: int = 0
    output_audio: int = 0
    tier: str = ""
    """The service tier that the provider says it served: "flex", "priority", …"""

    @property
    def total_input(self) -> int:
        """All tokens that went in."""
        plain = self.input + self.input_audio
        return plain + self.cache_read + self.cache_write + self.cache_write_1h

    @property
    def total_output(self) -> int:
        """All tokens that came out."""
        return self.output + self.reasoning + self.output_audio

    @property
    def total(self) -> int:
        """All tokens, in and out."""
        return self.total_input + self.total_output
