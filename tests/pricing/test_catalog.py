"""The catalog's prices are its own, to the nano-dollar, for its own models only."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any

import pytest
from genai_prices import Usage as CatalogUsage
from genai_prices import calc_price
from genai_prices import types as catalog
from genai_prices.data_snapshot import (
    DataSnapshot,
    get_snapshot,
    set_custom_snapshot,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_budget.pricing import catalog as catalog_module
from langchain_budget.pricing.catalog import TIERS, GenaiPrices
from langchain_budget.pricing.prices import ModelRef, Price
from langchain_budget.pricing.usage import Usage

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
# Priced apart by the catalog, but nobody's usage tells them apart.
MIXED = ("image", "video", "citation")

Model = tuple[catalog.Provider, catalog.ModelInfo]

counts = st.integers(0, 600_000)
usages = st.builds(Usage, *[counts] * 8, tier=st.just(""))


def the_models() -> list[Model]:
    """Give each model that its own name finds."""
    found = []
    for provider in get_snapshot().providers:
        for model in provider.models:
            first = provider.find_model(model.id)
            if first is model:
                found.append((provider, model))
    return found


MODELS = the_models()


def keys(model: catalog.ModelInfo, at: datetime = NOON) -> set[str]:
    return {k for k, v in vars(model.get_prices(at)).items() if v is not None}


def is_by_the_clock(model: catalog.ModelInfo) -> bool:
    prices = model.prices if isinstance(model.prices, list) else []
    return any(isinstance(p.constraint, catalog.TimeOfDateConstraint) for p in prices)


def is_plain(model: catalog.ModelInfo) -> bool:
    told = keys(model)
    return not (is_by_the_clock(model) or any(m in key for m in MIXED for key in told))


def theirs(model: Model, usage: Usage, at: datetime = NOON, **context: str) -> Decimal:
    provider, info = model
    asked = CatalogUsage(
        input_tokens=usage.total_input,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write + usage.cache_write_1h,
        cache_write_1h_tokens=usage.cache_write_1h,
        input_audio_tokens=usage.input_audio,
        cache_audio_read_tokens=0,
        output_tokens=usage.total_output,
        output_reasoning_tokens=usage.reasoning,
        output_audio_tokens=usage.output_audio,
    )
    total = calc_price(
        asked,
        info.id,
        provider_id=provider.id,
        genai_request_timestamp=at,
        price_context=context or None,
    ).total_price
    return total * 10**9


def ours(model: Model) -> Price | None:
    return PRICES.price_of(ModelRef(model[0].id, model[1].id))


PRICES = GenaiPrices(today=lambda: DAY)
PRICED = [model for model in MODELS if ours(model)]
PLAIN = [model for model in PRICED if is_plain(model[1])]


def cost(price: Price | None, usage: Usage) -> int:
    assert price is not None
    return price.cost(usage)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input=1_001, output=77),
        Usage(9_000, 500, 300, 200, 40, 700, 60, 5),
        Usage(150_003, 100_001, 7_001, 3_001, 11, 5_003, 1_001, 13),
    ],
    ids=["plain", "all buckets", "a long prompt"],
)
def test_every_model_costs_what_the_catalog_says(usage: Usage) -> None:
    wrong = {
        model[1].id: (cost(ours(model), usage), theirs(model, usage))
        for model in PLAIN
        if cost(ours(model), usage) != ceil(theirs(model, usage))
    }

    assert not wrong
    assert len(PLAIN) > 1_500


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(range(len(PLAIN))), usages)
def test_any_usage_costs_what_the_catalog_says(number: int, usage: Usage) -> None:
    model = PLAIN[number]

    assert cost(ours(model), usage) == ceil(theirs(model, usage))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(range(len(PRICED))), usages, st.integers(0, 24 * 4 - 1))
def test_no_usage_costs_less_than_the_catalog_says(
    number: int, usage: Usage, quarter: int
) -> None:
    model = PRICED[number]
    at = datetime(2026, 11, 20, tzinfo=UTC) + timedelta(minutes=15 * quarter)

    assert cost(ours(model), usage) >= theirs(model, usage, at)


@pytest.mark.parametrize("tier", TIERS)
def test_every_service_tier_costs_what_the_catalog_says(tier: str) -> None:
    usage = Usage(1_001, 501, 301, 0, 0, 77, 13, 0)
    tiered = [
        m for m in PLAIN if any(has_tier(v, tier) for v in m[1].price_variants or ())
    ]
    wrong = {
        model[1].id: (ours(model), tier)
        for model in tiered
        if cost(ours(model), usage._replace(tier=tier))
        != ceil(theirs(model, usage, **TIERS[tier]))
    }

    assert not wrong
    assert tiered


def has_tier(variant: catalog.PriceVariant, tier: str) -> bool:
    return bool(variant.when.items() & TIERS[tier].items())


def test_prices_by_the_hour_are_those_of_the_dearest_hour() -> None:
    usage = Usage(input=1_001, cache_read=301, output=77)
    hours = [datetime(2026, 11, 20, hour, 15, tzinfo=UTC) for hour in range(24)]
    by_the_clock = [model for model in PRICED if is_by_the_clock(model[1])]

    for model in by_the_clock:
        asked = [ceil(theirs(model, usage, hour)) for hour in hours]
        assert cost(ours(model), usage) == max(asked) > min(asked)
    assert by_the_clock


def test_a_model_of_pictures_asks_the_price_of_pictures_for_all() -> None:
    price = PRICES.price_of(ModelRef("google_genai", "gemini-2.5-flash-image"))

    assert cost(price, Usage(output=1_000_000)) == 30 * 10**9


def test_a_model_without_our_price_has_none_there_either() -> None:
    """Or it is priced by what is no token: seconds, pages, characters."""
    usage = Usage(input=1_000_000, output=1_000_000)
    unpriced = [model for model in MODELS if ours(model) is None]

    lost = [
        model[1].id
        for model in unpriced
        if keys(model[1]) <= {"input_mtok", "output_mtok"} and theirs(model, usage)
    ]

    assert not lost


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("azure", "gpt-4o"),
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("google_genai", "gemini-2.5-pro"),
        ("google_genai", "models/gemini-2.5-flash"),
        ("google_vertexai", "gemini-2.5-flash"),
        ("google_anthropic_vertex", "claude-sonnet-4-5@20250929"),
        ("amazon_bedrock", "anthropic.claude-3-sonnet-20240229-v1:0"),
        ("bedrock_converse", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("mistralai", "mistral-large-latest"),
        ("cohere", "command-r-plus"),
        ("groq", "llama-3.3-70b-versatile"),
        ("fireworks", "accounts/fireworks/models/deepseek-r1-0528"),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("xai", "grok-4"),
        ("deepseek", "deepseek-chat"),
        ("perplexity", "sonar-pro"),
        ("openrouter", "openai/gpt-4o"),
        ("cerebras", "gpt-oss-120b"),
        ("litellm", "openai/gpt-4o"),
        ("", "gpt-4o"),
        ("", "claude-sonnet-4-5"),
        ("", "openai:gpt-4o"),
        ("", "openai/gpt-4o"),
        ("", "google_genai:gemini-2.5-pro"),
        ("openai", "openai/gpt-4o"),
        ("openai", "gpt-4o-mini-2024-07-18"),
        ("openai", "gpt-5.2-20251211"),
        ("openai", "ft:gpt-4o-2024-08-06:acme::x1"),
        ("openai", "GPT-4o"),
    ],
)
def test_models_are_found_by_the_names_that_langchain_gives(
    provider: str, model: str
) -> None:
    assert PRICES.price_of(ModelRef(provider, model)) is not None


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-ultra"),
        ("openai", "gpt"),
        ("openai", ""),
        ("", ""),
        ("anthropic", "claude-sonnet-4-5-turbo"),
        ("anthropic", "claude-opus-4-55"),
        ("anthropic", "claude-opus-4-5-fast"),
        ("google_genai", "gemini-3.6-flash-lite"),
        ("google_genai", "gemini-2.5-pro-ultra"),
        ("bedrock_converse", "us.acme-claude-sonnet-4-5"),
        ("ollama", "gpt-4o"),
        ("huggingface", "gpt-4o"),
        ("my-openai-proxy", "gpt-4o"),
        ("ollama", "openai/gpt-4o"),
        ("anthropic", "openai/gpt-4o"),
        ("", "my-finetune"),
        ("openai", "whisper-1"),
    ],
)
def test_a_similar_or_foreign_name_has_no_price(provider: str, model: str) -> None:
    assert PRICES.price_of(ModelRef(provider, model)) is None


def test_a_price_names_the_catalog_its_version_and_the_model_found() -> None:
    price = PRICES.price_of(ModelRef("openai", "gpt-4o-mini-2024-07-18"))

    assert price is not None
    assert price.source.startswith("genai-prices 0.")
    assert price.source.endswith(" openai/gpt-4o-mini")


def test_a_price_is_looked_up_once_a_day() -> None:
    days = [date(2026, 3, 12)]
    prices = GenaiPrices(today=lambda: days[-1])
    model = ModelRef("anthropic", "claude-opus-4-6")

    before = prices.price_of(model)
    assert prices.price_of(model) is before

    days.append(date(2026, 3, 13))
    after = prices.price_of(model)
    assert after is not before
    assert after != before


def test_more_models_than_are_remembered_have_prices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalog_module, "MOST_CACHED", 2)
    names = ["gpt-4o", "gpt-4.1", "o3", "o4-mini"]

    few = GenaiPrices(today=lambda: DAY)
    prices = [few.price_of(ModelRef("openai", name)) for name in names * 2]

    assert None not in prices
    assert prices[:4] == prices[4:]


@pytest.fixture
def custom() -> Iterator[Any]:
    """Let a test replace the catalog."""
    yield set_custom_snapshot
    set_custom_snapshot(None)


def snapshot_of(**prices: Any) -> DataSnapshot:
    model = catalog.ModelInfo(
        id="m", match=catalog.ClauseEquals("m"), prices=catalog.ModelPrice(**prices)
    )
    provider = catalog.Provider(id="p", name="P", api_pattern="p", models=[model])
    return DataSnapshot(providers=[provider], from_auto_update=True)


def test_a_new_catalog_is_used_at_once_and_named_by_its_date(custom: Any) -> None:
    prices = GenaiPrices(today=lambda: DAY)
    model = ModelRef("p", "m")
    assert prices.price_of(model) is None

    custom(snapshot_of(input_mtok=Decimal(1), output_mtok=Decimal(2)))

    price = prices.price_of(model)
    assert price is not None
    assert " of 20" in price.source


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"input_mtok": Decimal(0), "output_mtok": Decimal(0)},
        {"input_mtok": Decimal(1), "output_audio_hours": Decimal(1)},
        {"input_mtok": Decimal(2_000_000), "output_mtok": Decimal(1)},
        {"input_mtok": Decimal(-1), "output_mtok": Decimal(1)},
    ],
    ids=["nothing", "zero", "by the hour", "absurd", "negative"],
)
def test_what_is_no_price_for_tokens_is_none(custom: Any, told: Any) -> None:
    custom(snapshot_of(**told))

    assert GenaiPrices(today=lambda: DAY).price_of(ModelRef("p", "m")) is None


def test_prices_by_default_are_of_today() -> None:
    assert GenaiPrices().price_of(ModelRef("openai", "gpt-4o")) is not None


def test_the_catalog_loads_on_first_use() -> None:
    code = (
        "import sys; from langchain_budget.pricing.catalog import GenaiPrices;"
        "GenaiPrices(); assert 'genai_prices' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
