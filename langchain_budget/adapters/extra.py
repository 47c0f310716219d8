"""What the `langchain` extra brings; without it, an error that names it."""

from __future__ import annotations

from langchain_budget.errors import MissingExtra

try:
    from langchain.agents.middleware import (
        AgentMiddleware,
        ModelRequest,
        ModelResponse,
        ToolCallRequest,
    )
    from langchain.agents.structured_output import (
        AutoStrategy,
        ProviderStrategy,
        ToolStrategy,
    )
except ImportError as error:
    extra, module = "langchain", "langchain"
    raise MissingExtra(extra, module) from error

__all__ = [
    "AgentMiddleware",
    "AutoStrategy",
    "ModelRequest",
    "ModelResponse",
    "ProviderStrategy",
    "ToolCallRequest",
    "ToolStrategy",
]
