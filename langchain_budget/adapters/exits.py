"""How a call ended when it did not end well, and whether it can have cost money."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Iterator
from itertools import chain
from types import FrameType, TracebackType
from typing import Final
from uuid import UUID

from langchain_core.exceptions import ModelConnectionError, ModelTimeoutError

NEVER_SENT: Final = frozenset(
    {"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "PoolTimeout"}
)
"""Transport errors from before a request left; told by name, clients differ."""

TRANSPORT: Final = "TransportError"
"""What httpx calls its own; Anthropic's client lets it through in a stream."""

UNREADABLE: Final = frozenset(
    {
        "APIResponseValidationError",
        "ContentFilterFinishReasonError",
        "JSONDecodeError",
        "LengthFinishReasonError",
        "ValidationError",
    }
)
"""What clients raise about an answer that came, such as one cut short in its JSON."""

_STARTS: Final = frozenset({"on_chat_model_start", "on_llm_start"})


def may_have_cost(error: BaseException) -> bool:
    """
    Whether a call that ended in *error* may have been billed all the same.

    A call that was cancelled, abandoned, timed out or lost its reply may: the
    provider had the request. So may one whose answer the client cannot read. One
    that the provider answered with an error, or that never reached it, does not.
    """
    if isinstance(error, GeneratorExit | asyncio.CancelledError | KeyboardInterrupt):
        return True
    if type(error).__name__ in UNREADABLE:
        return True
    lost = isinstance(error, ModelConnectionError | ModelTimeoutError | TimeoutError)
    if lost or any(each.__name__ == TRANSPORT for each in type(error).__mro__):
        return not any(type(each).__name__ in NEVER_SENT for each in causes(error))
    return False


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def vetoed_run(error: BaseException) -> UUID | None:
    """
    The run that another handler refused, if *error* is such a refusal.

    The framework reports no end for that run; its id stands in the frame that
    called the handlers. The model was never reached.
    """
    for frame in _frames(error.__traceback__):
        local = frame.f_locals
        if frame.f_code.co_name not in _DISPATCHERS:
            continue
        if local.get("event_name") in _STARTS:
            run_id = (local.get("kwargs") or {}).get("run_id")
            return run_id if isinstance(run_id, UUID) else None
    return None


_DISPATCHERS: Final = frozenset(
    {"handle_event", "_ahandle_event_for_handler", "ahandle_event"}
)


def _frames(traceback: TracebackType | None) -> Iterator[FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def plain_invoke() -> bool:
    """
    Whether the call that starts now is synchronous and not streamed.

    Such a call reports its end whatever happens, unless another handler refused it.
    """
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  # no event tells it
    for _ in range(8):
        if frame is None or frame.f_code.co_name == "generate":
            break
        frame = frame.f_back
    home = frame.f_globals.get("__name__", "") if frame else ""
    return str(home).startswith("langchain_core.language_models")


def close_unheard() -> None:
    """
    Close what the framework has prepared for handlers after ours.

    Called before a refusal is raised on an event loop: the framework then drops
    these coroutines, and Python would warn that nobody awaited them.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # nobody hands them over
    for _ in range(8):
        if frame is None:
            return
        if frame.f_code.co_name in _STARTS and "inline_tasks" in frame.f_locals:
            prepared = (frame.f_locals.get(name, ()) for name in _PREPARED)
            for coroutine in chain.from_iterable(prepared):
                if inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED:
                    coroutine.close()
            return
        frame = frame.f_back


_PREPARED: Final = ("inline_tasks", "non_inline_tasks")
