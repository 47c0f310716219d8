"""A model as its own class has it, without what was put in front of that class."""

from __future__ import annotations

from typing import Any, Final

_STATE: Final = (
    "__dict__",
    "__pydantic_private__",
    "__pydantic_extra__",
    "__pydantic_fields_set__",
)
"""All that an object has, pydantic's or not."""


def bare(model: Any, own: type[Any]) -> Any:
    """
    The same object, but of the class *own*: what one of them changes, both have.

    What it calls of itself, in whatever thread, it calls on itself as it is here.
    """
    made = object.__new__(own)
    for name in _STATE:
        if hasattr(model, name):
            object.__setattr__(made, name, getattr(model, name))
    return made
