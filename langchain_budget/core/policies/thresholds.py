"""Rules for alerts: which of them a change of usage sets off."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from langchain_budget.core.accounts import MARK_SCALE, ratio
from langchain_budget.core.faults import InvalidPolicy

OPERATORS: Final = {"used": ("", ">=", ">"), "remaining": ("", "<=", "<")}
"""What may be compared, and how."""


class Severity(StrEnum):
    """How bad it is, from a note to what somebody must see at once."""

    INFO = "info"
    WARNING = "warning"
    MEDIUM = "medium"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Rule:
    """
    Speak up when so much of a limit is used, or so little of it remains.

    Attributes:
        at: The share: `0.8`, `"80%"` and `80` are the same.
        metric: `used` or `remaining`.
        op: `>=` or `>` for what is used, `<=` or `<` for what remains; when empty,
            the share itself is included.
        severity: How bad it is.
        policy: `once` ever; `rearm`, once until it no longer holds; or `every` time.
        name: What tells it from other rules; when empty, all of the above.
        mark: The share in millionths.

    Raises:
        InvalidAmount: *at* is no share.
        InvalidPolicy: Another argument is none of the above.

    >>> str(Rule("80%")), Rule(0.8).mark
    ('used >= 80%', 800000)
    """

    at: object = field(compare=False)
    metric: Literal["used", "remaining"] = "used"
    op: Literal["", ">=", ">", "<=", "<"] = ""
    severity: Severity = Severity.WARNING
    policy: Literal["once", "rearm", "every"] = "once"
    name: str = ""
    mark: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mark", ratio(self.at))
        _check("metric", self.metric, OPERATORS)
        _check("op", self.op, OPERATORS[self.metric])
        _check("severity", self.severity, tuple(Severity))
        _check("policy", self.policy, ("once", "rearm", "every"))

    def __str__(self) -> str:
        op = self.op or OPERATORS[self.metric][1]
        share = f"{self.mark * 100 / MARK_SCALE:g}%"
        return self.name or f"{self.metric} {op} {share}"

    @property
    def key(self) -> str:
        """What `fired` remembers it by: its name, or all that makes it another rule."""
        return self.name or f"{self} {self.severity} {self.policy}"

    @property
    def order(self) -> tuple[int, bool]:
        """Earlier for what usage reaches earlier; strict ones come later."""
        used = self.mark if self.metric == "used" else MARK_SCALE - self.mark
        return used, self.op in (">", "<")

    def holds(self, used: int, granted: int | None) -> bool:
        """
        Whether it is so, *used* and *granted* being whole units.

        Never for an unlimited account (`None`). Of a limit of 0 nothing can be used
        rightly, so all rules hold as soon as something is, and none before.
        """
        if granted is None:
            return False
        if granted <= 0:
            return used > 0
        mark, strict = self.order
        over = used * MARK_SCALE - mark * granted
        return over > 0 or (over == 0 and not strict)


class Fired(NamedTuple):
    """
    What a change of usage has set off.

    Attributes:
        rules: The rules to announce, in the order in which usage reaches them.
        already: What to pass to `fired` the next time.
    """

    rules: tuple[Rule, ...]
    already: frozenset[str]


def fired(
    rules: Iterable[Rule],
    before_used: int,
    after_used: int,
    granted: int | None,
    already: frozenset[str] = frozenset(),
) -> Fired:
    """
    Which rules to announce now that usage went from *before_used* to *after_used*.

    One jump over several thresholds sets off all of them. A rule that is `once` is
    announced the first time that it holds; one that may `rearm`, also when it did
    not hold before; one that is `every`, always when it holds.

    Args:
        rules: The rules; two of one name are remembered as one.
        before_used: Whole units that were used before the change.
        after_used: Whole units that are used now.
        granted: Whole units that may be used, `None` for unlimited.
        already: What was announced, as the last call has returned it.

    >>> rules = [Rule(0.5), Rule(0.75), Rule(0.9)]
    >>> [str(rule) for rule in fired(rules, 40, 80, 100).rules]
    ['used >= 50%', 'used >= 75%']
    """
    told: list[Rule] = []
    marks = set(already)
    for rule in sorted(rules, key=lambda rule: rule.order):
        holds = rule.holds(after_used, granted)
        held = rule.holds(before_used, granted)
        if rule.policy == "every" or (rule.policy == "rearm" and not (held and holds)):
            marks.discard(rule.key)
        if holds and rule.key not in marks:
            told.append(rule)
            marks.add(rule.key)
    return Fired(tuple(told), frozenset(marks))


def _check(what: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        names = ", ".join(repr(str(each)) for each in allowed)
        msg = f"{what} {value!r}: give one of {names}"
        raise InvalidPolicy(msg)


MONITORING: Final = (
    Rule("50%", severity=Severity.INFO, policy="rearm"),
    Rule("75%", severity=Severity.WARNING, policy="rearm"),
    Rule("90%", severity=Severity.CRITICAL, policy="rearm"),
)
"""What a watcher of a running agent says, again when usage rises again (tool costs)."""

ALERTS: Final = (Rule("50%"), Rule("75%"), Rule("90%"))
"""Each once and never again (tool costs)."""

HIGH_USAGE: Final = Rule("80%", op=">", policy="every")
"""Said each time that somebody looks (priority pools)."""

LOW_BUDGET: Final = Rule(
    "15%", "remaining", severity=Severity.MEDIUM, policy="rearm", name="LOW_BUDGET"
)
"""The violation of that name, once until there is more again (priority pools)."""

METERING: Final = Rule("80%", policy="every")
"""The warning of each call that comes near a limit (metering)."""
