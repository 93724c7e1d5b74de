"""Sweeps so small that they take seconds; as a program, one to kill: ``python tests/support/small_sweep.py JSON``."""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

from prefect import flow

import __main__
from flows.runtime.cluster import tasks
from flows.runtime.running import run_from_terminal
from flows.settings import SweepSettings
from flows.sweep.flow import run_trials
from flows.sweep.plan import Places, SweepPlan, make_plan, resolve, write_or_check
from flows.sweep.results.progress import Ending, TrialEvent

SMALL: dict[str, Any] = {
    "from_scratch": True,
    "bundle": None,
    "size": 64,
    "width": 2,
    "attributes": ["Eyeglasses", "Male"],
    "strategy": "permutation",
    "search": "grid",
    "scheduler": "none",
    "space": ["lambda_reconstruction=1,10,100"],
    "batch_size": 4,
    "learning_rate": 1e-3,
    "generator_warmup": 0,
    "discriminator_warmup": 0,
    "discriminator_steps": 1,
    "schedule": "constant",
    "epochs": 100,
    "max_steps": 60,
    "checks_per_epoch": 1,
    "validation_images": 8,
    "checkpoint_every": 10,
    "patience": 0,
}


def small_plan(dataset: str, destination: str, **changes: Any) -> SweepPlan:
    """The plan of a sweep over fresh networks, on record in its folder as the sweep's flow would do."""
    chosen = SMALL | {"dataset": dataset, "destination": destination} | changes
    for text in chosen["space"]:
        # What is searched is not given beside it.
        chosen.pop(text.partition("=")[0], None)
    plan = make_plan(
        resolve(SweepSettings.model_validate(chosen)), places=Places(dataset, bundle=None, evaluator=None)
    )
    write_or_check(plan)
    return plan


def run_small(
    plan: SweepPlan,
    on_event: Callable[[TrialEvent], None] = lambda event: None,
    stop: Callable[[], str | None] = lambda: None,
) -> Ending:
    """Run the trials in a flow of their own."""
    log = logging.getLogger("sweep")
    __main__.small_sweep_body = lambda: run_trials(plan, log=log, on_event=on_event, stop=stop)
    ending: Ending = run_from_terminal(small_sweep)
    return ending


@flow(name="small-sweep", task_runner=tasks.task_runner())
def small_sweep() -> Ending:
    """Run the body. The flow is pickled with each task, which the body cannot be, so it does not refer to it."""
    import __main__

    ending: Ending = __main__.small_sweep_body()
    return ending


if __name__ == "__main__":
    logging.basicConfig()
    print(run_small(small_plan(**json.loads(sys.argv[1])), on_event=print))
