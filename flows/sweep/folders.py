"""Read a sweep's folder: its trials, and the weights and metrics of each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from attgan.models.bundle_config import CONFIG
from attgan.training.run_folder.metrics_log import METRICS
from attgan.training.run_folder.run_files import RESULT
from flows.storage import Store, join, open_store
from flows.sweep.plan import TRIALS, SweepPlan, Trial
from flows.sweep.records import read_record

BUNDLE = "bundle"
# The folder for the measurements of the starting bundle.
START = "start"
_BEST = re.compile(r"best/step-(\d+)/" + re.escape(CONFIG))


@dataclass(frozen=True)
class Kept:
    """The weights that are a trial's result.

    Attributes:
        path: of their bundle, below the trial's folder.
        step: after which they were saved.
        steps: that the trial has done; None if it has not finished.
    """

    path: str
    step: int
    steps: int | None = None


def all_trials(plan: SweepPlan) -> list[Trial]:
    """The trials that the plan knows, and those that a search has suggested since the plan was made."""
    trials = {trial.number: trial for trial in plan.known}
    number = len(trials)
    while (record := read_record(trial_store(plan, number))) is not None:
        trials[number] = plan.trial(number, record["changes"])
        number += 1
    return [trials[number] for number in sorted(trials)]


def trial_store(plan: SweepPlan, number: int) -> Store:
    """The folder of a trial, by its number."""
    return open_store(join(plan.store.url, TRIALS, f"{number:03d}"), option="--destination")


def kept_weights(store: Store) -> Kept | None:
    """The bundle of a finished trial, or the best one so far of any other; None if there is neither.

    Args:
        store: the trial's folder.
    """
    outcome = read_json(store, RESULT)
    if outcome is not None:
        return Kept(BUNDLE, outcome["best_step"], outcome["step"])
    found = [match for info in store.list("best/") if (match := _BEST.fullmatch(info.key))]
    newest = max(found, key=lambda match: int(match[1]), default=None)
    return Kept(newest[0].removesuffix(f"/{CONFIG}"), int(newest[1])) if newest else None


def read_metrics(store: Store) -> list[dict[str, Any]]:
    """All rows of a trial's metrics in their order, of steps and validations; none if it has not begun."""
    try:
        lines = store.get(METRICS).data.splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except ValueError:
            # The last line, which a killed process did not finish.
            break
    return rows


def read_json(store: Store, key: str) -> Any:
    """The content of a JSON file; None if there is no such file."""
    try:
        return json.loads(store.get(key).data)
    except FileNotFoundError:
        return None
