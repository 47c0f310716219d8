"""How a model is told how long its answer may be: in the words of its client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_core.runnables.base import RunnableBindingBase

_NAMES: Final[tuple[str, ...]] = (
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
)
"""What clients call the cap; OpenAI's has two names for it, and sends one."""

_OLLAMA: Final = "num_predict"
"""Ollama's name: one of the options, which it takes all together or not at all."""


def unbound(model: Any, given: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The model inside of what is bound to it or retries it, and all its settings."""
    settings = dict(given)
    while isinstance(model, RunnableBindingBase):
        settings = {**model.kwargs, **settings}
        model = model.bound
    return model, settings


def own_cap(model: Any, given: Mapping[str, Any]) -> dict[str, int]:
    """A cap of the user's that the model does not tell of itself, by a usual name."""
    if not _is_ollama(model):
        return {}
    cap = _options(model, given).get(_OLLAMA)
    return {_NAMES[0]: cap} if type(cap) is int and cap > 0 else {}


def capping(model: Any, given: Mapping[str, Any], most: int) -> dict[str, Any]:
    """
    Settings that cap each answer at *most* tokens, or below at what the user gave.

    Every name that the model or the call has a cap by already is overwritten, since
    whichever is not might win; of OpenAI's two, both at once are an error.

    Args:
        model: The model itself, with nothing around it.
        given: The settings of the call.
        most: Output tokens.
    """
    if _is_ollama(model):
        return {"options": {**_options(model, given), _OLLAMA: most}}
    known = {**_defaults(model), **given}
    names = [name for name in _NAMES if name in known] or [_name_of(type(model))]
    return {name: _lower(most, known.get(name)) for name in names}


def _lower(most: int, given: object) -> int:
    return min(most, given) if type(given) is int and given > 0 else most


def _defaults(model: Any) -> dict[str, Any]:
    """What the model sends and says of itself."""
    sent = getattr(model, "_default_params", None)
    told = model._get_invocation_params()  # noqa: SLF001  # as the framework asks it
    return {**told, **(sent if isinstance(sent, Mapping) else {})}


def _name_of(own: Any) -> str:
    """The name that the class has for a cap that nobody has set."""
    if "max_output_tokens" in own.model_fields:
        return "max_output_tokens"
    field = own.model_fields.get("max_tokens")
    alias = getattr(field, "alias", None)
    return alias if alias in _NAMES else "max_tokens"


def _is_ollama(model: Any) -> bool:
    return _OLLAMA in getattr(type(model), "model_fields", ())


def _options(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those that would be sent: the call's, or else the model's own."""
    options = given.get("options")
    if options is not None:
        return dict(options)
    ask = getattr(model, "_chat_params", None)
    own = ask([]) if ask else getattr(model, "_default_params", {})
    stop = {"stop": given["stop"]} if given.get("stop") else {}
    return {**own.get("options", {}), **stop}
