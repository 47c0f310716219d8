"""One call of a wrapped model: what it holds, and what it is charged at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Self

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import add_usage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult

from langchain_budget.adapters.attribution import caller_of, divided_by
from langchain_budget.adapters.calls import CALLS, first_open
from langchain_budget.adapters.clamp import Capped, hold_capped
from langchain_budget.adapters.context import claimed
from langchain_budget.adapters.heralds import Announced
from langchain_budget.adapters.labels import labels_of_run
from langchain_budget.adapters.payers import Payer
from langchain_budget.adapters.pieces import tokens_in
from langchain_budget.adapters.requests import Request
from langchain_budget.adapters.settling import broken, charge_of
from langchain_budget.adapters.steps import STEPS
from langchain_budget.adapters.uncached import STOPPED, mark_cut
from langchain_budget.adapters.underway import Call
from langchain_budget.core.rules import Charge
from langchain_budget.ledger import Closing, Ledger
from langchain_budget.stores._drive import Talk

CUT: Final = "cut"
"""It was longer than the cap that was held for; the provider did not keep to it."""


class Purse(NamedTuple):
    """Whose money a wrapped model spends, and how long it waits for it."""

    payer: Payer
    wait_seconds: float = 0.0

    @property
    def ledger(self) -> Ledger:
        """The books that it is in."""
        return self.payer.ledger

    def __deepcopy__(self, memo: object) -> Self:
        """The same: a copy of a model spends from the same budget."""
        return self

    def admit(self, request: Request, told: Announced) -> Talk[PaidCall]:
        """
        Hold the most that the call can cost, its answer capped to what is left.

        What a layer outside has held for this call already is taken over.

        Raises:
            BudgetRefused: There is not enough; the call must not be made.
        """
        ledger = self.ledger
        caller = caller_of(told.metadata)
        labels = labels_of_run(caller, told.run_id, told.parent, told.metadata)
        labels |= divided_by(ledger, told.metadata)
        labels["provider"], labels["model"] = request.model
        offer = claimed(ledger)
        if offer is not None:
            capped = Capped(offer.hold, offer.clamp)
            labels |= offer.hold.labels
            return PaidCall(ledger, offer.request, labels, capped)
        places = STEPS.places(ledger, self.payer.path(told.metadata), told.parent)
        hold = partial(hold_capped, ledger, request, labels, self.wait_seconds)
        capped = yield from first_open(places, hold)
        return PaidCall(ledger, request, labels, capped)


class PaidCall:
    """A call that is held for; one of its ends closes it, once."""

    def __init__(
        self, ledger: Ledger, request: Request, labels: Mapping[str, str], held: Capped
    ) -> None:
        self._request, self._clamp = request, held.clamp
        most = held.clamp.output_tokens
        size = request._replace(output_tokens=most, worst_output=most)
        self._call = Call(ledger, self, size, labels, held.hold)
        self._usage: Any = None
        self._metadata: dict[str, Any] = {}
        self._pieces = 0

    @property
    def capped(self) -> bool:
        """Whether the model is told a cap that the budget has set."""
        return self._clamp.told

    def settings(self, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """What tells the model of it, beside the settings that were given."""
        return self._clamp.settings(self._request, model, given)

    def note(self, chunk: ChatGenerationChunk) -> bool:
        """A piece was streamed; whether it is the last that is paid for."""
        if self.capped:
            mark_cut(chunk)
        message = chunk.message
        call = self._call
        tokens = tokens_in(message.content, message)
        call.seen += tokens
        self._pieces += bool(tokens)
        if isinstance(message, AIMessageChunk) and message.usage_metadata:
            self._usage = add_usage(self._usage, message.usage_metadata)
        self._metadata |= (chunk.generation_info or {}) | message.response_metadata
        CALLS.keep(call)
        return self._clamp.limits and self._pieces > self._clamp.output_tokens

    def answered(self, generations: Sequence[ChatGeneration], output: Any) -> Charge:
        """What is charged for a whole answer."""
        result = LLMResult(generations=[list(generations)], llm_output=output)
        return charge_of(self._call, result, CALLS.estimator(self._call.ledger))

    def streamed(self) -> Charge:
        """What is charged for a stream that was read to its end."""
        usage, metadata = self._usage, self._metadata
        message = AIMessage("", usage_metadata=usage, response_metadata=metadata)
        return self.answered([ChatGeneration(message=message)], None)

    def broken(self, error: BaseException) -> Charge | None:
        """What is charged for a call that ended in *error*; `None` is nothing."""
        self._call.usage = self._usage
        return broken(self._call, error)

    def closing(self, charge: Charge | None) -> Talk[object]:
        """Settle at *charge*, or release; a second time does nothing."""
        call = self._call
        if call.closed or call.hold is None:
            return None
        call.closed = True
        return (yield from call.ledger.close(Closing(call.hold, charge)))

    def close(self, charge: Charge | None) -> None:
        """Likewise, waiting for it."""
        self._call.ledger.run(self.closing(charge))

    async def aclose(self, charge: Charge | None) -> None:
        """Awaitable twin of `close`."""
        await self._call.ledger.arun(self.closing(charge))


def cut_short(like: BaseMessage) -> ChatGenerationChunk:
    """The end of a stream that is not read further."""
    metadata = {STOPPED: CUT}
    message = AIMessageChunk(content="", id=like.id, response_metadata=metadata)
    return ChatGenerationChunk(message=message)
