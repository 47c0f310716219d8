"""What a guard leaves in the state of a graph when it turns away from a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict  # schemas of a state need it

from langchain_budget.core.amounts import show
from langchain_budget.errors import BudgetExceeded, BudgetRefused, InvalidPolicy


class BudgetNote(TypedDict):
    """
    Why a graph went another way; plain values, as a checkpoint keeps them.

    Attributes:
        kind: `exhausted`, `contended`, `too_large`, `frozen`, `closed` or `store`.
        account: Where it was lacking.
        unit: What was lacking, such as `usd`; empty where it was no amount.
        wanted: What the step would have needed, as text: `$0.02`.
        available: What there was, as text.
        remedy: What to do about it.
        message: All of it in words.
        step: The node that was not run.
        incomplete: True: the graph was not done when its budget was.
    """

    kind: str
    account: str
    unit: str
    wanted: str
    available: str
    remedy: str
    message: str
    step: str
    incomplete: bool


def note_of(refusal: BudgetRefused, step: str) -> BudgetNote:
    """What is to be said of *refusal*, for which *step* was not run."""
    short = isinstance(refusal, BudgetExceeded)
    said = refusal.refusal
    return BudgetNote(
        kind=refusal.kind,
        account=refusal.account,
        unit=said.unit if short else "",
        wanted=show(said.unit, said.wanted) if short else "",
        available=show(said.unit, said.balance.available) if short else "",
        remedy=refusal.remedy,
        message=str(refusal),
        step=step,
        incomplete=True,
    )


def update_of(
    config: RunnableConfig, key: str | None, step: str, refusal: BudgetRefused | None
) -> dict[str, Any] | None:
    """
    What a guard of *step* writes into the state under *key*.

    A note; or nothing, but `None` over a note of its own that does not hold any more.

    Raises:
        InvalidPolicy: The state has no such key.
    """
    if key is None:
        return None
    held = _held(config, key)
    if refusal is not None:
        return {key: note_of(refusal, step)}
    mine = isinstance(held, Mapping) and held.get("step") == step
    return {key: None} if mine else None


def _held(config: RunnableConfig, key: str) -> object:
    """What the state has under *key*; nothing outside of a graph."""
    read = (config.get("configurable") or {}).get("__pregel_read")
    try:
        return read(key) if read else None
    except KeyError:
        msg = (
            f"note={key!r}: the state of this graph has no such key; declare it, like "
            f"`{key}: dict | None` in the TypedDict of StateGraph(...), or leave note= "
            f"out"
        )
        raise InvalidPolicy(msg) from None
