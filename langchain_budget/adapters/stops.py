"""What an agent does when a model call is not affordable: the ways to stop well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage

from langchain_budget.adapters.extra import (
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_budget.adapters.top_ups import (
    Grant,
    ask,
    can_be_topped_up,
    drain,
    is_ours,
)
from langchain_budget.adapters.uncached import STOPPED
from langchain_budget.core.accounts import root_of
from langchain_budget.core.amounts import Amount
from langchain_budget.errors import AccountFrozen, BudgetExceeded, BudgetRefused

OnExceeded = Literal["error", "end", "check_in", "interrupt", "downgrade", "drain"]

CHOICES: Final = ("error", "end", "check_in", "interrupt", "downgrade", "drain")

INCOMPLETE: Final = "budget_incomplete"
"""In `response_metadata`: the agent was not done when its budget was."""

CHECK_IN: Final = (
    "Your budget for this task is used up, and you can call no more tools. Say in a "
    "few sentences what is done, what is left, and what you would do next."
)
"""What the model is asked when an agent checks in."""


class Anew(NamedTuple):
    """Try this request, perhaps charged to another account."""

    request: ModelRequest[Any]
    account: str | None = None


Answer = ModelResponse[Any] | AIMessage
Steps = Generator[Anew | Grant, Answer | BudgetRefused | None, Answer]
"""Steps that are taken one after another, until there is an answer, or a refusal."""


@dataclass(frozen=True)
class Stop:
    """
    How an agent stops.

    Attributes:
        how: See `BudgetMiddleware`.
        models: For `downgrade`: what is tried instead, dearest first.
        last_account: For `check_in`: what its last answer is charged to.
        message: What is said to the person at the end; the refusal, if it is empty.
        tool_message: What is said to the model in place of what a tool that was not
            run would have said; likewise.
    """

    how: OnExceeded
    models: Sequence[BaseChatModel] = field(default=())
    last_account: str | None = None
    message: str = ""
    tool_message: str = ""

    @property
    def raises(self) -> bool:
        """Whether a refusal is raised, whatever was tried before."""
        return self.how in ("error", "interrupt")

    def steps(self, request: ModelRequest[Any], refusal: BudgetRefused) -> Steps:
        """
        What to do after *refusal*.

        Raises:
            BudgetRefused: Nothing can be done, or nothing is to be.
        """
        if not is_used_up(refusal):
            raise refusal
        if self.how == "interrupt":
            return (yield from _interrupted(request, refusal))
        if self.how == "downgrade":
            return (yield from self._downgraded(request, refusal))
        if self.how == "check_in":
            return (yield from self._checked_in(request, refusal))
        if self.how == "error":
            raise refusal
        if self.how == "drain":
            drain(refusal)
        return self.last_words(refusal)

    def last_words(self, refusal: BudgetRefused) -> AIMessage:
        """The end of an agent, in words for a person."""
        return self.end(str(refusal), marks(refusal))

    def end(self, why: str, metadata: dict[str, Any]) -> AIMessage:
        """Likewise, whatever is known of why."""
        said = self.message or f"I stopped before I was done. {why}"
        return AIMessage(said, response_metadata=metadata)

    def _downgraded(self, request: ModelRequest[Any], refusal: BudgetRefused) -> Steps:
        for model in self.models:
            answer = yield Anew(request.override(model=model))
            if not isinstance(answer, BudgetRefused) and answer is not None:
                return answer
        return self.last_words(refusal)

    def _checked_in(self, request: ModelRequest[Any], refusal: BudgetRefused) -> Steps:
        """Let the model say where it is, without tools, from what was kept for it."""
        question = HumanMessage(CHECK_IN)
        last = request.override(
            tools=[],
            tool_choice=None,
            response_format=None,
            messages=[*request.messages, question],
        )
        answer = yield Anew(last, self.last_account)
        if answer is None or isinstance(answer, BudgetRefused):
            return self.last_words(refusal)
        said = answer.result if isinstance(answer, ModelResponse) else [answer]
        if any(getattr(each, "tool_calls", None) for each in said):
            return self.last_words(refusal)  # it asks for tools that it was not given
        for message in said:
            message.response_metadata.update(marks(refusal))
        return answer


def so_far(
    refusal: BudgetRefused, request: ModelRequest[Any] | ToolCallRequest
) -> BudgetRefused:
    """The same, with the messages of the agent, unless it has something of its own."""
    state = request.state if isinstance(request.state, Mapping) else {}
    refusal.partial = refusal.partial or tuple(state.get("messages") or ())
    return refusal


def is_used_up(refusal: BudgetRefused) -> bool:
    """A budget that is used up ends an agent; one that is set up wrong does not."""
    return isinstance(refusal, BudgetExceeded | AccountFrozen)


def marks(refusal: BudgetRefused) -> dict[str, Any]:
    """What an answer's `response_metadata` says of an agent that was stopped."""
    return {STOPPED: refusal.kind, INCOMPLETE: True, "budget_account": refusal.account}


