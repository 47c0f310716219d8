"""
Plant each fault in a copy of this checkout, and see that its test notices.

`python dev.py mutants` runs this; `--only TEXT` takes those whose name has it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.patches import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("langchain_budget", "tests", "benchmarks", "pyproject.toml")
AT_ONCE = 2
SECONDS = 300


def main() -> int:
    """Print a line for each fault; how many survived."""
    asked = argparse.ArgumentParser(prog="dev.py mutants", description=__doc__)
    asked.add_argument("--only", default="", metavar="TEXT")
    only = asked.parse_args().only
    chosen = [each for each in MUTANTS if only in each.name]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        survived = sum(threads.map(_tried, chosen))
    print(f"{len(chosen) - survived} of {len(chosen)} were noticed")
    return int(survived > 0)


def _tried(mutant: Mutant) -> bool:
    """Whether nobody noticed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            _copy(ROOT / name, copy / name)
        sound = _passes(copy, mutant.test)
        plant(mutant, copy)
        said = "noticed"
        if not sound:
            said = "FAILS WITHOUT IT"
        elif _passes(copy, mutant.test):
            said = "SURVIVED"
    took = time.monotonic() - began
    print(f"{said:<17} {took:5.0f} s  {mutant.name}  ({mutant.test})", flush=True)
    return said != "noticed"


def plant(mutant: Mutant, root: Path) -> None:
    """Put the fault into the checkout at *root*."""
    source = root / mutant.path
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace(mutant.old, mutant.new, 1), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(source, target, ignore=ignored)
    else:
        shutil.copy(source, target)


def _passes(root: Path, test: str) -> bool:
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", test]
    command += ["-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=root, capture_output=True, timeout=SECONDS, check=False
    )
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
