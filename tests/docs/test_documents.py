"""
What the documents say is true.

In Markdown, the ```python blocks of a page run from top to bottom as one script.
Lines that start with `# >` say what their block prints. A command of ours that starts
a line of a shell block is asked for its help, which refuses unknown subcommands and
options. Notebooks run from top to bottom, too.
"""

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib.metadata import entry_points
from io import StringIO
from itertools import takewhile
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient
from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
PAGES = [
    page
    for page in sorted([*ROOT.glob("README.md"), *ROOT.glob("docs/**/*.md")])
    if DECISIONS not in page.parents
]
NOTEBOOKS = sorted(ROOT.glob("examples/*.ipynb"))
NOT_RUN = re.compile(r"^ *(?:```|~~~) *(?!python$)[Pp]y.*", re.MULTILINE)
PROGRAM = "langchain-budget"
SHELLS = ("bash", "console", "sh", "shell")
OUTPUT = "# >"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the files that an example writes where nobody looks."""
    monkeypatch.chdir(tmp_path)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_python_in_a_page_is_marked_as_python(page: Path) -> None:
    """A block marked in another way would not run."""
    assert not NOT_RUN.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_python_of_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", script)
    document = Document.parse(str(page), CodeBlockParser("python", run_block))
    document.namespace = vars(script)

    for block in document.examples():
        block.evaluate()


def run_block(block: Example) -> str | None:
    """Run *block*; if it prints something else than it says, tell what."""
    lines = [line for line in block.parsed.splitlines() if line.startswith(OUTPUT)]
    said = [line.removeprefix(OUTPUT).strip() for line in lines]
    printed = StringIO()
    with redirect_stdout(printed):
        PythonEvaluator()(block)
    did = [line.strip() for line in printed.getvalue().splitlines()]
    return printed.getvalue() if said and said != did else None


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_commands_of_a_page_exist(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in commands_of(page):
        monkeypatch.setattr(sys, "argv", [*command, "--help"])
        (program,) = entry_points(group="console_scripts", name=PROGRAM)
        with pytest.raises(SystemExit) as ended:
            program.load()()

        assert not ended.value.code, shlex.join(command)


def commands_of(page: Path) -> Iterator[list[str]]:
    parsers = [CodeBlockParser(shell, run_block) for shell in SHELLS]
    for block in Document.parse(str(page), *parsers).examples():
        for line in block.parsed.replace("\\\n", " ").splitlines():
            command = line.removeprefix("$ ")
            if command.partition(" ")[0] == PROGRAM:
                yield words_of(command)


def words_of(command: str) -> list[str]:
    """Split up to where another command or a redirection begins."""
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return list(takewhile(lambda word: word[0] not in "|&;<>", words))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}

    NotebookClient(notebook, kernel_name="python3", resources=where).execute()
