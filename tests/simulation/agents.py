"""What agents do: call models, reserve for what may come, take steps, forget."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

from langchain_budget import Account, BudgetRefused, HoldNotOpen, StoreError
from langchain_budget.core.accounts import STEP, join, spec_of
from langchain_budget.core.amounts import CALLS, TOKENS, USD, Amount
from langchain_budget.core.postings import Basis, Hold, Kind, Status
from langchain_budget.core.rules import Charge, Order, keep
from langchain_budget.ledger import Closing
from langchain_budget.tree import open_account
from tests.simulation.process import Process
from tests.simulation.provider import Call, End
from tests.simulation.wire import Pause
from tests.simulation.world import Task, World

CENT: Final = 10_000_000
TTL_SECONDS: Final = 60


class Agent:
    """One of many; each has a home in the tree, and does one thing after another."""

    def __init__(self, world: World, name: str, process: Process, home: str) -> None:
        self.world, self.name, self.process, self.home = world, name, process, home
        self.rng = world.rng
        self._steps = 0

    async def live(self) -> None:
        """Go on until the world winds down."""
        task = self.world.running
        assert task is not None
        while not self.world.winding_down:
            await self._wait(400)
            await self._act(task)

    async def _act(self, task: Task) -> None:
        (deed,) = self.rng.choices([*DEEDS], [*DEEDS.values()])
        path = self._place()
        before = task.failures
        task.unfair, task.swept_at = "", inf
        try:
            await deed(self, path)
        except BudgetRefused as no:
            self._accept(no, task, before)
        except HoldNotOpen as late:
            self._accept_end(late.hold)
        except StoreError:
            assert task.failures > before, "the store was said to fail, but did not"
        except asyncio.CancelledError:
            self.world.census["cancelled tasks"] += 1

    def _accept(self, no: BudgetRefused, task: Task, failures: int) -> None:
        """Take a no for an answer, if there was a reason for it."""
        kind = no.refusal.kind
        self.world.census[f"agents told: {kind}"] += 1
        if kind is Kind.STORE:
            assert task.failures > failures, f"the store did not fail, but: {no}"
        elif kind in (Kind.EXHAUSTED, Kind.CONTENDED):
            assert not task.unfair, task.unfair
        else:
            assert kind in (Kind.FROZEN, Kind.CLOSED), str(no)

    def _accept_end(self, hold_id: str) -> None:
        """The answer to a reserve took so long that the hold has ended meanwhile."""
        self.world.census["holds that ended before they were answered"] += 1
        self.world.refused.add(hold_id)
        assert self.world.naive.holds[hold_id].status != "open"

    async def call(self, path: str) -> None:
        """Call a model, and charge what the call cost."""
        hold, call = await self._begin(path)
        await self._wait(200)
        (ending,) = self.rng.choices([*ENDINGS], [*ENDINGS.values()])
        await ending(self, hold, call)

    async def stream(self, path: str) -> None:
        """A long call: the hold is kept alive while it runs."""
        hold, call = await self._begin(path)
        for _ in range(self.rng.randrange(1, 4)):
            await self._wait(300)
            await self.process.ledger.store.apost(keep(hold, TTL_SECONDS))
            self.world.census["heartbeats"] += 1
        await self.answered(hold, call)

    async def reserve(self, path: str) -> None:
        """Set money aside as a guard does; use it, give it back, or forget it."""
        account, amounts = Account(self.process.ledger, path), self._amounts()
        ttl = self.rng.randrange(5, TTL_SECONDS)
        asked = [Amount(*each) for each in amounts.items()]
        reservation = await account.areserve(*asked, ttl_seconds=ttl)
        cost = self._cost(amounts)
        call = self._log(reservation.hold, cost, started=False)
        await self._wait(300)
        call.end = self.rng.choice([End.ANSWERED, End.UNUSED, End.KILLED])
        if call.end is End.ANSWERED:
            call.said.append(cost)
            await reservation.asettle(*(Amount(*each) for each in cost.items()))
        elif call.end is End.UNUSED:
            call.said.append({})
            await reservation.arelease()

    async def step(self, path: str) -> None:
        """Open an account for a few calls, and close it, or let it lapse."""
        self._steps += 1
        ledger, name = self.process.ledger, f"{self.process.name}-step-{self._steps}"
        below = join(path, f"{self.name}-{name}")
        carved = spec_of([], [Amount(USD, self._usd())])
        spec = carved._replace(borrows=True, labels=(STEP,))
        await ledger.arun(open_account(ledger, below, spec, TTL_SECONDS))
        self.world.census["steps"] += 1
        for _ in range(self.rng.randrange(1, 3)):
            await self.call(below)
        if self.rng.random() < 0.7:
            await Account(ledger, below).aclose()

    async def ask(self, path: str) -> None:
        """Ask whether a call can be afforded; the answer binds nobody."""
        asked = [Amount(*each) for each in self._amounts().items()]
        await Account(self.process.ledger, path).acan_afford(*asked)

    async def answered(self, hold: Hold, call: Call) -> None:
        await self._charge(hold, call, Charge(call.cost), End.ANSWERED)

    async def without_a_price(self, hold: Hold, call: Call) -> None:
        call.cost = {unit: call.cost[unit] for unit in (TOKENS, CALLS)}
        charge = Charge(call.cost, Basis.UNKNOWN)
        await self._charge(hold, call, charge, End.ANSWERED)

    async def twice(self, hold: Hold, call: Call) -> None:
        """Two hooks report the same call; only the first is heard."""
        await self.answered(hold, call)
        if call.confirmed:
            again = Charge({unit: value + 1 for unit, value in call.cost.items()})
            ledger = self.process.ledger
            await ledger.arun(ledger.close(Closing(hold, again)))
            self.world.census["second settles"] += 1

    async def at_once(self, hold: Hold, call: Call) -> None:
        """Two tasks report the same call at the same time."""
        echo = self.answered(hold, call)
        self.world.spawn(self.process, f"{self.name}-echo", quietly(echo))
        await self.answered(hold, call)

    async def cancelled(self, hold: Hold, call: Call) -> None:
        """What was seen of the answer is charged; sometimes the rest is told later."""
        seen = call.cost | {TOKENS: call.cost[TOKENS] // 2, USD: call.cost[USD] // 2}
        charge = Charge(seen, Basis.ESTIMATED)
        await self._charge(hold, call, charge, End.CANCELLED)
        if self.rng.random() < 0.5:
            await self._wait(400)
            await self.answered(hold, call)

    async def not_made(self, hold: Hold, call: Call) -> None:
        await self._charge(hold, call, None, End.UNUSED)

    async def forgotten(self, hold: Hold, call: Call) -> None:
        call.end = End.KILLED
        self.world.note(self.name, "forgets", hold.id)

    async def _begin(self, path: str) -> tuple[Hold, Call]:
        ttl = self.rng.randrange(5, TTL_SECONDS)
        amounts = self._amounts()
        worst = {USD: amounts[USD] * 2}
        order = Order(amounts, worst, ttl, started=True, labels={"agent": self.name})
        ledger = self.process.ledger
        hold = await ledger.arun(ledger.reserve(path, order))
        return hold, self._log(hold, self._cost(amounts), started=True)

    def _log(self, hold: Hold, cost: dict[str, int], *, started: bool) -> Call:
        assert hold.status is Status.OPEN, f"admitted, but nothing is held: {hold}"
        call = Call(self.process.name, hold.amounts, started, cost)
        assert hold.id not in self.world.provider.calls, f"{hold.id} pays for two calls"
        self.world.provider.calls[hold.id] = call
        return call

    async def _charge(
        self, hold: Hold, call: Call, charge: Charge | None, end: End
    ) -> None:
        call.end, call.confirmed = end, False
        call.said.append(charge.amounts if charge else {})
        ledger = self.process.ledger
        booked = await ledger.arun(ledger.close(Closing(hold, charge)))
        call.confirmed = booked is not None

    def _place(self) -> str:
        if self.home not in self.world.places:
            self.home = self.rng.choice(self.world.places)
        return self.home

    def _usd(self) -> int:
        return self.rng.randrange(CENT, 40 * CENT)

    def _amounts(self) -> dict[str, int]:
        return {USD: self._usd(), TOKENS: self.rng.randrange(1, 4000), CALLS: 1}

    def _cost(self, amounts: dict[str, int]) -> dict[str, int]:
        """Mostly less than was held, sometimes more."""
        part = self.rng.choice([20, 50, 80, 100, 100, 130])
        return {USD: amounts[USD] * part // 100, TOKENS: amounts[TOKENS], CALLS: 1}

    async def _wait(self, most: int) -> None:
        await Pause(self.rng.randrange(1, most))


async def quietly(deed: Awaitable[None]) -> None:
    """Whoever is cancelled here has nobody to tell."""
    try:
        await deed
    except asyncio.CancelledError:
        return


DEEDS: Final[dict[Callable[[Agent, str], Awaitable[None]], int]] = {
    Agent.call: 60,
    Agent.stream: 5,
    Agent.reserve: 20,
    Agent.step: 6,
    Agent.ask: 3,
}
ENDINGS: Final[dict[Callable[[Agent, Hold, Call], Awaitable[None]], int]] = {
    Agent.answered: 60,
    Agent.without_a_price: 3,
    Agent.twice: 6,
    Agent.at_once: 6,
    Agent.cancelled: 12,
    Agent.not_made: 6,
    Agent.forgotten: 4,
}
