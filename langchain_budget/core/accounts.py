"""A tree of accounts: names, limits, and how a child draws on its parent."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, InvalidOperation
from typing import Final, NamedTuple

from langchain_budget.core.amounts import (
    Amount,
    Limit,
    Vector,
    show,
    vector,
)
from langchain_budget.core.faults import (
    InexactAmount,
    InvalidAmount,
    InvalidName,
    told,
)
from langchain_budget.core.limits import limits, show_limit

SEPARATOR: Final = "/"
BESIDE: Final = ":"
"""Between a pool and what it is divided by as well: `acme:user/ada`."""

LONGEST_NAME: Final = 200
STEP: Final = ("kind", "step")
"""The label of accounts that last for one step of a graph; nobody looks for them."""

LEASE: Final = ("kind", "lease")
"""The label of accounts that one worker spends from, until it says that it did."""

MARK_SCALE: Final = 1_000_000
"""Thresholds are kept as whole millionths of a limit."""

_EXACT: Final = Context(prec=60)
"""The caller's own decimal context has no say here."""


class Spec(NamedTuple):
    """What was asked for when an account was opened; opening again compares it."""

    limits: tuple[tuple[str, int], ...] = ()
    carved: tuple[tuple[str, int], ...] = ()
    share: int = 0
    """Millionths of what the parent has left, 0 for none."""
    marks: tuple[int, ...] = ()
    """Warning thresholds, in millionths of a limit, ascending."""
    labels: tuple[tuple[str, str], ...] = ()
    borrows: bool = False
    """Whether a slice that is empty may draw on what its parent has free."""


class Row(NamedTuple):
    """One account as a store keeps it."""

    path: str
    version: int
    spec: Spec
    ceilings: tuple[tuple[str, int], ...] = ()
    """
    What a counter is granted when it is first touched, by unit.

    That of a window has the window's kind behind it: `usd@day`.
    """
    slices: frozenset[str] = frozenset()
    """The units that were carved out of the parent: charges stop here."""
    frozen: str = ""
    """Why it is frozen by hand; empty when it is not."""
    closed: bool = False
    expires_at: float | None = None
    observed: bool = False
    """Whether it and all below it only watch: everything is booked, nothing stopped."""
    turns: tuple[tuple[str, int], ...] = ()
    """How many `run`s and `tick`s the program has ended here."""

    @property
    def is_step(self) -> bool:
        """Whether it lasts for one step of a graph; reports leave it out."""
        return STEP in self.spec.labels

    @property
    def is_lease(self) -> bool:
        """Whether one worker has it, and spends from it without asking."""
        return LEASE in self.spec.labels

    @property
    def is_passing(self) -> bool:
        """Whether nobody looks for it by name; reports leave it out."""
        return self.is_step or self.is_lease

    @property
    def lifelong(self) -> tuple[str, ...]:
        """The units that are limited without a window."""
        return tuple(unit for unit, _ in self.ceilings if "@" not in unit)

    def ceiling(self, limit: str) -> int | None:
        """What a unit, or a unit in a window, is granted at first."""
        for name, value in self.ceilings:
            if name == limit:
                return value
        return None


def check_name(name: object) -> str:
    r"""
    A name that may stand in a path.

    Raises:
        InvalidName: For what is empty, too long, no string, has a `/` or `\`,
            blanks around it, or is `.` or `..`.
    """
    if not isinstance(name, str) or not name.strip():
        msg = f"account name {name!r}: give a string that is not empty"
        raise InvalidName(msg)
    if SEPARATOR in name or "\\" in name or name in (".", ".."):
        msg = (
            f"account name {name!r} is a path, or has a separator like {SEPARATOR!r}: "
            f"open one account below another instead"
        )
        raise InvalidName(msg)
    if name != name.strip():
        msg = f"account name {name!r}: leave out the blanks around it"
        raise InvalidName(msg)
    if len(name) > LONGEST_NAME or not name.isprintable():
        msg = (
            f"account name {name[:40]!r}: "
            f"use at most {LONGEST_NAME} printable characters"
        )
        raise InvalidName(msg)
    return name


def check_root(name: object) -> str:
    """
    A name for a pool.

    Raises:
        InvalidName: It is no name, or has a `:`.
    """
    checked = check_name(name)
    if BESIDE in checked:
        msg = (
            f"pool name {checked!r}: leave out the {BESIDE!r}, which stands between a "
            f"pool and the accounts of `limit_each`"
        )
        raise InvalidName(msg)
    return checked