def _interrupted(request: ModelRequest[Any], refusal: BudgetRefused) -> Steps:
    """Ask a person, as often as it takes."""
    while can_be_topped_up(refusal):
        yield Grant(refusal, *ask(refusal))
        answer = yield Anew(request)
        if not isinstance(answer, BudgetRefused) and answer is not None:
            return answer
        if isinstance(answer, BudgetRefused):
            refusal = so_far(answer, request)
    raise refusal


def check_stop(
    how: str, models: Sequence[BaseChatModel], finalisation: Amount | None
) -> None:
    """
    Whether what a middleware was given goes together.

    Raises:
        ValueError: It does not.
    """
    if how not in CHOICES:
        msg = f"on_exceeded={how!r}: choose one of {', '.join(CHOICES)}"
        raise ValueError(msg)
    if bool(models) != (how == "downgrade"):
        msg = "models=[...] and on_exceeded='downgrade' belong together: give both"
        raise ValueError(msg)
    if finalisation is not None and how != "check_in":
        msg = "finalisation=... is for on_exceeded='check_in': give both, or neither"
        raise ValueError(msg)


Call = Callable[[Anew], Answer]
ACall = Callable[[Anew], Awaitable[Answer]]


def run_steps(steps: Steps, call: Call, grant: Callable[[Grant], None]) -> Answer:
    """Take steps until there is an answer."""
    try:
        step = next(steps)
        while True:
            step = steps.send(_taken(step, call, grant))
    except StopIteration as done:
        answer: Answer = done.value
        return answer


def _taken(
    step: Anew | Grant, call: Call, grant: Callable[[Grant], None]
) -> Answer | BudgetRefused | None:
    if isinstance(step, Grant):
        grant(step)
        return None
    try:
        return call(step)
    except BudgetRefused as refusal:
        return refusal


async def arun_steps(
    steps: Steps, call: ACall, grant: Callable[[Grant], Awaitable[None]]
) -> Answer:
    """Awaitable twin of `run_steps`."""
    try:
        step = next(steps)
        while True:
            step = steps.send(await _ataken(step, call, grant))
    except StopIteration as done:
        answer: Answer = done.value
        return answer


async def _ataken(
    step: Anew | Grant, call: ACall, grant: Callable[[Grant], Awaitable[None]]
) -> Answer | BudgetRefused | None:
    if isinstance(step, Grant):
        await grant(step)
        return None
    try:
        return await call(step)
    except BudgetRefused as refusal:
        return refusal


def check_ours(root: str, refusal: BudgetRefused) -> BudgetRefused:
    """Raise what other books refuse: only what is lacking in ours can be mended."""
    if isinstance(refusal, BudgetExceeded) and not is_ours(root_of(root), refusal):
        raise refusal
    return refusal
