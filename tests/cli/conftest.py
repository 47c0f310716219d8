"""Runs the command as people do: in a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

COMMAND = [sys.executable, "-m", "langchain_budget"]
PATIENCE = 300.0  # seconds until a run counts as hanging; one takes about four
TOTAL = re.compile(r"^\s*total +([\d,]+) +([\d,]+) +([\d,]+)", re.MULTILINE)


class Ran(NamedTuple):
    """How a run of the command ended."""

    code: int
    out: str
    err: str

    @property
    def total(self) -> tuple[int, int, int]:
        """Calls, input and output tokens in the last row of the last table."""
        [row] = TOTAL.findall(self.out)
        calls, into, out = (int(each.replace(",", "")) for each in row)
        return calls, into, out

    def agents(self) -> dict[str, tuple[int, int, int]]:
        """The same sums for each agent."""
        rows = re.findall(
            r"^ ?(\w+) +[a-z]+ +(\d+) +([\d,]+) +([\d,]+) ", self.out, re.MULTILINE
        )
        found: dict[str, tuple[int, int, int]] = {}
        for agent, *row in rows:
            numbers = [int(each.replace(",", "")) for each in row]
            before = found.get(agent, (0, 0, 0))
            calls, into, out = map(sum, zip(before, numbers, strict=True))
            found[agent] = (calls, into, out)
        return found


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def run() -> Run:
    def run(*arguments: str, **environment: str) -> Ran:
        ran = subprocess.run(
            [*COMMAND, *arguments],
            env={**os.environ, "COLUMNS": "80", **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    return run
