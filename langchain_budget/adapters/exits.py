"""How a call ended when it did not end well, and whether it can have cost money."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from types import FrameType, TracebackType
from typing import Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import (
    ModelConnectionError,
    ModelError,
    ModelTimeoutError,
)
from langgraph.errors import GraphInterrupt

from langchain_budget.errors import BudgetError, BudgetRefused, refused

NEVER_SENT: Final = frozenset(
    {
        "ClientConnectorError",
        "ConnectError",
        "ConnectTimeout",
        "ConnectTimeoutError",
        "ConnectionRefusedError",
        "EndpointConnectionError",
        "InvalidURL",
        "LocalProtocolError",
        "NameResolutionError",
        "NewConnectionError",
        "PoolTimeout",
        "UnsupportedProtocol",
        "gaierror",
    }
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

ANSWERED: Final = frozenset({"APIError", "APIStatusError", "EventStreamError"})
"""What clients raise where a stream says that there will be no answer."""

NOT_MADE: Final = (BudgetRefused, GraphInterrupt, NotImplementedError)
"""Raised instead of a call."""

ERRORS: Final = range(400, 600)
"""HTTP's statuses of an error."""

GATEWAY_TIMEOUTS: Final = frozenset({504, 524})
"""
Of HTTP's statuses, those of a gateway that did not wait: the model may have answered.

Google's client says 504 also when it has not waited itself. The second is Cloudflare's.
"""

_STARTS: Final = frozenset({"on_chat_model_start", "on_llm_start"})
_LATER: Final = frozenset({"on_llm_new_token", "on_stream_event", "on_llm_end"})
"""What handlers are told of a model that was reached."""


def costs_nothing(error: BaseException) -> bool:
    """
    Whether a model call that ended in *error* was certainly not billed.

    That is so if a budget refused it, if the provider answered with an error, or if
    it never reached the provider. Of anything else nobody knows: also not of an error
    in a client, which it may have made of an answer that was paid.
    """
    if not isinstance(error, Exception) or _was_reached(error):
        return False
    if isinstance(error, NOT_MADE):
        return True
    if _is_lost(error):
        return not may_have_cost(error)
    reasons = tuple(_reasons(error))
    return _never_sent(reasons) or any(map(_is_answer, reasons))


def may_have_cost(error: BaseException) -> bool:
    """
    Whether what ended in *error* was cut off, so that it may have cost all the same.

    That is so if it was cancelled, abandoned, timed out or lost its reply, and if
    its answer cannot be read.
    """
    if not isinstance(error, Exception) or type(error).__name__ in UNREADABLE:
        return True
    return _is_lost(error) and not _never_sent(causes(error))


def _is_lost(error: BaseException) -> bool:
    lost = isinstance(error, ModelConnectionError | ModelTimeoutError | TimeoutError)
    return lost or any(each.__name__ == TRANSPORT for each in type(error).__mro__)


def _never_sent(errors: Iterable[BaseException]) -> bool:
    names = (each.__name__ for error in errors for each in type(error).__mro__)
    return any(name in NEVER_SENT for name in names)


def _is_answer(error: BaseException) -> bool:
    """Whether the provider has answered with an error, and so has not billed."""
    if type(error).__name__ in UNREADABLE:
        return False
    status = _status(error)
    if status is not None:
        return status not in GATEWAY_TIMEOUTS
    return isinstance(error, ModelError) or type(error).__name__ in ANSWERED


def _status(error: BaseException) -> int | None:
    """The status of HTTP that an error carries, wherever its client puts it."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # as AWS's client has it
        response = response.get("ResponseMetadata") or {}
        told = [response.get("HTTPStatusCode")]
    else:
        told = [getattr(each, name, None) for each in (error, response) for name in _AT]
    found = (each for each in told if isinstance(each, int) and each in ERRORS)
    return next(found, None)


_AT: Final = ("status_code", "code", "status", "http_status")


def causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and what was being handled meanwhile."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """
    The error and what it was raised from.

    Not what was being handled: that may be the end of another call, to which this
    one was to be the alternative.
    """
    reason: BaseException | None = error
    while reason is not None:
        yield reason
        reason = reason.__cause__


def again(error: BaseException) -> Callable[[], BudgetError]:
    """
    What refuses the same call to those who hear of it later, without keeping *error*.

    An error keeps all that was going on where it was raised.
    """
    if isinstance(error, BudgetRefused):
        return partial(refused, error.refusal)
    why = f"another handler of this call has raised {type(error).__name__}"
    return partial(BudgetError, why)


def vetoed_run(error: BaseException) -> UUID | None:
    """
    The run that another handler refused, if *error* is such a refusal.

    The framework reports no end for that run; its id stands in the frame that
    called the handlers. The model was never reached.
    """
    for event, run_id in _dispatched(error):
        if event in _STARTS:
            return run_id if isinstance(run_id, UUID) else None
    return None


def _was_reached(error: BaseException) -> bool:
    """Whether a handler raised it that was told what the model has answered."""
    return any(event in _LATER for event, _ in _dispatched(error))


_DISPATCHERS: Final = frozenset(
    {"handle_event", "_ahandle_event_for_handler", "ahandle_event"}
)


def _dispatched(error: BaseException) -> Iterator[tuple[str, object]]:
    """The events that were being told when *error* was raised, and of which run."""
    for frame in _frames(error.__traceback__):
        if frame.f_code.co_name in _DISPATCHERS:
            local = frame.f_locals
            run_id = (local.get("kwargs") or {}).get("run_id")
            yield str(local.get("event_name", "")), run_id


def _frames(traceback: TracebackType | None) -> Iterator[FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


class AllHeard(BaseCallbackHandler):
    """
    Stands behind all handlers of a call until each of them has heard of its start.

    While it has not been told, one of them may have refused the call; afterwards the
    model is called.
    """

    told = False

    def __init__(self, handlers: list[BaseCallbackHandler]) -> None:
        self._handlers = handlers

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Nobody has refused: step back."""
        self.told = True
        self._handlers[:] = [each for each in self._handlers if each is not self]

    on_llm_start = on_chat_model_start


def all_heard() -> AllHeard | None:
    """
    Find out whether handlers behind the one that hears of a start now refuse it.

    `None` if that cannot be told: asynchronous starts are told in no order.
    """
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  # no event tells it
    for _ in range(8):
        if frame is None or frame.f_code.co_name in _DISPATCHERS:
            break
        frame = frame.f_back
    handlers = frame.f_locals.get("handlers") if frame else None
    is_sync = frame is not None and frame.f_code.co_name == "handle_event"
    return _behind(handlers) if is_sync and isinstance(handlers, list) else None


def _behind(handlers: list[BaseCallbackHandler]) -> AllHeard:
    """One for all who ask: if the first of two stepped back, the other was skipped."""
    last = handlers[-1]
    if not isinstance(last, AllHeard):
        last = AllHeard(handlers)
        handlers.append(last)
    return last


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
