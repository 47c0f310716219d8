"""Waiting for a blocking call without blocking the loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import TypeVar

_Answer = TypeVar("_Answer")


async def in_thread(ask: Callable[..., _Answer], *args: object) -> _Answer:
    """
    Call *ask* in a thread of the loop's pool.

    Whoever is cancelled meanwhile goes on only when the call is done or was never
    begun: what is said next, such as a release, must not overtake it.
    """
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    call = loop.run_in_executor(None, partial(context.run, ask, *args))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        if not call.cancelled():
            call.exception()  # whoever was cancelled does not care
        raise
