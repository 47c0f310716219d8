"""What is written about a call in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_budget.adapters.attribution import Caller
from langchain_budget.adapters.calls import CALLS


def labels_of_run(
    caller: Caller,
    run_id: UUID | None,
    parent: UUID | None,
    metadata: Mapping[str, Any],
) -> dict[str, str]:
    """What is written about a call: who made it, in which run, thread and tool."""
    labels = {"agent": caller.agent, "node": caller.node, "run": str(run_id or "")}
    thread = metadata.get("thread_id")
    if thread is not None:
        labels["thread"] = str(thread)
    return labels | tool_around(parent)


def tool_around(parent: UUID | None) -> dict[str, str]:
    """The label of the innermost tool that a run is in, as far as runs are followed."""
    tool = next((run.tool for _, run in CALLS.runs.above(parent) if run.tool), "")
    return {"tool": tool} if tool else {}
