"""
The world: processes and their tasks, a store, a network, a clock, and one seed.

Every task is a coroutine that stops at each question to the store. The scheduler
picks, at random, which one goes on, and what becomes of its question. So any
interleaving of two tasks between two questions can happen, and the same seed makes
the same one again.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random  # noqa: TID251  # the world is random; one seed makes it so
from typing import Any, Final

from langchain_budget import StoreError
from langchain_budget.core.postings import Entry, Kind, Posting, Refusal
from langchain_budget.stores.base import Store
from tests.simulation.naive import Naive
from tests.simulation.network import Network, Reply, cancelled
from tests.simulation.process import Life, Process
from tests.simulation.provider import Provider
from tests.simulation.task import Clock, Task
from tests.simulation.weather import (
    ARRIVES_LATER,
    ARRIVES_NOW,
    CANCELS,
    FAILS,
    Fate,
    weather_of,
)
from tests.simulation.wire import Message, Pause

DIARY: Final = 30
LONGEST: Final = 240
"""How many characters of one step are told."""
SHORT: Final = (Kind.EXHAUSTED, Kind.CONTENDED)
PROCESSES: Final = 6


@dataclass
class World:
    """Everything that one seed makes."""

    seed: int
    make_store: Callable[[Clock], Store]
    clock: Clock = field(default_factory=Clock)
    naive: Naive = field(default_factory=Naive)
    provider: Provider = field(default_factory=Provider)
    census: Counter[str] = field(default_factory=Counter)
    """How often each kind of thing has happened."""

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)  # noqa: S311  # nothing here is secret
        self.store = self.make_store(self.clock)
        self.weather = weather_of(self.seed)
        self.network = Network(self.rng, self.weather)
        self.diary: deque[tuple[object, ...]] = deque(maxlen=DIARY)
        self.steps = 0
        self.winding_down = False
        self.running: Task | None = None
        self.ready: list[Task] = []
        self.asleep: list[tuple[int, int, Task]] = []
        self.seq = 0
        self._serial = 0
        self._digest = hashlib.sha256()
        self.processes: list[Process] = []
        self.teams: list[str] = []
        self.places: list[str] = []
        """Accounts that agents may be at home in."""
        self.enough_places = 0
        self.asked_back: set[str] = set()
        """Holds that somebody has asked the store to release."""
        self.refused: set[str] = set()
        """Holds that whoever asked for them was told are refused."""
        self.grants: dict[str, bool] = {}
        """The keys of top-ups and transfers, and whether they were said to be done."""

    @property
    def digest(self) -> str:
        """One number for all that the store was asked and has said."""
        return self._digest.hexdigest()[:16]

    def start(self) -> None:
        """Start the processes; the root account is there."""
        names = [f"p{number}" for number in range(PROCESSES)]
        self.processes += [Process(name, self.deliver) for name in names]

    def wake(self, process: Process) -> None:
        """Begin all that goes on in a process."""
        for name, live in process.lives.items():
            self.spawn(process, name, live())

    def end(self) -> None:
        """Let go of all that has not come to its end."""
        for process in self.processes:
            for task in [*process.tasks]:
                self._close(task)
        self.store.close()

    def last_words(self) -> list[str]:
        """What happened last, in words."""
        return [" ".join(map(str, line))[:LONGEST] for line in self.diary]

    def note(self, *words: object) -> None:
        """Write into the diary what has just happened."""
        self.diary.append((self.steps, *words))

    def spawn(self, process: Process, name: str, life: Life) -> None:
        """Begin a task, and let it run to its first question."""
        task = Task(name, process, life)
        process.tasks[task] = None
        self._resume(task, Reply())

    def step(self) -> None:
        """Let one thing happen."""
        self.steps += 1
        self.clock.seconds += self.rng.randrange(self.weather.ticks) / 1000
        while self.asleep and (self.asleep[0][0] <= self.steps or not self.ready):
            self.ready.append(heapq.heappop(self.asleep)[2])
        if not self.winding_down:
            self._world_acts()
        late = self.network.under_way
        if late and (self.rng.randrange(40) == 0 or not self.ready):
            message = self.network.late()
            self.census["late deliveries"] += 1
            self.note(message, "arrives at last:", self.deliver(message))
        elif self.ready:
            self._advance(self._pick())

    def deliver(self, message: Message) -> Any:
        """Let the store answer, and the naive books hear it."""
        answer = getattr(self.store, message.method)(*message.args)
        posting = message.posting
        if posting is None:
            return answer
        entries = self.store.journal(self.seq)
        self.seq += len(entries)
        for entry in entries:
            self._digest.update(written(entry).encode())
            self.census[entry.kind] += 1
            self.census["loans"] += entry.kind == "reserve" and is_loan(posting)
            self.census["overruns of slices"] += bool(entry.spilled)
        if isinstance(answer, Refusal):
            self.census[f"refused: {answer.kind}"] += 1
        self.naive.hear(posting, answer, entries, self.clock())
        return answer

    def _world_acts(self) -> None:
        for what, seldom in self.weather.once_in.items():
            if self.rng.randrange(seldom) == 0:
                self.census[what] += 1
                getattr(self, f"_{what}")()

    def _crash(self) -> None:
        process = self.rng.choice(self.processes)
        self.note("process", process.name, "is killed")
        doomed = [*process.tasks]
        for task in doomed:
            if (
                task.waits is not None
                and task.reply is None
                and self.rng.random() < 0.5
            ):
                self.network.post_late(task.waits)
            self._close(task)
        gone = set(doomed)
        self.ready = [each for each in self.ready if each not in gone]
        self.asleep = [each for each in self.asleep if each[2] not in gone]
        heapq.heapify(self.asleep)
        self.provider.process_died(process.name)
        process.restart()
        self.wake(process)

    def _outage(self) -> None:
        self.network.outage = self.rng.randrange(20, 150)
        self.note("the store is gone for", self.network.outage, "messages")

    def _forwards(self) -> None:
        self._jump(self.rng.randrange(5, 60))

    def _backwards(self) -> None:
        self._jump(-self.rng.randrange(1, 10))

    def _jump(self, seconds: int) -> None:
        self.clock.seconds += seconds
        self.note("the clock jumps by", seconds, "seconds")

    def _pick(self) -> Task:
        """Any task; more often than not the one that has just had its turn."""
        last = len(self.ready) - 1
        at = last if self.rng.randrange(3) else self.rng.randint(0, last)
        self.ready[at], self.ready[-1] = self.ready[-1], self.ready[at]
        return self.ready.pop()

    def _advance(self, task: Task) -> None:
        message, reply = task.waits, task.reply
        if message is None or reply is not None:
            task.reply = None
            self._resume(task, reply or Reply())
            return
        fate = self.network.fate(message)
        self.census[f"message {fate}"] += 1
        reply = self._suffer(task, message, fate)
        self.note(task.process.name, task.name, ":", message, fate, reply or "")
        if fate is Fate.SLOW:
            task.reply = reply
            self.ready.append(task)
        elif fate is Fate.AGAIN:
            self._sleep(task, self.rng.randrange(1, self.weather.patience))
        else:
            self._resume(task, reply)

    def _suffer(self, task: Task, message: Message, fate: Fate) -> Reply:
        """Do what fate has in store; what is left to say to whoever waits."""
        answer, posting = None, message.posting
        if posting is not None and posting.kind == "release":
            self.asked_back.add(posting.hold.id)
        if fate in ARRIVES_NOW:
            answer = self.deliver(message)
            self._judge(task, message, answer)
        if fate in ARRIVES_LATER:
            self.network.post_late(message)
        if fate in CANCELS:
            return cancelled()
        if fate in FAILS:
            task.failures += 1
            return Reply(error=StoreError(f"{message} {fate}"))
        return Reply(answer)

    def _judge(self, task: Task, message: Message, answer: Any) -> None:
        """Keep whether a refusal of money is one that nobody had to make."""
        if message.method == "overdue":
            task.swept_at = self.clock()
        posting = message.posting
        if posting is None or posting.kind != "reserve":
            return
        task.unfair = ""
        if isinstance(answer, Refusal):
            self.refused.add(posting.id)
        if isinstance(answer, Refusal) and answer.kind in SHORT:
            now = min(self.clock(), task.swept_at)
            if answer.account != posting.account and is_loan(posting):
                self.census["loans refused"] += 1  # less may be missing by now
            elif self.naive.affordable(posting.account, posting.hold.amounts, now):
                task.unfair = f"{posting.id} could have been admitted, but: {answer}"

    def _resume(self, task: Task, reply: Reply) -> None:
        """Let a task run to its next question, or to its end."""
        before, self.running, task.waits = self.running, task, None
        try:
            if reply.error is None:
                waits = task.life.send(reply.value)
            else:
                waits = task.life.throw(reply.error)
        except StopIteration:
            del task.process.tasks[task]
            return
        finally:
            self.running = before
        if isinstance(waits, Pause):
            self._sleep(task, waits.steps)
        else:
            task.waits = waits
            self.ready.append(task)

    def _sleep(self, task: Task, steps: int) -> None:
        self._serial += 1
        heapq.heappush(self.asleep, (self.steps + steps, self._serial, task))

    def _close(self, task: Task) -> None:
        del task.process.tasks[task]
        task.life.close()


def is_loan(posting: Posting) -> bool:
    """Whether a reserve borrows from its parent as well."""
    return any(delta.lent for delta in posting.deltas)


def written(entry: Entry) -> str:
    """An entry as text; a set has no order of its own."""
    rows = [row._replace(slices=sorted(row.slices)) for row in entry.rows]
    return repr(entry._replace(rows=rows))
