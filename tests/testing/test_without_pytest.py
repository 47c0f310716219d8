"""Only the conformance suite needs pytest."""

import subprocess
import sys

WITHOUT = "import sys; sys.modules['pytest'] = None; import langchain_budget.testing"


def test_what_else_there_is_for_tests_does_not_need_pytest() -> None:
    assert run(WITHOUT) == ""


def test_the_conformance_suite_says_what_it_needs() -> None:
    said = run(f"{WITHOUT}.conformance")

    assert "MissingExtra: this needs pytest" in said


def run(program: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    return ended.stderr
