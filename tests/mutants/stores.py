"""Faults in what each store makes of a posting."""

from typing import Final

from tests.mutants.mutant import CONFORMANCE, Mutant

STORES: Final = (
    Mutant(
        "memory gives nothing back",
        "stores/_tables.py",
        "                counter.held -= held\n",
        "                counter.held -= 0\n",
        CONFORMANCE + "test_a_settle_charges_what_was_used_and_gives_back_the_hold",
        only="memory and blocking",
    ),
    Mutant(
        "memory does not spill",
        "stores/_tables.py",
        "        if over <= 0:\n            return []\n",
        "        if over <= over:\n            return []\n",
        CONFORMANCE + "test_what_a_slice_overruns_is_paid_by_its_parent",
        only="memory and blocking",
    ),
    Mutant(
        "a posting that comes again is applied again",
        "stores/_sqlite_page.py",
        "        if known is not None:\n            if known[1] != content:",
        "        if known is not None and known[1] != content:\n"
        "            if known[1] != content:",
        CONFORMANCE
        + "test_what_has_no_hold_is_done_once_and_answered_the_same_for_ever",
        only="sqlite and blocking",
    ),
    Mutant(
        "SQLite forgets what was released unseen",
        "stores/_wire.py",
        '    return known in (asked, "") and',
        "    return known == asked and",
        CONFORMANCE + "test_a_hold_that_is_released_before_it_is_seen_never_opens",
        only="sqlite and blocking",
    ),
    Mutant(
        "a forked worker uses its parent's file",
        "stores/_sqlite_file.py",
        "new_lock(self._hang_up)",
        "new_lock()",
        "tests/faults/test_fork.py::"
        "test_a_parent_that_lets_go_takes_nothing_from_its_child",
    ),
    Mutant(
        "Redis compares amounts as doubles",
        "stores/lua/judging.lua",
        "  local negative = one:byte() == 45\n",
        "  if true then return tonumber(one) < tonumber(other) end\n"
        "  local negative = one:byte() == 45\n",
        CONFORMANCE + "test_a_limit_admits_its_last_unit_and_not_one_more",
        only="redis and blocking",
    ),
    Mutant(
        "Redis believes any server",
        "stores/lua/judging.lua",
        "if found[1] ~= epoch or tonumber(last) < tonumber(seen) then",
        "if tonumber(last) < tonumber(seen) then",
        "tests/stores/test_redis.py::"
        "test_nor_is_one_where_somebody_else_has_begun_anew",
    ),
    Mutant(
        "Redis believes an older copy",
        "stores/lua/judging.lua",
        "if found[1] ~= epoch or tonumber(last) < tonumber(seen) then",
        "if found[1] ~= epoch then",
        "tests/stores/test_redis.py::"
        "test_nor_is_one_that_has_forgotten_the_last_postings",
    ),
    Mutant(
        "Redis undoes nothing",
        "stores/lua/post.lua",
        "for i = #backs, 1, -1 do redis.pcall(unpack(backs[i])) end",
        "",
        "tests/stores/test_redis.py::test_an_account_is_opened_whole_or_not_at_all",
    ),
    Mutant(
        "PostgreSQL without the lock on the book",
        "stores/sql/postgres_1.sql",
        "  IF pg_advisory_xact_lock(hashtextextended(in_epoch, 0)) IS NULL THEN",
        "  IF in_epoch IS NULL THEN",
        "tests/stores/test_postgres.py::"
        "test_postings_of_one_book_wait_for_each_other_and_not_for_other_books",
    ),
    Mutant(
        "PostgreSQL admits one too many",
        "stores/sql/postgres_1.sql",
        "c.granted::numeric - c.held - c.spent - c.lent < c.wanted",
        "c.granted::numeric - c.held - c.spent - c.lent < c.wanted - 1",
        CONFORMANCE + "test_a_limit_admits_its_last_unit_and_not_one_more",
        only="postgresql and blocking",
    ),
    Mutant(
        "memory without its lock",
        "stores/memory.py",
        "        with alone(self._lock):\n"
        "            return self._tables.post(posting, self._clock())",
        "        return self._tables.post(posting, self._clock())",
        CONFORMANCE + "test_two_postings_about_one_limit_follow_each_other",
        only="memory and blocking",
    ),
    Mutant(
        "memory applies a posting that comes again",
        "stores/_tables.py",
        "        if posting.id in self._posted:\n",
        "        if posting.id in self._posted and not posting.id:\n",
        CONFORMANCE
        + "test_what_has_no_hold_is_done_once_and_answered_the_same_for_ever",
        only="memory and blocking",
    ),
    Mutant(
        "memory opens what was given up before",
        "stores/_tables.py",
        "        if hold_id in self.open or hold_id in self._closed:\n",
        "        if hold_id in self.open:\n",
        CONFORMANCE + "test_a_hold_that_is_released_before_it_is_seen_never_opens",
        only="memory and blocking",
    ),
    Mutant(
        "a hold is closed as often as anybody likes",
        "stores/_wire.py",
        "    if (hold.status, hold.basis) in before:\n",
        "    if before:\n",
        CONFORMANCE + "test_a_hold_closes_once_and_then_tells_how",
        only="blocking and (memory or sqlite)",
    ),
    Mutant(
        "SQLite reads before it has the file alone",
        "stores/_sqlite_file.py",
        'self._patiently(db, "BEGIN IMMEDIATE")',
        'self._patiently(db, "BEGIN")',
        CONFORMANCE + "test_settles_and_reserves_at_once_lose_nothing",
        only="sqlite and blocking",
    ),
    Mutant(
        "SQLite does not spill",
        "stores/_sqlite_counters.py",
        "            if over <= 0:\n                continue\n",
        "            if over <= over:\n                continue\n",
        CONFORMANCE + "test_what_a_slice_overruns_is_paid_by_its_parent",
        only="sqlite and blocking",
    ),
    Mutant(
        "Redis forgets what was released unseen",
        "stores/lua/hold.lua",
        "    if unseen == '' then return 'unknown' end\n",
        "    if unseen then return 'unknown' end\n",
        CONFORMANCE + "test_a_hold_that_is_released_before_it_is_seen_never_opens",
        only="redis and blocking",
    ),
    Mutant(
        "Redis does not spill",
        "stores/lua/applying.lua",
        "  if over then\n    add(slice",
        "  if over == '' then\n    add(slice",
        CONFORMANCE + "test_what_a_slice_overruns_is_paid_by_its_parent",
        only="redis and blocking",
    ),
    Mutant(
        "Redis adds what is held to what is available",
        "stores/_redis_plan.py",
        "        available = granted - held - spent - lent\n",
        "        available = granted + held - spent - lent\n",
        CONFORMANCE + "test_a_limit_admits_its_last_unit_and_not_one_more",
        only="redis and blocking",
    ),
    Mutant(
        "Redis closes a hold as often as anybody likes",
        "stores/lua/hold.lua",
        "    if not before:find(is, 1, true) then return tell('closed') end\n",
        "    if not before then return tell('closed') end\n",
        CONFORMANCE + "test_a_hold_closes_once_and_then_tells_how",
        only="redis and blocking",
    ),
    Mutant(
        "Redis finds closed holds overdue",
        "stores/lua/hold.lua",
        "  else\n    call('ZREM', DUE, id)\n  end\n  return 'ok 0'",
        "  end\n  return 'ok 0'",
        CONFORMANCE + "test_a_settle_charges_what_was_used_and_gives_back_the_hold",
        only="redis and blocking",
    ),
    Mutant(
        "Redis leaves half of a posting behind",
        "stores/lua/undoing.lua",
        "    redis.pcall('HSET', LEDGER, field, found[at])\n",
        "",
        "tests/stores/test_redis.py::test_an_overflow_of_64_bits_is_undone_and_told",
    ),
    Mutant(
        "PostgreSQL does not spill",
        "stores/sql/postgres_1.sql",
        "        WHERE over > 0 AND c.book = in_book",
        "        WHERE over < 0 AND c.book = in_book",
        CONFORMANCE + "test_what_a_slice_overruns_is_paid_by_its_parent",
        only="postgresql and blocking",
    ),
    Mutant(
        "PostgreSQL ignores frozen",
        "stores/sql/postgres_1.sql",
        "OR w.place <= admitted AND (a.closed OR a.frozen <> '')",
        "OR w.place <= admitted AND a.closed",
        CONFORMANCE
        + "test_an_account_admits_when_it_is_as_expected_open_and_not_frozen",
        only="postgresql and blocking",
    ),
    Mutant(
        "PostgreSQL believes any book",
        "stores/sql/postgres_1.sql",
        "    WHERE b.id = in_book AND b.epoch = in_epoch::uuid;",
        "    WHERE b.id = in_book;",
        "tests/stores/test_postgres.py::"
        "test_another_book_of_that_name_is_not_taken_for_it",
    ),
)
