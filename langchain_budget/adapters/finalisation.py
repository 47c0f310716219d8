"""What is set aside for the last answer of an agent that checks in."""

from __future__ import annotations

from typing import Final

from langchain_budget import tree
from langchain_budget.account import Account
from langchain_budget.core.accounts import join, spec_of
from langchain_budget.core.amounts import Amount
from langchain_budget.errors import BudgetExceeded, InvalidAmount, LimitConflict

FINALISATION: Final = "finalisation"
"""The account that pays for the last answers of agents that check in."""

FINALISATION_SHARE: Final = "5%"
"""How much of an account is set aside for last answers when nobody says."""


def last_account(account: Account, how: str, amount: Amount | None) -> str | None:
    """
    Set something aside for the last answer; where it is.

    The answer may draw on what the account has free as well. Of limits with a window
    nothing can be set aside: such an account pays for the last answer by itself.
    """
    if how != "check_in":
        return None
    path = join(account.path, FINALISATION)
    share = FINALISATION_SHARE if amount is None else None
    asked = spec_of(carve=[amount] if amount is not None else [], share=share)
    spec = asked._replace(borrows=True)
    try:
        account.ledger.run(tree.open_account(account.ledger, path, spec))
    except (LimitConflict, InvalidAmount, BudgetExceeded) as error:
        if amount is not None:
            raise
        return path if isinstance(error, LimitConflict) else None
    return path
