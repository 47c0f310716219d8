"""OpenAI's Responses, as a scripted server speaks them.

Standard library only: the server's process loads this without the rest of the package.
"""

from collections.abc import Iterator
from typing import Any

from langchain_budget.testing._chat import error
from langchain_budget.testing._desk import Order
from langchain_budget.testing._dialect import Dialect, Event, call_of, text_of, tool_of
from langchain_budget.testing._script import Body


def _asked(body: Body) -> Body | None:
    asked = body.get("input")
    if not asked:
        return None
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    system = [{"role": "system", "content": body.get("instructions")}]
    form = (body.get("text") or {}).get("format")
    return {
        "model": body.get("model"),
        "stream": body.get("stream"),
        "stream_options": {"include_usage": True},
        "user": body.get("user"),
        "service_tier": body.get("service_tier"),
        "max_output_tokens": body.get("max_output_tokens"),
        "messages": [
            *(system if body.get("instructions") else ()),
            *map(_message_of, items),
        ],
        "tools": [tool_of(tool, "parameters") for tool in body.get("tools") or ()],
        "response_format": form,
        "reasoning_effort": (body.get("reasoning") or {}).get("effort"),
        "cache_ttls": ["5m"] if body.get("prompt_cache_options") else [],
    }


def _message_of(item: Body) -> Body:
    match item.get("type"):
        case "function_call":
            call = call_of(item["name"], item["arguments"])
            return {"role": "assistant", "content": "", "tool_calls": [call]}
        case "function_call_output":
            return {"role": "tool", "content": text_of(item["output"])}
        case _:
            text = text_of(item.get("content"))
            return {"role": item.get("role", "assistant"), "content": text}


def _whole(order: Order) -> Event:
    return _response(order, _status(order), _items(order), order.usage(_usage(order)))


def _opening(order: Order) -> Iterator[Event]:
    for what in ("created", "in_progress"):
        response = _response(order, "in_progress", [], None)
        yield {"type": f"response.{what}", "response": response}
    if order.answer.reasoning:
        yield from _item(0, _reasoning(order))


def _part(order: Order, at: int) -> Iterator[Event]:
    delta = order.answer.parts[at].delta
    first = int(order.answer.reasoning > 0)
    if "content" in delta:
        where = {"output_index": first, "content_index": 0, "item_id": _id(order)}
        if at == 0:
            empty = {**_text(order), "content": [], "status": "in_progress"}
            yield _event("output_item.added", output_index=first, item=empty)
            yield _event("content_part.added", **where, part=_said(""))
        said = delta["content"]
        yield _event("output_text.delta", **where, delta=said, logprobs=[])
        return
    for call in delta["tool_calls"]:
        yield from _item(first + call["index"], _call(call))


def _item(index: int, item: Event) -> Iterator[Event]:
    """All that is streamed of a thought, or of a call and its arguments."""
    said = item.get("arguments", "")
    begun = {**item, "arguments": ""} if said else item
    yield _event("output_item.added", output_index=index, item=begun)
    if said:
        where: dict[str, Any] = {"output_index": index, "item_id": item["id"]}
        yield _event("function_call_arguments.delta", **where, delta=said)
        yield _event("function_call_arguments.done", **where, arguments=said)
    yield _event("output_item.done", output_index=index, item=item)


def _ending(order: Order) -> Iterator[Event]:
    if order.answer.text:
        index = int(order.answer.reasoning > 0)
        where = {"output_index": index, "content_index": 0, "item_id": _id(order)}
        text = order.answer.text
        yield _event("output_text.done", **where, text=text, logprobs=[])
        yield _event("output_item.done", output_index=index, item=_text(order))
    yield _event(_status(order), response=_whole(order))


def _event(name: str, **fields: Any) -> Event:
    return {"type": f"response.{name}", "sequence_number": 0, **fields}


def _status(order: Order) -> str:
    return "incomplete" if order.answer.finish == "length" else "completed"


def _items(order: Order) -> list[Event]:
    said = order.answer
    thought = [_reasoning(order)] if said.reasoning else []
    text = [_text(order)] if said.text else []
    return [*thought, *text, *map(_call, said.calls)]


def _reasoning(order: Order) -> Event:
    return {"type": "reasoning", "id": f"rs_{order.answer.name}", "summary": []}


def _id(order: Order) -> str:
    return f"msg_{order.answer.name}"


def _text(order: Order) -> Event:
    return {
        "type": "message",
        "id": _id(order),
        "role": "assistant",
        "status": "completed",
        "content": [_said(order.answer.text)],
    }


def _said(text: str) -> Event:
    return {"type": "output_text", "text": text, "annotations": []}


def _call(call: Body) -> Event:
    return {
        "type": "function_call",
        "id": f"fc_{call['id']}",
        "call_id": call["id"],
        "status": "completed",
        **call["function"],
    }


def _response(
    order: Order, status: str, items: list[Event], usage: Event | None
) -> Event:
    cut = {"reason": "max_output_tokens"} if status == "incomplete" else None
    return {
        "id": f"resp_{order.answer.name}",
        "object": "response",
        "created_at": 0,
        "status": status,
        "model": order.model,
        "output": items,
        "usage": usage,
        "error": None,
        "incomplete_details": cut,
        "service_tier": order.tier or "default",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def _usage(order: Order) -> Event:
    said = order.answer
    return {
        "input_tokens": said.prompt,
        "input_tokens_details": {
            "cached_tokens": said.cached,
            "cache_write_tokens": said.written + said.written_1h,
        },
        "output_tokens": said.completion(),
        "output_tokens_details": {"reasoning_tokens": said.reasoning},
        "total_tokens": said.prompt + said.completion(),
    }


def _error(status: int) -> Event:
    """In a stream it is an event; as an answer it is that of chat completions."""
    return {"type": "error", "code": None, "message": "scripted", **error(status)}


RESPONSES = Dialect(_asked, _whole, _opening, _part, _ending, _error)
