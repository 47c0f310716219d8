"""What an answer reports is read whole, once, and never as nothing."""

import math
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from langchain_budget.adapters.usage import (
    is_cache_hit,
    model_of_result,
    usage_of,
    usage_of_result,
)
from langchain_budget.pricing.usage import Usage

OPENAI = {
    "input_tokens": 1_000,
    "output_tokens": 50,
    "total_tokens": 1_050,
    "input_token_details": {"audio": 0, "cache_read": 800},
    "output_token_details": {"audio": 0, "reasoning": 30},
}
counts = st.integers(0, 100_000)


def message(metadata: Any, **fields: Any) -> AIMessage:
    """Build an answer as a careless integration would: nothing is validated."""
    answer = AIMessage("text", **fields)
    answer.usage_metadata = cast("UsageMetadata", metadata)
    return answer


def told(**metadata: Any) -> Usage | None:
    return usage_of(message(metadata))


def known(**metadata: Any) -> Usage:
    usage = told(**metadata)
    assert usage is not None
    return usage


def result(*answers: AIMessage, **output: Any) -> LLMResult:
    return LLMResult(
        generations=[[ChatGeneration(message=each) for each in answers]],
        llm_output=output,
    )


def test_cached_and_reasoning_tokens_are_taken_out_of_the_totals() -> None:
    usage = usage_of(message(OPENAI))

    assert usage == Usage(input=200, cache_read=800, output=20, reasoning=30)


def test_a_generation_is_read_like_its_message() -> None:
    generation = ChatGeneration(message=message(OPENAI))

    assert usage_of(generation) == usage_of(message(OPENAI))


def test_the_times_that_anthropic_writes_a_cache_for_are_kept_apart() -> None:
    usage = told(
        input_tokens=1_000,
        output_tokens=5,
        total_tokens=1_005,
        input_token_details={
            "cache_read": 800,
            "cache_creation": 0,
            "ephemeral_5m_input_tokens": 60,
            "ephemeral_1h_input_tokens": 40,
        },
    )

    assert usage == Usage(
        input=100, cache_read=800, cache_write=60, cache_write_1h=40, output=5
    )


def test_a_cache_write_of_unknown_time_is_one_of_the_default_time() -> None:
    usage = known(
        input_tokens=100, output_tokens=5, input_token_details={"cache_creation": 30}
    )

    assert (usage.input, usage.cache_write) == (70, 30)


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_a_service_tier_is_read_from_the_keys(tier: str) -> None:
    usage = told(
        input_tokens=1_000,
        output_tokens=50,
        total_tokens=1_050,
        input_token_details={f"{tier}_cache_read": 800, tier: 200},
        output_token_details={f"{tier}_reasoning": 30, tier: 20},
    )

    assert usage == Usage(input=200, cache_read=800, output=20, reasoning=30, tier=tier)


def test_usage_added_up_over_tiers_is_of_the_dearer() -> None:
    usage = known(
        input_tokens=1_000,
        output_tokens=0,
        input_token_details={
            "flex": 100,
            "flex_cache_read": 100,
            "priority": 100,
            "priority_cache_read": 100,
            "cache_read": 100,
        },
    )

    assert (usage.tier, usage.cache_read, usage.input) == ("priority", 300, 700)


def test_audio_is_taken_out_of_both_totals() -> None:
    usage = told(
        input_tokens=100,
        output_tokens=50,
        input_token_details={"audio": 90},
        output_token_details={"audio": 40},
    )

    assert usage == Usage(input=10, input_audio=90, output=10, output_audio=40)


def test_cached_audio_is_counted_once_as_audio() -> None:
    usage = known(
        input_tokens=100,
        output_tokens=0,
        input_token_details={"audio": 70, "cache_read": 60},
    )

    assert (usage.input_audio, usage.cache_read, usage.input) == (70, 30, 0)


