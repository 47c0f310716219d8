"""From the pool's events to lines that a person can follow; nothing is printed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from langchain_budget.core.amounts import CALLS, INPUT_TOKENS, OUTPUT_TOKENS, USD
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

NANOS_IN_A_MILLIONTH: Final = 1_000


class Line(NamedTuple):
    """One line: what kind it is, whom it is about, and what it says."""

    kind: str
    who: str
    text: str


CAPTIONS: Final[Mapping[str, str]] = {
    "supervisor": "The supervisor asks a model who works next.",
    "research": "Research is a subgraph: two nodes, one account.",
    "analysts": (
        "The analysts fan out: one call for each of five topics, all at once. "
        "Each must set aside what it may cost before it is sent."
    ),
    "writer": "The writer is an agent with tools; one of them calls a model itself.",
    "refused": (
        "Refused before anything is sent: what is left could not pay for it, "
        "so it costs nothing."
    ),
    "frozen": "An operator freezes who ran out of money. The others go on.",
    "others": "One agent is frozen, the others still spend what is theirs.",
    "moved": "The operator moves budget over from an agent that has plenty.",
    "revived": "The analysts may spend again.",
    "finished": "And they finish what they had to leave.",
}
"""Said once each, when it first happens."""

UNTOLD: Final[Mapping[str, str]] = {
    "refused": "Nobody was refused: the answers were shorter than the limits allow.",
    "frozen": "No agent had to be frozen.",
    "others": "No agent worked while another one was frozen.",
    "moved": "No budget had to be moved.",
    "finished": "No agent came back to finish its work.",
}
"""Said at the end of what did not happen, for instance with another model."""


class Story:
    """What has happened so far, so that each thing is explained when it is new."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._frozen: set[str] = set()
        self._revived: set[str] = set()

    def lines(self, event: Event) -> Iterator[Line]:
        """Tell *event*, and explain it the first time."""
        chapter, line = self._chapter(event), line_of(event)
        if chapter in CAPTIONS and chapter not in self._told:
            self._told.add(chapter)
            yield Line("caption", "", CAPTIONS[chapter])
        if line is not None:
            yield line

    def untold(self) -> list[str]:
        """What might have happened and did not."""
        return [text for chapter, text in UNTOLD.items() if chapter not in self._told]

    def _chapter(self, event: Event) -> str:
        match event:
            case Reserved(account=account) if CALLS in event.amounts:
                return self._spending(account)
            case Refused():
                return "refused"
            case AccountFrozen(account=account, unit=""):
                self._frozen.add(account)
                return "frozen"
            case AccountThawed(account=account, unit="") if account in self._frozen:
                self._frozen.remove(account)
                self._revived.add(account)
                return "revived"
            case Transferred():
                return "moved"
        return ""

    def _spending(self, account: str) -> str:
        """An agent is new, or it is back, or it goes on while another cannot."""
        agent = name_of(account)
        if agent not in self._told:
            return agent
        if account in self._revived:
            return "finished"
        return "others" if self._frozen else ""


def line_of(event: Event) -> Line | None:
    """One line about an event, or none for what is of no interest here."""
    match event:
        case Settled() if CALLS in event.amounts:
            return Line("paid", caller(event.labels), paid(event))
        case Refused():
            return Line("refused", caller(event.labels), refused(event))
        case AccountFrozen(account=account, unit=""):
            return Line("frozen", name_of(account), event.reason)
        case AccountThawed(account=account, unit=""):
            return Line("thawed", name_of(account), "")
        case Transferred(account=account, payee=payee):
            moved = amount(event.amount.unit, event.amount.value)
            return Line("moved", name_of(account), f"{moved} to {name_of(payee)}")
        case ThresholdCrossed(account=account):
            share = event.mark // 10_000
            return Line("warned", name_of(account), f"{share} % of its limit is spent")
    return None


def paid(event: Settled) -> str:
    """What a call cost, by the provider's own count where it gave one."""
    sums = event.amounts
    cost = amount(USD, sums[USD]) if USD in sums else "no price"
    told = f"{sums[INPUT_TOKENS]:>6,} in {sums[OUTPUT_TOKENS]:>6,} out  {cost:>10}"
    return told if event.basis.is_final else f"{told}  estimated"


def refused(event: Refused) -> str:
    """Why a call was refused, in numbers where there are any."""
    refusal = event.refusal
    if not refusal.unit:
        return f"{name_of(refusal.account)} is {refusal.kind}"
    left = amount(refusal.unit, refusal.balance.available or 0)
    return f"may cost {amount(refusal.unit, refusal.wanted)}, {left} left"


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
    millionths = -(-value // NANOS_IN_A_MILLIONTH)
    return f"${millionths // 1_000_000:,}.{millionths % 1_000_000:06d}"
