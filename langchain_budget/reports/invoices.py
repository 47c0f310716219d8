"""A provider's invoice: what it says that models have cost, in a span of time."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple

from langchain_budget.core.amounts import USD, Amount, countable, usd
from langchain_budget.core.faults import InvalidAmount, InvalidInvoice
from langchain_budget.core.written import built_in, ungrouped
from langchain_budget.reports.doubts import Span

EVERY_MODEL: Final = "*"
"""Stands for all models together, where an invoice does not tell them apart."""

COLUMNS: Final = frozenset({"model", "unit", "amount", "date"})
"""What a row of a file may have; only the amount is needed."""

DAY_SECONDS: Final = 86_400.0

Charges = Mapping[str, Amount | Iterable[Amount]] | Iterable[Amount] | Amount
"""By model, or for all models together."""

Key = tuple[str, str]
"""A model and a unit."""


class Invoice(NamedTuple):
    """What was charged by model and unit, and when."""

    amounts: Mapping[Key, int]
    span: Span = Span()


class _Row(NamedTuple):
    model: str
    amount: Amount
    day: float | None = None


def invoice_of(charges: Charges, span: Span) -> Invoice:
    """An invoice that a program knows."""
    by_model = charges if isinstance(charges, Mapping) else {EVERY_MODEL: charges}
    rows = [
        _Row(str(model), countable(amount))
        for model, given in by_model.items()
        for amount in _several(given)
    ]
    return Invoice(_added_up(rows), span.checked())


def _several(given: object) -> Iterable[object]:
    many = isinstance(given, Iterable) and not isinstance(given, Amount | str)
    return given if many else (given,)  # type: ignore[return-value]  # as was checked


def invoice_text(path: str | os.PathLike[str]) -> str:
    """What is in a file; raises `InvalidInvoice` if that is no text."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        msg = f"{Path(path).name} is no text in UTF-8: save it as CSV in UTF-8, or JSON"
        raise InvalidInvoice(msg) from error


def read_invoice(text: str, span: Span) -> Invoice:
    """
    An invoice in a file: CSV with a line of names, or a JSON list of objects.

    Rows with a date outside of *span* are left out. Where the span has no end, it
    is that of the days that are there.

    Raises:
        InvalidInvoice: The message names the row.
    """
    text = text.lstrip("\ufeff \t\r\n")
    records = _json(text) if text[:1] in ("[", "{") else _csv(text)
    rows = [_row(number, record) for number, record in enumerate(records, 1)]
    days = [row.day for row in rows if row.day is not None]
    since = min(days) if days and span.since == -inf else span.since
    until = max(days) + DAY_SECONDS if days and span.until == inf else span.until
    span = Span(since, until).checked()
    inside = [row for row in rows if row.day is None or row.day in span]
    return Invoice(_added_up(inside), span)


def time_of(text: str) -> float:
    """Seconds since 1970 of a date or time as in `2026-11-22`; UTC, if it is bare."""
    moment = datetime.fromisoformat(text.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _added_up(rows: Iterable[_Row]) -> dict[Key, int]:
    sums: dict[Key, int] = {}
    for model, amount, _ in rows:
        key = model, amount.unit
        sums[key] = sums.get(key, 0) + amount.value
    if not sums:
        msg = "the invoice has no rows: give what was charged, by model or in all"
        raise InvalidInvoice(msg)
    if len({model == EVERY_MODEL for model, _ in sums}) > 1:
        msg = "the invoice has rows with a model and rows without: give one kind"
        raise InvalidInvoice(msg)
    return sums


def _csv(text: str) -> Iterator[Any]:
    reader = csv.DictReader(StringIO(text))
    try:
        _check_names(reader.fieldnames or ())
        yield from reader
    except csv.Error as error:
        msg = f"the invoice is no CSV, after line {reader.line_num}: {error}"
        raise InvalidInvoice(msg) from error


def _check_names(names: Iterable[str]) -> None:
    """Two fields of one name: nobody knows which is meant."""
    said = [name.strip().lower() for name in names]
    twice = sorted({name for name in said if said.count(name) > 1})
    if twice:
        msg = f"the invoice has {twice[0]!r} twice: leave one of them"
        raise InvalidInvoice(msg)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_names(name for name, _ in pairs)
    return dict(pairs)


def _json(text: str) -> Iterator[Any]:
    try:
        records = json.loads(text, parse_float=Decimal, object_pairs_hook=_object)
    except InvalidInvoice:
        raise
    except (ValueError, RecursionError) as error:
        msg = f"the invoice is no JSON: {error}"
        raise InvalidInvoice(msg) from error
    if not isinstance(records, list):
        msg = "the invoice is no list of objects such as {'amount': '1.50'}"
        raise InvalidInvoice(msg)
    return iter(records)


def _row(number: int, record: Any) -> _Row:
    try:
        fields = _known(record)
        unit = built_in(str(fields.get("unit") or "")) or USD
        day = fields.get("date")
        return _Row(
            str(fields.get("model") or "").strip() or EVERY_MODEL,
            _amount(unit, fields["amount"]),
            time_of(str(day)) if day else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        said = "there is no amount" if isinstance(error, KeyError) else error
        msg = f"row {number} of the invoice: {said}"
        raise InvalidInvoice(msg) from error


def _known(record: Any) -> dict[str, Any]:
    if not isinstance(record, Mapping):
        msg = f"{record!r} is no object"
        raise TypeError(msg)
    fields = {str(name).strip().lower(): value for name, value in record.items()}
    odd = fields.keys() - COLUMNS
    if odd:
        msg = f"{min(odd)!r}? It has the columns {', '.join(sorted(COLUMNS))}"
        raise InvalidAmount(msg)
    return fields


def _amount(unit: str, value: Any) -> Amount:
    text = ungrouped(str(value).strip().removeprefix("$"))
    if unit == USD:
        return usd(text)
    return countable(Amount(unit, int(text)))
