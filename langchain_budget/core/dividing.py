"""Accounts that come into being by themselves: one for each user, tool or thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from langchain_budget.core.accounts import (
    LONGEST_NAME,
    SEPARATOR,
    Row,
    Spec,
    check_name,
    is_beside,
    join,
    trunk_of,
)
from langchain_budget.core.faults import InvalidName
from langchain_budget.core.postings import Kind, Refusal
from langchain_budget.core.traits import traits_of

MOST: Final = 10_000
"""Accounts of one rule, when nobody says otherwise."""

BETWEEN: Final = "+"
"""Stands between the values of several labels."""


class Each(NamedTuple):
    """
    An account of its own for each value of a label, with limits of its own.

    Attributes:
        labels: Of which labels; of several, each combination has an account.
        spec: Its limits.
        named: Other limits, for some values, or some of the last label; they alone
            have one if *spec* has none.
        most: How many there may be.
        missing: What a call counts as that does not carry a label; it is not limited
            where this says nothing either.
    """

    labels: tuple[str, ...]
    spec: Spec
    named: Mapping[str, Spec]
    most: int = MOST
    missing: Mapping[str, str] = {}

    @property
    def name(self) -> str:
        """What stands behind the pool's name: `user`, `agent+tool`."""
        return BETWEEN.join(self.labels)

    def trunk(self, path: str) -> str:
        """What all of its accounts are below, in the pool of *path*."""
        return trunk_of(path, self.name)

    def value(self, labels: Mapping[str, str]) -> str:
        """What its label says; empty where it says nothing."""
        if len(self.labels) == 1:
            return self._said(labels, self.labels[0])
        values = [_quoted(each, safe=" ") for each in self._all_said(labels)]
        return BETWEEN.join(values) if all(values) else ""

    def account(self, path: str, labels: Mapping[str, str]) -> tuple[str, Spec] | None:
        """Where a charge with these *labels* is counted as well, and its limits."""
        value = self.value(labels)
        if not value:
            return None
        said = self._all_said(labels)
        spec = self.named.get(BETWEEN.join(said)) or self.named.get(said[-1])
        spec = spec or self.spec
        if not spec.limits:
            return None
        return join(self.trunk(path), name_of(value)), spec

    def _all_said(self, labels: Mapping[str, str]) -> list[str]:
        return [self._said(labels, each) for each in self.labels]

    def _said(self, labels: Mapping[str, str], label: str) -> str:
        return labels.get(label) or self.missing.get(label, "")

    def rows(self, account: str, spec: Spec) -> tuple[Row, Row]:
        """The account and its trunk as they are when they are opened."""
        row = Row(account, 1, spec, spec.limits)
        trunk = Row(account.rpartition(SEPARATOR)[0], 1, Spec())
        return row._replace(observed=not traits_of(spec).enforced), trunk


class Needed(NamedTuple):
    """
    An account beside its pool that a charge is counted in, as it is when it is opened.

    Attributes:
        row: The account.
        trunk: What it is below.
        bound: By which rule it is there, and how many of these there may be.
    """

    row: Row
    trunk: Row
    bound: tuple[str, int]

    @property
    def account(self) -> str:
        """Its path."""
        return self.row.path

    def is_watched(self, refusal: Refusal, rows: Iterable[Row]) -> bool:
        """
        Whether it stops nobody that it cannot be opened.

        *rows* are the accounts that have a say about it: what it is below, and the
        pool, which may only observe. Closed ones stop what comes in any case.
        """
        watched = any(row.observed for row in rows)
        if refusal.account == self.account:
            return watched or self.row.observed
        return watched and refusal.kind is Kind.FROZEN


def needed(
    rules: Iterable[Each], path: str, labels: Mapping[str, str]
) -> Iterator[Needed]:
    """
    What a charge to *path* with these *labels* is counted in as well.

    What is charged to such an account itself is counted there alone.
    """
    for each in () if is_beside(path) else rules:
        found = each.account(path, labels)
        if found is not None:
            yield Needed(*each.rows(*found), (each.name, each.most))


def name_of(value: str) -> str:
    """
    An account's name for any value of a label; different ones have different names.

    >>> name_of("ada"), name_of("a/b")
    ('ada', 'a%2Fb')
    """
    if "%" not in value and _is_name(value):
        return value
    quoted = _quoted(value, safe="").replace(".", "%2E")
    if len(quoted) <= LONGEST_NAME:
        return quoted
    digest = sha256(quoted.encode()).hexdigest()
    return f"{quoted[: LONGEST_NAME - len(digest) - 1]}%{digest}"


def values_of(name: str) -> tuple[str, ...]:
    """
    The values of several labels in an account's name; a very long one stays as it is.

    >>> values_of("ada+web search"), values_of("a%252Fb%2Bx")
    (('ada', 'web search'), ('a/b', 'x'))
    """
    return tuple(_unquoted(part) for part in value_of(name).split(BETWEEN))


def value_of(name: str) -> str:
    """The value of a label in an account's name; a very long one stays as it is."""
    return _unquoted(name) if "%" in name else name


def _quoted(value: str, *, safe: str) -> str:
    return quote(value, safe=safe, errors="surrogatepass")


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="surrogatepass")
    except UnicodeDecodeError:  # a very long name, of which a part is a digest
        return unquote(text)


def _is_name(value: str) -> bool:
    try:
        check_name(value)
    except InvalidName:
        return False
    return True
