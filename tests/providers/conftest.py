import pytest

from langchain_budget import BudgetPool, usd
from tests.providers.clients import PRICES, PROVIDERS, Provider


@pytest.fixture(params=PROVIDERS, ids=[each.name for each in PROVIDERS])
def provider(request: pytest.FixtureRequest) -> Provider:
    each: Provider = request.param
    return each


@pytest.fixture
def pool() -> BudgetPool:
    return BudgetPool("acme", usd(100), prices=PRICES)
