"""
What `import langchain_budget` adds to importing the framework, in fresh processes.

Both sides import langgraph.errors and langchain_core's chat models; ours imports this
library after them. The best of several processes is taken.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measure import Ratio

FRAMEWORK = "import langgraph.errors, langchain_core.language_models.chat_models"
SCRIPT = """
import time
start = time.perf_counter()
{first}
middle = time.perf_counter()
{second}
print(middle - start, time.perf_counter() - middle)
"""


def rows(rounds: int) -> list[Ratio]:
    """One row: milliseconds added, beside those of the framework."""
    runs = [_run() for _ in range(rounds)]
    framework, added = (min(each) * 1e3 for each in zip(*runs, strict=True))
    what = "import langchain_budget / the framework alone (aim in ms)"
    return [Ratio(what, added, framework, "adds <= 50 ms", "ms")]


def _run() -> tuple[float, float]:
    script = SCRIPT.format(first=FRAMEWORK, second="import langchain_budget")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    framework, added = done.stdout.split()
    return float(framework), float(added)
