"""The list of faults fits the code as it is."""

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.patches import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


def named(mutant: Mutant) -> str:
    return mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_fault_can_be_planted(mutant: Mutant) -> None:
    text = (ROOT / mutant.path).read_text(encoding="utf-8")

    assert text.count(mutant.old) == 1
    assert mutant.old != mutant.new


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_the_test_that_must_notice_is_there(mutant: Mutant) -> None:
    file, _, name = mutant.test.partition("::")
    function = name.rpartition("::")[2].partition("[")[0]
    where = [ROOT / file]
    if file.endswith("test_conformance.py"):
        where += (ROOT / "langchain_budget/testing/_conformance").glob("*.py")

    assert any(f"def {function}" in each.read_text("utf-8") for each in where)


def test_there_are_twenty_at_least_and_none_twice() -> None:
    names = Counter(each.name for each in MUTANTS)

    assert len(names) >= 20
    assert [name for name, times in names.items() if times > 1] == []
