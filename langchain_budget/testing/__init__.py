"""What tests of a budget need: a model, a server, a gate and a clock that obey."""

from langchain_budget.testing._calls import ModelCall, Total
from langchain_budget.testing._desk import Served
from langchain_budget.testing._script import Fault, Rule
from langchain_budget.testing.clock import StillClock
from langchain_budget.testing.events import EventLog, capture
from langchain_budget.testing.gate import Gate, GateTimeout
from langchain_budget.testing.models import FakeChatModel
from langchain_budget.testing.server import ScriptedServer

__all__ = [
    "EventLog",
    "FakeChatModel",
    "Fault",
    "Gate",
    "GateTimeout",
    "ModelCall",
    "Rule",
    "ScriptedServer",
    "Served",
    "StillClock",
    "Total",
    "capture",
]
