"""Tables in plain text and in HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from langchain_budget.core.written import writable

Rows = Sequence[Sequence[str]]


def text_table(heads: Sequence[str], rows: Rows) -> str:
    """A table in columns; those of numbers stand to the right."""
    cells = [list(heads), *([*map(writable, row)] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    right = [_numeric(rows, i) for i in range(len(heads))]
    lines = [_line(row, widths, right) for row in cells]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def html_table(title: str, heads: Sequence[str], rows: Rows) -> str:
    """The same table for a notebook or a page, every cell escaped."""
    right = [_numeric(rows, i) for i in range(len(heads))]
    aligned = ["right" if each else "left" for each in right]
    head = "".join(
        f'<th style="text-align:{side}">{escape(cell)}</th>'
        for side, cell in zip(aligned, heads, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{side}">{escape(writable(cell))}</td>'
            for side, cell in zip(aligned, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f"<table><caption>{escape(title)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _numeric(rows: Rows, column: int) -> bool:
    """Whether every filled cell of a column starts like a number."""
    filled = [row[column] for row in rows if row[column]]
    starts = ("$", "-", "unknown", "unlimited", *"0123456789")
    return bool(filled) and all(cell.startswith(starts) for cell in filled)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = [
        cell.rjust(width) if flag else cell.ljust(width)
        for cell, width, flag in zip(row, widths, right, strict=True)
    ]
    return "  ".join(cells).rstrip()
