import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_budget.testing import FakeChatModel, Gate, GateTimeout, Total


def test_threads_stop_at_a_gate_until_it_is_opened():
    gate = Gate()
    model = FakeChatModel(gate=gate, usage=(10, 5))

    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(model.invoke, "hi") for _ in range(3)]
        gate.wait_started(3)
        before = model.calls
        gate.open()
        answers = [call.result() for call in calls]

    assert before == ()
    assert [answer.text for answer in answers] == ["hi"] * 3
    assert model.total == Total(30, 15, 3)


def test_more_tasks_than_there_are_threads_stop_at_a_gate():
    async def main() -> tuple[int, int]:
        calls = [asyncio.create_task(model.ainvoke("hi")) for _ in range(100)]
        await gate.await_started(100)
        before = len(model.calls)
        gate.open()
        await asyncio.gather(*calls)
        return before, gate.started

    gate = Gate()
    model = FakeChatModel(gate=gate)

    assert asyncio.run(main()) == (0, 100)
    assert len(model.calls) == 100


def test_a_thread_can_wait_for_tasks_and_open_the_gate_for_them():
    gate = Gate()
    model = FakeChatModel(gate=gate)

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(asyncio.run, model.ainvoke("hi"))
        gate.wait_started()
        gate.open()

        assert call.result().text == "hi"


def test_a_call_cancelled_at_a_gate_has_used_its_input_only():
    async def main() -> None:
        call = asyncio.create_task(model.ainvoke("hi"))
        await gate.await_started()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        gate.open()

    gate = Gate()
    model = FakeChatModel(gate=gate, usage=(10, 5))

    asyncio.run(main())

    (call,) = model.calls
    assert (call.input_tokens, call.output_tokens, call.completed) == (10, 0, False)


def test_streams_stop_at_a_gate_before_their_first_chunk():
    async def read() -> list[str]:
        return [chunk.text async for chunk in model.astream("a b")]

    gate = Gate()
    model = FakeChatModel(gate=gate)

    with ThreadPoolExecutor(2) as pool:
        threaded = pool.submit(lambda: [chunk.text for chunk in model.stream("a b")])
        awaited = pool.submit(lambda: asyncio.run(read()))
        gate.wait_started(2)
        gate.open()

        assert threaded.result() == awaited.result() == ["a ", "b", ""]


def test_a_gate_nobody_opens_fails_the_calls_that_wait():
    model = FakeChatModel(gate=Gate(timeout=0))

    with pytest.raises(GateTimeout, match=r"for open\(\); 1 calls have arrived"):
        model.invoke("hi")
    with pytest.raises(GateTimeout, match=r"for open\(\); 2 calls have arrived"):
        asyncio.run(model.ainvoke("hi"))


def test_waiting_for_a_call_that_does_not_come_fails():
    gate = Gate(timeout=0)

    with pytest.raises(GateTimeout, match="for 2 calls; 0 calls have arrived"):
        gate.wait_started(2)
    with pytest.raises(GateTimeout, match="for 2 calls; 0 calls have arrived"):
        asyncio.run(gate.await_started(2))
