"""Where an event loop tells our handlers what happens, and that it tells them all."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final
from weakref import WeakValueDictionary

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

    On threads all are told at once. Which of them comes first in the list they learn
    from whoever has that list, who asks each of them where it runs.
    """

    @property
    def run_inline(self) -> bool:  # type: ignore[override]  # the base has a constant
        """Whether it may run on the event loop: when it does not block."""
        start, manager = _starting(sys._getframe(1))  # noqa: SLF001  # nobody says who
        if manager is None:
            return not self._blocks()
        _TELLING[id(manager.metadata)] = manager
        if start == _STARTS_CHAT:
            return not self._blocks()
        return any(
            each.run_inline
            for each in manager.handlers
            if not isinstance(each, HeardHandler)
        )

    def _blocks(self) -> bool:
        return False

    def told_before(self, metadata: object) -> list[HeardHandler]:
        """
        Those of ours that stand before this one in the list, and are told at once.

        Args:
            metadata: What all of them are told with the start.
        """
        manager = _TELLING.get(id(metadata))
        if manager is None or manager.metadata is not metadata:
            return []
        ours = [each for each in manager.handlers if isinstance(each, HeardHandler)]
        return ours[: ours.index(self)] if self in ours else []


_STARTS_CHAT: Final = "on_chat_model_start"
_STARTS: Final = frozenset({_STARTS_CHAT, "on_llm_start"})
_COMPREHENSION: Final = "<listcomp>"
"""A frame of its own up to Python 3.11."""

_TELLING: Final[WeakValueDictionary[int, BaseCallbackManager]] = WeakValueDictionary()
"""The lists of handlers that are being told of a start on an event loop."""


def _starting(asks: FrameType) -> tuple[str, BaseCallbackManager | None]:
    """Which start somebody tells of who asks who runs inline, if it is that."""
    frame: FrameType | None = asks
    if asks.f_code.co_name == _COMPREHENSION:
        frame = asks.f_back
    if frame is None or frame.f_code.co_name not in _STARTS:
        return "", None
    manager = frame.f_locals.get("self")
    is_one = isinstance(manager, BaseCallbackManager)
    return frame.f_code.co_name, manager if is_one else None
