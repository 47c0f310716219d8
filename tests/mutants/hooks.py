"""Faults in what is made of calls."""

from typing import Final

from tests.mutants.mutant import Mutant

HOOKS: Final = (
    Mutant(
        "the form of an answer costs nothing",
        "adapters/schemas.py",
        "            return _form(value)\n",
        "            return str(value)\n",
        "tests/providers/test_forms.py::test_a_call_whose_form_is_too_dear_is_not_made",
    ),
    Mutant(
        "a file teaches of calls without one",
        "adapters/requests.py",
        "        if not request.media:\n",
        "        if True:\n",
        "tests/adapters/test_learning.py",
    ),
    Mutant(
        "a cap in the body is thought to be lowered",
        "adapters/requests.py",
        "fixed_cap(params) or thinking(params)",
        "thinking(params)",
        "tests/providers/test_caps.py::"
        "test_a_cap_in_the_body_which_nobody_can_lower_is_held_for_or_refused",
    ),
    Mutant(
        "a refusal does not stop a call",
        "adapters/callbacks.py",
        "    raise_error = True\n",
        "    raise_error = False\n",
        "tests/adapters/test_fan_out.py",
    ),
    Mutant(
        "a cached answer is charged",
        "adapters/settling.py",
        '    if is_cache_hit(getattr(generation, "message", None)):\n',
        "    if is_cache_hit(None):\n",
        "tests/adapters/test_books.py::"
        "test_cached_answers_cost_nothing_and_are_shown_as_avoided",
    ),
    Mutant(
        "a price from before passes for the price of now",
        "adapters/charges.py",
        "fault is None and (price is last)",
        "True",
        "tests/adapters/test_price_faults.py::"
        "test_a_paid_answer_is_returned_and_charged_at_the_price_it_was_held_at",
    ),
    Mutant(
        "a price book that fails is as good as silent",
        "adapters/calls.py",
        "raise refusal from quote.fault",
        "raise",
        "tests/adapters/test_price_faults.py::"
        "test_without_a_price_before_the_call_it_is_refused_with_the_cause",
    ),
    Mutant(
        "a call that was cancelled has failed",
        "adapters/settling.py",
        "isinstance(error, Exception) and not isinstance(error, BudgetRefused)",
        "not isinstance(error, BudgetRefused)",
        "tests/reports/test_failures.py::test_a_call_that_is_cancelled_is_no_failure",
    ),
    Mutant(
        "a lost call is forgotten",
        "adapters/calls.py",
        "                call.ledger.late.append(Closing(call.hold, charge))\n",
        "                pass\n",
        "tests/adapters/test_exits.py::"
        "test_ten_lost_calls_hold_nothing_and_charge_their_input",
    ),
    Mutant(
        "a stream that is given up amid a question is forgotten",
        "ledger.py",
        "            self.late.append(closing)  # a finaliser",
        "            pass  # a finaliser",
        "tests/faults/test_finalisers.py::"
        "test_what_is_given_up_amid_a_question_ends_with_the_next_one",
        only="memory and wrapped",
    ),
    Mutant(
        "an answer without usage was short",
        "adapters/settling.py",
        "output = usage.total_output if usage else counted",
        "output = usage.total_output if usage else 0",
        "tests/adapters/test_exits.py::"
        "test_usage_that_is_missing_is_estimated_and_never_zero",
    ),
    Mutant(
        "each hook holds for itself",
        "adapters/underway.py",
        "if told and call.ledger.is_same(known.ledger):",
        "if told and call.owner is known.owner:",
        "tests/adapters/test_books.py::"
        "test_one_call_under_scope_and_handlers_is_one_hold_and_one_charge",
    ),
    Mutant(
        "what others have held for a refused call is kept",
        "adapters/calls.py",
        "            if call.hold is not None:\n                # What",
        "            if False:\n                # What",
        "tests/adapters/test_books.py::"
        "test_when_the_second_pool_refuses_the_first_gets_its_hold_back",
    ),
    Mutant(
        "what is being held while another refuses is kept",
        "adapters/calls.py",
        "            self._settle(call, None)\n            if call.announced",
        "            if call.announced",
        "tests/adapters/test_at_once.py::"
        "test_what_is_being_held_while_another_refuses_comes_back",
    ),
    Mutant(
        "a call that was refused before is held for",
        "adapters/underway.py",
        "            if call.announced.refuse is not None:\n",
        "            if False:\n",
        "tests/adapters/test_at_once.py::"
        "test_what_is_heard_after_another_has_refused_is_not_held",
    ),
    Mutant(
        "prompts before the refused one are held for",
        "adapters/underway.py",
        "            for key in announced.runs\n",
        "            for key in [*announced.runs][:1]\n",
        "tests/adapters/test_batches.py::test_when_one_is_refused_none_was_sent",
    ),
    Mutant(
        "a tracer makes handlers on threads deaf",
        "adapters/inline.py",
        "        if start == _STARTS_CHAT:\n",
        "        if start:\n",
        "tests/adapters/test_heard.py::test_a_call_is_refused_beside_a_tracer",
    ),
    Mutant(
        "what a stream holds in addition outlives it",
        "adapters/growing.py",
        "    if call.closed:  # meanwhile",
        "    if False:  # meanwhile",
        "tests/adapters/test_at_once.py::"
        "test_a_stream_that_ends_while_more_is_held_for_it_gives_that_back",
    ),
    Mutant(
        "a refused call stays charged once its run has ended",
        "adapters/calls.py",
        "counted(NOTHING, call.labels) if call.closed else None",
        "None",
        "tests/adapters/test_at_once.py::"
        "test_a_call_that_is_refused_after_the_run_around_it_has_ended_costs_nothing",
    ),
    Mutant(
        "a hold that is made after its run has ended stays",
        "adapters/calls.py",
        "        if call.is_left:\n",
        "        if False:\n",
        "tests/adapters/test_at_once.py::"
        "test_a_hold_that_is_made_after_the_run_around_it_has_failed_is_closed",
    ),
    Mutant(
        "what is being held while somebody vetoes is charged",
        "adapters/calls.py",
        "                    self.call_off(call.announced, error)\n"
        "                    continue\n",
        "                    pass\n",
        "tests/adapters/test_at_once.py::"
        "test_what_is_being_held_while_somebody_else_refuses_comes_back",
    ),
    Mutant(
        "who does not hold is relied on for being first",
        "adapters/callbacks.py",
        "            and own.on_llm_start is ours.on_llm_start\n",
        "            or True\n",
        "tests/adapters/test_at_once.py::test_who_hears_of_no_call_is_not_relied_on",
    ),
    Mutant(
        "what was refused once is let through when it is asked again",
        "adapters/asked.py",
        '(self.options.get("metadata"), self.run_id.int)',
        '(self.options.get("invocation_params"))',
        "tests/adapters/test_at_once.py::"
        "test_a_stream_that_was_refused_is_asked_for_anew_each_time",
    ),
    Mutant(
        "requests with the same settings are one",
        "adapters/asked.py",
        'announced(self.options.get("options"))',
        'announced(self.options.get("invocation_params"))',
        "tests/adapters/test_at_once.py::test_a_refusal_is_of_one_request_alone",
    ),
    Mutant(
        "on threads whoever is quicker charges",
        "adapters/inline.py",
        "ours[: ours.index(self)] if self in ours else []",
        "[]",
        "tests/adapters/test_at_once.py::"
        "test_of_two_that_are_told_at_once_the_first_in_the_list_charges",
    ),
    Mutant(
        "what was found before an account was opened is found after it",
        "adapters/finder.py",
        "            path = found[key] = self._search(ledger, base, caller.names)\n",
        "            path = self._search(ledger, base, caller.names)\n"
        "            self._known[1][key] = path\n",
        "tests/adapters/test_attribution.py::"
        "test_an_account_that_is_opened_while_another_is_looked_for_is_found",
    ),
    Mutant(
        "a middleware that was cancelled passes for one outside of a retry",
        "adapters/context.py",
        "any(not offer.is_withdrawn for offer in offered)",
        "offered",
        "tests/adapters/test_at_once.py::"
        "test_a_middleware_that_is_cancelled_is_not_taken_for_one_outside_of_a_retry",
    ),
    Mutant(
        "a handler on a thread is overlooked by the lookout",
        "adapters/hook.py",
        "        if is_unsure and not CALLS.is_known(run_id):\n",
        "        if is_unsure:\n",
        "tests/routes/test_warnings.py::"
        "test_a_loop_in_a_raw_thread_whose_calls_are_paid_is_right",
    ),
    Mutant(
        "what has no price is admitted",
        "adapters/calls.py",
        "        unpriced=price is None,\n",
        "        unpriced=False,\n",
        "tests/adapters/test_books.py::"
        "test_unknown_prices_refuse_only_where_dollars_are_limited",
    ),
    Mutant(
        "an answer is as long as it likes",
        "adapters/clamp.py",
        "    return all(wanted.get(unit, 0) <= most for unit, most in left.items())",
        "    return all(wanted.get(unit, 0) <= 2 * most for unit, most in "
        "left.items())",
        "tests/adapters/test_middleware.py::"
        "test_the_answer_is_capped_to_what_is_left_and_the_limit_is_kept",
    ),
    Mutant(
        "nobody builds a guard while all are asked",
        "adapters/steps.py",
        "(each() for each in list(self._guards))",
        "(each() for each in self._guards)",
        "tests/adapters/test_steps.py::"
        "test_guards_may_be_built_on_a_thread_while_all_are_asked",
    ),
    Mutant(
        "the last of several handlers knows what a run is",
        "adapters/runs.py",
        "        is_new = self._runs.setdefault(run_id.int, run) is run\n",
        "        is_new = True\n        self._runs[run_id.int] = run\n",
        "tests/adapters/test_steps.py::"
        "test_of_two_handlers_at_once_neither_loses_what_is_reserved",
    ),
    Mutant(
        "what a guard may have opened is forgotten",
        "adapters/steps.py",
        "                ledger.late.append(partial(close_account, ledger, path))\n",
        "                pass\n",
        "tests/adapters/test_steps_cut_off.py::"
        "test_it_returns_when_the_guard_is_cancelled_and_has_opened_it",
    ),
    Mutant(
        "a guard that was refused has opened something",
        "adapters/steps.py",
        "            if not isinstance(error, BudgetRefused | StoreLeftAlone):\n",
        "            if not isinstance(error, StoreLeftAlone):\n",
        "tests/adapters/test_steps_cut_off.py::"
        "test_a_guard_that_is_refused_leaves_nothing_to_close",
    ),
    Mutant(
        "a step whose start was cancelled keeps what it has",
        "adapters/steps.py",
        "            over += self._carried.pop(number, ())\n",
        "            self._carried.pop(number, ())\n",
        "tests/adapters/test_steps_cut_off.py::"
        "test_it_returns_when_the_start_of_the_step_is_cancelled",
    ),
)
