"""The public names, what stands in their docstrings, and what importing them costs."""

import doctest
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import langchain_budget

LOADED_ON_FIRST_USE = {
    *("genai_prices", "langchain", "openai", "rich", "tiktoken"),
    *("langchain_core.tracers.context", "tenacity"),
}
LOADED = "import sys, langchain_budget; print(*sys.modules)"


def test_public_names_are_sorted() -> None:
    assert list(langchain_budget.__all__) == sorted(set(langchain_budget.__all__))


def test_public_names_are_documented() -> None:
    undocumented = [
        name
        for name in langchain_budget.__all__
        if not is_documented(getattr(langchain_budget, name))
    ]

    assert not undocumented


def test_importing_the_package_is_light() -> None:
    listed = subprocess.run(
        [sys.executable, "-c", LOADED], check=True, capture_output=True, text=True
    )

    assert not LOADED_ON_FIRST_USE & set(listed.stdout.split())


def test_the_examples_in_docstrings_hold(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def is_documented(value: object) -> bool:
    """Tell whether a docstring was written, not made as for a NamedTuple."""
    told = value.__doc__ or ""
    return bool(told) and not told.startswith(f"{getattr(value, '__name__', '')}(")