@given(
    plain=counts,
    read=counts,
    write=counts,
    short=counts,
    hour=counts,
    audio=counts,
    out=counts,
    thought=counts,
    voice=counts,
)
def test_the_buckets_add_up_to_what_the_provider_says(**n: int) -> None:
    into = n["plain"] + n["read"] + n["write"] + n["short"] + n["hour"] + n["audio"]
    out = n["out"] + n["thought"] + n["voice"]
    usage = told(
        input_tokens=into,
        output_tokens=out,
        total_tokens=into + out,
        input_token_details={
            "cache_read": n["read"],
            "cache_creation": n["write"],
            "ephemeral_5m_input_tokens": n["short"],
            "ephemeral_1h_input_tokens": n["hour"],
            "audio": n["audio"],
        },
        output_token_details={"reasoning": n["thought"], "audio": n["voice"]},
    )

    expected = Usage(
        n["plain"],
        n["read"],
        n["write"] + n["short"],
        n["hour"],
        n["audio"],
        n["out"],
        n["thought"],
        n["voice"],
    )
    assert usage == (expected if into + out else None)


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(-(10.0**6), 10.0**6),
    st.sampled_from([math.nan, math.inf, -math.inf, "12", "", [], {}, b"1"]),
)
names = st.sampled_from(
    [
        "cache_read",
        "cache_creation",
        "ephemeral_5m_input_tokens",
        "ephemeral_1h_input_tokens",
        "audio",
        "reasoning",
        "flex",
        "flex_cache_read",
        "priority_reasoning",
        "new_detail",
    ]
)


@given(
    st.dictionaries(
        st.sampled_from(["input_tokens", "output_tokens", "total_tokens"]), junk
    ),
    st.dictionaries(names, junk) | junk,
    st.dictionaries(names, junk) | junk,
)
def test_no_usage_crashes_is_negative_or_below_what_was_reported(
    totals: dict[str, Any], into: Any, out: Any
) -> None:
    usage = told(**totals, input_token_details=into, output_token_details=out)

    if usage is not None:
        assert min(usage[:8]) >= 0
        assert usage.total_input >= totals["input_tokens"]
        assert usage.total_output >= totals["output_tokens"]
        total = totals.get("total_tokens")
        if isinstance(total, int | float) and math.isfinite(total):
            assert usage.total >= total
        assert all(type(count) is int for count in usage[:8])


@pytest.mark.parametrize("bad", [None, "12", -1, True, math.nan, math.inf, [1]])
@pytest.mark.parametrize("total", ["input_tokens", "output_tokens"])
def test_a_total_that_is_no_number_is_no_usage(total: str, bad: Any) -> None:
    assert told(**(OPENAI | {total: bad})) is None


@pytest.mark.parametrize("bad", [None, "12", -1, True, math.nan, {}])
def test_a_detail_that_is_no_number_counts_as_none(bad: Any) -> None:
    usage = told(
        input_tokens=10, output_tokens=5, input_token_details={"cache_read": bad}
    )

    assert usage == Usage(input=10, output=5)


def test_a_part_of_a_token_is_a_token() -> None:
    assert told(input_tokens=10.2, output_tokens=5.0) == Usage(input=11, output=5)


def test_a_total_below_its_details_is_raised_to_them() -> None:
    """Some integrations leave cached tokens out of the input."""
    usage = told(
        input_tokens=10,
        output_tokens=5,
        total_tokens=15,
        input_token_details={"cache_read": 800, "cache_creation": 100},
        output_token_details={"reasoning": 30},
    )

    assert usage == Usage(cache_read=800, cache_write=100, reasoning=30)


def test_a_total_below_its_audio_is_raised_to_it() -> None:
    details = {"audio": 90, "cache_creation": 20, "cache_read": 5}

    usage = told(input_tokens=10, output_tokens=1, input_token_details=details)

    assert usage == Usage(input_audio=90, cache_write=20, output=1)


def test_tokens_that_only_the_grand_total_has_are_output() -> None:
    assert told(input_tokens=10, output_tokens=5, total_tokens=100) == Usage(
        input=10, output=90
    )


