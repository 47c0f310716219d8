"""What operators do to the books while agents use them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from langchain_budget import Account, BudgetError, StoreError
from langchain_budget.core.amounts import CALLS, TOKENS, USD, Amount
from tests.simulation.process import ROOT, Process
from tests.simulation.wire import Pause
from tests.simulation.world import World

TRIES: Final = 5
SIZES: Final = {USD: 2_000_000_000, TOKENS: 200_000, CALLS: 40}


class Operator:
    """Somebody with the rights to change limits, and with a key for each change."""

    def __init__(self, world: World, name: str, process: Process) -> None:
        self.world, self.name, self.process = world, name, process
        self.rng = world.rng
        self._serial = 0

    async def live(self) -> None:
        """Go on until the world winds down."""
        while not self.world.winding_down:
            await Pause(self.rng.randrange(1, 100))
            (deed,) = self.rng.choices([*DEEDS], [*DEEDS.values()])
            try:
                await deed(self)
            except asyncio.CancelledError:
                self.world.census["cancelled tasks"] += 1

    async def top_up(self) -> None:
        path, unit = self._some_limit()
        amount, key = self._amount(unit), self._key()
        self.world.grants[key] = False
        self.world.grants[key] = await self._insist(
            lambda: self._at(path).atop_up(amount, key=key)
        )

    async def transfer(self) -> None:
        payer, unit = self._some_limit()
        others = [path for path, each in self._limits() if each == unit]
        payee, amount, key = self.rng.choice(others), self._amount(unit), self._key()
        self.world.grants[key] = False
        self.world.grants[key] = await self._insist(
            lambda: self._at(payer).atransfer(payee, amount, key=key)
        )

    async def set_limit(self) -> None:
        path, unit = self._some_limit()
        granted = self.world.naive.granted[path, unit]
        more = self.rng.randrange(-SIZES[unit], 2 * SIZES[unit])
        amount = Amount(unit, max(granted + more, 0))
        await self._insist(lambda: self._at(path).aset_limit(amount))

    async def freeze(self) -> None:
        path = self.rng.choice([*self.world.teams, *self.world.places])
        await self._insist(lambda: self._at(path).afreeze("to have a look"))
        await Pause(self.rng.randrange(1, 120))
        await self._insist(self._at(path).athaw)

    async def thaw_all(self) -> None:
        rows = self.world.naive.rows.values()
        for path in [row.path for row in rows if row.frozen]:
            await self._insist(self._at(path).athaw)

    async def open(self) -> None:
        parent = self.rng.choice([ROOT, *self.world.teams])
        amount = self._amount(self.rng.choice([*SIZES]))
        how = self.rng.choice(["limit", "carve", "share"])
        name = self._key()
        options = {how: "5%" if how == "share" else amount}
        if await self._insist(lambda: self._at(parent).aopen(name, **options)):
            self.world.places.append(f"{parent}/{name}")

    async def close(self) -> None:
        """Close an account; now and then a whole team."""
        world = self.world
        if len(world.places) > world.enough_places:
            path = self.rng.choice([*world.places, self.rng.choice(world.teams)])
            world.places = [
                each for each in world.places if not f"{each}/".startswith(f"{path}/")
            ]
            world.teams = [each for each in world.teams if each != path]
            await self._insist(self._at(path).aclose)

    async def sweep(self) -> None:
        ledger = self.process.ledger
        await self._insist(lambda: ledger.arun(ledger.sweep()))

    async def look(self) -> None:
        await self._insist(self._at(self.rng.choice(self.world.places)).areport)

    async def _insist(self, deed: Callable[[], Awaitable[object]]) -> bool:
        """Try until it is done, or refused for a reason; tell whether it was done."""
        for _ in range(TRIES):
            try:
                await deed()
            except StoreError:
                continue
            except BudgetError as error:
                self.world.census[f"operators told: {type(error).__name__}"] += 1
                return False
            return True
        return False

    def _at(self, path: str) -> Account:
        return Account(self.process.ledger, path)

    def _some_limit(self) -> tuple[str, str]:
        return self.rng.choice(self._limits())

    def _limits(self) -> list[tuple[str, str]]:
        """The accounts that are open, with each unit that they are limited in."""
        paths = [ROOT, *self.world.teams, *self.world.places]
        rows = [self.world.naive.rows[path] for path in paths]
        return [(row.path, unit) for row in rows for unit, _ in row.ceilings]

    def _amount(self, unit: str) -> Amount:
        return Amount(unit, self.rng.randrange(1, SIZES[unit]))

    def _key(self) -> str:
        self._serial += 1
        return f"{self.process.name}-{self.name}-key-{self._serial}"


DEEDS: Final[dict[Callable[[Operator], Awaitable[None]], int]] = {
    Operator.top_up: 6,
    Operator.transfer: 4,
    Operator.set_limit: 3,
    Operator.freeze: 2,
    Operator.thaw_all: 1,
    Operator.open: 2,
    Operator.close: 2,
    Operator.sweep: 2,
    Operator.look: 1,
}
