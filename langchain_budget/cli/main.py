"""Where the command `langchain-budget` starts; it needs nothing that is optional."""

from __future__ import annotations

import io
import sys

from langchain_budget.errors import MissingExtra


def main() -> None:
    """Run the command, or say which extra it lacks."""
    try:
        from langchain_budget.cli.app import app  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as error:
        sys.exit(f"langchain-budget: {MissingExtra('cli', error.name or 'click')}")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # not all know all letters
    app(prog_name="langchain-budget")