def trunk_of(path: str, name: str) -> str:
    """The root of the tree that stands beside the pool of *path*: `acme:user`."""
    return f"{path.partition(SEPARATOR)[0]}{BESIDE}{name}"


def is_beside(path: str) -> bool:
    """Whether an account counts what is counted in its pool as well."""
    return BESIDE in path.partition(SEPARATOR)[0]


def root_of(path: str) -> str:
    """The pool that an account is in, or beside."""
    return path.partition(SEPARATOR)[0].partition(BESIDE)[0]


def join(parent: str, name: str) -> str:
    """The path of a child."""
    return f"{parent}{SEPARATOR}{name}"


def parent_of(path: str) -> str | None:
    """The path above, `None` for a root."""
    above, found, _ = path.rpartition(SEPARATOR)
    return above if found else None


def lineage(path: str) -> tuple[str, ...]:
    """The account and its ancestors, innermost first."""
    paths = [path]
    while (above := parent_of(paths[-1])) is not None:
        paths.append(above)
    return tuple(paths)


def common_ancestor(one: str, other: str) -> str | None:
    """The innermost account that both lie in, `None` in different trees."""
    others = set(lineage(other))
    return next((path for path in lineage(one) if path in others), None)


def ratio(value: object, *, percentages: bool = True) -> int:
    """
    A share or threshold in millionths: `0.3`, `"30%"` and `30` are the same.

    A number up to 1 is a fraction. A larger one is a percentage where *percentages*
    are read, and otherwise more than there is.

    >>> ratio("30%") == ratio(0.3) == 300_000
    True
    """
    text = str(value).strip() if _is_short(value) else ""
    number = _number(text.removesuffix("%"), value)
    if text.endswith("%") or (percentages and number > 1):
        number = _EXACT.divide(number, Decimal(100))
    millionths = int(_EXACT.multiply(number, Decimal(MARK_SCALE)))
    if not 0 < millionths <= MARK_SCALE or number > 1:
        raise InvalidAmount(_no_share(value))
    return millionths


def _is_short(value: object) -> bool:
    """Whether it can be written: Python does not write endless numbers."""
    return not isinstance(value, int) or abs(value) <= MARK_SCALE


def _number(text: str, given: object) -> Decimal:
    if isinstance(given, bool):
        msg = f"{given!r} is a bool: give a share like '30%'"
        raise InexactAmount(msg)
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 < number <= 100:  # noqa: PLR2004  # percents
        raise InvalidAmount(_no_share(given))
    return number


def _no_share(given: object) -> str:
    said = f"{told(given)} is no share"
    return f"{said}: give more than 0 and at most 100%, like '30%'"


def limits_of(*given: Amount | Limit | None) -> tuple[tuple[str, int], ...]:
    """Ceilings by name; `None` stands for no limit, 0 for nothing allowed."""
    return tuple(sorted(limits(each for each in given if each is not None).items()))


def one_or_more(marks: object) -> tuple[object, ...]:
    """Thresholds as a tuple; one alone is not taken apart."""
    if isinstance(marks, Iterable) and not isinstance(marks, str):
        return tuple(marks)
    return (marks,)


def spec_of(
    limits: Iterable[Amount | Limit | None] = (),
    carve: Iterable[Amount] = (),
    share: object = None,
    marks: object = (),
    labels: tuple[tuple[str, str], ...] = (),
) -> Spec:
    """What opening an account asks for, checked."""
    return Spec(
        limits=limits_of(*limits),
        carved=tuple(sorted(vector(carve).items())),
        share=0 if share is None else ratio(share, percentages=False),
        marks=tuple(sorted({ratio(mark) for mark in one_or_more(marks)})),
        labels=labels,
    )


def show_limits(spec: Spec) -> str:
    """The limits of a specification in words."""
    parts = [f"limit {show_limit(name, value)}" for name, value in spec.limits]
    parts += [f"carved {show(unit, value)}" for unit, value in spec.carved]
    if spec.share:
        parts.append(f"share {_percent(spec.share)}")
    parts = parts or ["no limit"]
    parts += [f"warn_at {_percent(mark)}" for mark in spec.marks]
    return ", ".join(parts)


def _percent(millionths: int) -> str:
    return f"{millionths * 100 / MARK_SCALE:g}%"


def carved_amounts(spec: Spec, available: Vector) -> dict[str, int]:
    """
    How much of each unit to take out of a parent that has *available* left.

    A share comes to something: of nothing left, the store refuses it.
    """
    shares = {
        unit: max(left * spec.share // MARK_SCALE, 1)
        for unit, left in available.items()
        if spec.share
    }
    return shares | dict(spec.carved)
