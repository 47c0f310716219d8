"""`python -m langchain_budget` is the command `langchain-budget`."""

from __future__ import annotations

from langchain_budget.cli.main import main

if __name__ == "__main__":
    main()
