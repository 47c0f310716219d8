"""
Run one conversation with a store, blocking or awaiting.

A *talk* is a generator that yields questions and is sent the answers. Its logic
is written once; these two functions are the only place where sync and async differ.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar

from langchain_budget.core.postings import Posting
from langchain_budget.stores._queue import Place
from langchain_budget.stores.base import Store

Result = TypeVar("Result")


class Ask(NamedTuple):
    """One call of a store's reading method; a `Posting` is asked as itself."""

    method: str
    args: tuple[Any, ...] = ()


class Pause(NamedTuple):
    """Wait until it is worth trying again, or so many seconds at the most."""

    place: Place
    seconds: float


Talk = Generator[Posting | Ask | Pause, Any, Result]


def drive(talk: Talk[Result], store: Store) -> Result:
    """Run *talk* against *store*, waiting for each answer."""
    try:
        ask = next(talk)
        while True:
            try:
                answer = store.post(ask) if type(ask) is Posting else _reply(ask, store)
            except BaseException as error:
                ask = talk.throw(error)
            else:
                ask = talk.send(answer)
    except StopIteration as done:
        result: Result = done.value
        return result


async def adrive(talk: Talk[Result], store: Store) -> Result:
    """Run *talk* against *store*, awaiting each answer."""
    try:
        ask = next(talk)
        while True:
            try:
                if type(ask) is Posting:
                    answer = await store.apost(ask)
                else:
                    answer = await _areply(ask, store)
            except BaseException as error:
                ask = talk.throw(error)
            else:
                ask = talk.send(answer)
    except StopIteration as done:
        result: Result = done.value
        return result


def _reply(ask: Any, store: Store) -> Any:
    if isinstance(ask, Pause):
        return ask.place.wait(ask.seconds)
    return getattr(store, ask.method)(*ask.args)


async def _areply(ask: Any, store: Store) -> Any:
    if isinstance(ask, Pause):
        return await ask.place.await_(ask.seconds)
    return await getattr(store, f"a{ask.method}")(*ask.args)
