"""What must be true of a world: now and then, and when everything is quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from langchain_budget.core.events import (
    Event,
    HoldExpired,
    Released,
    Reserved,
    Settled,
)
from langchain_budget.core.postings import Entry
from tests.invariants import assert_books_add_up
from tests.simulation.edges import Edge, edge_of, edges
from tests.simulation.world import World

ANNOUNCES = {
    Reserved: ("reserve",),
    Settled: ("settle", "supersede"),
    Released: ("release",),
    HoldExpired: ("expire",),
}


def assert_agrees(world: World) -> None:
    """The books, their journal and the naive books say the same."""
    assert_books_add_up(world.store)
    naive, told = world.naive, world.store.balances(world.naive.rows)
    for (account, unit, _), seen in told.items():
        key = account, unit
        mine = naive.granted.get(key), naive.held[key], naive.spent[key]
        assert seen == (*mine, naive.lent[key]), f"{key}: {seen}, but should be {mine}"
    keys = {(key.account, key.unit) for key in told}
    assert {key for key, spent in naive.spent.items() if spent} <= keys
    for hold_id, mine in naive.holds.items():
        hold = world.store.hold(hold_id)
        assert hold is not None, f"{hold_id} is gone"
        state = str(hold.status), str(hold.basis), hold.charged
        assert state == (*mine.state, mine.charged), f"{hold}, but should be {mine}"


def assert_all_is_paid(world: World) -> None:
    """When all is quiet the books say what the provider's log says, to the nano."""
    assert_agrees(world)
    assert world.store.open_holds() == ()
    assert [key for key, held in world.naive.held.items() if held] == []
    assert world.store.overdue() == ()
    assert world.store.lapsed() == ()
    assert [each.name for each in world.processes if each.ledger.late] == []
    assert_calls_are_charged(world)
    assert_closed_slices_are_empty(world)
    assert_grants_were_made_once(world)
    assert_events_are_true(world)
    assert_fair_weather_is_fair(world)


def assert_calls_are_charged(world: World) -> None:
    """Answered calls at their cost, killed ones at what was held for them."""
    wrong = {}
    for hold_id, call in world.provider.calls.items():
        charged = world.naive.booked(hold_id)
        if charged not in world.provider.allowed(hold_id):
            wrong[hold_id] = charged, call
    assert wrong == {}, wrong
    for hold_id in world.naive.holds.keys() - world.provider.calls.keys():
        assert_nobody_pays_for(world, hold_id)


def assert_nobody_pays_for(world: World, hold_id: str) -> None:
    """A hold that nobody was told of is asked back by the process, if that lives."""
    hold = world.naive.holds[hold_id]
    assert hold.status in ("released", "expired"), f"{hold_id}: {hold}"
    assert hold.charged in ({}, hold.amounts), f"nobody made {hold_id}: {hold}"
    alive = hold_id.rpartition("-")[0] in [each.name for each in world.processes]
    known = hold_id in world.asked_back or hold_id in world.refused
    assert known or not alive, f"{hold_id} was left to its time to live: {hold}"


def assert_fair_weather_is_fair(world: World) -> None:
    """Where nothing breaks nobody hears of it, and nothing is left behind."""
    if world.weather.name == "fair":
        odd = ("agents told: store", "money left behind", "late deliveries")
        assert [each for each in odd if world.census[each]] == []


def assert_closed_slices_are_empty(world: World) -> None:
    naive = world.naive
    left = {
        (row.path, unit): naive.available((row.path, unit))
        for row in naive.rows.values()
        for unit in row.slices
        if row.closed
    }
    left = {key: value for key, value in left.items() if value}
    assert left == {}, f"left behind in closed slices: {left}"


def assert_grants_were_made_once(world: World) -> None:
    """A key moves money once; and once it was said to, it has."""
    times = Counter(entry.posting for entry in world.store.journal())
    odd = {
        key: times[key]
        for key, done in world.grants.items()
        if times[key] > 1 or (done and not times[key])
    }
    assert odd == {}


def assert_events_are_true(world: World) -> None:
    """What was announced is in the journal, and each thing was announced once."""
    journal = world.store.journal()
    heard = [event for process in world.processes for event in process.heard]
    once = Counter((type(event), event.seq) for event in heard if is_of_a_hold(event))
    assert [each for each, times in once.items() if times > 1] == []
    for event in heard:
        if is_of_a_hold(event):
            entry = journal[event.seq - 1]
            assert entry.kind in ANNOUNCES[type(event)], f"{event}, but {entry}"
            assert (entry.hold, entry.account) == (event.hold, event.account)
            assert entry.kind == "supersede" or amounts_agree(event, entry)
    assert_edges_are_true(world, journal, heard)


def is_of_a_hold(event: Event) -> bool:
    return type(event) in ANNOUNCES and event.seq > 0


def amounts_agree(event: Event, entry: Entry) -> bool:
    return isinstance(event, Released) or event.amounts == entry.note.amounts


def assert_edges_are_true(
    world: World, journal: Iterable[Entry], heard: Iterable[Event]
) -> None:
    """Each threshold that an entry crossed was announced with it, and no other."""
    crossed = edges(journal, world.naive.rows)
    told: dict[int, list[Edge]] = {}
    complete = {event.seq for event in heard if is_of_a_hold(event)}
    for event in heard:
        if (edge := edge_of(event)) is not None:
            told.setdefault(event.seq, []).append(edge)
    for seq in {*told, *complete}:
        found = sorted(told.get(seq, ()))
        assert found == sorted(set(found)), f"announced twice at {seq}: {found}"
        wanted = sorted(crossed[seq])
        assert found == wanted, f"announced at {seq}: {found}, but not {wanted}"
