"""What all requests to a scripted server share: the script, the faults, the log.

Standard library only. No text is kept, nor any key.
"""

import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from threading import Condition
from typing import Any, NamedTuple

from langchain_budget.testing._script import (
    CAPS,
    Answer,
    Body,
    Draw,
    Fault,
    Rule,
    answer,
)

TIERS = ("flex", "priority")
PATIENCE = 10.0  # seconds that the log waits for requests in progress


class Served(NamedTuple):
    """
    What the server did for one request. One refused with an error costs nothing.

    What was read from a cache, or written to one, is in `prompt_tokens` too, and
    reasoning in `completion_tokens`. `tier` is "flex" or "priority" where that was
    served, `cap` the name of the parameter that had `max_tokens`.
    """

    n: int
    agent: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    stream: bool
    answered: bool
    status: int
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    tier: str = ""
    cap: str = ""
    max_tokens: int | None = None

    @property
    def billed(self) -> bool:
        return self.status == HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Order:
    """One request, and what is to become of it."""

    n: int
    agent: str
    model: str
    stream: bool
    with_usage: bool
    fault: Fault
    answer: Answer
    tier: str = ""
    cap: str = ""
    max_tokens: int | None = None

    def served(self, sent: int | None, *, answered: bool) -> Served:
        billed = not self.fault.refuses
        return Served(
            self.n,
            self.agent,
            self.model,
            self.answer.prompt if billed else 0,
            self.answer.completion(sent) if billed else 0,
            self.answer.cached if billed else 0,
            self.answer.reasoning if billed else 0,
            self.stream,
            answered,
            self.fault.status,
            self.answer.written if billed else 0,
            self.answer.written_1h if billed else 0,
            self.tier,
            self.cap,
            self.max_tokens,
        )

    def usage(self, counted: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What is reported of what was counted, if anything is."""
        if not self.with_usage:
            return None
        return counted if self.fault.usage is None else self.fault.usage


class Desk:
    """All that requests share: the script, what is to go wrong, and the log."""

    def __init__(self, seed: int, rules: list[Rule]) -> None:
        self._seed = seed
        self._rules = rules
        self._changed = Condition()
        self._seen: Counter[str] = Counter()
        self._struck: Counter[int] = Counter()
        self._next: deque[Fault] = deque()
        self._hold_after: int | None = None
        self._releases = 0
        self._held = 0
        self._arrived = 0
        self._log: list[Served] = []

    def take(self, body: Body, agent: str, fault_header: str | None) -> Order:
        """Take a request, in the words of chat completions."""
        with self._changed:
            self._arrived += 1
            at, rule = self._rule(body)
            fault = self._fault(at, rule, fault_header)
            tier = body.get("service_tier") or ""
            cap = next((name for name in CAPS if body.get(name)), "")
            return Order(
                self._arrived,
                agent,
                fault.model or body.get("model") or "",
                bool(body.get("stream")),
                _wants_usage(body) and not fault.no_usage,
                fault,
                answer(body, rule, self._draw(body, fault)),
                tier if tier in TIERS else "",
                cap,
                body.get(cap),
            )

    def close(self, served: Served) -> None:
        with self._changed:
            self._log.append(served)
            self._changed.notify_all()

    def wait(self, sent: int) -> None:
        """Wait while answers are held after so many chunks."""
        with self._changed:
            if self._hold_after != sent:
                return
            self._held += 1
            self._changed.notify_all()
            releases = self._releases
            self._changed.wait_for(lambda: self._releases > releases)

    def hold(self, after: int) -> None:
        with self._changed:
            self._hold_after = after

    def release(self) -> None:
        with self._changed:
            self._hold_after = None
            self._releases += 1
            self._held = 0
            self._changed.notify_all()

    def fail(self, fault: dict[str, Any], times: int) -> None:
        with self._changed:
            self._next.extend([Fault(**fault)] * times)

    def wait_held(self, requests: int, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._held >= requests, timeout)

    def log(self) -> list[Served]:
        """In order of arrival, once every request that is not held has ended."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._log) + self._held >= self._arrived, PATIENCE
            )
            return sorted(self._log)

    def _rule(self, body: Body) -> tuple[int, Rule]:
        fitting = ((at, rule) for at, rule in enumerate(self._rules) if rule.fits(body))
        return next(fitting, (-1, Rule()))

    def _fault(self, at: int, rule: Rule, header: str | None) -> Fault:
        if self._next:
            return self._next.popleft()
        if header:
            return Fault(**json.loads(header))
        self._struck[at] += 1
        if rule.fault_times is not None and self._struck[at] > rule.fault_times:
            return Fault()
        return rule.fault or Fault()

    def _draw(self, body: Body, fault: Fault) -> Draw:
        request = json.dumps(body, sort_keys=True)
        key = Draw.of(f"{self._seed}:{request}").key
        self._seen[key] += not fault.refuses
        return Draw.of(f"{key}:{self._seen[key]}")


def _wants_usage(body: Body) -> bool:
    options = body.get("stream_options") or {}
    return not body.get("stream") or bool(options.get("include_usage"))
