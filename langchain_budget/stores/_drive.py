"""
Run one conversation with a store, blocking or awaiting.

A *talk* is a generator that yields questions and is sent the answers. Its logic
is written once; these two functions are the only place where sync and async differ.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar

from langchain_budget.core.postings import Posting
from langchain_budget.stores.base import Store

Result = TypeVar("Result")


class Ask(NamedTuple):
    """One call of a store's reading method; a `Posting` is asked as itself."""

    method: str
    args: tuple[Any, ...] = ()


Talk = Generator[Posting | Ask, Any, Result]


def drive(talk: Talk[Result], store: Store) -> Result:
    """Run *talk* against *store*, waiting for each answer."""
    try:
        ask = next(talk)
        while True:
            try:
                if type(ask) is Posting:
                    answer = store.post(ask)
                else:
                    answer = getattr(store, ask[0])(*ask[1])
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
                    answer = await getattr(store, f"a{ask[0]}")(*ask[1])
            except BaseException as error:
                ask = talk.throw(error)
            else:
                ask = talk.send(answer)
    except StopIteration as done:
        result: Result = done.value
        return result
