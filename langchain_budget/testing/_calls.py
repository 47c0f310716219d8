"""What calls to a fake model really used, whatever anybody else believes."""

from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple, Self


class ModelCall(NamedTuple):
    """One call to a fake model, without any text."""

    input_tokens: int
    output_tokens: int
    max_tokens: int | None
    model: str
    tools: tuple[str, ...]
    completed: bool


class Total(NamedTuple):
    """What many calls used together."""

    input_tokens: int
    output_tokens: int
    calls: int


@dataclass(slots=True)
class CallInFlight:
    """One call, as far as it has got."""

    number: int
    model: str
    max_tokens: int | None
    tools: tuple[str, ...]
    input_tokens: int
    output_tokens: int = 0
    completed: bool = False

    def ended(self) -> ModelCall:
        return ModelCall(
            self.input_tokens,
            self.output_tokens,
            self.max_tokens,
            self.model,
            self.tools,
            self.completed,
        )


class CallLog:
    """Calls in the order in which they ended. Copies of a model share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._started = 0
        self._ended: list[ModelCall] = []

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def next_number(self) -> int:
        with self._lock:
            self._started += 1
            return self._started - 1

    def add(self, call: ModelCall) -> None:
        with self._lock:
            self._ended.append(call)

    @property
    def calls(self) -> tuple[ModelCall, ...]:
        with self._lock:
            return tuple(self._ended)

    @property
    def total(self) -> Total:
        calls = self.calls
        return Total(
            sum(call.input_tokens for call in calls),
            sum(call.output_tokens for call in calls),
            len(calls),
        )
