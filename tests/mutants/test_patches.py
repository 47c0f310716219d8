"""The list of faults fits the code as it is."""

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.mutant import CONFORMANCE, Mutant
from tests.mutants.patches import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
SUITE = "langchain_budget/testing/_conformance"
each_fault = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)


@each_fault
def test_a_fault_can_be_planted(mutant: Mutant) -> None:
    text = mutant.source(ROOT).read_text(encoding="utf-8")

    assert text.count(mutant.old) == 1
    assert mutant.old != mutant.new


@each_fault
def test_the_test_that_must_notice_is_there(mutant: Mutant) -> None:
    file, _, name = mutant.test.partition("::")
    function = name.rpartition("::")[2].partition("[")[0]
    where = [ROOT / file]
    if mutant.test.startswith(CONFORMANCE):
        where = [*(ROOT / SUITE).glob("*.py")]

    assert any(f"def {function}" in each.read_text("utf-8") for each in where)


def test_there_are_many_and_none_twice() -> None:
    names = Counter(each.name for each in MUTANTS)

    assert len(names) >= 60
    assert [name for name, times in names.items() if times > 1] == []
