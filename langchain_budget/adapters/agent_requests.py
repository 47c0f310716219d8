"""What an agent is about to send, sized before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_budget.adapters.caps import own_cap, unbound
from langchain_budget.adapters.extra import (
    AutoStrategy,
    ModelRequest,
    ProviderStrategy,
    ToolStrategy,
)
from langchain_budget.adapters.requests import Estimator, Request


def size_of(request: ModelRequest[Any], estimator: Estimator) -> Request:
    """What the request holds, described as the model's own callbacks would."""
    model, settings = unbound(request.model, request.model_settings)
    # No public method tells how a model will describe its call to callbacks.
    told = model._get_invocation_params(**settings)  # noqa: SLF001
    params = {**own_cap(model, settings), **told, **settings}
    metadata = model._get_ls_params(**settings)  # noqa: SLF001
    params["tools"] = [*_tools(request), *_forms(request.response_format)]
    system = [request.system_message] if request.system_message else []
    return estimator.size([*system, *request.messages], metadata, params)


def _tools(request: ModelRequest[Any]) -> Iterator[Mapping[str, Any]]:
    for tool in request.tools:
        yield tool if isinstance(tool, dict) else convert_to_openai_tool(tool)


def _forms(wanted: Any) -> Iterator[Mapping[str, Any]]:
    """The forms that an answer must have: they are sent like tools."""
    if wanted is None:
        return
    if isinstance(wanted, AutoStrategy):
        wanted = wanted.schema
    if isinstance(wanted, ProviderStrategy):
        specs = [wanted.schema_spec]
    else:
        made = wanted if isinstance(wanted, ToolStrategy) else ToolStrategy(wanted)
        specs = made.schema_specs
    for spec in specs:
        function = {
            "name": spec.name,
            "description": spec.description,
            "parameters": spec.json_schema,
        }
        yield {"type": "function", "function": function}
