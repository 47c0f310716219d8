"""
Budgets from files and mappings: read, checked as a whole, and turned into pools.

`load` takes three shapes and tells them apart by their keys: whole pools
(`PoolConfig`), metering by tick and run (`MeteringConfig`), and tiers
(`TierConfig`).
"""

from __future__ import annotations

from langchain_budget.config.limit_texts import parse_limit
from langchain_budget.config.loading import load
from langchain_budget.config.metering import Metering, MeteringConfig
from langchain_budget.config.opened import Config, Opened
from langchain_budget.config.pools import PoolConfig
from langchain_budget.config.tier_reports import AgentUse, TierReport
from langchain_budget.config.tiers import Tier, TierConfig, tier

__all__ = [
    "AgentUse",
    "Config",
    "Metering",
    "MeteringConfig",
    "Opened",
    "PoolConfig",
    "Tier",
    "TierConfig",
    "TierReport",
    "load",
    "parse_limit",
    "tier",
]
