"""The sweep flow: make what the trials need, run them, measure them, and compare the results."""

from __future__ import annotations

import signal
import time
from typing import Any

from prefect import State, flow, get_run_logger

from flows.runtime import cluster, reporting
from flows.runtime.cancelling import RESUMES, RunCancelled, cancel_requests
from flows.runtime.running import Unfinished, refusals_as_states
from flows.settings import SweepSettings
from flows.sweep.evaluator import measure_all
from flows.sweep.plan import TRIALS, describe, make_plan, resolve, write_or_check
from flows.sweep.prerequisites import licence_lines, make_places
from flows.sweep.progress import SweepWatch
from flows.sweep.records import RECORD
from flows.sweep.results import finish, show_artifacts
from flows.sweep.run import run_trials
from flows.training.stopping import deferred


@flow(
    name="sweep",
    flow_run_name="sweep {settings.preset}",
    task_runner=cluster.task_runner(),
    validate_parameters=True,
)
@refusals_as_states
def sweep(settings: SweepSettings) -> dict[str, Any] | State[Any]:
    """Fine-tune for one attribute over a grid or a search of training settings, and compare the results."""
    log = get_run_logger()
    resolved = resolve(settings)
    if resolved.dry_run:
        reporting.table("sweep-dry-run", describe(resolved), "What a sweep would do")
        return {}
    started = time.monotonic()
    plan = make_plan(resolved, places=make_places(resolved, log))
    write_or_check(plan)
    for line in licence_lines(plan.places):
        log.info("%s", line)
    watch = SweepWatch(plan, log)
    with deferred(signal.SIGINT, signal.SIGTERM) as arrived, cancel_requests(log) as cancelled:

        def stop() -> str | None:
            return cancelled() or ("interrupted" if arrived else None)

        ending = run_trials(plan, log=log, on_event=watch.event, stop=stop)
        watch.end()
        if ending.interrupted:
            words = f"{ending.reason}; {RESUMES}"
            raise (RunCancelled if cancelled() else Unfinished)(words)
    measure_all(plan, log)
    result = finish(plan, log, seconds=time.monotonic() - started, reason=ending.reason)
    show_artifacts(result)
    if set(result["states"]) == {"failed"}:
        raise Unfinished(f"every trial failed; {result['sweep']}/{TRIALS}/*/{RECORD} say why; {RESUMES}")
    return result
