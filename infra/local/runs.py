"""The flow runs that are at work when a stack is taken down: they are cancelled first, so that they end well.

A run that loses its servers in the middle of its work fails late, with errors about connections, and the Prefect server
would show it as running for ever.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from infra.local.service import fetch
from infra.local.stack import Stack

PATIENCE = 90.0
"""Seconds for all runs to end. A run checks every two seconds whether it was cancelled; then it writes what it has."""

_REPORTS_EVERY = 5.0
_AT_WORK = ["RUNNING", "PENDING", "CANCELLING"]
# The server's answer may take a while when the machine is busy.
_ANSWER_SECONDS = 20.0


def end_runs(stack: Stack, report: Callable[[str], None] = print, seconds: float = PATIENCE) -> int:
    """Cancel the runs that are at work on the stack's Prefect server, and wait until they have ended.

    Runs that do not end in time are recorded as crashed. A server that does not answer is left as it is.

    Returns:
        How many runs there were.
    """
    try:
        runs = _at_work(stack)
        if not runs:
            return 0
        for run in runs:
            # A run below another one ends with it.
            if run["parent_task_run_id"] is None and run["state_type"] != "CANCELLING":
                _set_state(stack, run, "CANCELLING", "Cancelling", "the local stack is being stopped")
        left, began, reported = runs, time.monotonic(), 0.0
        report(f"cancelling {_named(runs)} first; each can be resumed (--force does not wait)")
        while left and time.monotonic() - began < seconds:
            time.sleep(0.5)
            left = _at_work(stack)
            if left and time.monotonic() - began - reported >= _REPORTS_EVERY:
                reported = time.monotonic() - began
                report(f"  waiting for {_named(left)}: {reported:.0f} s")
        for run in left:
            _set_state(stack, run, "CRASHED", "Crashed", "it had not ended when the local stack was stopped")
    except OSError as error:
        report(f"runs are not cancelled first, because the Prefect server does not answer: {error}")
        return 0
    return len(runs)


def _named(runs: list[dict[str, Any]]) -> str:
    names = [run["name"] for run in runs if run["parent_task_run_id"] is None] or [runs[0]["name"]]
    more = f" and {len(names) - 3} more runs" if len(names) > 3 else ""
    return ", ".join(f"the run '{name}'" for name in names[:3]) + more


def _at_work(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _post(
        stack, "flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": _AT_WORK}}}}
    )
    return found


def _set_state(stack: Stack, run: dict[str, Any], kind: str, name: str, message: str) -> None:
    state = {"type": kind, "name": name, "message": message}
    _post(stack, f"flow_runs/{run['id']}/set_state", {"state": state, "force": kind == "CRASHED"})


def _post(stack: Stack, path: str, body: dict[str, Any]) -> Any:
    url = f"{stack.address('prefect')}/api/{path}"
    headers = {"Content-Type": "application/json"}
    return json.loads(fetch(url, headers, json.dumps(body).encode(), _ANSWER_SECONDS))
