"""The sweep flow: make what the trials need, run them, measure them, and compare the results."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any

from prefect import State, flow, get_run_logger

from flows.runtime import reporting
from flows.runtime.cancelling import RESUMES, RunCancelled, cancel_requests
from flows.runtime.cluster import capacity, tasks
from flows.runtime.running import Unfinished, refusals_as_states
from flows.settings import SweepSettings
from flows.sweep.driver import GaveUp, SweepDriver
from flows.sweep.plan import SweepPlan, describe, make_plan, resolve, write_or_check
from flows.sweep.prerequisites.evaluator import measure_all
from flows.sweep.prerequisites.places import licence_lines, make_places
from flows.sweep.records import RECORD, TRIALS, WITHOUT_RESULT, patiently
from flows.sweep.results.display import show_artifacts
from flows.sweep.results.progress import Ending, SweepWatch, TrialEvent
from flows.sweep.results.result_files import finish
from flows.sweep.space import warm_start
from flows.sweep.trial import trial_task
from flows.training.stopping import deferred


@flow(
    name="sweep",
    flow_run_name="sweep {settings.preset}",
    task_runner=tasks.task_runner(),
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
    warm_start.write(plan, log)
    for line in licence_lines(plan.places):
        log.info("%s", line)
    watch = SweepWatch(plan, log)
    with (
        cancel_requests(log) as cancelled,
        # In a run that is cancelled, SIGTERM comes from Prefect's worker. Its usual effect would be a crash.
        deferred(signal.SIGINT, signal.SIGTERM, unless=cancelled) as arrived,
    ):

        def stop() -> str | None:
            return cancelled(signal.SIGTERM in arrived) or ("interrupted" if arrived else None)

        ending = run_trials(plan, log=log, on_event=watch.event, stop=stop)
        watch.end()
        if ending.interrupted:
            words = f"{ending.reason}; {RESUMES}"
            raise (RunCancelled if cancelled() else Unfinished)(words)
    # Both leave out, or write again, what they have done before.
    patiently(measure_all, plan, log)
    result = patiently(finish, plan, log, time.monotonic() - started, ending.reason)
    show_artifacts(result)
    if set(result["states"]) <= WITHOUT_RESULT:
        why = f"every trial failed or diverged; {result['sweep']}/{TRIALS}/*/{RECORD} say why"
        # One that diverged does so again.
        raise Unfinished(f"{why}; {RESUMES}" if "failed" in result["states"] else why)
    return result


def run_trials(
    plan: SweepPlan,
    *,
    log: reporting.Log,
    on_event: Callable[[TrialEvent], None],
    stop: Callable[[], str | None],
) -> Ending:
    """Run all trials of a sweep that are not complete, until they are, or until the user or the time limit stops them.

    An exception in a trial is retried by Prefect, a dead process or node by Ray, each with ``attempts`` attempts in
    total, from the trial's last checkpoint; then the trial is recorded as failed. A trial whose settings are refused,
    or that diverges, is recorded at once. The other trials continue. Half a minute after ``stop`` has returned a
    reason, this function has returned; trials that have not stopped by then end with this process.

    Args:
        plan: of the sweep. The folders of its trials are written.
        log: of the flow run.
        on_event: called in this thread with each event of a trial.
        stop: called in this thread about once a second; returns a reason to stop, or None.

    Raises:
        UserError: no node has the resources of a trial, or a suggested trial is refused.
        StorageError: the storage failed for longer than its retries last. The same call resumes.
        Exception: what ``on_event`` or ``stop`` raised, after all trials were asked to stop.
    """
    settings = plan.settings
    cpus, gpus = settings.cpus_per_trial, settings.gpus_per_trial
    capacity.require(cpus, gpus, settings.node_timeout, log)
    driver = SweepDriver(plan, on_event, stop)
    if not driver.left:
        return Ending(f"all {driver.count} trials are done", interrupted=False)
    most = settings.parallel or tasks.WINDOW
    log.info(
        "%s of %s trials are complete; the cluster runs %s at a time",
        driver.complete,
        plan.count,
        min(most, max(1, capacity.tasks_at_most(cpus, gpus))),
    )
    running = tasks.run_tasks(
        trial_task.with_options(retries=settings.attempts - 1),
        driver.calls(),
        cpus=cpus,
        gpus=gpus,
        node_timeout=settings.node_timeout,
        most=most,
        # Optuna is only asked for a trial when it can start at once, so that it knows all results by then; or when the
        # autoscaler has to be asked for a node.
        ahead=1 if settings.search == "optuna" else 2,
        restarts=settings.attempts - 1,
        on_wait=driver.look,
    )
    try:
        with contextlib.suppress(GaveUp), contextlib.closing(running) as ended:
            for call, state in ended:
                driver.end(call["order"].trial, state)
    finally:
        driver.abandon()
    return driver.ending or Ending(f"all {driver.count} trials are done", interrupted=False)
