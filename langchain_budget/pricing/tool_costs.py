"""What a call of a tool is expected to cost, before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from langchain_budget.core.amounts import NANOS, USD, Amount, countable, nanos
from langchain_budget.core.faults import InvalidAmount, UnitMismatch
from langchain_budget.pricing.prices import ModelRef, Price, PriceBook
from langchain_budget.pricing.quotes import PriceBookFailed, checked
from langchain_budget.pricing.usage import Usage

Dollars = Amount | str | int | Decimal

STANDARD_TOOL_COSTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Read": "0.001",
        "Write": "0.005",
        "Edit": "0.005",
        "Bash": "0.01",
        "PythonCode": "0.01",
        "Delete": "0.002",
        "Grep": "0.001",
        "Glob": "0.001",
        "HTTP": "0.005",
        "WebFetch": "0.01",
        "Workflow": "0.05",
        "Agent": "0.1",
        "MCP": "0.02",
    }
)
"""Dollars per call of the tools that autonomous agents usually have.

The figures are those of the guide to budgets in the permission system of Kailash
Kaizen, version 1.0.
"""

UNKNOWN_TOOL: Final = "0.01"
"""Dollars that a tool is expected to cost of which nothing is known; same source."""

UNKNOWN_BUFFER: Final = "1.20"
"""What a base for unknown tools is multiplied by; same source."""

TEXT_PRICE: Final = Price.per_million(input="0.50", output=0, source="tool text")
"""Half a dollar per million tokens of text, as GPT-3.5 asked; same source."""

TOKEN_TOOLS: Final[Mapping[str, Price]] = MappingProxyType(
    {"LLM": TEXT_PRICE, "AgentNode": TEXT_PRICE}
)
"""Tools that cost what the text in their arguments does; same source."""

LEAST_FOR_TEXT: Final = "0.0001"
"""Dollars that such a tool costs at least, however short the text; same source."""

CHARS_PER_TOKEN: Final = 4

_NO_PARAMS: Final[Mapping[str, object]] = MappingProxyType({})


class ToolCosts:
    """
    What tools cost, by name: a table, the length of a text, or a guess.

    A tool of the table costs what stands there, even if it is among *token_tools*.
    A token tool costs what the text of its `prompt`, or else of its `messages`, does,
    at four characters a token. All others cost *unknown*.

    Args:
        prices: Dollars per call by the tool's name; a free one says `"0"`.
        unknown: Dollars per call of any other tool.
        base: What tools usually cost. If given, others cost *base* times *buffer*.
        buffer: 1 or more.
        token_tools: What a token costs those who are charged by the text.
        models: Where the price is looked up when the arguments of a token tool name
            a `model`; their `max_tokens` is then priced as output.

    Raises:
        InvalidAmount: For what is negative, no number or, like a float, not exact.
        UnitMismatch: For an amount that is no dollars.

    >>> costs = ToolCosts({**STANDARD_TOOL_COSTS, "search": "0.005"})
    >>> print(costs.estimate("search"), costs.estimate("Agent"), costs.estimate("new"))
    $0.005 $0.10 $0.01
    >>> print(costs.estimate("LLM", {"prompt": "Explain" * 10_000}))
    $0.00875
    """

    def __init__(  # noqa: PLR0913  # each is a figure of its own
        self,
        prices: Mapping[str, Dollars] = MappingProxyType({}),
        *,
        unknown: Dollars = UNKNOWN_TOOL,
        base: Dollars | None = None,
        buffer: str | int | Decimal = UNKNOWN_BUFFER,
        token_tools: Mapping[str, Price] = TOKEN_TOOLS,
        models: PriceBook | None = None,
    ) -> None:
        self._prices = {name: _amount(price) for name, price in prices.items()}
        self._unknown = (
            _amount(unknown) if base is None else _buffered(_amount(base), buffer)
        )
        self._least = _amount(LEAST_FOR_TEXT)
        self._token_tools = dict(token_tools)
        self._models = None if models is None else checked(models)

    def estimate(
        self, tool: str, params: Mapping[str, object] | str = _NO_PARAMS
    ) -> Amount:
        """
        Dollars that a call of *tool* with these arguments is expected to cost.

        Raises:
            PriceBookFailed: *models* does not say what the model costs, but fails.
        """
        known = self._prices.get(tool)
        if known is not None:
            return known
        price = self._token_tools.get(tool)
        if price is None:
            return self._unknown
        given = {"prompt": params} if isinstance(params, str) else params
        return max(self._least, self._of_text(price, given))

    def _of_text(self, price: Price, params: Mapping[str, object]) -> Amount:
        model, most = params.get("model"), params.get("max_tokens")
        if self._models is not None and isinstance(model, str):
            quote = self._models.quote(ModelRef("", model))
            if quote.fault is not None:
                raise PriceBookFailed(ModelRef("", model), quote) from quote.fault
            price = quote.price or price
        text = _text(params["prompt"] if "prompt" in params else params.get("messages"))
        output = most if type(most) is int and most > 0 else 0
        usage = Usage(input=len(text) // CHARS_PER_TOKEN, output=output)
        return Amount(USD, price.cost(usage))


def _amount(price: Dollars) -> Amount:
    if not isinstance(price, Amount):
        return Amount(USD, nanos(price))
    if price.unit != USD:
        msg = f"{price!r} is no sum in dollars: a tool costs usd('0.01') or '0.01'"
        raise UnitMismatch(msg)
    return countable(price)


def _buffered(base: Amount, buffer: str | int | Decimal) -> Amount:
    """The product, rounded up; the buffer counts to nine decimals."""
    factor = nanos(buffer)
    if factor < NANOS:
        msg = f"buffer={buffer!r} would make tools cheaper: give 1 or more"
        raise InvalidAmount(msg)
    return Amount(USD, -(-base.value * factor // NANOS))


def _text(value: object) -> str:
    """The text of a prompt, a message, or a list of them; what is no text has none."""
    match value:
        case str():
            return value
        case tuple([str(), content]):
            pass  # a message, as its role and its content
        case list() | tuple():
            return " ".join(map(_text, value))
        case Mapping():
            content = value.get("text", value.get("content"))
        case _:
            content = getattr(value, "content", None)
    return _text(content) if isinstance(content, str | list) else ""
