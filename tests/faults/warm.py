"""What workers find imported and loaded when they start."""

from contextlib import suppress
from importlib import import_module

from langchain_budget import BudgetCallbackHandler, BudgetPool
from langchain_budget.testing import FakeChatModel
from tests.faults import duties

for store in ("sqlite", "postgres", "redis"):
    with suppress(ImportError):
        import_module(f"langchain_budget.stores.{store}")
duties.chat_model("http://127.0.0.1:1")
meter = BudgetCallbackHandler(BudgetPool("warm"))
FakeChatModel().invoke("Hi", {"callbacks": [meter]})
