"""Dividing a budget among agents, by policies, without making or losing any of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Final

from langchain_budget import grants
from langchain_budget.allocating import Change, Decide, Policy, anew, at_most, divide
from langchain_budget.core.amounts import Amount, countable
from langchain_budget.core.policies import rebalance as by_weight
from langchain_budget.core.policies.allocation import Claim, dynamic
from langchain_budget.core.policies.emergency import HIGH, Approval, approve
from langchain_budget.core.policies.rounding import Number
from langchain_budget.core.traits import priority_of
from langchain_budget.errors import BudgetExceeded, InvalidPolicy
from langchain_budget.reporting import balances_of
from langchain_budget.stores._drive import Talk
from langchain_budget.treasury_view import TreasuryView

TWELVE_TENTHS: Final = Decimal("1.2")

_log = logging.getLogger("langchain_budget.changes")


class Treasury(TreasuryView):
    """
    Divides what an account has among the accounts right below it.

    Those that were carved out get more from the account's own free money and return
    what they have too much; caps only change. Each change is one entry of the journal
    with its reason: all of it happens, or nothing, and nothing that somebody has
    spent or holds is taken away. Changes go to the logger `langchain_budget.changes`
    and to listeners, as `events.BudgetChanged`.

    Args:
        account: The pool, or the account that others were opened in.
        unit: What is divided.
        reserve: An account right below that takes no part and pays for emergencies;
            left out, the account's own free money does.
        period_seconds: What usage is counted by; 0 counts each charge by itself.

    >>> from langchain_budget import BudgetPool, Treasury, usd
    >>> pool = BudgetPool("acme", usd(100))
    >>> _ = pool.open("critical", carve=usd(20), priority=9)
    >>> _ = pool.open("background", carve=usd(20), priority=1)
    >>> changes = Treasury(pool).rebalance(reason="a new week")
    >>> print(pool.account("critical").balance().available)
    $34.736842105
    """

    def allocate(
        self, policy: Policy, total: Amount, *, reason: str = ""
    ) -> dict[str, Change]:
        """
        Give everybody what *policy* makes of *total*, whatever they had left before.

        Args:
            policy: Such as `partial(by_priority, minimum=...)`; in whole units.
            total: What all together are to have left; *policy* may leave a rest.
            reason: For the journal.

        Raises:
            BudgetExceeded: The account has not that much free.
            InvalidPolicy: Somebody is named who is not there, or what *policy* gives
                is not whole, is below zero, or is more than *total*.
        """
        return self._ledger.run(self._allocated(policy, total, reason))

    async def aallocate(
        self, policy: Policy, total: Amount, *, reason: str = ""
    ) -> dict[str, Change]:
        """Awaitable twin of `allocate`."""
        return await self._ledger.arun(self._allocated(policy, total, reason))

    def rebalance(
        self, policy: Policy = by_weight.rebalance, *, reason: str = "rebalanced"
    ) -> dict[str, Change]:
        """
        Divide anew what all together have left; the sum stays the same.

        Left out, *policy* weighs priority by 0.7 and usage by 0.3.

        Raises:
            InvalidPolicy: As in `allocate`, or the sum would not stay the same.
        """
        return self._ledger.run(self._rebalanced(policy, reason))

    async def arebalance(
        self, policy: Policy = by_weight.rebalance, *, reason: str = "rebalanced"
    ) -> dict[str, Change]:
        """Awaitable twin of `rebalance`."""
        return await self._ledger.arun(self._rebalanced(policy, reason))

    def set_remaining(
        self, name: str, amount: Amount, *, reason: str = ""
    ) -> dict[str, Change]:
        """Have account *name* have just *amount* left, neither more nor less."""
        decide = _only(name, self._value(amount))
        return self._ledger.run(self._divided(decide, reason))

    async def aset_remaining(
        self, name: str, amount: Amount, *, reason: str = ""
    ) -> dict[str, Change]:
        """Awaitable twin of `set_remaining`."""
        decide = _only(name, self._value(amount))
        return await self._ledger.arun(self._divided(decide, reason))

    def adapt(
        self, name: str, base: Amount, *, multiplier: Number = TWELVE_TENTHS
    ) -> dict[str, Change]:
        """
        Give account *name* what it uses on average times *multiplier*.

        Args:
            name: The account.
            base: What it is given at least.
            multiplier: An exact number; 1.2 when left out.
        """
        decide = _adapted(name, self._value(base), multiplier)
        return self._ledger.run(self._divided(decide, "adapted to its usage"))

    async def aadapt(
        self, name: str, base: Amount, *, multiplier: Number = TWELVE_TENTHS
    ) -> dict[str, Change]:
        """Awaitable twin of `adapt`."""
        decide = _adapted(name, self._value(base), multiplier)
        return await self._ledger.arun(self._divided(decide, "adapted to its usage"))

    def emergency(
        self,
        name: str,
        amount: Amount,
        *,
        reason: str,
        critical: bool | None = None,
        high: int = HIGH,
    ) -> Approval:
        """
        Grant account *name* more out of the reserve, if it is important enough.

        All for a priority of 7 or more, half for what is critical, else nothing; and
        never more than the reserve has. See `core.policies.emergency.approve`.

        Args:
            name: The account.
            amount: What it asks for.
            reason: Why; kept in the journal, it decides nothing.
            critical: Whether somebody with a say called it that.
            high: From which priority on all is granted.
        """
        decide = partial(approve, self._value(amount), high=high, critical=critical)
        return self._ledger.run(self._helped(name, reason, decide))

    async def aemergency(
        self,
        name: str,
        amount: Amount,
        *,
        reason: str,
        critical: bool | None = None,
        high: int = HIGH,
    ) -> Approval:
        """Awaitable twin of `emergency`."""
        decide = partial(approve, self._value(amount), high=high, critical=critical)
        return await self._ledger.arun(self._helped(name, reason, decide))

    def _value(self, amount: Amount) -> int:
        if countable(amount).unit != self.unit:
            msg = f"{amount!r}: this treasury divides {self.unit}"
            raise InvalidPolicy(msg)
        return amount.value

    def _divided(self, decide: Decide, reason: str) -> Talk[dict[str, Change]]:
        changes, events = yield from divide(self._ledger, self._desk, decide, reason)
        for event in events:
            _log.info("%s", event.message)
        return changes

    def _allocated(
        self, policy: Policy, total: Amount, reason: str
    ) -> Talk[dict[str, Change]]:
        whole = self._value(total)
        return (yield from self._divided(at_most(policy, whole, self.unit), reason))

    def _rebalanced(self, policy: Policy, reason: str) -> Talk[dict[str, Change]]:
        decide = anew(policy, self._account.path, self.unit)
        return (yield from self._divided(decide, reason))

    def _helped(
        self, name: str, reason: str, decide: Callable[..., Approval]
    ) -> Talk[Approval]:
        path, payer = self._path(name), self._reserve or self._account.path
        priority = priority_of((yield from self._ledger.route(path)).rows)
        while True:
            left = yield from self._free(payer)
            approval = decide(priority=priority, reason=reason, available=left)
            if not approval.approved:
                return approval
            try:
                yield from self._grant(path, approval.approved, reason)
            except BudgetExceeded as refusal:
                if refusal.account != payer:
                    raise  # an account above has not that much
                continue  # somebody else was helped first: look again
            return approval

    def _grant(self, path: str, value: int, reason: str) -> Talk[None]:
        given = Amount(self.unit, value)
        if self._reserve is None:
            return (yield from grants.top_up(self._ledger, path, given, reason, ""))
        pair = (self._reserve, path)
        return (yield from grants.transfer(self._ledger, pair, given, reason, ""))

    def _free(self, path: str) -> Talk[int]:
        """What an account has left of the unit; without a limit it is no reserve."""
        (balance,) = yield from balances_of(self._ledger, path, self.unit)
        if balance.available is None:
            msg = f"{path!r} has no {self.unit} limit: an emergency needs a reserve"
            raise InvalidPolicy(msg)
        return max(balance.available.value, 0)


def _adapted(name: str, base: int, multiplier: Number) -> Decide:
    def decide(claims: Sequence[Claim]) -> dict[str, int]:
        return {name: dynamic(base, _claim(claims, name).usage, multiplier)}

    return decide


def _only(name: str, value: int) -> Decide:
    def decide(claims: Sequence[Claim]) -> dict[str, int]:
        return {_claim(claims, name).name: value}

    return decide


def _claim(claims: Sequence[Claim], name: str) -> Claim:
    for claim in claims:
        if claim.name == name:
            return claim
    msg = f"{name!r} is not among {', '.join(claim.name for claim in claims)}"
    raise InvalidPolicy(msg)
