"""How a protocol words a request, its answer and what goes wrong.

Standard library only: the server's process loads this without the rest of the package.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from langchain_budget.testing._desk import Order
from langchain_budget.testing._script import Body

Event = Mapping[str, Any]


class Dialect(NamedTuple):
    """One protocol. Its events are streamed by their `type`, where they have one."""

    chat: Callable[[Body], Body | None]
    """The request in the words of chat completions; `None` if it is malformed."""
    whole: Callable[[Order], Event]
    opening: Callable[[Order], Iterable[Event]]
    part: Callable[[Order, int], Iterable[Event]]
    ending: Callable[[Order], Iterable[Event]]
    error: Callable[[int], Event]
    done: bytes = b""
    """What follows the last event of a stream."""


def text_of(content: object) -> str:
    """All the text in a message's content, whatever its blocks are called."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "".join(
        str(block.get("text") or block.get("thinking") or "")
        + text_of(block.get("content"))
        for block in blocks
    )


def call_of(name: str, arguments: str) -> dict[str, Any]:
    """A tool call in the words of chat completions."""
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def tool_of(tool: Body, schema: str) -> dict[str, Any]:
    """A tool on offer in the words of chat completions."""
    told = {name: tool[name] for name in ("name", "description") if name in tool}
    return {"type": "function", "function": {**told, "parameters": tool.get(schema)}}
