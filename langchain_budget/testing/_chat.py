"""OpenAI's chat completions, as a scripted server speaks them.

Standard library only: the server's process loads this without the rest of the package.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_budget.testing._desk import Order
from langchain_budget.testing._dialect import Dialect, Event
from langchain_budget.testing._script import Body


def _asked(body: Body) -> Body | None:
    return body if body.get("messages") else None


def _whole(order: Order) -> Event:
    said = order.answer
    message = {
        "role": "assistant",
        "content": said.text or None,
        "tool_calls": said.calls or None,
    }
    choice = {"index": 0, "message": message, "finish_reason": said.finish}
    usage = order.usage(_usage(order))
    reported = {"usage": usage} if usage is not None else {}
    return {**_head(order, ""), "choices": [choice], **reported}


def _part(order: Order, at: int) -> Iterator[Event]:
    yield _choice(order, {"role": "assistant", **order.answer.parts[at].delta}, None)


def _ending(order: Order) -> Iterator[Event]:
    yield _choice(order, {}, order.answer.finish)
    usage = order.usage(_usage(order))
    if usage is not None:
        yield {**_head(order, ".chunk"), "choices": [], "usage": usage}


def _choice(order: Order, delta: Mapping[str, Any], finish: str | None) -> Event:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**_head(order, ".chunk"), "choices": [choice]}


def _head(order: Order, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{order.answer.name}",
        "object": f"chat.completion{kind}",
        "created": 0,
        "model": order.model,
        **({"service_tier": order.tier} if order.tier else {}),
    }


def _usage(order: Order) -> dict[str, Any]:
    said = order.answer
    return {
        "prompt_tokens": said.prompt,
        "completion_tokens": said.completion(),
        "total_tokens": said.prompt + said.completion(),
        "prompt_tokens_details": {"cached_tokens": said.cached},
        "completion_tokens_details": {"reasoning_tokens": said.reasoning},
    }


def error(status: int) -> Event:
    """What a server answers that refuses."""
    told = {"message": f"scripted {status}", "type": "scripted", "code": None}
    return {"error": told}


CHAT = Dialect(
    _asked,
    _whole,
    lambda _: (),
    _part,
    _ending,
    error,
    b"data: [DONE]\n\n",
)
