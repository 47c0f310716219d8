"""Parts of commands that need more than the library itself."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import click

from langchain_budget import MissingExtra


def loaded(module: str, extra: str) -> ModuleType:
    """Load what a command needs, or say which extra has it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = MissingExtra(extra, (error.name or extra).partition(".")[0])
        raise click.ClickException(str(missing)) from error
