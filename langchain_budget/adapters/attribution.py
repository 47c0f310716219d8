"""Who makes a call: read from the metadata that the framework attaches to a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from langchain_budget.core.accounts import SEPARATOR
from langchain_budget.ledger import Ledger

ACCOUNT_KEY: Final = "budget_account"
"""Metadata under this key names the account: `metadata={"budget_account": "web"}`."""

GENERIC: Final = frozenset({"model", "agent", "tools", "LangGraph", "__start__"})
"""Node names that every agent has; they tell nobody apart."""


KNOWN: Final = frozenset(
    {"agent", "node", "tool", "thread", "model", "provider", "run"}
)
"""Labels that calls have whatever their metadata says."""


class Caller(NamedTuple):
    """Names to look for among accounts, most telling first, and what is written."""

    names: tuple[str, ...]
    agent: str
    node: str


def caller_of(metadata: Mapping[str, Any] | None) -> Caller:
    """
    The caller of a run.

    Names, in order: the metadata's `budget_account`, the agent's name, the segments
    of the checkpoint namespace from the innermost outwards, the node.
    """
    if not metadata:
        return _NOBODY
    return _caller(
        _text(metadata.get(ACCOUNT_KEY)),
        _text(metadata.get("lc_agent_name")),
        _text(metadata.get("langgraph_checkpoint_ns")),
        _text(metadata.get("langgraph_node")),
    )


@lru_cache(maxsize=4096)
def segments(namespace: str) -> tuple[str, ...]:
    """
    The nodes of a checkpoint namespace, outermost first, ids and indexes cut.

    >>> segments("research:6bcd|1|writer:77aa|model:01")
    ('research', 'writer')
    """
    names = (part.partition(":")[0] for part in namespace.split("|"))
    return tuple(name for name in names if _telling(name))


def _telling(name: str) -> bool:
    hook = name.endswith((".before_model", ".after_model", ".before_agent"))
    return bool(name) and not name.isdigit() and name not in GENERIC and not hook


@lru_cache(maxsize=4096)
def _caller(explicit: str, agent: str, namespace: str, node: str) -> Caller:
    inside = segments(namespace)
    names = _distinct([explicit, agent, *reversed(inside), node])
    shown = explicit or agent or (inside[0] if inside else node)
    return Caller(tuple(_escape(name) for name in names), shown, node)


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name))


def _escape(name: str) -> str:
    """A label may hold anything; an account's name may not hold a separator."""
    return name.replace(SEPARATOR, "%2F")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


_NOBODY: Final = Caller((), "", "")


def divided_by(ledger: Ledger, metadata: Mapping[str, Any]) -> dict[str, str]:
    """
    What the metadata of a call says of the labels that its books are divided by.

    `None` says nothing, and an empty text neither; 0 and `False` are values.
    """
    labels = (label for each in ledger.each for label in each.labels)
    return {
        label: str(metadata[label])
        for label in labels
        if metadata.get(label) is not None and label not in KNOWN
    }
