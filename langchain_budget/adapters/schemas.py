"""Tools and forms as they are sent, whatever they are made of here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel


def as_json(value: object) -> str:
    """*value* in JSON; a class, a function or a tool in it as its schema."""
    try:
        return json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), default=_plain
        )
    except (RecursionError, TypeError, ValueError):  # a cycle, or keys of other types
        return str(value)


def _plain(value: Any) -> object:
    try:
        if isinstance(value, type) and issubclass(value, BaseModel):
            return _form(value)
        if isinstance(value, BaseModel) and not hasattr(value, "args_schema"):
            return value.model_dump()
        return convert_to_openai_tool(value) if callable(value) else _tool(value)
    except Exception:  # noqa: BLE001  # whatever a class of the user's raises
        return str(value)


def _tool(value: Any) -> object:
    return (
        convert_to_openai_tool(value) if hasattr(value, "args_schema") else str(value)
    )


def _form(model: type[BaseModel]) -> dict[str, Any]:
    """What OpenAI's client sends for a class: strict, which makes it longer."""
    schema = model.model_json_schema()
    form = {"schema": _strict(schema, schema), "name": model.__name__, "strict": True}
    return {"type": "json_schema", "json_schema": form}


def _strict(node: Any, root: Mapping[str, Any], inside: tuple[str, ...] = ()) -> Any:
    """
    Every object closed, and what a reference with more beside it stands for.

    That is how openai-python's `to_strict_json_schema` does it.
    """
    if isinstance(node, list):
        return [_strict(each, root, inside) for each in node]
    if not isinstance(node, dict):
        return node
    ref = node.get("$ref")
    if isinstance(ref, str) and len(node) > 1 and ref not in inside:
        beside = {name: each for name, each in node.items() if name != "$ref"}
        node, inside = {**_at(root, ref), **beside}, (*inside, ref)
    made = {name: _strict(each, root, inside) for name, each in node.items()}
    if made.get("type") == "object":
        made = {**_CLOSED, "required": [*made.get("properties", ())], **made}
    return made


def _at(root: Mapping[str, Any], ref: str) -> Any:
    found: Any = root
    for name in ref.removeprefix("#/").split("/"):
        found = found[name]
    return found


_CLOSED: Final = {"additionalProperties": False}
