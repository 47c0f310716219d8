"""
Small faults, each with the test that must fail when it is planted.

A text stands exactly once in its file; `python dev.py mutants` puts the other in its
place, in a copy, and runs the test there.
"""

from typing import NamedTuple

CONFORMANCE = "tests/stores/test_conformance.py::TestStores::"
PACKAGE = "langchain_budget/"


class Mutant(NamedTuple):
    """One fault: where, what is there, what is put in its place, and who notices."""

    name: str
    path: str
    old: str
    new: str
    test: str


MUTANTS = (
    Mutant(
        "guard off by one",
        PACKAGE + "core/judge.py",
        "limit - seen.held - seen.spent - seen.lent < wanted",
        "limit - seen.held - seen.spent - seen.lent < wanted - 1",
        CONFORMANCE
        + "test_a_limit_admits_its_last_unit_and_not_one_more[memory-blocking]",
    ),
    Mutant(
        "what is lent is not guarded",
        PACKAGE + "core/judge.py",
        "limit - seen.held - seen.spent - seen.lent < wanted",
        "limit - seen.held - seen.spent < wanted",
        CONFORMANCE + "test_what_is_carved_out_the_parent_has_no_more[memory-blocking]",
    ),
    Mutant(
        "frozen is ignored",
        PACKAGE + "core/judge.py",
        "if row.closed or row.frozen:",
        "if row.closed:",
        "tests/pool/test_freezing.py::test_a_freeze_binds_all_the_way_down",
    ),
    Mutant(
        "versions are not looked at",
        PACKAGE + "core/judge.py",
        "if row is None or row.version != version:",
        "if row is None:",
        CONFORMANCE
        + "test_an_account_admits_when_it_is_as_expected_open_and_not_frozen"
        + "[memory-blocking]",
    ),
    Mutant(
        "the clock is not looked at",
        PACKAGE + "core/judge.py",
        "posting.during[0] <= now < posting.during[1]",
        "posting.during[0] <= now",
        CONFORMANCE
        + "test_a_posting_is_for_from_a_time_on_and_until_before_another"
        + "[memory-blocking]",
    ),
    Mutant(
        "an ancestor is skipped",
        PACKAGE + "core/routes.py",
        "return [*walks, tuple(walk)] if walk else walks",
        "return [*walks, tuple(walk[:-1] or walk)] if walk else walks",
        "tests/pool/test_limits.py",
    ),
    Mutant(
        "windows are not held from",
        PACKAGE + "core/routes.py",
        "            if unit in self._timed:\n",
        "            if unit in self._timed and not value:\n",
        "tests/pool/test_windows.py::test_a_day_has_its_own_limit",
    ),
    Mutant(
        "carving is not guarded",
        PACKAGE + "core/moves.py",
        "        Delta(parent.keys(unit), lent=value, guarded=True)\n"
        "        for unit, value in amounts.items()",
        "        Delta(parent.keys(unit), lent=value)\n"
        "        for unit, value in amounts.items()",
        "tests/pool/test_slices.py::test_more_than_is_left_cannot_be_carved_out",
    ),
    Mutant(
        "a call that had started expires for nothing",
        PACKAGE + "core/rules.py",
        "    if not hold.started:\n",
        "    if hold.started or not hold.started:\n",
        "tests/pool/test_expiry.py"
        "::test_a_call_that_started_is_charged_when_its_time_is_over",
    ),
    Mutant(
        "a report replaces a report",
        PACKAGE + "core/rules.py",
        "        return state in SUPERSEDABLE\n",
        "        return True\n",
        "tests/pool/test_expiry.py"
        "::test_a_late_settle_takes_the_place_of_the_estimate_once",
    ),
    Mutant(
        "half of a difference is superseded",
        PACKAGE + "core/rules.py",
        "charge.amounts.get(unit, 0) - hold.charged.get(unit, 0) for unit in units",
        "charge.amounts.get(unit, 0) for unit in units",
        "tests/pool/test_expiry.py"
        "::test_a_late_settle_takes_the_place_of_the_estimate_once",
    ),
    Mutant(
        "a cut off reserve is forgotten",
        PACKAGE + "admission.py",
        "            self.late.append(Closing(rules.opened(posting), None))\n",
        "",
        "tests/pool/test_store_failures.py"
        "::test_a_hold_that_the_store_took_before_it_broke_is_given_back",
    ),
    Mutant(
        "a settle that the store did not take is dropped",
        PACKAGE + "ledger.py",
        "        self.late.append(closing)\n        event = SettleDeferred",
        "        event = SettleDeferred",
        "tests/pool/test_store_failures.py"
        "::test_what_the_store_cannot_take_is_announced_and_tried_again",
    ),
    Mutant(
        "what only observes stops all the same",
        PACKAGE + "core/routes.py",
        "deltas.append(delta._replace(counters=watched, guarded=False))",
        "deltas.append(delta._replace(counters=watched))",
        "tests/pool/test_observing.py"
        "::test_what_would_be_refused_is_booked_and_announced",
    ),
    Mutant(
        "a closed slice keeps its rest",
        PACKAGE + "upkeep.py",
        "        for row in route.draining:\n",
        "        for row in route.draining[:0]:\n",
        "tests/pool/test_races.py"
        "::test_a_slice_that_closes_while_a_hold_settles_leaves_nothing_behind",
    ),
    Mutant(
        "thresholds fire again and again",
        PACKAGE + "core/events.py",
        "        if before < mark <= after\n",
        "        if mark <= after\n",
        "tests/pool/test_listeners.py"
        "::test_each_threshold_is_announced_when_it_is_crossed",
    ),
    Mutant(
        "memory gives nothing back",
        PACKAGE + "stores/_tables.py",
        "                counter.held -= held\n",
        "                counter.held -= 0\n",
        CONFORMANCE
        + "test_a_settle_charges_what_was_used_and_gives_back_the_hold"
        + "[memory-blocking]",
    ),
    Mutant(
        "memory does not spill",
        PACKAGE + "stores/_tables.py",
        "        if over <= 0:\n            return []\n",
        "        if over <= over:\n            return []\n",
        CONFORMANCE
        + "test_what_a_slice_overruns_is_paid_by_its_parent[memory-blocking]",
    ),
    Mutant(
        "a posting that comes again is applied again",
        PACKAGE + "stores/_sqlite_page.py",
        "        if known is not None:\n            if known[1] != content:",
        "        if known is not None and known[1] != content:\n"
        "            if known[1] != content:",
        CONFORMANCE
        + "test_what_has_no_hold_is_done_once_and_answered_the_same_for_ever"
        + "[sqlite-blocking]",
    ),
    Mutant(
        "SQLite forgets what was released unseen",
        PACKAGE + "stores/_wire.py",
        '    return known in (asked, "") and',
        "    return known == asked and",
        CONFORMANCE
        + "test_a_hold_that_is_released_before_it_is_seen_never_opens"
        + "[sqlite-blocking]",
    ),
    Mutant(
        "a forked worker uses its parent's file",
        PACKAGE + "stores/_sqlite_file.py",
        "new_lock(self._hang_up)",
        "new_lock()",
        "tests/faults/test_fork.py::test_a_parent_that_lets_go_takes_nothing_from_its_child",
    ),
    Mutant(
        "Redis compares amounts as doubles",
        PACKAGE + "stores/lua/judging.lua",
        "  local negative = one:byte() == 45\n",
        "  if true then return tonumber(one) < tonumber(other) end\n"
        "  local negative = one:byte() == 45\n",
        "tests/stores/test_redis.py::test_a_guard_is_exact_to_the_last_token",
    ),
    Mutant(
        "Redis believes any server",
        PACKAGE + "stores/lua/judging.lua",
        "if found[1] ~= epoch or tonumber(last) < tonumber(seen) then",
        "if tonumber(last) < tonumber(seen) then",
        "tests/stores/test_redis.py"
        "::test_nor_is_one_where_somebody_else_has_begun_anew",
    ),
    Mutant(
        "Redis believes an older copy",
        PACKAGE + "stores/lua/judging.lua",
        "if found[1] ~= epoch or tonumber(last) < tonumber(seen) then",
        "if found[1] ~= epoch then",
        "tests/stores/test_redis.py"
        "::test_nor_is_one_that_has_forgotten_the_last_postings",
    ),
    Mutant(
        "Redis undoes nothing",
        PACKAGE + "stores/lua/post.lua",
        "for i = #backs, 1, -1 do redis.pcall(unpack(backs[i])) end",
        "",
        "tests/stores/test_redis.py::test_an_account_is_opened_whole_or_not_at_all",
    ),
    Mutant(
        "PostgreSQL without the lock on the book",
        PACKAGE + "stores/sql/postgres_1.sql",
        "  IF pg_advisory_xact_lock(hashtextextended(in_epoch, 0)) IS NULL THEN",
        "  IF in_epoch IS NULL THEN",
        "tests/stores/test_postgres.py"
        "::test_postings_of_one_book_wait_for_each_other_and_not_for_other_books",
    ),
    Mutant(
        "PostgreSQL admits one too many",
        PACKAGE + "stores/sql/postgres_1.sql",
        "c.granted::numeric - c.held - c.spent - c.lent < c.wanted",
        "c.granted::numeric - c.held - c.spent - c.lent < c.wanted - 1",
        CONFORMANCE
        + "test_a_limit_admits_its_last_unit_and_not_one_more[postgresql-blocking]",
    ),
)
