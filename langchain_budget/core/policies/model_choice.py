"""Which model does for how hard a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from langchain_budget.core.faults import InvalidPolicy


class ModelChoice:
    """
    A model for each kind of task; what is of no known kind gets the default's.

    >>> choice = ModelChoice({"simple": "small", "complex": "large"}, default="simple")
    >>> choice.model("complex"), choice.model("who knows")
    ('large', 'small')
    """

    __slots__ = ("default", "models")

    def __init__(self, models: Mapping[str, str], default: str = "simple") -> None:
        """
        Models by kind of task.

        Args:
            models: Names of models by names of kinds.
            default: The kind that an unknown one is treated as. Name the cheap one:
                a task that needs more can be tried again.

        Raises:
            InvalidPolicy: There is no model for *default*.
        """
        if default not in models:
            msg = f"default {default!r}: name one of {', '.join(map(repr, models))}"
            raise InvalidPolicy(msg)
        self.models = dict(models)
        self.default = default

    def model(self, complexity: str) -> str:
        """The name of the model for a kind of task."""
        return self.models.get(complexity, self.models[self.default])


CHEAP_FIRST: Final = ModelChoice({"simple": "gpt-3.5-turbo", "complex": "gpt-4"})
"""An unknown kind gets the cheap model (budget manager)."""

DEAR_FIRST: Final = ModelChoice(CHEAP_FIRST.models, default="complex")
"""An unknown kind gets the dear model (tool costs)."""
