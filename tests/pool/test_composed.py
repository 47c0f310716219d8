"""
One pool with everything that can be configured, on each kind of store.

The scenario is that of `examples/everything.py`: accounts that are carved out, with
priorities; limits that last, by day, by month and rolling; by tick and run for each
agent, by tick for each tool of an agent, by day for each user; a treasury with a
reserve; priced tools, service levels and alerts. A real graph spends, with a handler.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from langchain_budget import (
    AccountFrozen,
    Alerts,
    BudgetExceeded,
    BudgetRefused,
    InvalidTransfer,
    Rule,
    Treasury,
    tokens,
    usd,
)
from langchain_budget.core.policies.allocation import by_priority
from langchain_budget.errors import UnknownAccount
from langchain_budget.testing import FakeChatModel
from tests.invariants import (
    assert_books_add_up,
    assert_quiet,
    assert_report_adds_up,
    unchanged,
)
from tests.pool.test_waiting import LONG, queued, queued_tasks

SCRIPT = Path(__file__).parents[2] / "examples" / "everything.py"
LEAST = partial(by_priority, minimum=usd(1).value)


def load():
    spec = spec_from_file_location("everything", SCRIPT)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


everything = load()


class Team:
    """The pool of the example, its graph, and the models and tools that count."""

    def __init__(self, store):
        self.pool = everything.open_pool(store)
        self.treasury = Treasury(self.pool, reserve="reserve")
        # Never more than is held for: then no limit is ever passed over.
        made = partial(FakeChatModel, usage=(5, 995), max_tokens=995)
        self.thinker = made(replies=[everything.next_step])
        self.speaker = made(replies=["In short."])
        models = self.thinker, self.speaker
        self.graph = everything.build_graph(self.pool, self.treasury, *models)
        self.heard = []
        Alerts(self.pool, [Rule("50%")], units=["usd"], tell=self.heard.append)

    def account(self, path):
        return self.pool.account(path)

    @property
    def counted(self):
        """Tokens that the models say they have used."""
        return sum(self.thinker.total[:2]) + sum(self.speaker.total[:2])

    def asked(self, user, thread, question=everything.QUESTION):
        return question, everything.config_of(self.pool, user, thread)


@pytest.fixture
def team(store_url):
    return Team(store_url)


def finished(story):
    """Run a story that never really waits, because it calls what blocks."""
    with pytest.raises(StopIteration):
        story.send(None)


async def blocking(method, *args, **options):
    return method(*args, **options)


async def awaited(method, *args, **options):
    return await getattr(method.__self__, f"a{method.__name__}")(*args, **options)


def test_everything_at_once_holds(team):
    finished(scenario(team, blocking))
    served = waits_in_threads(team)

    assert served == ["researcher", "writer"]
    assert_all_is_accounted_for(team)


async def test_everything_at_once_holds_when_awaited(team):
    await scenario(team, awaited)
    served = await waits_in_tasks(team)

    assert served == ["researcher", "writer"]
    assert_all_is_accounted_for(team)


async def scenario(team, do):
    for part in (answered, frozen, limited, moved):
        await part(team, do)


async def answered(team, do):
    """A question goes through the graph, and is charged to all that it concerns."""
    ask = team.graph.invoke
    await do(team.treasury.allocate, LEAST, usd(4), reason="a new month")

    said = await do(ask, *team.asked("ada", "first"))
    assert [each.text for each in said["messages"]][-2:] == [
        "It is a plant.",
        "In short.",
    ]
    assert spent(team, "researcher", "writer") == [usd("0.44"), usd("0.10")]
    assert spent(team, ":user_id/ada") == [usd("0.54")]


async def frozen(team, do):
    """Nothing is spent meanwhile, and then it goes on from where it stopped."""
    ask, researcher = team.graph.invoke, team.account("researcher")
    await do(researcher.freeze, "under review")
    with pytest.raises(AccountFrozen, match="under review"):
        await do(ask, *team.asked("bob", "second"))
    assert spent(team, "") == [usd("0.54")]
    with pytest.raises(UnknownAccount, match="user_id/bob"):
        team.account(":user_id/bob")
    await do(researcher.thaw)
    await do(ask, *team.asked("bob", "second", None))


async def limited(team, do):
    """Each limit in turn stops the graph."""
    ask = team.graph.invoke
    with pytest.raises(
        BudgetExceeded, match=r"researcher\+search.*tool calls per tick"
    ):
        await do(ask, *team.asked("ada", "third"))
    await do(team.pool.advance, "tick")
    await do(ask, *team.asked("ada", "third", None))

    with pytest.raises(BudgetExceeded, match=r"user_id/ada.*\$1.20 per day"):
        await do(ask, *team.asked("ada", "fourth"))
    await do(ask, *team.asked("bob", "fifth"))
    assert (await do(team.treasury.level, "researcher")).name == "standard"
    before = len(team.thinker.calls)
    await do(ask, *team.asked("bob", "sixth"))
    assert len(team.thinker.calls) == before  # it went to the writer alone
    assert_quiet(team.pool.ledger.store)


async def moved(team, do):
    """What is granted goes from one to another; nothing is made and nothing lost."""
    store, names = team.pool.ledger.store, ["researcher", "writer", "reserve"]
    researcher, writer = team.account("researcher"), team.account("writer")
    whole = sum(granted(team, *names))

    await do(writer.transfer, researcher, usd("0.10"), reason="a trade")
    with unchanged(store), pytest.raises(BudgetExceeded):
        await do(writer.transfer, researcher, usd(1), reason="too much")
    with unchanged(store), pytest.raises(InvalidTransfer):
        await do(writer.transfer, researcher, tokens(1))
    helped = await do(
        team.treasury.emergency, "researcher", usd("0.50"), reason="a deadline"
    )
    refused = await do(
        team.treasury.emergency, "writer", usd("0.50"), reason="critical!"
    )
    await do(team.treasury.rebalance)

    assert (helped.approved, refused.approved) == (usd("0.50").value, 0)
    assert sum(granted(team, *names)) == whole
    assert [each.name for each in await do(team.treasury.review)] == []
    assert_quiet(store)


def waits_in_threads(team):
    """Both want what one call holds; the more important one is served first."""
    blocker, served = all_of_the_day(team), []

    def ask(name):
        hold = team.account(name).reserve(usd("0.40"), wait_seconds=LONG)
        served.append(name)
        hold.release()

    with ThreadPoolExecutor(2) as threads:
        asking = []
        for place, name in enumerate(["writer", "researcher"], 1):
            asking.append(threads.submit(ask, name))
            queued(team.pool, place)
        blocker.settle(blocker.amounts[0] - usd("0.40"))
        for each in asking:
            each.result()
    return served


async def waits_in_tasks(team):
    blocker, served = all_of_the_day(team), []

    async def ask(name):
        account = await team.pool.aaccount(name)
        hold = await account.areserve(usd("0.40"), wait_seconds=LONG)
        served.append(name)
        await hold.arelease()

    tasks = []
    for place, name in enumerate(["writer", "researcher"], 1):
        tasks.append(asyncio.create_task(ask(name)))
        await queued_tasks(team.pool, place)
    await blocker.asettle(blocker.amounts[0] - usd("0.40"))
    await asyncio.gather(*tasks)
    return served


def all_of_the_day(team):
    (day,) = [each for each in team.pool.report().balances if each.window == "per day"]
    return team.pool.reserve(day.available)


def test_many_users_at_once_pass_over_no_limit(team):
    team.treasury.allocate(LEAST, usd(10))

    def ask(number):
        try:
            team.graph.invoke(*team.asked(f"user {number % 4}", str(number)))
        except BudgetRefused as no:
            return no.account

    with ThreadPoolExecutor(4) as threads:
        refusals = [*threads.map(ask, range(8))]

    limits = {"acme:agent/researcher", "acme:agent+tool/researcher+search"}
    assert set(refusals) - {None}
    assert set(refusals) - {None} <= limits
    assert_all_is_accounted_for(team)


def assert_all_is_accounted_for(team):
    """Nothing is held, no limit is passed over, and the books are what was used."""
    store, pool = team.pool.ledger.store, team.pool
    assert_books_add_up(store)
    assert_quiet(store)
    assert_report_adds_up(pool)
    assert pool.admin.verify().ok
    balances = [
        each
        for path in ("acme", ":agent", ":agent+tool", ":user_id")
        for each in pool.account(path).report().balances
    ]
    assert not any(each.held for each in balances)
    assert [
        each for each in balances if each.available and each.available.value < 0
    ] == []
    assert pool.balance("tokens").spent == tokens(team.counted)
    by_agent = [each.spent.value for each in balances if each.window == "per run"]
    assert sum(by_agent) == team.counted
    told = [(each.account, each.unit, each.rule) for each in team.heard]
    assert len(set(told)) == len(told)  # each rule once for each limit


def spent(team, *paths, unit="usd"):
    accounts = [team.account(path) if path else team.pool for path in paths]
    return [each.balance(unit).spent for each in accounts]


def granted(team, *paths):
    return [team.account(path).balance().granted.value for path in paths]
