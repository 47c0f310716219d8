"""
Each demand of the documents that this library goes back to has a test that shows it.

`tests/catalogue.csv` has a row for each of them: its id, a few words, the public names
that do it, and the tests that show them doing it; of a test with parameters, all cases.
S0 to S4 are the documents, X their contradictions, V worked numbers, T tests that they
imply. This file runs last, so that it knows what has become of those tests.
"""

import ast
import csv
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests import outcomes

PACKAGE = "langchain_budget"
ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "tests" / "catalogue.csv"
ITEMS = {"S0": 34, "S1": 37, "S2": 48, "S3": 62, "S4": 86}
OTHERS = {"X": 30, "V": 14, "T": 26}


def rows() -> list[dict[str, str]]:
    with CATALOGUE.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def several(cell: str) -> list[str]:
    return [each.strip() for each in cell.split(";")]


def cited() -> dict[str, list[str]]:
    """Which ids each test is named for."""
    found: dict[str, list[str]] = {}
    for row in rows():
        for test in several(row["test"]):
            found.setdefault(test, []).append(row["id"])
    return found


def test_every_item_has_one_row_in_its_order() -> None:
    ids = [f"{name}.{at}" for name, size in ITEMS.items() for at in numbers(size)]
    ids += [f"{name}{at}" for name, size in OTHERS.items() for at in numbers(size)]

    found = rows()

    assert [row["id"] for row in found] == ids
    assert all(all(row.values()) for row in found)
    assert list(found[0]) == ["id", "title", "api", "test"]


def numbers(size: int) -> range:
    return range(1, size + 1)


def test_every_name_is_there() -> None:
    names = {name for row in rows() for name in several(row["api"])}

    assert [each for each in sorted(names) if not is_there(each)] == []


def is_there(name: str) -> bool:
    """Whether it is a name of the library, or of what measures it."""
    first, *_ = name.split(".")
    found: Any = import_module("benchmarks" if first == "benchmarks" else PACKAGE)
    for part in name.removeprefix("benchmarks.").split("."):
        try:
            found = getattr(found, part, None) or inner(found, part)
        except ModuleNotFoundError:
            return False
    return True


def inner(module: Any, name: str) -> ModuleType:
    return import_module(f"{module.__name__}.{name}")


def test_every_name_is_in_the_page_for_users() -> None:
    page = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", page))

    names = {name for row in rows() for name in several(row["api"])}

    assert [each for each in names if each.rpartition(".")[2] not in words] == []


def test_every_page_that_is_linked_is_there() -> None:
    page = ROOT / "docs" / "capabilities.md"

    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))

    assert [each for each in links if not (page.parent / each).exists()] == []


def test_every_test_is_there() -> None:
    lacking = []
    for test in cited():
        file, _, name = test.partition("::")
        if name not in defined(file):
            lacking.append(test)

    assert lacking == []


@cache
def defined(file: str) -> set[str]:
    """The tests of a file, whether this run has collected them or not."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds)}


def test_every_test_that_is_named_has_passed(request: pytest.FixtureRequest) -> None:
    tests, run = cited(), outcomes.of(request.config)
    if request.config.args_source is not pytest.Config.ArgsSource.ARGS:
        assert [each for each in tests if each not in run.collected] == []

    failed = {each: tests[each] for each in tests if "failed" in run.seen.get(each, ())}
    missing = [each for each in tests if "passed" not in run.seen.get(each, ())]

    assert failed == {}
    if missing and not outcomes.is_worker(request.config):  # else `conftest.py` looks
        pytest.skip(f"{len(missing)} of {len(tests)} tests were not run, only found")
