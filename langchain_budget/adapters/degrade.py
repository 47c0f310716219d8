"""Less before nothing: cheaper requests as a budget runs down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_budget.account import Account
from langchain_budget.adapters.extra import ModelRequest
from langchain_budget.adapters.request_middleware import Informed, is_short
from langchain_budget.adapters.status import Charged
from langchain_budget.adapters.trimming import MOST_TOKENS, trim_context
from langchain_budget.core.accounts import ratio
from langchain_budget.core.faults import InvalidPolicy
from langchain_budget.stores._drive import Talk

Saving = Callable[[ModelRequest[Any]], ModelRequest[Any]]
"""Makes a request cheaper."""


def cheaper(model: BaseChatModel) -> Saving:
    """Ask another model."""
    return lambda request: request.override(model=model)


def shorter(max_tokens: int = MOST_TOKENS) -> Saving:
    """Send the newest part of the conversation only; see `trim_context`."""
    return lambda request: request.override(
        messages=trim_context(request.messages, max_tokens)
    )


def fewer_tools(*names: str) -> Saving:
    """Offer these tools only; none at all, if none is named."""

    def without(request: ModelRequest[Any]) -> ModelRequest[Any]:
        kept = [tool for tool in request.tools if _name_of(tool) in names]
        return request.override(tools=kept)

    return without


def with_settings(**settings: Any) -> Saving:
    """Call the model with these settings, such as `reasoning_effort="low"`."""
    return lambda request: request.override(
        model_settings={**request.model_settings, **settings}
    )


class Degrade(Informed):
    """
    Makes an agent's requests cheaper, step by step, as its budget runs down.

    Put it before `BudgetMiddleware`, which then holds for what is really sent. The
    agent's state keeps everything; only requests change.

    Args:
        pool: A pool or one of its accounts.
        steps: What to do when less than a share is left of some limit of the account,
            or of one above it: `{"50%": cheaper(small), "20%": shorter(2_000)}`. All
            that apply are done, those of the largest share first.
        account: The path below *pool*; left out, the account named like the agent,
            or *pool* itself.

    Raises:
        UnknownAccount: There is no such account.
        InvalidAmount, InvalidPolicy: A share is none, or there are no steps.
        MissingExtra: `langchain` is not installed.

    >>> from langchain.agents import create_agent
    >>> from langchain_budget import BudgetMiddleware, BudgetPool, cheaper, tokens
    >>> from langchain_budget.testing import FakeChatModel
    >>> pool = BudgetPool("acme", tokens(1_000))
    >>> large = FakeChatModel(replies=["A long answer."], usage=(500, 100))
    >>> small = FakeChatModel(replies=["Short."], usage=(50, 10), model_name="small")
    >>> middleware = [Degrade(pool, {"50%": cheaper(small)}), BudgetMiddleware(pool)]
    >>> agent = create_agent(large, middleware=middleware)
    >>> for _ in range(2):
    ...     print(agent.invoke({"messages": [("user", "Hi")]})["messages"][-1].text)
    A long answer.
    Short.
    """

    def __init__(
        self,
        pool: Account,
        steps: Mapping[str | float, Saving | Iterable[Saving]],
        account: str | None = None,
    ) -> None:
        if not steps:
            msg = "no steps: give what to do below a share, like {'50%': cheaper(m)}"
            raise InvalidPolicy(msg)
        found = {ratio(share): _several(saving) for share, saving in steps.items()}
        self._steps = sorted(found.items(), reverse=True)
        super().__init__(Charged(pool, account))

    def _changed(self, request: ModelRequest[Any]) -> Talk[ModelRequest[Any]]:
        limits = yield from self._charged.limits()
        for share, savings in self._steps:
            if any(is_short(each, share) for each in limits or ()):
                for saving in savings:
                    request = saving(request)
        return request


def _several(saving: Saving | Iterable[Saving]) -> tuple[Saving, ...]:
    return tuple(saving) if isinstance(saving, Iterable) else (saving,)


def _name_of(tool: Any) -> str:
    if not isinstance(tool, dict):
        return str(tool.name)
    return str(tool.get("name") or tool.get("function", {}).get("name", ""))
