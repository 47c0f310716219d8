from collections.abc import AsyncIterator

import pytest

from langchain_budget import BudgetPool, usd
from tests.providers.clients import PRICES, PROVIDERS, Provider, close_all


@pytest.fixture(params=PROVIDERS, ids=[each.name for each in PROVIDERS])
def provider(request: pytest.FixtureRequest) -> Provider:
    each: Provider = request.param
    return each


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    yield
    await close_all()


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", usd(100), prices=PRICES)
