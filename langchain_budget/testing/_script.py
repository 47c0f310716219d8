"""What a scripted server answers, and what it counts: pure functions of a seed.

Standard library only: the server's process loads this without the rest of the package.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any, NamedTuple, Self

Body = Mapping[str, Any]
DESCRIBED = ("tools", "functions", "response_format")
CALLS = ("tool_calls", "function_call")
CAPS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
WORDS = ("the", "sun", "and", "one", "cup", "of", "good", "tea")
PIECE = re.compile(
    r"[A-Z]*[a-z]+|[A-Z]+|[\u2e80-\uffff]+|[^\W\d_]+|\d{1,3}|[^\w\s]+|_+|\n+"
)


class Fault(NamedTuple):
    """
    What goes wrong with an answer.

    *status*: an error is answered, and nothing is billed. *lose_reply*: the line is
    cut before the answer. *cut_after*: a stream is cut after so many pieces;
    *with_error* says so in the stream first. *no_usage*: none is reported. *model*:
    another one says that it answered. *usage* is reported as it stands, whatever was
    used.
    """

    status: int = HTTPStatus.OK.value
    lose_reply: bool = False
    cut_after: int | None = None
    no_usage: bool = False
    model: str = ""
    with_error: bool = False
    usage: Mapping[str, Any] | None = None

    @property
    def refuses(self) -> bool:
        return self.status != HTTPStatus.OK


class Rule(NamedTuple):
    """When a request meets the rule, and how it is answered then.

    *says*: texts that the system messages or the last user message hold, all of them.
    *tools*: tools on offer, all of them. *calls* are made once a question: when the
    assistant has made them since the last user message, the rule is passed over.
    *fault* strikes every time, or the first *fault_times* times. With neither
    *answer* nor *calls* a short sentence is made up.
    """

    says: str | Sequence[str] = ()
    tools: str | Sequence[str] = ()
    answer: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    fault: Fault | None = None
    fault_times: int | None = None

    @classmethod
    def of(cls, *, fault: Mapping[str, Any] | None, **fields: Any) -> Self:
        return cls(**fields, fault=Fault(**fault) if fault else None)

    def as_json(self) -> dict[str, Any]:
        fault = self.fault._asdict() if self.fault else None
        return {**self._asdict(), "fault": fault}

    def fits(self, body: Body) -> bool:
        names = [name for name, _ in self.calls]
        return (
            all(text in _asked(body) for text in _many(self.says))
            and {*_many(self.tools), *names} <= _on_offer(body)
            and not (names and {*names} <= _called(body))
        )


class Draw(NamedTuple):
    """Numbers that depend on a key and nothing else."""

    key: str

    @classmethod
    def of(cls, text: str) -> Self:
        return cls(sha256(text.encode()).hexdigest())

    def __call__(self, what: str, low: int, high: int) -> int:
        digest = sha256(f"{self.key}:{what}".encode()).digest()
        return low + int.from_bytes(digest[:8]) % (high - low + 1)


class Part(NamedTuple):
    """What one chunk of a stream says, and its tokens."""

    delta: Mapping[str, Any]
    tokens: int


class Answer(NamedTuple):
    """What is said, and what it costs."""

    name: str
    parts: Sequence[Part]
    finish: str
    prompt: int
    cached: int
    reasoning: int
    written: int = 0
    written_1h: int = 0

    def completion(self, sent: int | None = None) -> int:
        return self.reasoning + sum(part.tokens for part in self.parts[:sent])

    @property
    def text(self) -> str:
        return "".join(part.delta.get("content", "") for part in self.parts)

    @property
    def calls(self) -> list[Any]:
        return [
            call for part in self.parts for call in part.delta.get("tool_calls", ())
        ]


def count_tokens(text: str) -> int:
    """Count roughly as a tokenizer of 200,000 words does."""
    return sum(_weight(piece) for piece in PIECE.findall(text))


def prompt_tokens(body: Body) -> int:
    """Messages, tools and response format, before any jitter."""
    described = [body[key] for key in DESCRIBED if body.get(key)]
    calls = [m[key] for m in body["messages"] for key in CALLS if m.get(key)]
    texts = [_text(message) for message in body["messages"]]
    shapes = [
        json.dumps(shape, separators=(",", ":"), ensure_ascii=False)
        for shape in (*described, *calls)
    ]
    return 3 + 3 * len(texts) + sum(count_tokens(text) for text in (*texts, *shapes))


def answer(body: Body, rule: Rule, draw: Draw) -> Answer:
    """Follow the rule; the seed decides what the rule leaves open."""
    limit = next((body[cap] for cap in CAPS if body.get(cap)), 64)
    counted = prompt_tokens(body)
    prompt = max(1, counted * draw("jitter", 90, 110) // 100)
    cached = prompt * draw("share", 10, 80) // 100 if draw("cached", 0, 1) else 0
    short, hour = _written(prompt - cached, body.get("cache_ttls") or (), draw)
    every = _parts(rule, draw, limit)
    parts = list(_within(limit, every))
    left = limit - sum(part.tokens for part in parts)
    thinks = draw("thinks", 0, 2) == 0 and body.get("reasoning_effort") != "none"
    reasoning = min(left, draw("reasoning", 4, 40)) if thinks else 0
    finish = "tool_calls" if rule.calls else "stop"
    if len(parts) < len(every):
        finish = "length"
    name = draw.key[:12]
    return Answer(name, parts, finish, prompt, cached, reasoning, short, hour)


def _written(fresh: int, ttls: Sequence[str], draw: Draw) -> tuple[int, int]:
    """Of the input that no cache had, what is written to one: for short, for long."""
    written = fresh * draw("written", 20, 80) // 100 if ttls else 0
    hour = written * draw("hour", 20, 80) // 100 if "1h" in ttls else 0
    return (written - hour, hour) if "5m" in ttls else (0, written)


def _parts(rule: Rule, draw: Draw, limit: int) -> list[Part]:
    if rule.calls:
        return [_call(at, *call, draw) for at, call in enumerate(rule.calls)]
    text = rule.answer or _sentence(draw, min(limit, 256))
    words = [word for word in re.split(r"(?<=\s)(?=\S)", text) if word]
    return [Part({"content": word}, count_tokens(word)) for word in words]


def _call(at: int, name: str, args: Mapping[str, Any], draw: Draw) -> Part:
    function = {"name": name, "arguments": json.dumps(args)}
    call = {"index": at, "id": f"call_{draw.key[:12]}_{at}", "type": "function"}
    tokens = 4 + count_tokens(json.dumps(function))
    return Part({"tool_calls": [{**call, "function": function}]}, tokens)


def _sentence(draw: Draw, longest: int) -> str:
    length = draw("length", (longest + 3) // 4, longest)
    return " ".join(WORDS[draw(f"word {n}", 0, len(WORDS) - 1)] for n in range(length))


def _within(limit: int, parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        limit -= part.tokens
        if limit < 0:
            return
        yield part


def _weight(piece: str) -> int:
    if piece >= "\u2e80":
        return 1 + len(piece) * 7 // 10
    if not piece.isascii():
        return 1 + (len(piece) - 1) // 4
    return 1 + (len(piece) - 1) // (10 if piece.isalpha() else 4)


def _text(message: Body) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _last_question(body: Body) -> int:
    asked = [at for at, m in enumerate(body["messages"]) if m["role"] == "user"]
    return asked[-1] if asked else 0


def _asked(body: Body) -> str:
    messages = body["messages"]
    told = [_text(m) for m in messages if m["role"] in {"system", "developer"}]
    return "\n".join([*told, _text(messages[_last_question(body)])])


def _on_offer(body: Body) -> set[str]:
    return {tool["function"]["name"] for tool in body.get("tools") or ()}


def _called(body: Body) -> set[str]:
    since = body["messages"][_last_question(body) :]
    calls = [call for m in since for call in m.get("tool_calls") or ()]
    return {call["function"]["name"] for call in calls}


def _many(one_or_more: str | Sequence[str]) -> Sequence[str]:
    return [one_or_more] if isinstance(one_or_more, str) else one_or_more
