"""What the settings of a call say of its size, whoever's client they are for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

MUCH: Final = 32
"""Tokens from which on a setting that is not known counts as input."""

_CAPS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")

_SAID: Final = frozenset(
    {
        "functions",
        "instructions",
        "output_config",
        "output_format",
        "prediction",
        "prompt",
        "response_format",
        "response_json_schema",
        "response_schema",
        "system",
        "text",
    }
)
"""Settings that models read."""

_UNSAID: Final = frozenset(
    {
        "betas",
        "default_headers",
        "extra_body",
        "extra_headers",
        "extra_query",
        "logit_bias",
        "ls_structured_output_format",
        "metadata",
        "model_kwargs",
        "responses",
        "stop",
    }
)
"""Settings that they do not; the answers of a fake model are among its own."""

_ELSEWHERE: Final = ("mcp_servers", "previous_response_id", "conversation")
"""What makes a provider read more than it is sent."""


def texts(params: Mapping[str, Any]) -> Iterator[tuple[object, int]]:
    """What counts as input beside messages and tools, each with the least it has."""
    own = ((name, value) for name, value in params.items() if name != "tools")
    for name, value in chain(own, *(each.items() for each in _inner(params))):
        if name in _SAID and value:
            yield value, 0
        elif name not in _UNSAID and _may_be_much(value):
            yield value, MUCH


def _may_be_much(value: object) -> bool:
    if isinstance(value, str):
        return len(value) >= MUCH
    return isinstance(value, type) or (isinstance(value, Mapping | list) and any(value))


def has_form(params: Mapping[str, Any]) -> bool:
    """Whether Anthropic is asked for an answer in JSON, which it explains at length."""
    config = params.get("output_config")
    form = config.get("format") if isinstance(config, Mapping) else None
    return bool(form or params.get("output_format"))


def brings_more(params: Mapping[str, Any]) -> bool:
    """Whether the provider reads more than it is sent, such as what it searches."""
    tools = params.get("tools")
    offered = tools if isinstance(tools, list | tuple) else ()
    return any(map(params.get, _ELSEWHERE)) or any(map(_runs_there, offered))


def _runs_there(tool: object) -> bool:
    kind = tool.get("type") if isinstance(tool, Mapping) else None
    return isinstance(kind, str) and kind not in {"function", "custom"}


def thinking(params: Mapping[str, Any]) -> int:
    """The budget for thinking that Anthropic is given: less than `max_tokens`."""
    found = (each.get("thinking") for each in (params, *_inner(params)))
    told = next((each for each in found if each), None)
    budget = told.get("budget_tokens") if isinstance(told, Mapping) else None
    return _positive([budget], 0)


def answers_asked(params: Mapping[str, Any]) -> int:
    """How many answers a request asks for; what makes no sense counts as one."""
    last_wins = reversed((params, *_inner(params)))
    return _positive((each.get("n") for each in last_wins), 1)


def cap_asked(metadata: Mapping[str, Any], params: Mapping[str, Any]) -> int | None:
    """The cap on output tokens that the user set, in whatever words."""
    body = fixed_cap(params)
    caps = (each.get(name) for each in (params, *_inner(params)) for name in _CAPS)
    return body or _positive([*caps, metadata.get("ls_max_tokens")], 0) or None


def fixed_cap(params: Mapping[str, Any]) -> int:
    """The cap in `extra_body`, which goes over whatever else is said; 0 for none."""
    caps = map(_body(params).get, _CAPS)
    return max(_positive([cap], 0) for cap in caps)


def _inner(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Settings within settings; what stands in the last wins over the others."""
    return [_within(params, "model_kwargs"), _body(params)]


def _body(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """What goes into the body of the request as it stands."""
    body = _within(params, "extra_body")
    return body or _within(_within(params, "model_kwargs"), "extra_body")


def _within(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = settings.get(name)
    return found if isinstance(found, Mapping) else {}


def _positive(numbers: Iterable[object], otherwise: int) -> int:
    return next((n for n in numbers if type(n) is int and n > 0), otherwise)
