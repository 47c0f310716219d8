"""Play one world from its seed to its end, and say what happened in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from langchain_budget import Account, MemoryStore
from langchain_budget.core.accounts import spec_of
from langchain_budget.core.amounts import CALLS, TOKENS, USD, Amount
from langchain_budget.ids import new_id
from langchain_budget.ledger import Ledger
from langchain_budget.pricing.catalog import GenaiPrices
from langchain_budget.stores.base import Store
from langchain_budget.tree import open_account
from tests.simulation.agents import CENT, TTL_SECONDS, Agent
from tests.simulation.checks import assert_agrees, assert_all_is_paid
from tests.simulation.operators import Operator
from tests.simulation.process import MARKS, ROOT
from tests.simulation.wire import Wire
from tests.simulation.world import Clock, World

AGENTS: Final = 300
STEPS: Final = 4000
LOOK_EVERY: Final = 4000
OPERATORS: Final = 18
TEAMS: Final = 8
LEAVES: Final = 5
DOLLAR: Final = 1_000_000_000
MOST_STEPS: Final = 200_000
"""A world that is not quiet after so many steps never will be."""

Progress = Callable[[World], None]


class Outcome(NamedTuple):
    """What happened in a world."""

    seed: int
    weather: str
    steps: int
    digest: str
    census: Counter[str]
    spent: str


def play(
    seed: int,
    *,
    agents: int = AGENTS,
    steps: int = STEPS,
    make_store: Callable[[Clock], Store] = MemoryStore,
    address: str = "memory://",
    progress: Progress = lambda _: None,
) -> Outcome:
    """Play the world of *seed*; what is wrong with it is raised, and told in words."""
    world = World(seed, make_store)
    try:
        populate(world, agents)
        for _ in range(steps):
            world.step()
            if world.steps % LOOK_EVERY == 0:
                assert_agrees(world)
                progress(world)
        wind_down(world)
        assert_all_is_paid(world)
    except Exception as error:
        again = f"--seed {seed} --agents {agents} --steps {steps} --store {address}"
        error.add_note("\n".join(world.last_words()))
        error.add_note(f"Again: python -m tests.simulation {again}")
        raise
    finally:
        world.end()
    spent = str(Amount(USD, world.naive.total(USD)))
    name = world.weather.name
    return Outcome(seed, name, world.steps, world.digest, world.census, spent)


def populate(world: World, agents: int) -> None:
    """Open the tree, and let agents and operators live in it."""
    ledger = Ledger(Wire(world.deliver), lambda: ROOT, GenaiPrices())
    limits = [_amount(USD, 150), _amount(TOKENS, 3_000_000), _amount(CALLS, 1500)]
    ledger.run(open_account(ledger, ROOT, spec_of(limits, marks=MARKS)))
    world.start()
    root = Account(world.processes[0].ledger, ROOT)
    for number in range(TEAMS):
        _open_team(world, root, number)
    world.enough_places = len(world.places) // 2
    for number in range(agents):
        process = world.processes[number % len(world.processes)]
        agent = Agent(world, f"a{number}", process, world.rng.choice(world.places))
        process.inhabit(agent.name, agent.live)
    for number in range(OPERATORS):
        process = world.processes[number % len(world.processes)]
        operator = Operator(world, f"o{number}", process)
        process.inhabit(operator.name, operator.live)
    for process in world.processes:
        world.wake(process)


def _open_team(world: World, root: Account, number: int) -> None:
    """Teams draw on the pool in every way there is, and so do their members."""
    rng, path = world.rng, f"{ROOT}/team-{number}"
    options: dict[str, Any] = {"warn_at": MARKS, **_TEAMS[number % len(_TEAMS)]}
    team = _open(root, path, options)
    world.teams.append(team.path)
    for leaf in range(LEAVES):
        dollars = rng.randrange(CENT, 600 * CENT)
        options = {"warn_at": MARKS, **_leaf(leaf, Amount(USD, dollars))}
        world.places.append(_open(team, f"{path}/leaf-{leaf}", options).path)


def _open(parent: Account, path: str, options: dict[str, Any]) -> Account:
    name = path.rpartition("/")[2]
    if not options.pop("borrows", False):
        return parent.open(name, **options)
    spec = spec_of([], options["carve"], marks=options["warn_at"])
    ledger = parent.ledger
    ledger.run(open_account(ledger, path, spec._replace(borrows=True)))
    return Account(ledger, path)


def _amount(unit: str, value: int) -> Amount:
    return Amount(unit, value * DOLLAR if unit == USD else value)


def _leaf(number: int, amount: Amount) -> dict[str, Any]:
    kinds: tuple[dict[str, Any], ...] = (
        {},
        {"limit": [amount]},
        {"carve": [amount]},
        {"carve": [amount], "borrows": True},
        {"limit": [Amount(CALLS, 20)]},
    )
    return kinds[number % len(kinds)]


def wind_down(world: World) -> None:
    """Nothing breaks any more: all that is under way comes to its end."""
    world.winding_down = world.network.calm = True
    _finish(world)
    for process in world.processes:
        while process.ledger.late:
            world.spawn(process, "tidying", process.ledger.arun(process.ledger.sweep()))
            _finish(world)
    world.clock.seconds += 10 * TTL_SECONDS
    process = world.processes[0]
    world.spawn(process, "sweeping", process.ledger.arun(process.ledger.sweep()))
    _finish(world)
    for path in left_behind(world):
        world.census["money left behind"] += 1
        world.spawn(process, "tidying", Account(process.ledger, path).aclose())
        _finish(world)


def left_behind(world: World) -> list[str]:
    """Closed slices whose rest was not returned: who closed them was cut off in that."""
    naive, rows = world.naive, world.naive.rows.values()
    return [
        row.path
        for row in rows
        if row.closed and any(naive.available((row.path, unit)) for unit in row.slices)
    ]


def _finish(world: World) -> None:
    for _ in range(MOST_STEPS):
        if not (world.ready or world.asleep or world.network.under_way):
            return
        world.step()
    msg = f"still busy after {MOST_STEPS} steps: {[each.name for each in world.ready]}"
    raise AssertionError(msg)


_TEAMS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"limit": [_amount(USD, 25)]},
    {"carve": [_amount(USD, 25)]},
    {"share": "10%"},
    {"carve": [_amount(USD, 20)], "borrows": True},
    {"limit": [_amount(TOKENS, 300_000), _amount(CALLS, 150)]},
    {"carve": [_amount(USD, 20), _amount(TOKENS, 400_000)]},
    {"limit": [_amount(USD, 20)], "carve": [_amount(CALLS, 150)]},
)
