"""
The rules of a budget at their plainest: nothing is kept that can be counted again.

It knows the money of one unit and the tokens that nobody limits, has no ids, no
postings and no versions, and is slow. The library must say what it says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from langchain_budget.core.postings import Kind

SLICE, SHARED = "slice", "shared"
ALL: Final = 1_000_000
"""A share of everything, in millionths."""


class No(Exception):
    """The model refuses: it says why, where, what was wanted and what is left."""


@dataclass(eq=False)
class Node:
    name: str
    parent: Node | None = None
    kind: str = SHARED
    granted: int | None = None
    frozen: bool = False
    closed: bool = False

    @property
    def path(self) -> str:
        return "/".join(each.name for each in reversed(self.line()))

    def line(self) -> list[Node]:
        """Itself and those above it, up to the root."""
        return [self, *(self.parent.line() if self.parent else [])]

    def walk(self) -> list[Node]:
        """Whom a charge draws on: itself and those above, up to the first slice."""
        above = self.parent.walk() if self.parent and self.kind != SLICE else []
        return [self, *above]


@dataclass(eq=False)
class Hold:
    node: Node
    amount: int
    until: float
    started: bool = False
    status: str = "open"
    charged: int = 0
    reported: bool = False


@dataclass
class Naive:
    root: Node
    nodes: list[Node] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    charges: list[tuple[Node, int]] = field(default_factory=list)
    tokens: int = 0

    def __post_init__(self) -> None:
        self.nodes.append(self.root)

    def spent(self, node: Node) -> int:
        return sum(amount for at, amount in self.charges if node in at.line())

    def held(self, node: Node) -> int:
        mine = (hold for hold in self.holds if node in hold.node.walk())
        return sum(hold.amount for hold in mine if hold.status == "open")

    def available(self, node: Node) -> int | None:
        if node.granted is None:
            return None
        used = sum(amount for at, amount in self.charges if node in at.walk())
        lent = sum(
            each.granted or 0
            for each in self.nodes
            if each.kind == SLICE and each.parent and node in each.parent.walk()
        )
        return node.granted - used - self.held(node) - lent

    def open(self, parent: Node, name: str, kind: str, granted: int | None) -> Node:
        self._admit(parent)
        if kind == SLICE and granted:
            self._afford(parent, granted)
        node = Node(name, parent, kind, granted)
        self.nodes.append(node)
        return node

    def share(self, parent: Node, name: str, millionths: int) -> Node:
        """Carve out some of what the parent has left, though that may be nothing."""
        left = [self.available(each) for each in parent.walk()]
        least = min(each for each in left if each is not None)
        return self.open(parent, name, SLICE, max(least * millionths // ALL, 1))

    def reserve(
        self, node: Node, amount: int, until: float, *, started: bool = False
    ) -> Hold:
        self._admit(node)
        self._afford(node, amount)
        hold = Hold(node, amount, until, started)
        self.holds.append(hold)
        return hold

    def settle(self, hold: Hold, amount: int | None, tokens: int = 0) -> None:
        """Charge *amount*; what was held, when nobody knows."""
        reported = amount is not None or tokens > 0
        if hold.status == "released":
            raise No
        nothing_yet = hold.status == "expired" and not hold.started
        if hold.status != "open" and (hold.reported or not (reported or nothing_yet)):
            return
        charge = hold.amount if amount is None else amount
        self._charge(hold, charge, "settled")
        self.tokens += tokens
        hold.reported = reported

    def release(self, hold: Hold) -> None:
        if hold.status == "settled":
            raise No
        if hold.status == "open":
            self._charge(hold, 0, "released")

    def expire(self, now: float) -> None:
        for hold in self.holds:
            if hold.status == "open" and hold.until <= now:
                self._charge(hold, hold.amount * hold.started, "expired")

    def close(self, node: Node) -> None:
        for each in self.nodes:
            each.closed = each.closed or node in each.line()
        for each in reversed(self.nodes):
            if node in each.line():
                self._drain(each)

    def top_up(self, node: Node, amount: int) -> None:
        if node.granted is None:
            raise No
        self._open(node)
        if node.kind == SLICE and node.parent:
            self._admit(node.parent)
            self._afford(node.parent, amount)
        node.granted += amount

    def set_limit(self, node: Node, amount: int) -> None:
        self._open(node)
        if node.kind == SLICE and node.parent and node.granted is not None:
            more = max(amount - node.granted, -max(self.available(node) or 0, 0))
            if more > 0:
                self._admit(node.parent)
                self._afford(node.parent, more)
            amount = node.granted + more
        node.granted = amount

    def transfer(self, payer: Node, payee: Node, amount: int) -> None:
        if payer is payee or payer.granted is None or payee.granted is None:
            raise No
        top = next(node for node in payer.line() if node in payee.line())
        givers, takers = self._purses(payer, top), self._purses(payee, top)
        ends = {payer, payee} - {top}
        if len(ends) != 2 and not any(  # both ends
            node.kind == SLICE for node in (*givers, *takers)
        ):
            raise No
        self._admit(payer)
        self._open(payee)
        self._trade(givers, takers, amount)

    def leaf(self, node: Node) -> Node:
        """Go down to where nothing is open below."""
        for each in self.nodes:
            if each.parent is node and not each.closed:
                return self.leaf(each)
        return node

    def move(self, node: Node, parent: Node, name: str) -> Node:
        """Its money or cap goes along; what it has spent and holds stays."""
        for each in (node, *parent.line()):
            self._open(each)
        taken = f"{parent.path}/{name}" in {each.path for each in self.nodes}
        if taken or node in parent.line() or self.leaf(node) is not node:
            raise No
        above = [each for each in node.line()[1:] if each not in parent.line()]
        for each in above:
            if each.frozen:
                raise No(Kind.FROZEN, each.path)
        moved = Node(name, parent, node.kind, None, node.frozen)
        self.nodes.append(moved)
        if node.granted is not None:
            self._carry(node, moved)
        node.closed = True
        return moved

    def _carry(self, node: Node, moved: Node) -> None:
        givers, takers = [node], [moved]
        if node.kind == SLICE:
            top = next(each for each in node.line() if each in moved.line())
            givers, takers = self._purses(node, top), self._purses(moved, top)
        try:
            self._trade(givers, takers, max(self.available(node) or 0, 0))
        except No:
            self.nodes.remove(moved)
            raise

    def _trade(self, givers: list[Node], takers: list[Node], amount: int) -> None:
        """No money is made or lost, and nobody gives what it has not."""
        before = {node: self.available(node) for node in self.nodes}
        self._grant(givers, -amount)
        self._grant(takers, amount)
        for node, had in before.items():
            has = self.available(node)
            if had is not None and has is not None and has < min(had, 0):
                self._grant(givers, amount)
                self._grant(takers, -amount)
                raise No

    def _purses(self, node: Node, top: Node) -> list[Node]:
        """What changes hands: the account's own limit, and the slices it is in."""
        inside = node.line()[: node.line().index(top)]
        return [each for each in inside if each is node or each.kind == SLICE]

    def _grant(self, nodes: list[Node], amount: int) -> None:
        for node in nodes:
            node.granted = (node.granted or 0) + amount

    def _open(self, node: Node) -> None:
        if node.closed:
            raise No(Kind.CLOSED, node.path)

    def _admit(self, node: Node) -> None:
        for each in node.line():
            self._open(each)
            if each.frozen:
                raise No(Kind.FROZEN, each.path)

    def _afford(self, node: Node, amount: int) -> None:
        for each in node.walk():
            left = self.available(each)
            if left is not None and left < amount:
                quiet = left + self.held(each)
                kind = Kind.CONTENDED if quiet >= amount else Kind.EXHAUSTED
                raise No(kind, each.path, amount, left)

    def _charge(self, hold: Hold, amount: int, status: str) -> None:
        self.charges.append((hold.node, amount - hold.charged))
        hold.status, hold.charged = status, amount
        self._spill(hold.node)
        self._drain(hold.node)

    def _spill(self, node: Node) -> None:
        purse = node.walk()[-1]
        over = -(self.available(purse) or 0)
        if purse.kind == SLICE and purse.parent and over > 0:
            purse.granted = (purse.granted or 0) + over
            self._spill(purse.parent)

    def _drain(self, node: Node) -> None:
        for each in node.line():
            left = self.available(each) or 0
            if each.kind == SLICE and each.closed and left > 0:
                each.granted = (each.granted or 0) - left


@dataclass
class Windows:
    """A limit that begins anew with each window; what is held is charged there."""

    ceiling: int
    held: Counter[int] = field(default_factory=Counter)
    spent: Counter[int] = field(default_factory=Counter)

    def reserve(self, window: int, now: int, amount: int) -> None:
        if window != now:
            raise No(Kind.OUTSIDE, "")
        left = self.ceiling - self.held[window] - self.spent[window]
        if left < amount:
            quiet = left + self.held[window]
            kind = Kind.CONTENDED if quiet >= amount else Kind.EXHAUSTED
            raise No(kind, "", amount, left)
        self.held[window] += amount

    def close(self, window: int, held: int, amount: int) -> None:
        self.held[window] -= held
        self.spent[window] += amount
