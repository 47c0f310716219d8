"""What the command answers when it is asked wrongly, or lacks something."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from langchain_budget.cli.app import app

ELSEWHERE = ["--base-url", "http://127.0.0.1:9/v1", "--model", "m"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--limit", "abc"], "write dollars like 0.05"),
        (["--limit", "0"], "write dollars like 0.05"),
        (["--limit", "-1"], "write dollars like 0.05"),
        (["--limit", "5 apples"], "write dollars like 0.05"),
        (["--limit", "1.5 tokens"], "write dollars like 0.05"),
        (["--model", "m"], "--model needs --base-url"),
        (["--base-url", "http://127.0.0.1:9/v1"], "--base-url needs --model"),
        (["--base-url", "nonsense", "--model", "m"], "write an address like http"),
        (["--api-key-env", "NO_SUCH_KEY", *ELSEWHERE], "'NO_SUCH_KEY' is not set"),
        (["--input-price", "2"], "--input-price needs --output-price"),
        (["--output-price", "2"], "--output-price needs --input-price"),
        (["--input-price", "two", "--output-price", "8"], "is not a number"),
        (["--input-price", "-2", "--output-price", "8"], "zero or more"),
        (["--pace", "-1"], "--pace"),
        (["--seed", "x"], "--seed"),
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_explained(options: list[str], told: str) -> None:
    ran = CliRunner().invoke(app, ["demo", *options])

    assert ran.exit_code == 2
    assert told in " ".join(ran.output.split())


def test_a_limit_in_dollars_needs_a_price() -> None:
    ran = CliRunner().invoke(app, ["demo", *ELSEWHERE, "--limit", "0.05"])

    assert ran.exit_code == 1
    assert "add --input-price and --output-price" in ran.output


def test_a_server_that_is_not_there_is_named() -> None:
    ran = CliRunner().invoke(app, ["demo", *ELSEWHERE])

    assert ran.exit_code == 1
    assert "The server at http://127.0.0.1:9/v1 failed" in ran.output


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_tells_its_name(option: str) -> None:
    ran = CliRunner().invoke(app, [option], prog_name="langchain-budget")

    assert ran.exit_code == 0
    assert "langchain-budget" in ran.output


@pytest.mark.parametrize(
    ("missing", "extra"),
    [
        ("click", "cli"),
        ("rich", "demo"),
        ("langchain", "demo"),
        ("langchain_openai", "demo"),
    ],
)
def test_a_missing_extra_is_named(missing: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv[1:] = ['demo']\n"
        "from langchain_budget.cli.main import main; main()"
    )

    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    told = f"this needs {missing}: pip install 'langchain-budget[{extra}]'"
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr
