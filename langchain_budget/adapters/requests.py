"""What a call may cost, worked out from what is about to be sent."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from langchain_core.messages import BaseMessage

from langchain_budget.adapters.counting import RequestCounter
from langchain_budget.adapters.parameters import (
    answers_asked,
    brings_more,
    cap_asked,
    fixed_cap,
    thinking,
)
from langchain_budget.adapters.terms import terms_of
from langchain_budget.pricing.prices import ModelRef
from langchain_budget.pricing.usage import Terms, Usage

LEARNED_SHARE: Final = 0.95
"""The share of the known answers that the learned size covers."""

LEARNED_KEPT: Final = 64

MUCH_LONGER: Final = 4
"""
A request so many times as long tells of a shorter one only in proportion.

What comes on top of what is counted may be the same for all, such as a template, or
grow with the text, where a model cuts it into more tokens than was thought.
"""

Messages = Sequence[BaseMessage] | Sequence[str]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Request(NamedTuple):
    """A model, what goes in, and what may come out, in tokens."""

    model: ModelRef
    input_tokens: int
    output_tokens: int
    """What is expected to come out; held."""
    worst_output: int
    """The most that may come out, as far as it is known."""
    capped: bool = False
    """Whether the user or the model's own maximum bounds what comes out."""
    answers: int = 1
    """How many answers are asked for at once; each has the cap to itself."""
    guessed: bool = False
    """Whether nothing at all is known of the size of the answer."""
    margin: int = 0
    """The part of the input that was not counted, but learned from answers."""
    thinking: int = 0
    """
    Of each answer, what is set aside for thinking: its cap has to be above.

    Or a cap in `extra_body`, which no other goes over: it cannot be lowered.
    """
    for_an_hour: bool = False
    """Whether it asks Anthropic to cache something for an hour."""
    terms: Terms = Terms()
    """What it asks for that may make its tokens dearer."""
    media: int = 0
    """The part of the input that is guessed, for images, recordings and files."""
    brings_more: bool = False
    """Whether the provider reads more than it is sent, such as what it searches."""


UNSIZED: Final = Request(ModelRef("", ""), 0, 0, 0)
"""Before it is known what is asked for."""


class Estimator:
    """
    Sizes requests; it learns from what models answered before.

    Args:
        expected_output: Tokens of an answer of which nothing is known.
    """

    def __init__(self, expected_output: int) -> None:
        self._expected = expected_output
        self._counter = RequestCounter()
        self._answers: dict[ModelRef, deque[int]] = {}
        self._sizes: dict[ModelRef, int] = {}
        self._excess: dict[tuple[ModelRef, bool], deque[tuple[int, int]]] = {}

    def size(
        self,
        messages: Messages,
        metadata: Mapping[str, Any],
        params: Mapping[str, Any],
    ) -> Request:
        """What a call holds: its input counted, its output capped or learned."""
        model = model_of(metadata, params)
        cap = output_cap(model, metadata, params)
        learned = self._sizes.get(model)
        answers = answers_asked(params)
        most = cap_asked(metadata, params) or profile_cap(model)
        expected = cap if cap is not None else learned or self._expected
        counted, media = self._counter.counted(
            messages, params.get("tools"), model, params
        )
        more = brings_more(params)
        margin = self._margin(counted, model, more)
        return Request(
            model,
            counted + margin,
            expected * answers,
            max(most or 0, expected) * answers,
            most is not None,
            answers,
            cap is None and learned is None,
            margin,
            thinking=fixed_cap(params) or thinking(params),
            for_an_hour=model.provider == "anthropic"
            and _for_an_hour(messages, params),
            media=media,
            brings_more=more,
            terms=terms_of(model.provider, messages, params),
        )

    def learn(self, request: Request, usage: Usage) -> None:
        """
        Remember the size of an answer, and what the input was short of.

        A server may add to the input what nobody here sees, such as a template. What
        a file was short of says nothing of other requests.
        """
        model = request.model
        size = -(-usage.total_output // request.answers)
        self._sizes[model] = _most(_keep(self._answers, model, size))
        if not request.media:
            counted = request.input_tokens - request.margin
            excess = max(0, usage.total_input - counted)
            _keep(self._excess, (model, request.brings_more), (excess, counted))

    def _margin(self, counted: int, model: ModelRef, more: bool) -> int:  # noqa: FBT001
        """What requests like this one were short of, or else in proportion."""
        known = tuple(self._excess.get((model, more), ()))
        like = [excess for excess, of in known if of <= counted * MUCH_LONGER]
        return _most(like or [excess * counted // of for excess, of in known])

    def text(self, text: str, model: ModelRef) -> int:
        """Tokens of a piece of text, never fewer than there are."""
        return self._counter.count([text], None, model) if text else 0


def _keep(kept: dict[_Key, deque[_Value]], key: _Key, value: _Value) -> deque[_Value]:
    """Remember *value*; all that are remembered."""
    known = kept.get(key)
    if known is None:
        known = kept.setdefault(key, deque(maxlen=LEARNED_KEPT))
    known.append(value)
    return known


def _most(values: Iterable[int]) -> int:
    """What covers nearly all of them."""
    ordered = sorted(values) or [0]
    return ordered[min(len(ordered) - 1, int(len(ordered) * LEARNED_SHARE))]


def _for_an_hour(messages: Messages, params: Mapping[str, Any]) -> bool:
    """Whether a block, a tool or the call itself says so."""
    contents = (getattr(message, "content", None) for message in messages)
    blocks = (block for each in contents if isinstance(each, list) for block in each)
    marked = (each for each in (params, *(params.get("tools") or ()), *blocks))
    told = (each.get("cache_control") for each in marked if isinstance(each, Mapping))
    return any(isinstance(each, Mapping) and each.get("ttl") == "1h" for each in told)


def model_of(metadata: Mapping[str, Any], params: Mapping[str, Any]) -> ModelRef:
    """The model that is called, by the framework's own names."""
    name = metadata.get("ls_model_name") or params.get("model") or ""
    return ModelRef(str(metadata.get("ls_provider") or ""), str(name))


def output_cap(
    model: ModelRef, metadata: Mapping[str, Any], params: Mapping[str, Any]
) -> int | None:
    """
    The user's own cap on output tokens, `None` when there is none.

    A cap at the model's own maximum or above counts as none: some clients always
    send it, and holding it would refuse the first call of a small budget.
    """
    cap = cap_asked(metadata, params)
    most = profile_cap(model)
    return None if cap is not None and most is not None and cap >= most else cap


def profile_cap(model: ModelRef) -> int | None:
    """The most a model can answer, from its client's profiles if that is loaded."""
    module = sys.modules.get(f"langchain_{model.provider}.data._profiles")
    profiles = getattr(module, "_PROFILES", None) or {}
    cap = (profiles.get(model.model) or {}).get("max_output_tokens")
    return cap if type(cap) is int else None
