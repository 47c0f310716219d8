"""Eight processes and one account: exactly what it has is admitted."""

from langchain_budget import calls, tokens, usd
from langchain_budget.core.amounts import Amount
from langchain_budget.testing import ScriptedServer
from tests.faults.books import patient, pool_at
from tests.faults.crew import Crew, Worker
from tests.faults.duties import (
    ANSWERS,
    CALL_PRICE,
    FAN_OUT,
    PRICE,
    WAYS,
    ask_a_model,
    fan_out,
    top_up_once,
)
from tests.invariants import assert_quiet

LIMIT = 301
PROCESSES = 2 * len(WAYS)


def test_eight_processes_are_admitted_exactly_as_far_as_the_limit_goes(
    shared_url: str, crew: Crew
) -> None:
    pool = pool_at(shared_url)
    ways = [*WAYS] * 2
    url = patient(shared_url)
    workers = [crew.hire(fan_out, url, LIMIT, way) for way in ways]
    admitted = answers(workers)

    assert PROCESSES * FAN_OUT > LIMIT
    assert sum(admitted) == LIMIT
    team = pool.account("team")
    assert team.balance("calls").spent == calls(LIMIT)
    assert team.balance("calls").available == calls(0)
    assert pool.balance().spent == cost(ways, admitted)
    assert pool.admin.verify().ok
    assert_quiet(pool.ledger.store)


def test_real_clients_get_exactly_as_many_answers_as_the_limit_has(
    shared_url: str, crew: Crew, scripted: ScriptedServer
) -> None:
    pool = pool_at(shared_url, calls(ANSWERS))
    workers = [
        crew.hire(ask_a_model, patient(shared_url), scripted.base_url, way)
        for way in ("threads", "tasks")
    ]

    assert sum(answers(workers)) == ANSWERS
    assert scripted.total.calls == ANSWERS
    assert pool.balance("calls").spent == calls(ANSWERS)
    used = scripted.total.input_tokens + scripted.total.output_tokens
    assert pool.report().spent("tokens") == tokens(used)
    assert pool.admin.verify().ok
    assert_quiet(pool.ledger.store)


def test_a_grant_that_many_processes_make_under_one_key_is_made_once(
    shared_url: str, crew: Crew
) -> None:
    pool = pool_at(shared_url, usd(1))
    answers([crew.hire(top_up_once, shared_url) for _ in range(PROCESSES)])

    assert pool.balance().granted == usd(3)
    assert pool.admin.verify().ok
    assert_quiet(pool.ledger.store)


def answers(workers: list[Worker]) -> list[int]:
    """What they say, when they have all begun at once."""
    for worker in workers:
        worker.reach("ready")
    for worker in workers:
        worker.go_on()
    return [worker.hear() for worker in workers]


def cost(ways: list[str], admitted: list[int]) -> Amount:
    prices = [PRICE if "reserve" in way else CALL_PRICE for way in ways]
    nanos = (price.value * n for price, n in zip(prices, admitted, strict=True))
    return Amount("usd", sum(nanos))
