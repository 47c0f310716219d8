"""What the demo's own model server answers, and what its model costs."""

from __future__ import annotations

from typing import Final

from langchain_budget import Price
from langchain_budget.testing import Rule

MODEL: Final = "scripted-1"
PRICE: Final = Price.per_million(input=2, cache_read=1, output=8)

RULES: Final = (
    Rule(says="Still to do: research", answer="research"),
    Rule(says="Still to do: analysts", answer="analysts"),
    Rule(says="Still to do: writer", answer="writer"),
    Rule(says="You are a writer", calls=[("look_up", {"topic": "libraries"})]),
    Rule(says="You are a writer", calls=[("polish", {"text": "A town asks itself."})]),
)
"""The supervisor names who is next; the writer uses both tools. Else: small talk."""
