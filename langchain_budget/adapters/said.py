"""What a model says in one piece of a stream, in text or in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

_SPOKEN: Final = frozenset({"reasoning", "refusal", "summary", "text", "thinking"})


def said(content: object) -> str:
    """Text and thoughts; of tool calls nothing, their arguments stand elsewhere."""
    return content if isinstance(content, str) else "".join(_texts(content))


def _texts(content: object) -> Iterator[str]:
    for block in content if isinstance(content, list) else ():
        told = block if isinstance(block, Mapping) else {"text": block}
        for name in _SPOKEN & told.keys():
            yield said(told[name])
