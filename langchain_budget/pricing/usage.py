"""What one model call used, in token buckets that do not overlap."""

from __future__ import annotations

from collections.abc import Mapping
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


class Terms(NamedTuple):
    """What a request asks for that decides which buckets its tokens may go into."""

    tier: str = ""
    """The service tier that is asked for; empty for the standard one."""
    writes: bool = False
    """Whether input may be written to a cache."""
    for_an_hour: bool = False
    """Whether it may be kept there for an hour."""
    audio: bool = False
    """Whether there is audio in the input."""
    voice: bool = False
    """Whether the answer may be audio."""

    def buckets(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """
        Where input and output may go: positions in a Usage.

        Any input may be read from a cache, and any output may be reasoning.
        """
        into = {
            "input": True,
            "cache_read": True,
            "cache_write": self.writes,
            "cache_write_1h": self.for_an_hour,
            "input_audio": self.audio,
        }
        out = {"output": True, "reasoning": True, "output_audio": self.voice}
        return _positions(into), _positions(out)


def _positions(wanted: Mapping[str, bool]) -> tuple[int, ...]:
    return tuple(Usage._fields.index(name) for name, is_so in wanted.items() if is_so)
