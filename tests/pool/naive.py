"""
The rules of a budget at their plainest: nothing is kept that can be counted again.

It knows the money of one unit, has no ids, no postings and no versions, and is slow.
The library must say what it says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SLICE, SHARED = "slice", "shared"


class No(Exception):  # it is what the model says
    """The model refuses."""


@dataclass(eq=False)
class Node:
    name: str
    parent: Node | None = None
    kind: str = SHARED
    granted: int | None = None
    frozen: bool = False
    closed: bool = False

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
    until: int
    status: str = "open"


@dataclass
class Naive:
    root: Node
    nodes: list[Node] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    charges: list[tuple[Node, int]] = field(default_factory=list)

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

    def reserve(self, node: Node, amount: int, until: int) -> Hold:
        self._admit(node)
        self._afford(node, amount)
        hold = Hold(node, amount, until)
        self.holds.append(hold)
        return hold

    def settle(self, hold: Hold, amount: int) -> None:
        if hold.status == "released":
            raise No
        if hold.status == "settled":
            return
        hold.status = "settled"
        self.charges.append((hold.node, amount))
        self._spill(hold.node)
        self._drain(hold.node)

    def release(self, hold: Hold) -> None:
        if hold.status == "settled":
            raise No
        if hold.status == "open":
            hold.status = "released"
            self._drain(hold.node)

    def expire(self, now: int) -> None:
        for hold in self.holds:
            if hold.status == "open" and hold.until <= now:
                hold.status = "expired"
                self._drain(hold.node)

    def close(self, node: Node) -> None:
        for each in self.nodes:
            each.closed = each.closed or node in each.line()
        for each in reversed(self.nodes):
            if node in each.line():
                self._drain(each)

    def top_up(self, node: Node, amount: int) -> None:
        if node.granted is None or node.closed:
            raise No
        if node.kind == SLICE and node.parent:
            self._admit(node.parent)
            self._afford(node.parent, amount)
        node.granted += amount

    def set_limit(self, node: Node, amount: int) -> None:
        if node.closed:
            raise No
        if node.kind == SLICE and node.parent and node.granted is not None:
            more = max(amount - node.granted, -max(self.available(node) or 0, 0))
            if more > 0:
                self._admit(node.parent)
                self._afford(node.parent, more)
            amount = node.granted + more
        node.granted = amount

    def transfer(self, payer: Node, payee: Node, amount: int) -> None:
        self._admit(payer)
        if payee.closed or payer.granted is None or payee.granted is None:
            raise No
        top = next(node for node in payer.line() if node in payee.line())
        givers, takers = self._purses(payer, top), self._purses(payee, top)
        ends = {payer, payee} - {top}
        if len(ends) != 2 and not any(  # both ends
            node.kind == SLICE for node in (*givers, *takers)
        ):
            raise No
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

    def _admit(self, node: Node) -> None:
        if any(each.frozen or each.closed for each in node.line()):
            raise No

    def _afford(self, node: Node, amount: int) -> None:
        for each in node.walk():
            left = self.available(each)
            if left is not None and left < amount:
                raise No

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
