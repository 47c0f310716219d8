"""What workers do; each is given its end of the line first."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_budget import (
    Account,
    BudgetCallbackHandler,
    BudgetExceeded,
    calls,
    tokens,
    usd,
)
from langchain_budget.testing import FakeChatModel
from tests.faults.books import pool_at
from tests.faults.crew import Post

ALL, CENT = usd(1), usd("0.01")
FAN_OUT = 64
ANSWERS = 75
LIMIT = 10_000  # tokens
PRICE = usd("0.001")  # of a reservation
CALL_PRICE = usd("0.00002")  # of 10 tokens in and 5 out


def reserved(account: Account, _: int = 0) -> bool:
    try:
        account.reserve(calls(1), PRICE).settle(calls(1), PRICE)
    except BudgetExceeded:
        return False
    return True


async def areserved(account: Account) -> bool:
    try:
        reservation = await account.areserve(calls(1), PRICE)
    except BudgetExceeded:
        return False
    await reservation.asettle(calls(1), PRICE)
    return True


def called(account: Account, _: int = 0) -> bool:
    config: Any = {"callbacks": [BudgetCallbackHandler(account)]}
    try:
        FakeChatModel(usage=(10, 5)).invoke("Hi", config)
    except BudgetExceeded:
        return False
    return True


async def acalled(account: Account) -> bool:
    config: Any = {"callbacks": [BudgetCallbackHandler(account)]}
    try:
        await FakeChatModel(usage=(10, 5)).ainvoke("Hi", config)
    except BudgetExceeded:
        return False
    return True


def threads(account: Account, call: Callable[..., bool], many: int = FAN_OUT) -> int:
    with ThreadPoolExecutor(many) as pool:
        return sum(pool.map(call, [account] * many, range(many)))


def tasks(account: Account, call: Callable[..., Any], many: int = FAN_OUT) -> int:
    async def gather() -> int:
        return sum(await asyncio.gather(*(call(account) for _ in range(many))))

    return asyncio.run(gather())


WAYS: dict[str, Callable[[Account], int]] = {
    "reserve in threads": lambda account: threads(account, reserved),
    "reserve in tasks": lambda account: tasks(account, areserved),
    "call in threads": lambda account: threads(account, called),
    "call in tasks": lambda account: tasks(account, acalled),
}


def fan_out(post: Post, url: str, limit: int, way: str) -> None:
    """Make many calls at once; say how many were admitted."""
    agent = pool_at(url).open("team", limit=calls(limit)).open("agent")
    post.at("ready")
    post.say(WAYS[way](agent))


def ask_a_model(post: Post, url: str, base_url: str, way: str) -> None:
    """Likewise, of a model behind a server."""
    agent = pool_at(url, calls(ANSWERS)).open("agent")
    config: Any = {"callbacks": [BudgetCallbackHandler(agent)]}
    llm = chat_model(base_url)

    def ask(_: Account, n: int = 0) -> bool:
        try:
            llm.invoke(f"{way} {n}", config)
        except BudgetExceeded:
            return False
        return True

    async def aask(_: Account) -> bool:
        try:
            await llm.ainvoke(way, config)
        except BudgetExceeded:
            return False
        return True

    post.at("ready")
    post.say(threads(agent, ask) if way == "threads" else tasks(agent, aask))


def top_up_once(post: Post, url: str) -> None:
    """Grant what others grant as well, under the same key."""
    pool = pool_at(url, ALL)
    post.at("ready")
    pool.top_up(usd(2), key="invoice 7")
    post.say("done")


class Step(BaseCallbackHandler):
    """Waits where one of the framework's events is heard."""

    run_inline = True

    def __init__(self, post: Post, **places: str) -> None:
        self._post = post
        self._places = places

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self._wait("start")

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        self._wait("end")

    def _wait(self, event: str) -> None:
        if place := self._places.get(event):
            self._post.at(place)


def two_calls(post: Post, url: str, base_url: str) -> None:
    """Make one call, and then one step by step."""
    pool = pool_at(url, tokens(LIMIT))
    # Handlers are told in this order: what comes after the meter's is step by step.
    meter = BudgetCallbackHandler(pool)
    steps = [Step(post, end="answered"), meter, Step(post, start="reserved")]
    llm = chat_model(base_url)
    llm.invoke("How are you?", {"callbacks": [meter]})
    llm.invoke("And how is the weather?", {"callbacks": steps})
    post.at("settled")


def chat_model(base_url: str) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=base_url,
        api_key=SecretStr("unused"),
        model="scripted-1",
        max_completion_tokens=32,
        max_retries=0,
    )


def reserve_and_wait(post: Post, url: str) -> None:
    """Set all aside for what has not begun, and then book a cent."""
    pool = pool_at(url, ALL)
    post.at("ready")
    reservation = pool.reserve(ALL)
    post.at("reserved")
    reservation.settle(CENT)
    post.at("settled")
