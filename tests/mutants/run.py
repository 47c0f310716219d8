"""
Plant each fault in a copy of this checkout, and see that its test notices.

`python dev.py mutants` runs this; `--only TEXT` takes those whose name has it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Final

from tests.mutants.mutant import PACKAGE, Mutant
from tests.mutants.patches import MUTANTS

ROOT: Final = Path(__file__).resolve().parents[2]
COPIED: Final = (PACKAGE, "tests", "benchmarks", "pyproject.toml")
AT_ONCE: Final = 2
SECONDS: Final = 180
"""A test that takes longer hangs: that is noticed as well."""

Proof = tuple[str, str]
"""A test, and which of its parameters."""

PASSED, FAILED = 0, 1
"""What pytest exits with; all else means that no test was run."""


def main() -> int:
    """Print a line for each fault; whether all were noticed."""
    asked = argparse.ArgumentParser(prog="dev.py mutants", description=__doc__)
    asked.add_argument("--only", default="", metavar="TEXT")
    only = asked.parse_args().only
    chosen = [each for each in MUTANTS if only in each.name]
    groups: dict[str, dict[str, None]] = {}
    for each in chosen:
        groups.setdefault(each.only, {})[each.test] = None
    with ThreadPoolExecutor(AT_ONCE) as threads, _copied() as copy:
        found = threads.map(lambda group: _unsound(copy, *group), groups.items())
        unsound = set(chain.from_iterable(found))
        noticed = sum(threads.map(lambda each: _tried(each, unsound), chosen))
    print(f"{noticed} of {len(chosen)} were noticed")
    return int(noticed < len(chosen))


def _unsound(copy: Path, only: str, tests: Iterable[str]) -> list[Proof]:
    """Those that fail although no fault is planted."""
    if _run(copy, only, *tests) == PASSED:
        return []
    return [(test, only) for test in tests if _run(copy, only, test) != PASSED]


def _tried(mutant: Mutant, unsound: set[Proof]) -> bool:
    """Whether the test notices the fault, and only the fault."""
    began = time.monotonic()
    said = "FAILS WITHOUT IT"
    if (mutant.test, mutant.only) not in unsound:
        said = _said(mutant)
    took = time.monotonic() - began
    test = " ".join([mutant.test, mutant.only and f"-k '{mutant.only}'"]).strip()
    print(f"{said:<17} {took:5.0f} s  {mutant.name}  ({test})", flush=True)
    return said == "noticed"


def _said(mutant: Mutant) -> str:
    with _copied() as copy:
        if mutant.source(copy).read_text(encoding="utf-8").count(mutant.old) != 1:
            return "DOES NOT APPLY"
        mutant.plant(copy)
        ended = _run(copy, mutant.only, mutant.test)
    return {PASSED: "SURVIVED", FAILED: "noticed"}.get(ended, "RUNS NO TEST")


@contextmanager
def _copied() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            _copy(ROOT / name, Path(folder) / name)
        yield Path(folder)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(source, target, ignore=ignored)
    else:
        shutil.copy(source, target)


def _run(root: Path, only: str, *tests: str) -> int:
    """What pytest says; it finds the package in *root* before any other."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", *tests]
    command += ["-p", "no:cacheprovider", *(["-k", only] if only else [])]
    running = subprocess.Popen(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return running.wait(SECONDS * len(tests))
    except subprocess.TimeoutExpired:
        _end(running)
        return FAILED


def _end(running: subprocess.Popen[bytes]) -> None:
    """End it with all that it has started."""
    if os.name == "posix":
        os.killpg(running.pid, signal.SIGKILL)
    running.kill()
    running.wait()


if __name__ == "__main__":
    sys.exit(main())
