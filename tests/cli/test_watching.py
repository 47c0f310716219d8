"""The live display, in a terminal of eighty columns."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.cli.conftest import COMMAND

pty = pytest.importorskip("pty", reason="pseudo-terminals are a thing of Unix")

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
UP = re.compile(r"\x1b\[\d*A")
TERMINAL = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "40"}


@pytest.fixture(scope="module")
def screen() -> str:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "demo", "--pace", "0"]
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment | TERMINAL
    ) as running:
        os.close(theirs)
        text = b"".join(read(ours)).decode()
    os.close(ours)
    assert running.returncode == 0
    return text


def test_a_terminal_shows_a_table_that_is_drawn_again(screen: str) -> None:
    assert len(UP.findall(screen)) > 10


def test_the_table_shows_money_held_and_an_agent_frozen(screen: str) -> None:
    text = ESCAPES.sub("", screen)

    assert re.search(r"analysts .* left +\$0\.\d{6} held +active", text)
    assert re.search(r"analysts .* left +frozen", text)


def test_the_table_gives_way_to_the_result(screen: str) -> None:
    text = ESCAPES.sub("", screen)

    result = text[text.index("Accounts") :]
    assert "the books say the same, to the token" in result
    assert "held   active" not in result


def test_no_line_is_wider_than_the_terminal(screen: str) -> None:
    lines = re.split(r"[\r\n]+", ESCAPES.sub("", screen))

    assert max(map(len, lines)) <= 80


def test_refusals_stand_out(screen: str) -> None:
    assert re.search(r"\x1b\[1;31mrefused", screen)


def read(terminal: int) -> Iterator[bytes]:
    """Read until the other end is closed; Linux says that with an error."""
    try:
        while data := os.read(terminal, 65_536):
            yield data
    except OSError:
        return
