"""The cases of the conformance suite; they need pytest, and nothing else here does."""

from __future__ import annotations

from typing import Final

from langchain_budget.errors import MissingExtra

try:
    import pytest
except ImportError as error:
    extra, module = "test", "pytest"
    raise MissingExtra(extra, module) from error

CASES: Final = (
    *("accounts", "amounts", "closing", "counters", "holds", "journal", "judging"),
    *("names", "races", "repeats", "slices", "windows", "words"),
)

# Then a case that fails shows the values that it compared.
pytest.register_assert_rewrite(*(f"{__name__}.{each}" for each in CASES))
