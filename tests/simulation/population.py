"""Who lives in a world: a tree of accounts, agents and operators."""

from __future__ import annotations

from typing import Any, Final

from langchain_budget import Account
from langchain_budget.core.accounts import spec_of
from langchain_budget.core.amounts import CALLS, TOKENS, USD, Amount
from langchain_budget.ledger import Ledger
from langchain_budget.pricing.catalog import GenaiPrices
from langchain_budget.tree import open_account
from tests.simulation.agents import CENT, Agent
from tests.simulation.operators import Operator
from tests.simulation.process import MARKS, ROOT
from tests.simulation.wire import Wire
from tests.simulation.world import World

OPERATORS: Final = 18
TEAMS: Final = 8
LEAVES: Final = 5
DOLLAR: Final = 1_000_000_000


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
        dollars = rng.randrange(CENT, 500 * CENT)
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
