"""Faults in the rules, and in the ledger that keeps to them."""

from typing import Final

from tests.mutants.mutant import CONFORMANCE, RIVALS, Mutant

BOOKS: Final = (
    Mutant(
        "guard off by one",
        "core/judge.py",
        "limit - seen.held - seen.spent - seen.lent < wanted",
        "limit - seen.held - seen.spent - seen.lent < wanted - 1",
        CONFORMANCE + "test_a_limit_admits_its_last_unit_and_not_one_more",
        only="memory and blocking",
    ),
    Mutant(
        "what is lent is not guarded",
        "core/judge.py",
        "limit - seen.held - seen.spent - seen.lent < wanted",
        "limit - seen.held - seen.spent < wanted",
        CONFORMANCE + "test_what_is_carved_out_the_parent_has_no_more",
        only="memory and blocking",
    ),
    Mutant(
        "frozen is ignored",
        "core/judge.py",
        "if row.closed or row.frozen:",
        "if row.closed:",
        "tests/pool/test_freezing.py::test_a_freeze_binds_all_the_way_down",
    ),
    Mutant(
        "versions are not looked at",
        "core/judge.py",
        "if row is None or row.version != version:",
        "if row is None:",
        CONFORMANCE
        + "test_an_account_admits_when_it_is_as_expected_open_and_not_frozen",
        only="memory and blocking",
    ),
    Mutant(
        "the clock is not looked at",
        "core/judge.py",
        "posting.during[0] <= now < posting.during[1]",
        "posting.during[0] <= now",
        CONFORMANCE + "test_a_posting_is_for_from_a_time_on_and_until_before_another",
        only="memory and blocking",
    ),
    Mutant(
        "an ancestor is skipped",
        "core/routes.py",
        "return [*walks, tuple(walk)] if walk else walks",
        "return [*walks, tuple(walk[:-1] or walk)] if walk else walks",
        "tests/pool/test_races.py::test_threads_are_admitted_as_far_as_the_budget_goes",
    ),
    Mutant(
        "windows are not held from",
        "core/routes.py",
        "        if unit in self._timed:\n",
        "        if unit in self._timed and not value:\n",
        "tests/pool/test_windows.py::test_a_day_has_its_own_limit",
    ),
    Mutant(
        "carving is not guarded",
        "core/moves.py",
        "        Delta(parent.keys(unit), lent=value, guarded=True)\n"
        "        for unit, value in amounts.items()",
        "        Delta(parent.keys(unit), lent=value)\n"
        "        for unit, value in amounts.items()",
        "tests/pool/test_slices.py::test_more_than_is_left_cannot_be_carved_out",
    ),
    Mutant(
        "a call that had started expires for nothing",
        "core/rules.py",
        "    if not hold.started:\n",
        "    if hold.started or not hold.started:\n",
        "tests/pool/test_expiry.py::"
        "test_a_call_that_started_is_charged_when_its_time_is_over",
    ),
    Mutant(
        "a report replaces a report",
        "core/rules.py",
        "        return state in SUPERSEDABLE\n",
        "        return True\n",
        "tests/pool/test_expiry.py::"
        "test_a_late_settle_takes_the_place_of_the_estimate_once",
    ),
    Mutant(
        "half of a difference is superseded",
        "core/rules.py",
        "charge.amounts.get(unit, 0) - hold.charged.get(unit, 0) for unit in units",
        "charge.amounts.get(unit, 0) for unit in units",
        "tests/pool/test_expiry.py::"
        "test_a_late_settle_takes_the_place_of_the_estimate_once",
    ),
    Mutant(
        "a cut off reserve is forgotten",
        "admission.py",
        "            self.late.append(Closing(rules.opened(posting), None))\n",
        "",
        "tests/pool/test_store_failures.py::"
        "test_a_hold_that_the_store_took_before_it_broke_is_given_back",
    ),
    Mutant(
        "a settle that the store did not take is dropped",
        "ledger.py",
        "        self.late.append(closing)\n        event = SettleDeferred",
        "        event = SettleDeferred",
        "tests/pool/test_store_failures.py::"
        "test_what_the_store_cannot_take_is_announced_and_tried_again",
    ),
    Mutant(
        "what only observes stops all the same",
        "core/routes.py",
        "deltas.append(delta._replace(counters=watched, guarded=False))",
        "deltas.append(delta._replace(counters=watched))",
        "tests/pool/test_observing.py::"
        "test_what_would_be_refused_is_booked_and_announced",
    ),
    Mutant(
        "a closed slice keeps its rest",
        "upkeep.py",
        "        for row in route.draining:\n",
        "        for row in route.draining[:0]:\n",
        "tests/pool/test_races.py::"
        "test_a_slice_that_closes_while_a_hold_settles_leaves_nothing_behind",
    ),
    Mutant(
        "thresholds fire again and again",
        "core/edges.py",
        "        if before < mark <= after\n",
        "        if mark <= after\n",
        "tests/pool/test_listeners.py::"
        "test_each_threshold_is_announced_when_it_is_crossed",
    ),
    Mutant(
        "a charge is lost with whoever is cancelled while tidying up",
        "ledger.py",
        "            next(talk, None)\n            talk.throw(error)\n",
        "",
        RIVALS + "test_a_charge_is_not_lost_with_a_task_that_was_tidying_up",
    ),
    Mutant(
        "what others have just given back is not asked for",
        "admission.py",
        "            yield from self.sweep()\n            attempt.swept,",
        "            if not (yield from self.sweep()):\n"
        "                return False\n"
        "            attempt.swept,",
        RIVALS + "test_what_somebody_else_has_just_given_back_is_there",
    ),
    Mutant(
        "a loan is as large as at first",
        "admission.py",
        "self.borrowed[unit] = self.borrowed.get(unit, 0) + short",
        "self.borrowed.setdefault(unit, short)",
        RIVALS + "test_a_loan_grows_with_what_others_take_from_the_slice",
    ),
    Mutant(
        "a hold that has ended admits",
        "admission.py",
        "        if hold.status is not Status.OPEN:\n",
        "        if hold.status is None:\n",
        "tests/simulation/test_simulation.py::test_the_books_are_true_whatever_happens[3]",
    ),
    Mutant(
        "a reserve that is built anew has the id of the first",
        "admission.py",
        "rules.reserve(route, self.new_id(), order, borrowed, now)",
        "rules.reserve(route, posting.id, order, borrowed, now)",
        RIVALS + "test_a_reserve_that_is_built_anew_is_another_one",
    ),
    Mutant(
        "an edge that did not last is announced",
        "core/edges.py",
        "in netted(changes):",
        "in changes:",
        RIVALS + "test_an_overrun_that_is_paid_at_once_exhausts_nobody",
    ),
    Mutant(
        "closing again returns nothing",
        "tree.py",
        "        if row.closed and row.slices:\n",
        "        if row.closed and not row.slices:\n",
        RIVALS + "test_closing_again_returns_what_was_left_behind",
    ),
    Mutant(
        "a late report is dropped",
        "ledger.py",
        "            if not rules.replaces(charge, hold):\n",
        "            if rules.replaces(charge, hold):\n",
        "tests/pool/test_expiry.py::"
        "test_a_late_settle_takes_the_place_of_the_estimate_once",
    ),
    Mutant(
        "a top-up happens as often as it is asked for",
        "grants.py",
        "    posting_id = key or ledger.new_id()\n"
        "\n"
        "    def draft() -> Talk[Draft]:\n"
        "        route = ",
        "    posting_id = ledger.new_id()\n"
        "\n"
        "    def draft() -> Talk[Draft]:\n"
        "        route = ",
        "tests/pool/test_limits.py::test_a_top_up_with_a_key_happens_once",
    ),
    Mutant(
        "a transfer is not guarded",
        "core/moves.py",
        "guarded=lent > granted)",
        "guarded=False)",
        "tests/pool/test_transfer.py::test_only_what_is_neither_spent_nor_held_moves",
    ),
    Mutant(
        "a cap that moves is not guarded",
        "core/moves.py",
        "        Delta(old.keys(unit)[:1], granted=-value, guarded=True),\n",
        "        Delta(old.keys(unit)[:1], granted=-value),\n",
        "tests/pool/test_moving.py::"
        "test_what_is_reserved_meanwhile_of_a_cap_is_not_there_twice",
    ),
    Mutant(
        "what was used of a day can be used again elsewhere",
        "core/moves.py",
        "spent=seen.held + seen.spent)",
        "spent=seen.held)",
        "tests/pool/test_moving.py::"
        "test_what_was_used_today_is_used_today_where_it_goes",
    ),
    Mutant(
        "an account moves out of a freeze",
        "moving.py",
        "tuple(each for each in old.admit[1:] if each not in parent.admit)",
        "()",
        "tests/pool/test_moving.py::test_no_account_moves_out_of_a_freeze",
    ),
    Mutant(
        "dollars go through a float",
        "core/amounts.py",
        "exact = _ROUND_UP.multiply(number, NANOS)",
        "exact = Decimal(float(number) * NANOS)",
        "tests/core/test_amounts.py::test_dollars_are_exact_or_the_next_nano_dollar",
    ),
    Mutant(
        "nothing is ever in doubt",
        "core/rules.py",
        "    return beyond(hold, charge.amounts)\n",
        "    return NOTHING\n",
        "tests/pool/test_expiry.py::"
        "test_a_call_that_started_is_charged_when_its_time_is_over",
    ),
    Mutant(
        "forked workers make the same ids",
        "ids.py",
        'if hasattr(os, "register_at_fork"):',
        'if not hasattr(os, "register_at_fork"):',
        "tests/faults/test_fork.py::test_forked_workers_share_the_pool_of_their_parent",
        only="sqlite",
    ),
    Mutant(
        "a late worker is not fenced",
        "core/leases.py",
        "        seen=((row.path, row.version),),\n        rows=(shown,),",
        "        rows=(shown,),",
        "tests/leases/test_time.py::"
        "test_a_block_whose_end_the_store_cannot_take_lapses",
    ),
    Mutant(
        "a lease that lapsed was not spent",
        "core/leases.py",
        "    deltas = tuple(Delta((key,), spent=value) for key, value in "
        "left.items() if value)\n",
        "    deltas = ()\n",
        "tests/leases/test_time.py::"
        "test_what_a_worker_does_not_account_for_counts_as_spent",
    ),
    Mutant(
        "what was spent in an outage is not booked",
        "outages/ledger.py",
        "        if self._spare is not None and owes and (yield",
        "        if self._spare is None and owes and (yield",
        "tests/outages/test_policies.py::"
        "test_an_open_pool_admits_up_to_its_cap_and_books_it_when_the_store_is_back",
    ),
)
