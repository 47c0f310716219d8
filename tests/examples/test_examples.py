"""Each example runs by itself, and prints what its file in `expected` says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_prints_what_is_expected(script: Path, tmp_path: Path) -> None:
    said = (EXAMPLES / "expected" / f"{script.stem}.txt").read_text(encoding="utf-8")

    ended = subprocess.run(
        [sys.executable, script],
        check=False,
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        env=os.environ | {"PYTHONUTF8": "1"},
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == said


def test_every_expected_output_has_its_example() -> None:
    expected = {path.stem for path in EXAMPLES.glob("expected/*")}

    assert expected == {script.stem for script in SCRIPTS}


def test_the_table_of_examples_names_them_all() -> None:
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")

    files = {path.name for path in EXAMPLES.iterdir()} - {"README.md"}
    assert [name for name in sorted(files) if f"({name})" not in table] == []
