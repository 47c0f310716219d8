"""`python -m benchmarks`: the table of ratios, and the table of overshoot."""

from __future__ import annotations

import argparse
import logging

from benchmarks import handler, imports, latency, leases, ledger, overshoot, stores
from benchmarks.measure import show

PARTS = {
    "ledger": ledger.rows,
    "latency": latency.rows,
    "handler": handler.rows,
    "imports": imports.rows,
    "stores": stores.rows,
    "leases": leases.rows,
}


def main() -> None:
    """Measure and print; nothing here passes or fails."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", choices=[*PARTS, "overshoot"], action="append")
    asked.add_argument("--quick", action="store_true", help="fewer rounds, rougher")
    options = asked.parse_args()
    logging.disable(logging.WARNING)
    chosen = options.only or [*PARTS, "overshoot"]
    rounds = 3 if options.quick else 12
    rows = [row for name in PARTS if name in chosen for row in PARTS[name](rounds)]
    if rows:
        print(show(rows))
    if "overshoot" in chosen:
        print(f"\n{overshoot.table()}")


if __name__ == "__main__":
    main()
