"""`python -m benchmarks`: tables of ratios, of overshoot, and of estimates."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable

from benchmarks import (
    estimates,
    handler,
    imports,
    latency,
    leases,
    ledger,
    overshoot,
    stores,
)
from benchmarks.measure import show

PARTS = {
    "ledger": ledger.rows,
    "latency": latency.rows,
    "handler": handler.rows,
    "imports": imports.rows,
    "stores": stores.rows,
    "leases": leases.rows,
}
TABLES: dict[str, Callable[[int], str]] = {
    "overshoot": lambda _: overshoot.table(),
    "estimates": estimates.table,
}


def main() -> None:
    """Measure and print; nothing here passes or fails."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", choices=[*PARTS, *TABLES], action="append")
    asked.add_argument("--quick", action="store_true", help="fewer rounds, rougher")
    options = asked.parse_args()
    logging.disable(logging.WARNING)
    chosen = options.only or [*PARTS, *TABLES]
    rounds = 3 if options.quick else 12
    rows = [row for name in PARTS if name in chosen for row in PARTS[name](rounds)]
    if rows:
        print(show(rows))
    for name, table in TABLES.items():
        if name in chosen:
            print(f"\n{table(rounds)}")


if __name__ == "__main__":
    main()
