"""Send each request to the model that is good enough for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_budget.adapters.extra import (
    AgentMiddleware,
    ModelRequest,
    ModelResponse,
)

Classify = Callable[[ModelRequest[Any]], str | None]


class ModelSelection(AgentMiddleware[Any, Any, Any]):
    """
    Chooses a model for each request by what *classify* says of it.

    Put it before `BudgetMiddleware`, which then holds and charges the price of the
    model that was chosen.

    Args:
        choices: Models by kind of request: `{"simple": cheap, "complex": good}`.
        classify: Tells the kind of a request; it should be quick, and not call models.
        default: The kind that requests of an unknown kind are taken for; name the
            one with the cheapest model.

    Raises:
        ValueError: *default* is none of *choices*.
        MissingExtra: `langchain` is not installed.

    >>> from langchain.agents import create_agent
    >>> from langchain_budget.testing import FakeChatModel
    >>> cheap, good = FakeChatModel(replies=["4"]), FakeChatModel(replies=["QED"])
    >>> def kind(request):
    ...     return "complex" if "prove" in request.messages[-1].text else "simple"
    >>> choose = ModelSelection({"simple": cheap, "complex": good}, kind)
    >>> agent = create_agent(cheap, middleware=[choose])
    >>> answer = agent.invoke({"messages": [("user", "Please prove it.")]})
    >>> print(answer["messages"][-1].text, len(cheap.calls), len(good.calls))
    QED 0 1
    """

    def __init__(
        self,
        choices: Mapping[str, BaseChatModel],
        classify: Classify,
        *,
        default: str = "simple",
    ) -> None:
        super().__init__()
        if default not in choices:
            msg = f"default={default!r}: choose one of {', '.join(choices) or 'none'}"
            raise ValueError(msg)
        self._choices = dict(choices)
        self._classify = classify
        self._default = default

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelResponse[Any]:
        """Call the model that was chosen."""
        return handler(self._chosen(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Awaitable twin of `wrap_model_call`."""
        return await handler(self._chosen(request))

    def _chosen(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        kind = self._classify(request)
        known = kind if kind in self._choices else self._default
        return request.override(model=self._choices[known])
