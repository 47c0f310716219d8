"""From a pool's events to lines that a person can follow; nothing is printed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import singledispatch
from typing import Final, NamedTuple

from langchain_budget.core.amounts import (
    CALLS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    TOKENS,
    USD,
)
from langchain_budget.events import (
    AccountFrozen,
    AccountThawed,
    Event,
    Refused,
    Reserved,
    Settled,
    ThresholdCrossed,
    Transferred,
)

CAPTIONS: Final = {
    "supervisor": "The supervisor asks a model who works next.",
    "research": "Research is a subgraph: two nodes, one account.",
    "analysts": (
        "The analysts fan out: one call for each of five topics, all at once. "
        "Before it is sent, each sets aside the most it may cost."
    ),
    "writer": "The writer is an agent with tools; one of them calls a model itself.",
    "refused": (
        "Too little is left for this one: it is refused before anything is sent, "
        "and costs nothing."
    ),
    "frozen": (
        "An operator freezes the agent that ran out. The others go on with what "
        "is theirs."
    ),
    "moved": (
        "The operator gives the frozen agent some of what another has left, "
        "and thaws it."
    ),
    "finished": "It finishes what it had to leave.",
}
"""Said once each, when it first happens."""

UNTOLD: Final = {
    "refused": "nobody was refused, the calls cost less than the limits allow",
    "frozen": "no agent ran out and was frozen",
    "moved": "no budget had to be moved",
    "finished": "no agent came back to finish its work",
}
"""Said at the end of what did not happen, for instance with another model."""

CHAPTERS: Final[Mapping[type[Event], str]] = {
    Refused: "refused",
    AccountFrozen: "frozen",
    Transferred: "moved",
}


class Line(NamedTuple):
    """One line: what kind it is, whom it is about, and what it says."""

    kind: str
    who: str
    text: str


class Story:
    """What was told so far, so that each thing is explained when it is new."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._thawed: set[str] = set()

    def lines(self, event: Event) -> Iterator[Line]:
        """Tell *event*, and explain it the first time."""
        chapter = self._chapter(event)
        if chapter in CAPTIONS and chapter not in self._told:
            self._told.add(chapter)
            yield Line("caption", "", CAPTIONS[chapter])
        line = line_of(event)
        if line is not None:
            yield line

    def untold(self) -> list[str]:
        """What might have happened and did not."""
        return [text for chapter, text in UNTOLD.items() if chapter not in self._told]

    def _chapter(self, event: Event) -> str:
        if isinstance(event, AccountThawed):
            self._thawed.add(event.account)
        if isinstance(event, Reserved) and CALLS in event.amounts:
            back = event.account in self._thawed
            return "finished" if back else name_of(event.account)
        return CHAPTERS.get(type(event), "")


@singledispatch
def line_of(_: Event) -> Line | None:
    """One line about an event, or none for what is of no interest here."""
    return None


@line_of.register
def _(event: Settled) -> Line | None:
    sums = event.amounts
    if CALLS not in sums:
        return None
    unit = USD if USD in sums else TOKENS
    cost = amount(unit, sums[unit])
    told = f"{sums[INPUT_TOKENS]:>6,} in {sums[OUTPUT_TOKENS]:>6,} out  {cost:>12}"
    known = told if event.basis.is_final else f"{told}  estimated"
    return Line("paid", caller(event.labels), known)


@line_of.register
def _(event: Refused) -> Line:
    refusal = event.refusal
    if not refusal.unit:
        told = f"{name_of(refusal.account)} is {refusal.kind}"
        return Line("refused", caller(event.labels), told)
    left = amount(refusal.unit, refusal.balance.available or 0)
    wanted = amount(refusal.unit, refusal.wanted)
    told = f"may cost {wanted}, {left} free"
    return Line("refused", caller(event.labels), told)


@line_of.register
def _(event: AccountFrozen) -> Line:
    return Line("frozen", name_of(event.account), event.reason)


@line_of.register
def _(event: AccountThawed) -> Line:
    return Line("thawed", name_of(event.account), event.reason)


@line_of.register
def _(event: Transferred) -> Line:
    moved = amount(event.amount.unit, event.amount.value)
    return Line("moved", name_of(event.account), f"{moved} to {name_of(event.payee)}")


@line_of.register
def _(event: ThresholdCrossed) -> Line:
    told = f"has spent {event.mark // 10_000} % of its limit"
    return Line("warned", name_of(event.account), told)


def caller(labels: Mapping[str, str]) -> str:
    """The agent and, where that says more, its node."""
    agent, node = labels.get("agent", ""), labels.get("node", "")
    return agent if node in ("", agent) else f"{agent}/{node}"


def name_of(account: str) -> str:
    """The last part of an account's path."""
    return account.rpartition("/")[2]


def amount(unit: str, value: int) -> str:
    """A quantity in few characters: dollars to the millionth, rounded up."""
    if unit != USD:
        return f"{value:,} {unit.replace('_', ' ')}"
    millionths = -(-value // 1_000)
    sign = "-" if millionths < 0 else ""
    return f"{sign}${abs(millionths) // 10**6:,}.{abs(millionths) % 10**6:06d}"
