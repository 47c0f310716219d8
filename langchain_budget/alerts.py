"""Rules for alerts, watched on the balances themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final, Self

from langchain_budget.account import Account, account_of
from langchain_budget.core.accounts import BESIDE, SEPARATOR
from langchain_budget.core.events import Alert
from langchain_budget.core.faults import InvalidPolicy
from langchain_budget.core.policies.thresholds import MONITORING, Rule, Severity
from langchain_budget.core.postings import Change, CounterKey, Note, Posting, Receipt
from langchain_budget.listeners import Listener
from langchain_budget.stores._drive import Talk

_log = logging.getLogger("langchain_budget.alerts")

_LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.MEDIUM: logging.WARNING,
    Severity.CRITICAL: logging.CRITICAL,
}


class Alerts:
    """
    Announces when so much of a limit is used, or so little of it remains.

    What crosses a threshold is known from the entry of the journal that did it, so
    it is announced by the process that wrote that entry and by no other. A rule that
    is `once` is written into the journal as well, and is once for all processes and
    for all time. Announcements go to the logger `langchain_budget.alerts`, to the
    listeners of the pool as `events.Alert`, and to *tell*.

    Args:
        account: What to watch, with all accounts below it.
        rules: See `langchain_budget.core.policies.thresholds`; left out, at 50, 75
            and 90 %, each again when spending rises over it again.
        units: Which limits, by unit; left out, all.
        tell: Called with each `Alert`: where a message to people would be sent.

    >>> from langchain_budget import Alerts, BudgetPool, Rule, usd
    >>> pool = BudgetPool("acme", usd(10))
    >>> rules = [Rule("50%"), Rule("75%")]
    >>> alerts = Alerts(pool, rules, tell=lambda alert: print(alert.message))
    >>> pool.reserve(usd(8)).settle()
    'acme': used >= 50%, $8.00 of $10.00
    'acme': used >= 75%, $8.00 of $10.00
    """

    def __init__(
        self,
        account: Account,
        rules: Iterable[Rule] = MONITORING,
        *,
        units: Iterable[str] | None = None,
        tell: Listener | None = None,
    ) -> None:
        self._account = account_of(account)
        self._rules = sorted(_checked(rules), key=lambda rule: rule.order)
        self._units = None if units is None else frozenset(units)
        self._tell = tell
        self._told: set[str] = set()
        self._stop: Callable[[], None] = account.ledger.listeners.watch(self._see)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Announce nothing more."""
        self._stop()

    def _see(self, change: Change, seq: int) -> None:
        key, granted_before, used_before, granted, used = change
        if (granted_before, used_before) == (granted, used) or not self._watches(key):
            return
        for rule in self._rules:
            held = rule.holds(used_before, granted_before)
            if rule.holds(used, granted) and self._is_new(rule, key, held=held):
                self._announce(_alert(rule, change, seq))

    def _watches(self, key: CounterKey) -> bool:
        if self._units is not None and key.unit not in self._units:
            return False
        path = self._account.path
        return key.account == path or key.account.startswith(
            (path + SEPARATOR, path + BESIDE)
        )

    def _is_new(self, rule: Rule, key: CounterKey, *, held: bool) -> bool:
        if rule.policy == "once":
            return self._is_first(rule, key)
        return rule.policy == "every" or not held

    def _is_first(self, rule: Rule, key: CounterKey) -> bool:
        """Whether nobody has ever announced it: the journal is asked."""
        ledger = self._account.ledger
        name = f"alert:{key.account}:{key.limit}:{rule.key}"
        if name in self._told:
            return False
        self._told.add(name)
        return ledger.run(_marked(name, key.account, ledger.new_id(), str(rule)))

    def _announce(self, alert: Alert) -> None:
        _log.log(_LEVELS[Severity(alert.severity)], "Budget alert: %s", alert.message)
        self._account.ledger.listeners.tell([alert])
        if self._tell is not None:
            self._tell(alert)


def _checked(rules: object) -> tuple[Rule, ...]:
    found = tuple(rules) if isinstance(rules, Iterable) else (rules,)
    if not all(isinstance(each, Rule) for each in found):
        msg = f"rules {rules!r}: give rules in a list, like [Rule('50%')]"
        raise InvalidPolicy(msg)
    return found


def _marked(name: str, account: str, stamp: str, rule: str) -> Talk[bool]:
    """
    Write down that it was announced; whether that was not written before.

    The stamp makes the entry differ from that of anybody else, whose id it has.
    """
    note = Note(labels={"stamp": stamp}, reason=rule)
    answer = yield Posting(name, "alert", account, note=note)
    return isinstance(answer, Receipt)


def _alert(rule: Rule, change: Change, seq: int) -> Alert:
    key, _, _, granted, used = change
    return Alert(
        account=key.account,
        seq=seq,
        rule=str(rule),
        severity=str(rule.severity),
        unit=key.limit,
        used=used,
        granted=granted,
    )
