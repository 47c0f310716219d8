"""Anthropic's Messages, as a scripted server speaks them.

Standard library only: the server's process loads this without the rest of the package.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from langchain_budget.testing._desk import Order
from langchain_budget.testing._dialect import Dialect, Event, call_of, text_of, tool_of
from langchain_budget.testing._script import Body

STOPS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}


def _asked(body: Body) -> Body | None:
    """Like Anthropic, insist on a maximum, and on one above the thinking budget."""
    thinking = body.get("thinking") or {}
    most = body.get("max_tokens") or 0
    if not body.get("messages") or most <= thinking.get("budget_tokens", 0):
        return None
    text = json.dumps(body)
    system = [{"role": "system", "content": text_of(body.get("system"))}]
    return {
        "model": body.get("model"),
        "stream": body.get("stream"),
        "stream_options": {"include_usage": True},
        "user": (body.get("metadata") or {}).get("user_id"),
        "max_tokens": most,
        "messages": [
            *(system if body.get("system") else ()),
            *(each for message in body["messages"] for each in _messages(message)),
        ],
        "tools": [tool_of(tool, "input_schema") for tool in body.get("tools") or ()],
        "reasoning_effort": "none" if thinking.get("type", "disabled") in OFF else "",
        "cache_ttls": [ttl for ttl in ("5m", "1h") if _cached_for(text, ttl)],
        **_form(body),
    }


def _form(body: Body) -> Body:
    """The form that an answer must have, under its name of now or of before."""
    form = (body.get("output_config") or body).get("format")
    form = form or body.get("output_format")
    return {"response_format": form} if form else {}


OFF = ("disabled",)


def _cached_for(text: str, ttl: str) -> bool:
    plain = '"cache_control": {"type": "ephemeral"}'
    return f'"ttl": "{ttl}"' in text or (ttl == "5m" and plain in text)


def _messages(message: Body) -> Iterator[Body]:
    """One message may be several: results of tools are messages in chats."""
    content = message["content"]
    blocks = content if isinstance(content, list) else []
    for block in blocks:
        if block.get("type") == "tool_result":
            yield {"role": "tool", "content": text_of(block.get("content"))}
    said = [block for block in blocks if block.get("type") != "tool_result"]
    calls = [
        call_of(block["name"], json.dumps(block["input"]))
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    if said or not blocks:
        text = text_of(said if blocks else content)
        yield {"role": message["role"], "content": text, "tool_calls": calls}


def _whole(order: Order) -> Event:
    said = order.answer
    text = [{"type": "text", "text": said.text}] if said.text else []
    thought = [_thought("Hm.", "signed")] if said.reasoning else []
    content = [*thought, *text, *map(_tool_use, said.calls)]
    return _message(order, content, STOPS[said.finish], _usage(order))


def _opening(order: Order) -> Iterator[Event]:
    """Of what comes out, the first event knows next to nothing."""
    usage = {**_usage(order), "output_tokens": 1}
    yield {"type": "message_start", "message": _message(order, [], None, usage)}
    yield {"type": "ping"}
    if order.answer.reasoning:
        yield _start(0, _thought("", ""))
        yield _delta(0, {"type": "thinking_delta", "thinking": "Hm."})
        yield _delta(0, {"type": "signature_delta", "signature": "signed"})
        yield {"type": "content_block_stop", "index": 0}


def _part(order: Order, at: int) -> Iterator[Event]:
    delta = order.answer.parts[at].delta
    first = int(order.answer.reasoning > 0)
    if "content" in delta:
        if at == 0:
            yield _start(first, {"type": "text", "text": ""})
        yield _delta(first, {"type": "text_delta", "text": delta["content"]})
        return
    for call in delta["tool_calls"]:
        number = first + call["index"]
        yield _start(number, {**_tool_use(call), "input": {}})
        said = call["function"]["arguments"]
        yield _delta(number, {"type": "input_json_delta", "partial_json": said})
        yield {"type": "content_block_stop", "index": number}


def _ending(order: Order) -> Iterator[Event]:
    """Of what was written to a cache, the last event knows no times."""
    if order.answer.text:
        yield {"type": "content_block_stop", "index": int(order.answer.reasoning > 0)}
    usage = {**_usage(order)}
    del usage["cache_creation"], usage["service_tier"]
    stop = {"stop_reason": STOPS[order.answer.finish], "stop_sequence": None}
    told = order.usage(usage)
    yield {"type": "message_delta", "delta": stop, "usage": told}
    yield {"type": "message_stop"}


def _start(index: int, block: Event) -> Event:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: int, delta: Event) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _thought(text: str, signature: str) -> Event:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _tool_use(call: Body) -> Event:
    function = call["function"]
    return {
        "type": "tool_use",
        "id": call["id"],
        "name": function["name"],
        "input": json.loads(function["arguments"]),
    }


def _message(
    order: Order, content: list[Any], stop: str | None, usage: Mapping[str, Any]
) -> Event:
    return {
        "id": f"msg_{order.answer.name}",
        "type": "message",
        "role": "assistant",
        "model": order.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": order.usage(usage),
    }


def _usage(order: Order) -> dict[str, Any]:
    """Cached tokens are beside the input, thinking is within the output."""
    said = order.answer
    written = said.written + said.written_1h
    return {
        "input_tokens": said.prompt - said.cached - written,
        "cache_read_input_tokens": said.cached,
        "cache_creation_input_tokens": written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": said.written,
            "ephemeral_1h_input_tokens": said.written_1h,
        },
        "output_tokens": said.completion(),
        "output_tokens_details": {"thinking_tokens": said.reasoning},
        "service_tier": "standard",
    }


def _error(status: int) -> Event:
    told = {"type": "api_error", "message": f"scripted {status}"}
    return {"type": "error", "error": told}


ANTHROPIC = Dialect(_asked, _whole, _opening, _part, _ending, _error)
