"""The prices that genai-prices knows, as our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Final

from langchain_budget.pricing.prices import InvalidPrice, ModelRef, Price

PROVIDERS: Final[Mapping[str, str]] = {
    "amazon_bedrock": "aws",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "google_anthropic_vertex": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "litellm": "",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "xai": "x-ai",
}
"""LangChain's names of providers where the catalog has another; "" is any."""

TIERS: Final[Mapping[str, Mapping[str, str]]] = {
    "batch": {"processing": "batch"},
    "fast": {"service_tier": "fast", "speed": "fast"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
"""How the catalog tells service tiers apart."""

MOST_CACHED: Final = 10_000
"""Models whose prices are remembered."""

# A bucket costs the dearest of these that a model has a price for: no token details
# tell images, videos or citations from text.
_INPUT = ("input_mtok", "input_image_mtok", "input_video_mtok")
_CACHE_READ = ("cache_read_mtok", "cache_image_read_mtok", "cache_video_read_mtok")
_CACHE_WRITE = ("cache_write_mtok", "cache_write_5m_mtok")
_CACHE_WRITE_1H = ("cache_write_1h_mtok",)
_INPUT_AUDIO = ("input_audio_mtok",)
_OUTPUT = (
    "output_mtok",
    "output_image_mtok",
    "output_video_mtok",
    "output_citation_mtok",
)
_REASONING = ("output_reasoning_mtok",)
_OUTPUT_AUDIO = ("output_audio_mtok",)
_THOUSAND_CALLS = "requests_kcount"
_KNOWN = {
    *(*_INPUT, *_CACHE_READ, *_CACHE_WRITE, *_CACHE_WRITE_1H, *_INPUT_AUDIO),
    *(*_OUTPUT, *_REASONING, *_OUTPUT_AUDIO, _THOUSAND_CALLS),
    "cache_audio_read_mtok",  # cached audio is booked as audio, which costs no less
    "storage_searches_kcount",  # fees of tools that run at the provider:
    "web_searches_kcount",  # no usage that LangChain passes on counts them
}

_VENDOR = re.compile(r"(.*[./:])?")
_VERSION = re.compile(
    r"([-@:._]?(v?\d{2,8}|20\d\d-\d\d-\d\d|v\d+|latest|preview|exp|experimental))*"
    r"(:\d+)?(:\d+k)?"
)

Card = Mapping[str, Any]
"""A model's prices by the catalog's names: a Decimal, or prices by size of input."""


def _today() -> date:
    return datetime.now(UTC).date()  # noqa: TID251 - prices change by the calendar


class GenaiPrices:
    """
    Look prices up in genai-prices, which is imported on first use (0.3-0.5 s).

    A model is found as genai-prices finds it, aliases and dated names included, but
    for one thing: where only the beginning or a part of the name matches, the rest
    must be a vendor, a date or a version. Otherwise "gemini-3.6-flash-lite" would
    cost what "gemini-3.6-flash" does. An unknown provider finds nothing; no provider
    finds what the name alone does.

    No price is below the catalog's. Where that depends on the time of day, the
    dearest of the day counts. Where something other than tokens and calls is priced
    (seconds, pages), or nothing is, there is no price: declare one. The fees of web
    searches and the like are not in it.
    """

    def __init__(self, today: Callable[[], date] = _today) -> None:
        self._today = today
        self._known: tuple[object, date, dict[ModelRef, Price | None]]
        self._known = (None, date.min, {})  # replaced whole, because threads share it

    def price_of(self, model: ModelRef) -> Price | None:
        """Tell today's price, or `None` for a model that the catalog does not have."""
        snapshot, day = _data().get_snapshot(), self._today()
        known = self._known
        if known[0] is not snapshot or known[1] != day or len(known[2]) > MOST_CACHED:
            known = self._known = (snapshot, day, {})
        prices = known[2]
        if model not in prices:
            prices[model] = _look_up(snapshot, model, day)
        return prices[model]


@cache
def _data() -> Any:
    from genai_prices import data_snapshot  # noqa: PLC0415 - slow, so on first use

    return data_snapshot


def _look_up(snapshot: Any, ref: ModelRef, day: date) -> Price | None:
    for provider_id, name in _readings(snapshot, ref):
        try:
            found = snapshot.find_provider_model(name, None, provider_id, None)
        except LookupError:
            continue
        if _is_same(found[1], name):
            return _price(snapshot, found[0], found[1], day)
    return None


def _readings(snapshot: Any, ref: ModelRef) -> Iterator[tuple[str | None, str]]:
    """Tell what *ref* may mean: the name may have its provider before it."""
    known = {provider.id for provider in snapshot.providers}
    given = PROVIDERS.get(ref.provider, ref.provider)
    name = ref.model.lower().removeprefix("models/")
    if given and given not in known:
        return
    if given:
        yield given, name
    prefix, _, rest = name.replace("/", ":", 1).partition(":")
    meant = PROVIDERS.get(prefix, prefix)
    if rest and meant in known and given in {"", meant}:
        yield meant, rest
    if not given:
        yield None, name


def _is_same(model: Any, name: str) -> bool:
    """Tell whether *name* is the model's own, and not only similar."""
    if name == model.id.lower() or not model.is_match(name):
        return True  # the latter: found by its date written another way
    return _names(model.match, name)


def _names(clause: Any, name: str) -> bool:
    if parts := getattr(clause, "or_", None):
        return any(_names(part, name) for part in parts)
    if parts := getattr(clause, "and_", None):
        return all(_names(part, name) for part in parts)
    if not clause.is_match(name):
        return False
    looks = ("starts_with", "contains", "ends_with")
    part = next((getattr(clause, each) for each in looks if hasattr(clause, each)), "")
    before, _, after = name.partition(part.lower() or name)
    tuned = "ft:" in part or ".ft-" in part  # goes on as its owner likes
    is_version = tuned or _VERSION.fullmatch(after)
    return bool(_VENDOR.fullmatch(before) and is_version)


def _price(snapshot: Any, provider: Any, model: Any, day: date) -> Price | None:
    as_of = f" of {snapshot.timestamp:%Y-%m-%d}" if snapshot.from_auto_update else ""
    release = version("genai-prices") + as_of
    source = f"genai-prices {release} {provider.id}/{model.id}"
    standard = _cards(model, day, {})
    # A model that its provider resells has its maker's standard prices only.
    own = any(model is each for each in provider.models)
    try:
        price = _converted(standard, source)
        for tier, context in TIERS.items() if own else ():
            cards = _cards(model, day, context)
            if cards != standard:
                price = price.at_tier(tier, _converted(cards, f"{source} {tier}"))
    except InvalidPrice:
        return None
    return price


def _cards(model: Any, day: date, context: Mapping[str, str]) -> list[Card]:
    """Give the prices of each time of this day."""
    told = model.prices if isinstance(model.prices, list) else []
    limits = [getattr(each.constraint, "start_time", time(0)) for each in told]
    limits += [getattr(each.constraint, "end_time", time(0)) for each in told]
    moments = {datetime.combine(day, at, at.tzinfo or UTC) for at in (time(0), *limits)}
    cards = (vars(model.get_prices(moment, context)) for moment in sorted(moments))
    return [{k: v for k, v in card.items() if v is not None} for card in cards]


def _converted(cards: list[Card], source: str) -> Price:
    unknown = set().union(*cards) - _KNOWN
    if unknown:
        msg = f"asked for {sorted(unknown)}, which usage does not count"
        raise InvalidPrice(msg)
    tiered = (v for card in cards for v in card.values() if hasattr(v, "tiers"))
    starts = sorted({tier.start for value in tiered for tier in value.tiers})
    price = _dearest(cards, -1, source)
    for start in starts:
        price = price.above(start, _dearest(cards, start, f"{source} above {start}"))
    return price


def _dearest(cards: Iterable[Card], start: int, source: str) -> Price:
    asked = [_asked(card, start) for card in cards]
    return Price.per_million(
        **{bucket: max(each[bucket] for each in asked) for bucket in asked[0]},
        source=source,
    )


def _asked(card: Card, start: int) -> dict[str, Decimal]:
    """Tell what *card* asks when the input is above *start* tokens."""
    find = partial(_find, card, start)
    plain = find(_INPUT, Decimal(0))
    write = find(_CACHE_WRITE, plain)
    out = find(_OUTPUT, Decimal(0))
    return {
        "input": plain,
        "cache_read": find(_CACHE_READ, plain),
        "cache_write": write,
        "cache_write_1h": find(_CACHE_WRITE_1H, write),
        "input_audio": find(_INPUT_AUDIO, plain),
        "output": out,
        "reasoning": find(_REASONING, out),
        "output_audio": find(_OUTPUT_AUDIO, out),
        "per_call": find((_THOUSAND_CALLS,), Decimal(0)) / 1000,
    }


def _find(card: Card, start: int, names: Iterable[str], otherwise: Decimal) -> Decimal:
    found = [_at(card[name], start) for name in names if name in card]
    return max(found, default=otherwise)


def _at(value: Any, start: int) -> Decimal:
    for tier in reversed(getattr(value, "tiers", ())):
        if tier.start <= start:
            return Decimal(tier.price)
    return Decimal(getattr(value, "base", value))
