"""Faults in what accounts share: several trees, waiting, windows, a treasury."""

from typing import Final

from tests.mutants.mutant import Mutant

DIVIDING: Final = "tests/pool/test_dividing.py::"
WAITING: Final = "tests/pool/test_waiting.py::"
ROLLING: Final = "tests/pool/test_rolling.py::"
TREASURY: Final = "tests/pool/test_treasury.py::"

SHARING: Final[tuple[Mutant, ...]] = (
    Mutant(
        "users share what one of them has",
        "core/routes.py",
        "        for each in self._routes:\n            each._hold(",
        "        for each in self._routes[:1]:\n            each._hold(",
        f"{DIVIDING}test_each_user_has_a_limit_beside_that_of_the_pool",
        "memory",
    ),
    Mutant(
        "accounts for each user are without number",
        "dividing.py",
        "        if self._there[trunk] < most:\n",
        "        if self._there[trunk] <= most:\n",
        f"{DIVIDING}test_their_number_is_bounded",
        "memory",
    ),
    Mutant(
        "who asks first is not told that there is no room",
        "dividing.py",
        "                if refusal and not new.is_watched(",
        "                if not refusal and not new.is_watched(",
        f"{DIVIDING}test_advice_knows_how_many_there_may_be",
        "memory",
    ),
    Mutant(
        "who asks first is not told what may be borrowed",
        "core/outlook.py",
        "            if refusal is None or not short:\n",
        "            if True:\n",
        "tests/pool/test_affordability.py::"
        "test_a_slice_that_may_borrow_can_afford_what_its_parent_has",
    ),
    Mutant(
        "a tick never ends",
        "turns.py",
        "dict(row.turns).get(span, 0) + 1 for span",
        "dict(row.turns).get(span, 0) for span",
        f"{DIVIDING}test_ticks_and_runs_end_when_the_program_says_so",
        "memory",
    ),
    Mutant(
        "whoever came last goes first",
        "stores/_queue.py",
        "        place = Place(account, (-priority, next(self._serial)))\n",
        "        place = Place(account, (-priority, -next(self._serial)))\n",
        f"{WAITING}test_the_more_important_go_first_then_those_who_came_first",
        "memory",
    ),
    Mutant(
        "the unimportant go first",
        "stores/_queue.py",
        "        place = Place(account, (-priority, next(self._serial)))\n",
        "        place = Place(account, (priority, next(self._serial)))\n",
        f"{WAITING}test_the_more_important_go_first_then_those_who_came_first",
        "memory",
    ),
    Mutant(
        "what was spent never leaves a rolling window",
        "core/rolling.py",
        "        if part - newest >= LIVE:\n",
        "        if part - newest >= 2 * LIVE:\n",
        f"{ROLLING}test_what_was_spent_counts_for_the_whole_window_and_then_leaves",
        "memory",
    ),
    Mutant(
        "what was spent leaves a rolling window too early",
        "core/rolling.py",
        "        if part - newest >= LIVE:\n",
        "        if part - newest >= LIVE - 3:\n",
        f"{ROLLING}test_what_was_spent_counts_for_the_whole_window_and_then_leaves",
        "memory",
    ),
    Mutant(
        "a treasury takes away what somebody has spent",
        "core/moves.py",
        "            deltas.append(Delta(own, granted=more, guarded=more < 0))\n",
        "            deltas.append(Delta(own, granted=more))\n",
        f"{TREASURY}test_what_is_spent_while_it_is_decided_is_not_given_to_others",
        "memory",
    ),
    Mutant(
        "a treasury makes money",
        "core/moves.py",
        "            lent += more if unit in route.rows[0].slices else 0\n",
        "            lent += 0\n",
        f"{TREASURY}test_money_is_conserved_whatever_is_done",
    ),
    Mutant(
        "once is as often as there are processes",
        "alerts.py",
        "    return isinstance(answer, Receipt)\n",
        "    return True\n",
        "tests/pool/test_alerts.py::"
        "test_once_is_once_for_all_processes_and_for_all_time",
        "sqlite",
    ),
    Mutant(
        "handlers hold for what the wrapped model holds for",
        "adapters/heralds.py",
        "    return isinstance(mark, Mark) and ledger.is_same(mark.ledger)\n",
        "    return False\n",
        "tests/adapters/test_matrix.py::test_success_is_charged_as_the_model_counted",
        "everything and ainvoke",
    ),
    Mutant(
        "a top-up is granted as often as a node begins anew",
        "adapters/top_ups.py",
        '    return answer, f"top-up:{_task(config)}:{number}"\n',
        '    return answer, f"top-up:{_execution(config)}:{number}"\n',
        "tests/adapters/test_resume.py::"
        "test_several_interrupts_in_one_node_grant_once_each",
    ),
    Mutant(
        "an answer that was cut short is kept for others",
        "adapters/uncached.py",
        "    return bool((metadata or {}).get(CUT_SHORT))\n",
        "    return False\n",
        "tests/adapters/test_budgeted.py::"
        "test_an_answer_that_was_cut_short_is_not_kept_for_others",
    ),
    Mutant(
        "a stream grows for nothing",
        "adapters/growing.py",
        "    call.more.append(call.ledger.run(",
        "    call.more.append(call.hold) if size.guessed else call.more.append("
        "call.ledger.run(",
        "tests/adapters/test_growing.py::"
        "test_a_stream_is_cut_off_when_there_is_no_more",
    ),
)
