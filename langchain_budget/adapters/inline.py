"""Where an event loop tells our handlers what happens, and that it tells them all."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager


class HeardHandler(BaseCallbackHandler):
    """
    A handler that hears of every start, and keeps no other from hearing of it.

    An event loop calls handlers on itself if they say that they `run_inline`, and
    others on threads. Of the start of a model that completes plain text, LangChain
    tells those on threads only if there are no others (langchain-core 1.7): a handler
    on threads would not hear of a call at all while a tracer runs inline, and one of
    ours that runs inline would leave out all of the user's. So there it sides with
    the others; where it is then called, it is asked once more.
    """

    @property
    def run_inline(self) -> bool:  # type: ignore[override]  # the base has a constant
        """Whether it may run on the event loop: when it does not block."""
        others = _told_of_text(sys._getframe(1))  # noqa: SLF001  # nobody says who asks
        if others is None:
            return not self._blocks()
        return any(each.run_inline for each in others)

    def _blocks(self) -> bool:
        return False


_STARTS_TEXT: Final = "on_llm_start"
_COMPREHENSION: Final = "<listcomp>"
"""A frame of its own up to Python 3.11."""


def _told_of_text(asks: FrameType) -> list[BaseCallbackHandler] | None:
    """The others, if it is asked who is told that a model begins to complete text."""
    frame: FrameType | None = asks
    if asks.f_code.co_name == _COMPREHENSION:
        frame = asks.f_back
    if frame is None or frame.f_code.co_name != _STARTS_TEXT:
        return None
    manager = frame.f_locals.get("self")
    if not isinstance(manager, BaseCallbackManager):
        return None
    return [each for each in manager.handlers if not isinstance(each, HeardHandler)]