def test_a_grand_total_that_is_too_small_is_not_believed() -> None:
    assert told(input_tokens=10, output_tokens=5, total_tokens=1) == Usage(
        input=10, output=5
    )


def test_a_usage_of_no_tokens_is_unknown() -> None:
    assert told(input_tokens=0, output_tokens=0, total_tokens=0) is None


@pytest.mark.parametrize("metadata", [None, {}, "text", 3])
def test_no_usage_is_unknown(metadata: Any) -> None:
    assert usage_of(message(metadata)) is None


def test_other_messages_and_plain_generations_have_no_usage() -> None:
    assert usage_of(HumanMessage("hello")) is None
    assert usage_of(Generation(text="hello")) is None


def test_several_answers_report_the_usage_of_all_so_one_is_read() -> None:
    answers = [message(OPENAI), message(OPENAI)]

    assert usage_of_result(result(*answers)) == usage_of(answers[0])


def test_the_messages_usage_goes_before_what_the_provider_said() -> None:
    said = {"prompt_tokens": 1, "completion_tokens": 1}

    usage = usage_of_result(result(message(OPENAI), token_usage=said))

    assert usage == usage_of(message(OPENAI))


@pytest.mark.parametrize("key", ["token_usage", "usage"])
def test_what_openai_says_itself_is_understood(key: str) -> None:
    said = {
        "prompt_tokens": 1_000,
        "completion_tokens": 50,
        "total_tokens": 1_050,
        "prompt_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": None},
    }

    usage = usage_of_result(result(message(None), **{key: said}))

    assert usage == Usage(
        input=100, cache_read=800, cache_write=100, output=20, reasoning=30
    )


def test_what_anthropic_says_itself_leaves_cached_tokens_out_of_the_input() -> None:
    said = {
        "input_tokens": 100,
        "cache_read_input_tokens": 800,
        "cache_creation_input_tokens": 50,
        "output_tokens": 7,
    }

    usage = usage_of_result(result(message(None), usage=said))

    assert usage == Usage(input=100, cache_read=800, cache_write=50, output=7)


@pytest.mark.parametrize(
    "said", [None, {}, "", 7, {"prompt_tokens": 7}, {"output_tokens": 7}]
)
def test_what_a_provider_does_not_say_is_unknown(said: Any) -> None:
    assert usage_of_result(result(message(None), token_usage=said)) is None


@pytest.mark.parametrize("generations", [[], [[]]])
def test_a_result_without_an_answer_is_unknown(generations: Any) -> None:
    empty = LLMResult(generations=generations)

    assert usage_of_result(empty) is None
    assert model_of_result(empty) == ""


@pytest.mark.parametrize("key", ["model_name", "model"])
def test_the_model_that_answered_is_named_by_the_answer(key: str) -> None:
    answer = message(OPENAI, response_metadata={key: "gpt-4o-2024-08-06"})

    assert model_of_result(result(answer, model_name="gpt-4o")) == "gpt-4o-2024-08-06"


@pytest.mark.parametrize("bad", [None, "", 4, ["gpt-4o"]])
def test_the_model_that_answered_may_be_named_by_the_provider_only(bad: Any) -> None:
    answer = message(OPENAI, response_metadata={"model_name": bad})

    assert model_of_result(result(answer, model_name="gpt-4o")) == "gpt-4o"
    assert model_of_result(result(answer)) == ""


def test_an_answer_from_langchains_cache_is_known_by_its_total_cost() -> None:
    hit = message(OPENAI | {"total_cost": 0})

    assert is_cache_hit(hit)
    assert is_cache_hit(ChatGeneration(message=hit))


@pytest.mark.parametrize("metadata", [None, OPENAI, OPENAI | {"total_cost": 0.2}])
def test_other_answers_were_paid(metadata: Any) -> None:
    assert not is_cache_hit(message(metadata))
